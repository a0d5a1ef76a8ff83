"""A Ray of our own: it starts on a slow machine, its death ends the run with a sentence, and nothing of it outlives its driver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runner.cluster.orphans import MARK, sweep_up
from runner.cluster.private_ray import PATIENCE, _start, private_ray
from runner.journal.process_id import describe_process
from tests.sample_runs.sweeps import DIGITS, ROOT, RunningSweep, reported_epochs, run_sweep, start_sweep
from trainables.errors import RunCutShort

LONG = [
    DIGITS,
    "search.trials=2",
    "scheduler.method=none",
    "scheduler.max_epochs=400",
    "scheduler.grace_epochs=1",
    "model.width=8",
    "resources.slots=2",
]
"""More epochs than any of these tests waits for."""

END_S = 120.0


def wait_until(condition: Callable[[], bool], bound_s: float, what: str) -> float:
    """Seconds until `condition` held."""
    start_s = time.monotonic()
    while not condition():
        assert time.monotonic() - start_s < bound_s, f"{what}: not within {bound_s:g} s"
        time.sleep(0.05)
    return time.monotonic() - start_s


def descendants(sweep: RunningSweep) -> set[int]:
    """All processes below a sweep's. Not by a mark in their environment: Ray's agents write their titles over that."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:  # gone in the meantime
            continue
    found = {sweep.process.pid}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {sweep.process.pid}


def alive(pids: set[int]) -> set[int]:
    """Those of `pids` that have not ended."""
    left = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state not in "ZX":
            left.add(pid)
    return left


def titled(sweep: RunningSweep, title: str) -> list[int]:
    """Processes of a sweep whose command line begins with, or whose program is, `title`."""
    found = []
    for pid in descendants(sweep):
        try:
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # gone in the meantime
            continue
        if arguments[0].startswith(title) or arguments[0].endswith(f"/{title}"):
            found.append(pid)
    return found


SLOW = """
import os, sys, time
if any("runtime_env/agent" in word or "dashboard/agent.py" in word for word in sys.orig_argv):
    time.sleep(float(os.environ["CAUCUS_TEST_SLOW_S"]))
"""
"""What every Python process begins with: Ray's agents take longer than the 15 s that it gives them, as at a load of 60."""


@pytest.fixture
def sweep(tmp_path: Path) -> Iterator[RunningSweep]:
    """A sweep on a Ray of its own that has trained an epoch."""
    running = start_sweep(*LONG, f"store={tmp_path / 'runs'}")
    try:
        running.wait_for(lambda: reported_epochs(tmp_path / "runs") > 0)
        yield running
    finally:
        running.kill()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "victim",
    [
        "gcs_server",
        "raylet",
        pytest.param("ray::DashboardAgent", marks=pytest.mark.extended),
        pytest.param("ray::RuntimeEnvAgent", marks=pytest.mark.extended),
    ],
)
def test_the_death_of_a_part_of_ray_ends_the_run_with_a_sentence_and_code_4(sweep: RunningSweep, victim: str) -> None:
    wait_until(lambda: bool(titled(sweep, victim)), 60, f"{victim} has not begun")
    (pid,) = titled(sweep, victim)
    all_of_it = descendants(sweep)
    os.kill(pid, signal.SIGKILL)
    hit_s = time.monotonic()
    out, err = sweep.process.communicate(timeout=END_S)
    print(f"\n{victim}: the driver ended after {time.monotonic() - hit_s:.1f} s")
    assert sweep.process.returncode == 4, err
    result = json.loads(out)
    assert result["kind"] == "RayLost"  # said by the run itself, or by its parent
    assert f"caucus: {result['error']}\n" in err
    assert "what reached the store is kept: run it again to go on" in result["error"]
    assert "Traceback" not in err
    wait_until(lambda: not alive(all_of_it), 30, f"processes are left of a driver that lost {victim}")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_of_its_ray_outlives_a_driver_that_is_killed(sweep: RunningSweep) -> None:
    (worker, *_) = titled(sweep, "ray::TuneTrial") + titled(sweep, "ray::ResourceTrainable")
    all_of_it = descendants(sweep)
    assert titled(sweep, "ray::DashboardAgent")
    os.kill(worker, signal.SIGSTOP)  # this one cannot even notice
    sweep.process.kill()
    sweep.process.wait()
    took_s = wait_until(lambda: not alive(all_of_it), 30, "processes are left of a driver that was killed")
    print(f"\ndriver killed: nothing was left after {took_s:.1f} s")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("slow_s", [35])
def test_a_ray_that_starts_slowly_gets_a_second_attempt_with_more_time(tmp_path: Path, slow_s: int) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    env = {"CAUCUS_TEST_SLOW_S": str(slow_s), "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    result = run_sweep(*LONG, "scheduler.max_epochs=1", f"store={tmp_path / 'runs'}", env=env)
    assert result["outcome"] == "done"


def test_a_ray_that_does_not_start_ends_the_run_with_one_sentence_and_the_load(monkeypatch) -> None:
    import ray

    set_variables = []

    def init(**_: object) -> None:
        set_variables.append({name for name in PATIENCE if name in os.environ})
        raise Exception("The current node timed out\n during startup.")

    monkeypatch.setattr(ray, "init", init)
    with (
        pytest.raises(
            RunCutShort, match=r"in two attempts \(The current node timed out during startup\), at a load of"
        ),
        private_ray(0, []),
    ):
        pass
    assert set_variables == [set(), set(PATIENCE)]
    assert MARK not in os.environ


@pytest.mark.parametrize(
    ("visible", "gpus"), [("", 0), ("-1", 0), ("NoDevFiles", 0), ("0", None), ("1,3", None), (None, None)]
)
def test_a_person_who_hides_all_gpus_has_none_in_a_ray_of_their_own(monkeypatch, visible, gpus) -> None:
    import ray

    result: dict[str, object] = {}
    monkeypatch.setattr(ray, "init", lambda **arguments: result.update(arguments))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert _start(0) == ""
    assert result["num_gpus"] == gpus


def test_only_what_a_dead_driver_has_left_is_swept_up() -> None:
    me = describe_process()
    marks = {
        "dead": me | {"pid": 2**22 + 1},
        "of another boot": me | {"pid": 2**22 + 1, "machine": "another"},
        "alive": me,
        "later of the same number": me | {"started": "1"},
    }
    started = {
        name: subprocess.Popen(["sleep", "100"], env={**os.environ, MARK: json.dumps(mark)})
        for name, mark in [*marks.items(), ("no mark", {})]
    }
    try:
        assert sweep_up() >= 2
        gone = {"dead", "later of the same number"}
        assert {name for name, process in started.items() if name not in gone and process.poll() is not None} == set()
        assert {started[name].wait(10) for name in gone} == {-signal.SIGKILL}
    finally:
        for process in started.values():
            process.kill()
            process.wait()


def test_a_guardian_kills_what_was_started_under_it_when_its_driver_is_killed(tmp_path: Path) -> None:
    arguments = "import subprocess, time\nfrom runner.cluster.orphans import guarded\nwith guarded():\n"
    arguments += (
        "    print(subprocess.Popen(['sleep', '100'], start_new_session=True).pid, flush=True)\n    time.sleep(100)"
    )
    driver = subprocess.Popen([sys.executable, "-c", arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert driver.stdout is not None
    orphan = Path(f"/proc/{int(driver.stdout.readline())}")
    driver.kill()
    driver.wait()
    wait_until(lambda: not orphan.exists() or " Z " in (orphan / "stat").read_text(), 30, "an orphan is left")
    driver.stdout.close()
