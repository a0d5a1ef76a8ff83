"""A night beside the last accepted one, on runs that were never trained: verdict, cause, members, and what is on record."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ensembles.nights.summary import NightSummary, write_summary
from runner.cli.tables.night import night_to_json, show_night
from runner.config.sweep import SweepSpec
from runner.evaluation.conclusion import choose_and_evaluate, enter_into_ledger, publish
from runner.execution.head import write_head
from runner.nights import night
from runner.nights.code_version import collect_facts, hash_code, hash_sources
from runner.nights.night import exit_code_of
from runner.nights.verdict import answers_of, evaluate_night
from runner.pipeline import RunResult
from runner.runs.locate import Located
from runner.runs.nights import read_night, read_nights
from runner.runs.stored_run import load_run
from runner.search.choose import list_trials
from tests.sample_runs.sample_run import make_images, make_spec, open_log, write_epoch
from trainables.data.images import ImageSet
from trainables.errors import RunCutShort, StoreError
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import get_json

WEAK, STRONG = 0.6, 4.0
"""How strongly predictions lean to the truth: right on about half of the 60 test images, and on nearly all."""


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    return Folder(tmp_path, "runs")


def spec_of(seed: int, **parts: Any) -> SweepSpec:
    """A night's sweep; nothing is corrected by bootstraps, which would take most of the time."""
    search = {"seed": seed, "space": {"optimizer.lr": {"log": [0.001, 1.0]}}}
    return make_spec("runs", search=search, ensemble={"size": 3, "bootstraps": 0}, **parts)


def run_night(
    store: Folder,
    run: str,
    strength: float,
    spec: SweepSpec | None = None,
    images: ImageSet | None = None,
    outcome: str = "done",
) -> NightSummary:
    """Two trials that belong to this night alone, voted on and evaluated, as `run_night` does after the sweep."""
    images = images or make_images()
    spec = spec or spec_of(seed=int(run[1:]))
    trials = list_trials(spec, images.data_id)[:2]
    write_head(store, spec, run, images, "python runner/nightly.py x.yaml")
    log = open_log(store, run=run)
    log.open({}, slots=1)
    log.plan(trials)
    for number, trial in enumerate(trials):
        log.start(trial.trial_id)
        result = write_epoch(store, images, trial, 1, strength + 0.1 * number)
        log.report(trial.trial_id, result, True, ("finished", ""))
    log.close(outcome, "" if outcome == "done" else "interrupted")
    return evaluate_again(store, run, spec, outcome)


def evaluate_again(store: Folder, run: str, spec: SweepSpec, outcome: str = "done") -> NightSummary:
    stored = load_run(Located(store, "dots", run), [])
    conclusion = choose_and_evaluate(stored)
    result = RunResult(stored.run, outcome, stored.note, stored.state, conclusion, None, 2, 1.0, 1.0)
    nights = read_nights(store, "dots")
    number = nights[run].number if run in nights else len(nights) + 1
    summary = evaluate_night(store, spec, run, result, nights, number)
    store.put(layout.run_key("dots", run, layout.NIGHT), write_summary(summary))
    enter_into_ledger(stored, conclusion)
    return summary


def test_the_first_night_is_accepted_and_has_the_score_of_its_verdict(store):
    summary = run_night(store, "n1", STRONG)
    assert (summary.verdict, summary.accepted, summary.against, exit_code_of(summary)) == ("accepted", True, None, 0)
    conclusion = choose_and_evaluate(load_run(Located(store, "dots", "n1"), []))
    answers = answers_of(store, conclusion)
    right = sum(label == answer for label, answer in zip(answers.labels, answers.predicted, strict=True))
    assert summary.test_accuracy == conclusion.verdict.votes["soft"].test_accuracy == right / 60
    assert [(one.trial_id, one.epoch) for one in summary.team] == [
        (one.trial_id, one.epoch) for one in conclusion.team.members
    ]
    assert "optimizer.lr=" in summary.team[0].settings


