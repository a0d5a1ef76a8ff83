"""However the process of a run ends, whoever started it hears of it, and gets a code that is documented."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sample_runs.sweeps import ROOT

BEGIN = """
import os, signal, sys, time
from runner.cluster.supervise import supervise
supervise()
print(os.getpid(), flush=True)
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    arguments = (sys.executable, "-c", BEGIN + code, *arguments)
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.parametrize("code", [0, 2, 3, 4, 70])
def test_what_a_verb_ends_with_is_what_it_started_as_ends_with(code):
    process = start(f"sys.exit({code})")
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (code, "")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("os._exit(1)", "Ray has ended this run's process"),
        ("os.abort()", "ended by SIGABRT"),
        ("os.kill(os.getpid(), 9)", "as the kernel does where memory runs out"),
    ],
)
def test_a_process_that_is_ended_from_outside_is_one_line_and_code_4(code, message):
    process = start(code, "--json")
    out, err = process.communicate(timeout=60)
    assert process.returncode == 4
    assert len(err.splitlines()) == 1
    result = json.loads(out.splitlines()[1])
    assert message in result["error"]
    assert err == f"caucus: {result['error']}\n"


def test_a_signal_reaches_the_run_once_and_its_own_end_counts():
    process = start("signal.signal(15, lambda *_: sys.exit(4))\nprint('ready', flush=True)\ntime.sleep(100)")
    assert process.stdout is not None
    process.stdout.readline(), process.stdout.readline()
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 4
    process = start("time.sleep(100)")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM


def test_a_run_does_not_outlive_who_was_started():
    process = start("time.sleep(100)")
    assert process.stdout is not None
    child = Path(f"/proc/{int(process.stdout.readline())}")
    assert child.exists()
    process.kill()
    process.stdout.read()  # its end: the child is gone, too
    process.wait()
    process.stdout.close()
