"""Which nights keep their checkpoints, and what exactly goes, on runs that were never trained."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ensembles.nights.summary import NightFacts, NightSummary, write_summary
from runner.config.nightly import KeepConfig
from runner.evaluation.conclusion import Conclusion, choose_and_evaluate
from runner.execution.head import write_head
from runner.execution.lost_epochs import lost_epochs
from runner.journal.deleted import read_deleted
from runner.nights.retention import choose_nights, plan_nights, retain_nights
from runner.runs.locate import Located
from runner.runs.nights import last_accepted, next_number, read_nights
from runner.runs.stored_run import load_run
from runner.search.choose import list_trials
from tests.sample_runs.sample_run import make_images, make_spec, open_log, write_epoch
from trainables.results.checkpoint import CheckpointId, committed
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, seal_json

FACTS = NightFacts("d1", "0.1.0", None, "c0de", {}, {})


def night(number: int, verdict: str = "no worse", validation: float = 0.9, dropped: bool = False) -> NightSummary:
    return NightSummary(
        f"dots/n{number}",
        number,
        float(number),
        verdict,  # type: ignore[arg-type]
        "",
        FACTS,
        validation_accuracy=validation,
        dropped=dropped,
    )


def nights(*summaries: NightSummary) -> dict[str, NightSummary]:
    return {summary.run.partition("/")[2]: summary for summary in summaries}


TABLE = nights(
    night(1, "accepted", 0.99), night(2, "accepted", 0.91), night(3, validation=0.97), night(4, "partial"), night(5)
)


@pytest.mark.parametrize(
    ("newest", "best", "kept"),
    [
        (5, 0, {"n1", "n2", "n3", "n4", "n5"}),
        (2, 0, {"n4", "n5", "n2"}),  # n2 is the last accepted night
        (1, 0, {"n5", "n2"}),
        (1, 1, {"n5", "n2", "n1"}),
        (1, 2, {"n5", "n2", "n1", "n3"}),
        (1, 9, {"n5", "n2", "n1", "n3"}),  # n4 came to no end: nobody knows what it is worth
    ],
)
def test_the_newest_the_best_and_the_last_accepted_are_kept(newest, best, kept):
    assert set(choose_nights(TABLE, KeepConfig(nights=newest, best=best))) == kept


def test_of_equally_good_nights_the_newer_is_kept():
    table = nights(night(1), night(2), night(3, "accepted", 0.5))
    assert set(choose_nights(table, KeepConfig(nights=1, best=1))) == {"n3", "n2"}


def test_a_night_whose_checkpoints_are_gone_takes_nobodys_place():
    table = nights(night(1, validation=0.99, dropped=True), night(2), night(3), night(4, "accepted"))
    assert set(choose_nights(table, KeepConfig(nights=2, best=1))) == {"n4", "n3"}
    assert set(choose_nights(table, KeepConfig(nights=1, best=2))) == {"n4", "n3"}


def test_the_last_accepted_night_is_the_one_with_the_highest_number_below():
    assert last_accepted(TABLE) == "n2"
    assert last_accepted(TABLE, before=2) == "n1"
    assert last_accepted(TABLE, before=1) is None
    assert last_accepted({}) is None
    assert (next_number(TABLE), next_number({})) == (6, 1)


RUNS = {"n1": (0, 1), "n2": (1, 2), "n3": (2, 3), "n4": (3, 4)}
"""Trials of each night, two epochs each: all but the first and the last night share each of theirs with a neighbour."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nights") / "runs"
    found = Folder(folder, "runs")
    for number, (run, trials) in enumerate(RUNS.items(), start=1):
        write_run(found, run, trials)
        summary = night(number, "accepted" if run == "n2" else "no worse")
        found.put(layout.run_key("dots", run, layout.NIGHT), write_summary(summary))
    return folder


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Folder:
    """A copy of the four nights."""
    return Folder(shutil.copytree(written, tmp_path / "runs"), "runs")


def write_run(store: Folder, run: str, numbers: tuple[int, ...]) -> None:
    spec, images = make_spec("runs"), make_images()
    trials = [list_trials(spec, images.data_id)[number] for number in numbers]
    write_head(store, spec, run, images, "caucus run x.yaml")
    log = open_log(store, run=run)
    log.open({}, slots=1)
    log.plan(trials)
    for trial in trials:
        log.start(trial.trial_id)
        for epoch in (1, 2):
            end = ("finished", "") if epoch == 2 else None
            log.report(trial.trial_id, write_epoch(store, images, trial, epoch, 1.0 + epoch), True, end)
    log.close("done", "")