def test_a_better_an_equal_and_a_worse_night(store):
    first, better = run_night(store, "n1", WEAK), run_night(store, "n2", STRONG)
    assert (first.verdict, better.verdict, better.against) == ("accepted", "accepted", "dots/n1")
    assert better.comparison is not None
    assert better.comparison.gained > better.comparison.lost
    equal = run_night(store, "n3", STRONG)
    assert (equal.verdict, equal.against, exit_code_of(equal)) == ("no worse", "dots/n2", 3)
    worse = run_night(store, "n4", WEAK)
    assert (worse.verdict, worse.accepted, worse.against, exit_code_of(worse)) == ("worse", False, "dots/n2", 3)
    assert worse.comparison is not None
    assert worse.members is not None
    assert (len(worse.members.joined), len(worse.members.stayed)) == (len(worse.team), 0)
    flipped = set(worse.comparison.lost_ids)
    assert len(flipped) == worse.comparison.lost > worse.comparison.gained


def test_the_configuration_that_changed_is_the_likely_cause(store):
    run_night(store, "n1", STRONG)
    spec = spec_of(seed=2, scheduler={"method": "asha", "max_epochs": 9, "reduction": 3})
    worse = run_night(store, "n2", WEAK, spec)
    assert [(cause.kind, cause.description) for cause in worse.causes] == [
        ("configuration", "scheduler.max_epochs 3 -> 9")
    ]
    assert "Likely cause: scheduler.max_epochs 3 -> 9" in worse.sentence
    assert worse.unchanged == ("the data", "the code", "the versions of packages")


def test_labels_that_changed_are_the_likely_cause_and_only_common_images_count(store):
    run_night(store, "n1", STRONG)
    images = make_images()
    labels = images.labels.copy()
    train = images.rows("train")[:20]
    labels[train] = (labels[train] + 1) % 3
    splits = images.splits.copy()
    splits[images.rows("test")[:10]] = layout.SPLITS.index("train")
    worse = run_night(store, "n2", WEAK, images=replace(images, labels=labels, splits=splits))
    assert worse.verdict == "worse"
    assert [cause.kind for cause in worse.causes] == ["labels", "images"]
    assert worse.causes[0].description.startswith("20 of 180 images have another label (20 in train): data ")
    assert worse.causes[1].description.startswith("10 images moved to another split (10 in train): data ")
    assert worse.comparison is not None
    assert (worse.comparison.images, worse.comparison.images_before, worse.comparison.images_now) == (50, 60, 50)
    assert "on the 50 test images that both have (of 50 now and 60 then)" in worse.sentence


def test_the_same_night_again_is_not_evaluated_again_whatever_was_accepted_since(store):
    first = run_night(store, "n1", WEAK)
    run_night(store, "n2", STRONG)
    spec = load_run(Located(store, "dots", "n1"), []).spec
    assert spec is not None
    assert evaluate_again(store, "n1", spec) == first


def test_each_night_counts_once_in_the_ledger_however_often_it_is_evaluated(store):
    data_id = run_night(store, "n1", WEAK).facts.data_id
    summary = run_night(store, "n2", STRONG)
    spec = load_run(Located(store, "dots", "n2"), []).spec
    assert spec is not None
    for _ in range(3):
        assert evaluate_again(store, "n2", spec) == summary
    assert len(store.find(layout.ledger_prefix(data_id, "test"))) == 2


def test_a_night_that_was_cut_short_is_not_accepted_and_is_evaluated_when_it_is_done(store):
    cut = run_night(store, "n1", STRONG, outcome="partial")
    assert (cut.verdict, cut.accepted, exit_code_of(cut)) == ("partial", False, 4)
    assert cut.sentence.startswith("finished in part: interrupted; the same night continues")
    spec = load_run(Located(store, "dots", "n1"), []).spec
    assert spec is not None
    done = evaluate_again(store, "n1", spec)
    assert (done.verdict, done.number, exit_code_of(done)) == ("accepted", cut.number, 0)


