"""A store that takes nothing more in the middle of a run ends it with code 4 and the true reason; what was written is kept."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from runner.cli.options import PARTIAL, exit_code
from runner.cluster.connect import Cluster
from runner.cluster.slot import NodeTypes, Slot
from runner.config.checks import read_spec
from runner.journal.lease import find_driver
from runner.pipeline import run_sweep
from tests.sample_runs.sweeps import CAUCUS, DIGITS
from tests.services.proxy import Fault, fault_proxy
from trainables.store import atomic_file as whole_file
from trainables.store.folder import Folder
from trainables.store.s3 import S3Store

SWEEP = "name: t\ndata: {name: digits}\nsearch: {trials: 2, space: {optimizer.lr: {log: [1e-3, 1e-1]}}}\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text(SWEEP)
    return tmp_path


def run_until(monkeypatch, give_out, moment, **more):
    """The exit code of a run without Ray and training, in the middle of which `give_out` is called."""

    @contextlib.contextmanager
    def connect(*args):
        yield Cluster(Slot(1, 0.0, "", NodeTypes((), ""), 1, 1), elastic=False)

    def launch(context, controller, *others):
        task, log = controller.next_task(), context.log
        log.start(task.name)
        give_out()
        if moment == "during training":
            log.end(task.name, "finished", "")
        return None

    monkeypatch.setattr("runner.execution.train.connected", connect)
    monkeypatch.setattr("runner.execution.train.launch", launch)
    words = [f"store={more['store']}"] if "store" in more else []
    return exit_code(True, lambda: bool(run_sweep(read_spec("sweep.yaml", words), "r1", None, "caucus run", [])) and 0)


REASONS = {
    30: "the file system is read-only while",
    13: "permission denied while",
    28: "no space left on device while",
    5: "Input/output error while",
}


@pytest.mark.parametrize("number", REASONS)
@pytest.mark.parametrize("moment", ["during training", "at its end"])
def test_a_folder_that_takes_no_more_is_code_4_with_the_reason(home, monkeypatch, capsys, number, moment):
    def give_out():
        def refuse(path, mode):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(whole_file, "_create", refuse)

    assert run_until(monkeypatch, give_out, moment, store="runs") == PARTIAL
    payload = json.loads(capsys.readouterr().out)
    assert payload["kind"] == "RunCutShort"
    assert REASONS[number] in payload["error"]
    assert payload["error"].endswith("what reached the store is kept: run it again to go on")
    assert find_driver(Folder(home / "runs"), "t", "r1").number == 1  # the run was begun, and its record stays


def test_a_bucket_that_denies_writing_for_good_is_code_4_with_the_reason(home, monkeypatch, capsys, moto_s3):
    moto_s3.login(monkeypatch)
    with fault_proxy(moto_s3.endpoint_url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint_url)
        bucket = moto_s3.new_bucket()
        store = S3Store(bucket, "runs", deadline_s=0.5)
        monkeypatch.setattr("runner.execution.prepare.open_store", lambda uri, endpoint_url: store)

        def give_out():
            proxy.inject(Fault("^PUT ", "status", status=403, code="AccessDenied"))

        assert run_until(monkeypatch, give_out, "during training") == PARTIAL
    payload = json.loads(capsys.readouterr().out)
    assert payload["kind"] == "RunCutShort"
    assert "denies access while writing sweeps/t/r1/" in payload["error"]
    assert "403 AccessDenied" in payload["error"]


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_real_run_whose_file_system_turns_read_only_ends_with_code_4_and_goes_on_later(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    words = f"{DIGITS} search.trials=2 scheduler.method=none scheduler.max_epochs=12 scheduler.grace_epochs=1 model.width=16"
    words += f" ensemble.size=2 store={disk / 'runs'} --run-id r1 --json"
    command = [*CAUCUS, "run", *words.split()]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not list(disk.glob("runs/trials/*/epoch-0002/manifest.json")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        # As long as a file is being written the kernel says that it is busy.
        while subprocess.run(["mount", "-o", "remount,ro", str(disk)], capture_output=True, check=False).returncode:
            assert process.poll() is None
        out, errors = process.communicate()
        assert process.returncode == PARTIAL, errors
        assert "the file system is read-only while" in json.loads(out)["error"]
        assert "Traceback" not in errors
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    finally:
        process.kill()
        subprocess.run(["umount", str(disk)], check=True)