def names() -> list[str]:
    return [trial.trial_id for trial in list_trials(make_spec("runs"), make_images().data_id)]


def left(store: Folder) -> set[int]:
    """Numbers of the trials of which all checkpoints are there; each has all or none."""
    there = committed(store, names())
    found = {names().index(member.trial_id) for member in there}
    assert len(there) == 2 * len(found)
    return found


def conclude(store: Folder, run: str) -> Conclusion:
    return choose_and_evaluate(load_run(Located(store, "dots", run), []))


def test_what_no_other_run_has_goes_and_nothing_else(store: Folder) -> None:
    before = {run: conclude(store, run) for run in ("n2", "n4")}
    reports = {found.key for found in store.find("sweeps/")}
    found = retain_nights(store, "dots", read_nights(store, "dots"), KeepConfig(nights=1, best=0))
    assert found is not None
    assert left(store) == {1, 2, 3, 4}  # n1 and n3 are dropped; of theirs only the first trial is nobody else's
    assert {f"{one.checkpoint}" for one in found.removals} == {f"{names()[0]}@{epoch}" for epoch in (1, 2)}
    for run, known in before.items():
        again = conclude(store, run)
        assert (again.team, again.verdict) == (known.team, known.verdict)
    assert reports <= {found.key for found in store.find("sweeps/")}
    assert {run: summary.dropped for run, summary in read_nights(store, "dots").items()} == {
        "n1": True,
        "n2": False,
        "n3": True,
        "n4": False,
    }


def test_what_goes_is_on_record_so_that_nobody_trains_it_again(store: Folder) -> None:
    retain_nights(store, "dots", read_nights(store, "dots"), KeepConfig(nights=1, best=0))
    assert read_deleted(store, "dots", "n1") == {names()[0]: {1, 2}}
    assert read_deleted(store, "dots", "n3") == {}
    stored = load_run(Located(store, "dots", "n1"), [])
    assert lost_epochs(store, stored.state, read_deleted(store, "dots", "n1")) == {}


def test_a_run_of_another_kind_keeps_its_trials(store: Folder) -> None:
    write_run(store, "r1", (0,))
    assert plan_nights(store, "dots", ["n1", "n3"]).removals == ()


def test_a_run_that_votes_with_a_dropped_night_keeps_its_trials(store: Folder) -> None:
    spec, images = make_spec("runs", ensemble={"size": 1, "runs": ["dots/n1"]}), make_images()
    write_head(store, spec, "r2", images, "caucus run x.yaml")
    assert plan_nights(store, "dots", ["n1", "n3"]).removals == ()


def test_what_could_not_be_deleted_goes_after_the_next_night(store: Folder) -> None:
    before = read_nights(store, "dots")
    for run in ("n1", "n3"):
        summary = replace(before[run], dropped=True)
        store.put(layout.run_key("dots", run, layout.NIGHT), write_summary(summary))
    assert left(store) == {0, 1, 2, 3, 4}
    retain_nights(store, "dots", read_nights(store, "dots"), KeepConfig(nights=1, best=0))
    assert left(store) == {1, 2, 3, 4}


def test_a_checkpoint_whose_manifest_has_keys_that_nobody_here_knows_stays(store: Folder) -> None:
    key = CheckpointId(names()[0], 1).key(layout.MANIFEST)
    store.put(key, seal_json({**get_json(store, key), "shards": 2}))
    found = retain_nights(store, "dots", read_nights(store, "dots"), KeepConfig(nights=1, best=0))
    assert found is not None
    assert [f"{one.checkpoint}" for one in found.removals] == [f"{names()[0]}@2"]
    assert found.notes == (f"1 checkpoint(s) stay as they are: runs/{key} was written by a newer Caucus (key shards)",)
    assert store.stat(key)


def test_where_all_nights_stay_nothing_is_read(store: Folder) -> None:
    assert retain_nights(store, "dots", read_nights(store, "dots"), KeepConfig(nights=4)) is None


def test_a_damaged_record_counts_as_no_night_and_says_so(store: Folder) -> None:
    key = layout.run_key("dots", "n2", layout.NIGHT)
    data = store.get(key)
    store.put(key, data.replace(b'"number": 2', b'"number": 3'))  # as a flipped bit might
    messages: list[str] = []
    assert set(read_nights(store, "dots", messages.append)) == {"n1", "n3", "n4"}
    assert len(messages) == 1
    assert "n2/night.json is not what was written" in messages[0]