def test_answers_that_are_gone_are_voted_again(store):
    run_night(store, "n1", WEAK)
    store.delete(layout.run_key("dots", "n1", layout.ANSWERS))
    assert run_night(store, "n2", STRONG).verdict == "accepted"


def test_a_verdict_needs_no_record_of_the_data(store):
    run_night(store, "n1", WEAK)
    images = make_images()
    before = read_nights(store, "dots")["n1"].facts.data_id
    for found in store.find(f"data/{before}/"):
        store.delete(found.key)
    summary = run_night(store, "n2", STRONG, images=replace(images, sources=("clinic",) * len(images.image_ids)))
    assert (summary.verdict, summary.causes) == ("accepted", ())
    assert summary.notes[-1].startswith("what changed since dots/n1 is not known: ")


def test_a_record_that_names_another_run_leads_nobody_there(store):
    first = run_night(store, "n1", WEAK)
    key = layout.run_key("dots", "n1", layout.NIGHT)
    store.put(key, write_summary(replace(first, run="../../elsewhere")))
    assert run_night(store, "n2", STRONG).against == "dots/n1"


def test_a_night_that_cannot_be_compared_is_not_accepted(store):
    run_night(store, "n1", WEAK)
    store.delete(layout.run_key("dots", "n1", layout.ANSWERS))
    for found in store.find(layout.TRIALS):
        store.delete(found.key)
    summary = run_night(store, "n2", STRONG)
    assert (summary.verdict, summary.comparison) == ("no worse", None)
    assert "the answers of dots/n1 are not to be had" in summary.sentence


def test_the_report_shows_the_night_and_escapes_it(store):
    run_night(store, "n1", STRONG)
    images = make_images()
    ids = tuple(f"<script>alert({number})</script>" for number in range(180))
    run_night(store, "n2", WEAK, images=replace(images, image_ids=ids, sources=("clinic",) * 180))
    stored = load_run(Located(store, "dots", "n2"), [])
    publish(stored, choose_and_evaluate(stored), "")
    page = store.get(layout.run_key("dots", "n2", layout.REPORT)).decode()
    section = page[page.index('<h2 id="night">') :].partition("</section>")[0]
    assert "Worse than dots/n1 by" in section
    assert "the same images in another order, or in other groups or sources" in section
    assert "&lt;script&gt;alert(" in section
    assert "<script" not in section
    payload = json.loads(store.get(layout.run_key("dots", "n2", layout.REPORT_JSON)))
    assert payload["night"]["verdict"] == "worse"
    assert payload["night"]["comparison"]["lost"] > 0


def test_a_damaged_record_of_a_night_does_not_keep_the_report_from_being_written(store):
    run_night(store, "n1", STRONG)
    key = layout.run_key("dots", "n1", layout.NIGHT)
    store.put(key, store.get(key).replace(b"accepted", b"accerted", 1))
    stored = load_run(Located(store, "dots", "n1"), [])
    publish(stored, choose_and_evaluate(stored), "")
    assert b'<h2 id="night">' not in store.get(layout.run_key("dots", "n1", layout.REPORT))


def test_runs_that_are_no_nights_have_no_summary(store):
    assert read_night(store, "dots", "n1") is None
    assert read_nights(store, "dots") == {}


def test_sources_are_distinguished_by_name_and_content(tmp_path):
    (tmp_path / "a").mkdir()
    path = tmp_path / "a" / "one.py"
    path.write_text("x = 1\n")
    first = hash_sources([tmp_path / "a"])
    assert hash_sources([tmp_path / "a"]) == first
    (tmp_path / "a" / "notes.txt").write_text("no code")
    assert hash_sources([tmp_path / "a"]) == first
    path.write_text("x = 2\n")
    assert hash_sources([tmp_path / "a"]) != first
    path.write_text("x = 1\n")
    path.rename(tmp_path / "a" / "two.py")
    assert hash_sources([tmp_path / "a"]) != first
    assert hash_sources([tmp_path / "a" / "two.py"]) == hash_sources([tmp_path / "a" / "two.py"])


