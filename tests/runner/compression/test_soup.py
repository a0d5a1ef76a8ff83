"""`caucus soup`: soups of a run that was really trained, in its store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ensembles.compression.soup_summary import from_json, read_soups
from ensembles.pool.pool import read_pool
from runner.compression.soup import CannotMakeSoup, SoupResult, choose_epochs, parse_kind, parse_metric, soup_run
from runner.compression.trained_trial import NoSuchTrial
from runner.retention.retention import plan_retention
from tests.sample_runs.sweeps import caucus
from tests.sample_runs.trained_run import load, plain, residual
from trainables.data.data_table import read_data_table
from trainables.errors import CheckpointMismatch, ObjectMissing
from trainables.results.checkpoint import CheckpointId, committed_epochs
from trainables.results.soup_id import name_soup
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import get_json
from trainables.training.training import Training


def bits(store: Folder) -> dict[str, bytes]:
    return {found.key: store.get(found.key) for found in store.find("") if "/ledger/" not in found.key}


def make_soup(
    store: Folder, *trials: str, kind: Any = "uniform", epochs: str = "all", metric: Any = "accuracy"
) -> SoupResult:
    return soup_run(load(store), trials or [plain(load(store))], kind, epochs, metric)


@pytest.mark.parametrize("kind", ["uniform", "greedy"])
def test_a_soup_is_a_checkpoint_of_its_own_that_reads_and_votes(trained_store: Folder, kind: Any) -> None:
    before = bits(trained_store)
    found = make_soup(trained_store, kind=kind)
    summary = found.summary
    record = load(trained_store).state.trials[summary.trial_id]
    assert record.best is not None
    assert summary.best.name == summary.candidates[0] == f"{summary.trial_id}@{record.best.epoch}"
    assert summary.best.validation_accuracy == record.best.validation_accuracy
    assert len(summary.candidates) == 3
    assert len(summary.ingredients) == 3 if kind == "uniform" else 1 <= len(summary.ingredients) <= 3
    if kind == "greedy":
        assert summary.soup.validation_accuracy >= summary.best.validation_accuracy
    ordered = [CheckpointId(*_split(name)) for name in summary.candidates]
    soup = name_soup(kind, ordered, "accuracy")
    table = read_data_table(trained_store, record.config.data_id)
    for split, accuracy in (("validation", summary.soup.validation_accuracy), ("test", summary.soup.test_accuracy)):
        pool = read_pool(trained_store, [soup, *ordered], split, table)
        assert pool.left_out == ()
        assert (pool.probabilities[0].argmax(1) == pool.labels).mean() == accuracy
        mean = pool.probabilities[[pool.position(CheckpointId(*_split(name))) for name in summary.ingredients]].mean(0)
        vote = summary.vote.validation_accuracy if split == "validation" else summary.vote.test_accuracy
        assert (mean.argmax(1) == pool.labels).mean() == pytest.approx(vote, abs=0.005)
    after = bits(trained_store)
    assert {key: after[key] for key in before} == before
    assert all("soups/" in key for key in after.keys() - before.keys())
    assert committed_epochs(trained_store, summary.trial_id) == [1, 2, 3]
    assert from_json(get_json(trained_store, found.key)) == summary
    assert read_soups(trained_store, "digits", load(trained_store).run_id) == (summary,)


def _split(name: str) -> tuple[str, int]:
    trial_id, _, epoch = name.partition("@")
    return trial_id, int(epoch)


def test_the_same_again_is_read_and_another_store_gets_the_same_bits(
    trained_store: Folder, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained_run, tmp_path / "other")
    other = Folder(tmp_path / "other", "runs")
    first = make_soup(trained_store, kind="greedy")
    assert make_soup(other, kind="greedy") == first
    assert bits(other) == bits(trained_store)
    monkeypatch.setattr(Training, "evaluate", None)
    assert make_soup(trained_store, kind="greedy") == first


def test_a_damaged_soup_is_made_again(trained_store: Folder) -> None:
    found, before = make_soup(trained_store), bits(trained_store)
    for part in (layout.WEIGHTS, "validation.arrow", "test.arrow", layout.METRICS):
        trained_store.put(found.checkpoint + part, before[found.checkpoint + part][:-1])
        assert make_soup(trained_store) == found
        assert bits(trained_store) == before


def test_the_metric_of_a_greedy_soup_can_be_another_one(trained_store: Folder) -> None:
    found = make_soup(trained_store, kind="greedy", metric="log_loss")
    assert found.summary.soup.validation_loss <= found.summary.best.validation_loss
    assert found.checkpoint != make_soup(trained_store, kind="greedy").checkpoint


def test_epochs_of_other_nets_are_refused_with_nothing_written(trained_store: Folder) -> None:
    before, stored = bits(trained_store), load(trained_store)
    with pytest.raises(CheckpointMismatch, match=r"different architectures \(model.residual\)"):
        make_soup(trained_store, plain(stored), residual(stored))
    with pytest.raises(NoSuchTrial, match="has no such trial"):
        make_soup(trained_store, "0f3a")
    with pytest.raises(CannotMakeSoup, match=r"--epochs 2 leaves .*@2 of .*two or more"):
        make_soup(trained_store, epochs="2")
    trained_store.delete(CheckpointId(plain(stored), 1).key(layout.WEIGHTS))
    with pytest.raises(ObjectMissing):
        make_soup(trained_store)
    assert bits(trained_store).keys() >= before.keys() - {CheckpointId(plain(stored), 1).key(layout.WEIGHTS)}
    assert not [key for key in bits(trained_store) if "soups/" in key]


def test_what_went_into_a_soup_is_not_deleted_and_neither_is_the_soup(trained_store: Folder) -> None:
    without = plan_retention(trained_store, 1)
    assert [one for one in without.removals if one.checkpoint]
    summary = make_soup(trained_store).summary
    found = plan_retention(trained_store, 1)
    retained = {str(member) for member in found.kept}
    assert {*summary.ingredients} <= retained
    assert not [key for one in found.removals for key in (*one.first, *one.rest) if "soups/" in key]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("last 2", [7, 9]),
        ("last9", [1, 2, 7, 9]),
        ("all", [1, 2, 7, 9]),
        ("2-8", [2, 7]),
        ("9, 1", [1, 9]),
        ("3-5", []),
    ],
)
def test_epochs_are_parsed(text: str, expected: list[int]) -> None:
    assert choose_epochs(text, [1, 2, 7, 9]) == expected


@pytest.mark.parametrize("text", ["", "last", "last 0", "first 5", "1;2", "-3", "1,,2"])
def test_other_epochs_are_refused(text: str) -> None:
    with pytest.raises(CannotMakeSoup, match=r"--epochs is .* say last 5, all, 3-9 or 3,5,9"):
        choose_epochs(text, [1, 2])


def test_an_epoch_that_is_not_there_is_named() -> None:
    with pytest.raises(CannotMakeSoup, match="no checkpoint of epoch 4; it has 1, 2"):
        choose_epochs("1,4", [1, 2])


def test_kinds_and_metrics_are_checked() -> None:
    assert (parse_kind("greedy"), parse_metric(None), parse_metric("brier")) == ("greedy", "accuracy", "brier")
    with pytest.raises(CannotMakeSoup, match="--kind is 'thick', not one of uniform, greedy"):
        parse_kind("thick")
    with pytest.raises(CannotMakeSoup, match="--metric is 'loss', not one of accuracy, log_loss"):
        parse_metric("loss")


def test_the_verb_prints_one_object(trained_store: Folder, tmp_path: Path) -> None:
    arguments = ("soup", "digits", "--store", str(tmp_path / "runs"), "--trial", plain(load(trained_store)))
    result = caucus(*arguments, "--kind", "uniform", "--epochs", "last 2")
    assert (result["kind"], len(result["ingredients"])) == ("uniform", 2)
    assert get_json(trained_store, result["key"]) == {
        key: value for key, value in result.items() if key not in ("key", "checkpoint")
    }
    assert caucus(*arguments, "--kind", "thick", code=2)["kind"] == "CannotMakeSoup"
