"""A run outlives whoever reads its output, and says so in its status: real processes, pipes and terminals."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from runner.output.console import Output, find_output_failure, outlive_readers, outliving_terminal
from tests.sample_runs.sweeps import DIGITS, ROOT
from trainables.store.folder import Folder
from trainables.store.json_records import get_json

UNREAD = [sys.executable, "-m", "tests.sample_runs.unread_run"]
SWEEP = "name: dots\ndata: {name: digits}\nsearch: {method: grid, space: {optimizer.lr: {choice: [0.1, 0.2]}}}\n"

LIMIT_S = 60


@pytest.fixture
def words(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    return [*UNREAD, str(tmp_path), "run", str(tmp_path / "sweep.yaml")]


@pytest.fixture
def start(words):
    """Starts the program with more words; one that a failed test leaves behind is killed."""
    with contextlib.ExitStack() as stack:

        def start(*more, **options):
            process = subprocess.Popen([*words, *more], env=env_of(), **options)
            stack.callback(process.kill)
            return process

        yield start


def env_of(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def read_status(folder):
    (path,) = folder.glob("runs/sweeps/*/*/status.json")
    return get_json(Folder(folder / "runs"), path.relative_to(folder / "runs").as_posix())


def end(process, folder):
    """Let the run go on; what it wrote to the pipes that are still open."""
    (folder / "go").touch()
    return process.communicate(timeout=LIMIT_S)


def test_a_reader_that_leaves_after_one_line_ends_no_run(tmp_path, start):
    process = start(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "started on 2 slot(s)" in process.stdout.readline()
    process.stdout.close()
    (tmp_path / "go").touch()
    errors = process.stderr.read()
    assert process.wait(LIMIT_S) == 0
    status = read_status(tmp_path)
    assert status["state"] == "done"
    assert status["output"].endswith("(standard output: its reader is gone)")
    assert errors == f"caucus: {status['output']}: the run goes on, and `caucus status` says how it stands\n"


@pytest.mark.long
def test_a_terminal_that_closes_ends_no_run(tmp_path, words):
    """Its SIGHUP goes to the whole session, and every write to it is an error from then on."""
    pid, master = pty.fork()
    if not pid:
        os.execve(words[0], words, env_of(TERM="xterm"))
    first = b""
    while b"dots" not in first:
        first += os.read(master, 4096)
    os.close(master)
    (tmp_path / "go").touch()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert read_status(tmp_path)["state"] == "done"
    assert "Input/output error" in read_status(tmp_path)["output"]


@pytest.mark.long
def test_ctrl_c_before_anything_is_trained_is_one_line_and_code_130(start):
    """A run whose trials train ends with 4 instead (`test_process_faults.py`); this one stands where Ray would start."""
    process = start(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=LIMIT_S)[1] == "caucus: interrupted (Ctrl-C)\n"
    assert process.returncode == 130


def close_stdout():
    os.close(1)


def close_stderr():
    os.close(2)


def close_both():
    os.closerange(0, 3)


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "extra", "reason"),
    [
        ({"stdout": "/dev/full"}, [], "standard output: No space left on device"),
        ({"stderr": "/dev/full", "stdout": "pipe"}, ["--json"], "standard error: No space left on device"),
        ({"preexec_fn": close_stdout, "stderr": "pipe"}, [], "standard output: closed"),
        ({"preexec_fn": close_stderr, "stdout": "pipe"}, ["--json"], "standard error: closed"),
        ({"preexec_fn": close_both}, [], "closed"),
    ],
)
def test_an_output_that_takes_nothing_ends_no_run(tmp_path, start, options, extra, reason):
    with contextlib.ExitStack() as stack:
        for name in ("stdout", "stderr"):
            if options.get(name) == "/dev/full":
                options = {**options, name: stack.enter_context(Path("/dev/full").open("wb"))}
            elif options.get(name) == "pipe":
                options = {**options, name: subprocess.PIPE}
        process = start(*extra, **options)
        out, _ = end(process, tmp_path)
    assert process.returncode == 0
    assert reason in read_status(tmp_path)["output"]
    assert read_status(tmp_path)["state"] == "done"
    if extra:
        assert json.loads(out)["outcome"] == "done"


@pytest.mark.long
def test_a_table_for_a_full_disk_is_code_4_and_one_for_a_closed_pipe_is_none(tmp_path):
    verb = [sys.executable, "-m", "runner.cli.main", "--help"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(verb, stdout=full, stderr=subprocess.PIPE, env=env_of(), text=True, check=False)
    assert (done.returncode, done.stderr) == (
        4,
        "caucus: the answer could not be written to standard output (No space left on device)\n",
    )
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(verb, stdout=writing, stderr=subprocess.PIPE, env=env_of(), text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(verb, preexec_fn=close_both, env=env_of(), check=False)
    assert done.returncode == 0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_real_run_and_its_ray_outlive_their_terminal(tmp_path):
    words = f"run {DIGITS} search.trials=2 scheduler.method=none scheduler.max_epochs=3 scheduler.grace_epochs=1 model.width=4"
    words += f" ensemble.size=2 store={tmp_path / 'runs'} --run-id r1"
    pid, master = pty.fork()
    if not pid:
        os.execve(sys.executable, [sys.executable, "-m", "runner.cli.main", *words.split()], env_of(TERM="xterm"))
    shown = b""
    while b"running" not in shown and b"epoch" not in shown:
        shown += os.read(master, 4096)
    os.close(master)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    status = read_status(tmp_path)
    assert status["state"] == "done"
    assert "output" in status


@contextlib.contextmanager
def output_to(fd, like=None):
    """An `Output` whose descriptor is `fd`, whatever number that has."""
    output = Output(1, like or io.TextIOWrapper(io.BytesIO(), "utf-8"))
    output._fd = fd
    yield output


def test_what_an_encoding_lacks_is_written_as_an_escape():
    reading, writing = os.pipe()
    for encoding in ("utf-8", "ascii", "latin-1"):
        with output_to(writing, io.TextIOWrapper(io.BytesIO(), encoding)) as output:
            print("größer \udcff 画", file=output)
            output.buffer.write(b"bytes\n")
    os.close(writing)
    lines = os.fdopen(reading, "rb").read().splitlines()
    assert lines[::2] == [
        "größer \\udcff 画".encode(),
        b"gr\\xf6\\xdfer \\udcff \\u753b",
        b"gr\xf6\xdfer \\udcff \\u753b",
    ]
    assert set(lines[1::2]) == {b"bytes"}


def test_a_full_disk_that_has_room_again_is_written_to_again(monkeypatch):
    reading, writing = os.pipe()
    with output_to(writing) as output:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            print("lost", file=output)
        print("kept", file=output)
    os.close(writing)
    assert os.fdopen(reading, "rb").read() == b"kept\n"
    assert not output.failure.reader_gone
    assert find_output_failure(output) is output.failure


def test_many_threads_write_whole_lines_into_a_small_pipe():
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with output_to(writing) as output:
        writers = [
            threading.Thread(target=lambda letter=letter: [output.write(letter * 999 + "\n") for _ in range(100)])
            for letter in "abc"
        ]
        reader = os.fdopen(reading, "rb")
        lines: list[bytes] = []
        listening = threading.Thread(target=lambda: lines.extend(reader.read().splitlines()))
        for thread in (listening, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        os.close(writing)
        listening.join()
    assert output.failure is None
    assert sorted(lines) == [letter * 999 for letter in (b"a", b"b", b"c") for _ in range(100)]


def test_a_hangup_is_ignored_during_a_run_alone():
    before = signal.getsignal(signal.SIGHUP)
    with outliving_terminal():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) == before


def test_streams_are_replaced_once(monkeypatch):
    monkeypatch.setattr(sys, "stdout", sys.__stdout__)
    monkeypatch.setattr(sys, "stderr", sys.__stderr__)
    outlive_readers()
    first = sys.stdout
    outlive_readers()
    assert sys.stdout is first
    assert isinstance(first, Output)
    assert first.__reduce__() == (getattr, (sys, "stdout"))
