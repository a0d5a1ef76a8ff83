"""Nights of a real sweep, started as cron starts them: first, again, equal, better, worse; warm start, keep, hook, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensembles.nights.summary import NightFacts, NightSummary, write_summary
from runner.execution.head import write_head
from runner.journal.journal import Journal
from runner.journal.state import RunState
from runner.nights.night import exit_code_of, name_night, plan_night, run_night
from tests.runner.nights.test_hook import SECRET, listening, script
from tests.sample_runs.sample_run import make_images, make_spec, write_sample_run
from tests.sample_runs.sweeps import DIGITS, ROOT, caucus
from trainables.data.data_table import read_data_table
from trainables.errors import NightDropped
from trainables.results.checkpoint import committed
from trainables.store import layout
from trainables.store.folder import Folder

TINY = [
    "search.trials=3",
    "scheduler.method=none",
    "scheduler.grace_epochs=1",
    "model.width=4,8",
    "model.blocks=1",
    "ensemble.size=3",
]


@dataclass(frozen=True)
class Ended:
    """What a night printed, and its exit code."""

    code: int
    payload: dict[str, Any]
    error: str


def start_night(run: str, *words: str, sweep: str = DIGITS, env: dict[str, str] | None = None) -> Ended:
    """`python runner/nightly.py … --json` on a Ray of its own."""
    command = [sys.executable, str(ROOT / "runner" / "nightly.py"), sweep, *words]
    command += ["--run-id", run, "--address", "own", "--json"]
    clean = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | (env or {})
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
    assert len(done.stdout.splitlines()) == 1, done.stderr
    return Ended(done.returncode, json.loads(done.stdout), done.stderr)


def checkpoints(store: Folder) -> set[str]:
    return {str(member) for member in committed(store, store.folders(layout.TRIALS))}


def trials_of(store: Folder, run: str) -> set[str]:
    return set(RunState(Journal(store, "digits", run).events).trials)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_nights_follow_each_other(tmp_path):
    store = Folder(tmp_path / "runs")
    words = [*TINY, f"store={tmp_path / 'runs'}"]
    script(tmp_path, f"cat > {tmp_path}/heard.json")

    # The first night is accepted, and its webhook gets that; the URL is recorded nowhere.
    with listening() as server:
        first = start_night("2026-11-01", *words, "scheduler.max_epochs=1", f"nightly.hook={server.url}")
    assert (first.code, first.payload["night"]["verdict"], first.payload["epochs_trained"]) == (0, "accepted", 3)
    assert first.payload["hook"] == {"kind": "webhook", "worked": True, "reason": None}
    assert json.loads(server.heard[0][2])["night"] == first.payload["night"]
    assert SECRET not in first.error
    for path in (tmp_path / "runs").rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path
    assert (
        f"http://127.0.0.1:{server.server.server_port}/***"
        in (tmp_path / "runs" / "sweeps" / "digits" / "2026-11-01" / "sweep.json").read_text()
    )
    status = caucus("status", "digits/2026-11-01", "--store", str(tmp_path / "runs"))
    assert status["verdict"].startswith("accepted: right on ")
    assert status["night"] == {"verdict": "accepted", "accepted": True, "exit_code": 0}

    # The same date again trains nothing and says the same; another sweep of that date is refused with the reason.
    again = start_night("2026-11-01", *words, "scheduler.max_epochs=1")
    assert (again.code, again.payload["epochs_trained"], again.payload["night"]) == (0, 0, first.payload["night"])
    other = start_night("2026-11-01", *words, "scheduler.max_epochs=2")
    assert (other.code, other.payload["kind"]) == (2, "RunMismatch")
    assert "another sweep (scheduler.max_epochs 1 -> 2)" in other.payload["error"]
    assert "--run-id 2026-11-01-b" in other.payload["error"]

    # The same sweep the next night comes to the same trials: no better, 3, and again 3.
    equal = start_night("2026-11-02", *words, "scheduler.max_epochs=1")
    night = equal.payload["night"]
    assert (equal.code, night["verdict"], night["against"]) == (3, "no worse", "digits/2026-11-01")
    assert (night["comparison"]["gained"], night["comparison"]["lost"], night["accepted"]) == (0, 0, False)
    assert night["warm_start"] == "begins with the best points of digits/2026-11-01"
    assert "nightly.reseed" in night["notes"][0]
    assert (equal.payload["epochs_trained"], night["unchanged"][:2]) == (0, ["the data", "the configuration"])
    assert start_night("2026-11-02", *words, "scheduler.max_epochs=1").code == 3
    mild = start_night("2026-11-02", *words, "scheduler.max_epochs=1", "--no-better-is=0")
    assert (mild.code, mild.payload["night"]["exit_code"], mild.payload["night"]["verdict"]) == (0, 3, "no worse")

    # More epochs are better beyond doubt. The sweep's folder has the command of the hook.
    sweep = tmp_path / "digits.yaml"
    sweep.write_text(Path(DIGITS).read_text())
    better = start_night("2026-11-03", *words, "scheduler.max_epochs=8", "nightly.hook=notify.sh", sweep=str(sweep))
    night = better.payload["night"]
    assert (better.code, night["verdict"], night["against"]) == (0, "accepted", "digits/2026-11-01")
    assert json.loads((tmp_path / "heard.json").read_text())["night"] == night
    assert night["comparison"]["change"]["ci95"][0] > 0
    assert 0 < len(night["comparison"]["gained_ids"]) <= 100
    assert night["members"]["joined"]
    voted = caucus("ensemble", "digits/2026-11-03", "--store", str(tmp_path / "runs"))

    # A night with one epoch is worse, for that reason; other seeds make its trials its own.
    worse = start_night("2026-11-04", *words, "scheduler.max_epochs=1", "nightly.reseed=true")
    night = worse.payload["night"]
    assert (worse.code, night["verdict"], night["against"]) == (3, "worse", "digits/2026-11-03")
    assert "configuration" in [cause["kind"] for cause in night["causes"]]
    assert "Likely cause: scheduler.max_epochs 8 -> 1" in night["sentence"]
    assert worse.payload["epochs_trained"] > 0
    page = (tmp_path / "runs" / "sweeps" / "digits" / "2026-11-04" / "report.html").read_text()
    assert "Worse than digits/2026-11-03 by" in page
    status = caucus("status", "digits/2026-11-04", "--store", str(tmp_path / "runs"))
    assert status["night"]["exit_code"] == 3

    # Each further use of test by another night counts once.
    ledger = [found.key for found in store.find(layout.ledger_prefix(night["facts"]["data_id"], "test"))]
    assert len(ledger) == 4

    # Keep: of all nights but the newest and the last accepted one goes what those do not share.
    own = trials_of(store, "2026-11-04") - trials_of(store, "2026-11-03")
    before = checkpoints(store)
    keep = ["keep.nights=1", "keep.best=0"]
    kept = start_night("2026-11-05", *words, "scheduler.max_epochs=8", *keep)
    assert (kept.code, kept.payload["night"]["verdict"]) == (3, "no worse")
    gone = {member for member in before if member.partition("@")[0] in own}
    assert gone
    assert before - checkpoints(store) == gone
    assert kept.payload["keep"]["checkpoints"] == len(gone)
    after = caucus("ensemble", "digits/2026-11-03", "--store", str(tmp_path / "runs"))
    assert (after["ensemble"], after["verdict"]) == (voted["ensemble"], voted["verdict"])
    dropped = start_night("2026-11-04", *words, "scheduler.max_epochs=1", "nightly.reseed=true")
    assert (dropped.code, dropped.payload["kind"]) == (2, "NightDropped")
    assert (tmp_path / "runs" / "sweeps" / "digits" / "2026-11-04" / "report.html").read_text() == page


@pytest.mark.long
@pytest.mark.timeout(900)
def test_wrong_labels_are_named_and_the_night_begins_with_points_of_other_data(tmp_path):
    table = write_digits(tmp_path)
    words = [
        f"data.csv={table}",
        f"store={tmp_path / 'runs'}",
        *TINY,
        "scheduler.max_epochs=6",
        "data.validation=0.25",
        "data.test=0.25",
    ]
    first = start_night("2026-11-01", *words)
    assert first.code == 0, first.error
    spoil_training_labels(table, Folder(tmp_path / "runs"), first.payload["night"]["facts"]["data_id"])
    worse = start_night("2026-11-02", *words)
    night = worse.payload["night"]
    assert (worse.code, night["verdict"]) == (3, "worse"), night["sentence"]
    assert night["causes"][0]["kind"] == "labels"
    assert "images have another label" in night["causes"][0]["description"]
    assert night["sentence"].partition("Likely cause: ")[2].startswith(night["causes"][0]["description"])
    assert night["comparison"]["images"] > 100
    store = Folder(tmp_path / "runs")
    events = b"".join(store.get(found.key) for found in store.find("sweeps/digits/2026-11-02/events/"))
    assert b"best points of digits/2026-11-01 come first" in events


def write_digits(folder: Path) -> Path:
    """600 digits as images, and a table of their labels."""
    from PIL import Image
    from sklearn import datasets

    digits = datasets.load_digits()
    lines = ["image,label"]
    for number in range(600):
        name = f"{number:04d}.png"
        Image.fromarray(np.rint(digits.images[number] * (255 / 16)).astype(np.uint8)).save(folder / name)
        lines.append(f"{name},{digits.target[number]}")
    path = folder / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def spoil_training_labels(table: Path, store: Folder, data_id: str) -> None:
    """Give three of four training images the next digit for a label."""
    known = read_data_table(store, data_id)
    spoilt = {known.image_ids[row] for number, row in enumerate(known.rows("train")) if number % 4}
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    assert {name for name, _ in rows} >= spoilt
    lines = [f"{name},{(int(label) + 1) % 10 if name in spoilt else label}" for name, label in rows]
    table.write_text("\n".join(["image,label", *lines]) + "\n")


def test_a_night_is_named_by_its_date_in_utc():
    assert name_night(datetime(2026, 11, 21, 23, 59, tzinfo=UTC)) == "2026-11-21"


@pytest.mark.parametrize(
    ("verdict", "code"), [("accepted", 0), ("no worse", 3), ("worse", 3), ("partial", 4), ("failed", 4)]
)
def test_the_verdict_is_the_exit_code(verdict, code):
    assert exit_code_of(summary_of("dots/n1", verdict=verdict)) == code


def summary_of(run: str, **more: Any) -> NightSummary:
    facts = NightFacts("d1", "0.1.0", None, "c0de", {}, {})
    return NightSummary(
        **{
            "run": run,
            "number": 1,
            "decided_unix_s": 0.0,
            "verdict": "accepted",
            "sentence": "",
            "facts": facts,
            **more,
        }
    )


LR = {"space": {"optimizer.lr": {"log": [0.001, 0.1]}}}


def test_a_night_begins_with_the_points_of_the_accepted_one(tmp_path):
    plan = plan_night(Folder(tmp_path), make_spec("runs", search=LR, nightly={"best": 2}), "n2", "n1")
    start = plan.spec.search.warm_start
    assert start is not None
    assert (start.run, start.best, start.tell, start.other_data) == ("dots/n1", 2, True, True)
    assert plan.warm_start == "begins with the best points of dots/n1"
    assert plan.spec.search.seed == 0


@pytest.mark.parametrize(
    ("parts", "accepted", "message"),
    [
        ({"search": LR}, None, "begins from scratch: no night was accepted before it"),
        ({}, "n1", "begins without a warm start: search.method is grid, which knows its trials"),
        (
            {"search": LR, "nightly": {"warm_start": False}},
            "n1",
            "begins without a warm start: nightly.warm_start is off",
        ),
        (
            {"search": {**LR, "warm_start": {"run": "dots/best"}}},
            "n1",
            "begins with the best points of dots/best, as search.warm_start says",
        ),
    ],
)
def test_a_night_without_a_warm_start_says_why(tmp_path, parts, accepted, message):
    spec = make_spec("runs", **parts)
    plan = plan_night(Folder(tmp_path), spec, "n2", accepted)
    assert plan.warm_start == message
    assert plan.spec == spec


def test_a_night_that_was_begun_keeps_its_warm_start_whatever_was_accepted_since(tmp_path):
    store, spec = Folder(tmp_path), make_spec("runs", search=LR)
    begun = plan_night(store, spec, "n2", "n1")
    write_head(store, begun.spec, "n2", make_images(), "python runner/nightly.py x.yaml")
    assert plan_night(store, spec, "n2", "n7") == begun
    write_head(store, spec, "n1", make_images(), "python runner/nightly.py x.yaml")
    assert plan_night(store, spec, "n1", "n7").spec.search.warm_start is None


def test_other_seeds_follow_from_the_name_of_the_night(tmp_path):
    spec = make_spec("runs", search=LR, nightly={"reseed": True, "warm_start": False})
    seeds = [plan_night(Folder(tmp_path), spec, run, None).spec.search.seed for run in ("n1", "n2", "n1")]
    assert seeds[0] == seeds[2] != seeds[1]


def test_a_night_whose_checkpoints_are_gone_is_refused_with_its_report(tmp_path):
    sample = write_sample_run(tmp_path / "runs")
    key = layout.run_key("dots", sample.run_id, layout.NIGHT)
    sample.store.put(key, write_summary(summary_of(f"dots/{sample.run_id}", dropped=True)))
    before = sample.files()
    with pytest.raises(NightDropped, match=rf"is over \(accepted\).*sweeps/dots/{sample.run_id}/report\.html"):
        run_night(make_spec(str(tmp_path / "runs")), sample.run_id, None, "x", [])
    assert sample.files() == before