def test_code_that_only_moves_is_the_same_code(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    (one / "deep").mkdir(parents=True)
    two.mkdir()
    (one / "a.py").write_text('"""Both."""\nimport b\n\nX = 1\n\n\ndef f():\n    """Of f."""\n    return X  # why\n')
    (one / "deep" / "b.py").write_text("class C:\n    def g(self):\n        return 2\n")
    (two / "f.py").write_text(
        "from one import X\n\n\ndef f():\n    return X\n\n\nclass C:\n    def g(self):\n        return 2\n"
    )
    (two / "x.py").write_text("X = 1\n")
    assert hash_code([one]) == hash_code([two])
    (two / "x.py").write_text("X = 2\n")
    assert hash_code([one]) != hash_code([two])


def test_the_facts_of_a_night_name_code_and_packages():
    facts = collect_facts(make_spec("runs"), "d1")
    assert facts.data_id == "d1"
    assert {"python", "torch", "ray", "numpy"} <= facts.versions.keys()
    assert re.fullmatch(r"2-[0-9a-f]{12}", facts.code)
    assert facts.custom_code == {}


def test_a_deletion_that_fails_is_reported_and_changes_no_verdict(store, tmp_path, monkeypatch):
    run_night(store, "n1", WEAK)
    evaluated = run_night(store, "n2", STRONG)
    stored = load_run(Located(store, "dots", "n2"), [])
    result = RunResult(stored.run, "done", "", stored.state, choose_and_evaluate(stored), None, 2, 1.0, 1.0)
    status = layout.run_key("dots", "n2", layout.STATUS)
    store.put(status, b'{"state": "done", "verdict": "ship the vote"}')

    def forbidden(*_: object) -> None:
        raise StoreError("403: deleting is not allowed")

    monkeypatch.setattr(night, "run_sweep", lambda *_: result)
    monkeypatch.setattr(night, "retain_nights", forbidden)
    spec = make_spec(str(tmp_path), **{**parts_of(stored.spec), "keep": {"nights": 1, "best": 0}})
    messages: list[str] = []
    found = night.run_night(spec, "n2", None, "x", [], messages.append)
    assert (found.summary.verdict, found.retention_failure) == ("accepted", "403: deleting is not allowed")
    assert replace(found.summary, warm_start="") == evaluated
    assert messages == [
        "dots/n2: begins from scratch: no night was accepted before it"
    ]  # as it began: it was written without one
    assert get_json(store, status) == {
        "state": "done",
        "verdict": evaluated.sentence,
        "night": {"verdict": "accepted", "accepted": True, "exit_code": 0},
    }
    assert night_to_json(found)["keep"]["reason"] == "403: deleting is not allowed"
    lines = show_night(found)
    assert lines[0] == f"night dots/n2: {evaluated.sentence}"
    assert lines[-1] == "keep: nothing more was deleted: 403: deleting is not allowed"


def test_a_store_that_fails_while_the_night_is_evaluated_is_no_wrong_input(store, tmp_path, monkeypatch):
    run_night(store, "n1", WEAK)
    stored = load_run(Located(store, "dots", "n1"), [])
    result = RunResult(stored.run, "done", "", stored.state, choose_and_evaluate(stored), None, 2, 1.0, 1.0)

    def out_of_reach(*_: object) -> None:
        raise StoreError("the store is out of reach")

    monkeypatch.setattr(night, "run_sweep", lambda *_: result)
    monkeypatch.setattr(night, "evaluate_night", out_of_reach)
    with pytest.raises(
        RunCutShort, match="out of reach; what the night has trained is kept: run it again to evaluate it"
    ):
        night.run_night(make_spec(str(tmp_path), **parts_of(stored.spec)), "n1", None, "x", [])


def parts_of(spec: SweepSpec | None) -> dict[str, Any]:
    assert spec is not None
    return spec.model_dump(mode="json", include={"search", "ensemble"}, exclude_defaults=True)
