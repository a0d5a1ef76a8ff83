"""`caucus sparsify`: the curve of a checkpoint that was really trained, from the store and back into it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import runner.compression.sparsify
from runner.compression.sparsify import CannotSparsify, Sparsified, parse_arguments, parse_sparsities, sparsify_run
from runner.compression.trained_trial import NoSuchTrial
from runner.evaluation.conclusion import choose_and_evaluate, render
from tests.sample_runs.sweeps import caucus
from tests.sample_runs.trained_run import load, plain, residual
from trainables.errors import DamagedObject, ModelUnusable, ObjectMissing, RunMismatch, StoreError
from trainables.results.checkpoint import CheckpointId, committed_epochs, read_part
from trainables.results.pruned_checkpoint import PrunedId
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, to_json
from trainables.training.training import Training, TrialDiverged


def bits(store: Folder) -> dict[str, bytes]:
    return {found.key: store.get(found.key) for found in store.find("")}


def sparsify(store: Folder, **keys: Any) -> tuple[Sparsified, list[str]]:
    stored, lines = load(store), []
    arguments = {
        "trial_id": plain(stored),
        "method": "magnitude",
        "sparsities": [0.5, 0.98],
        "epochs": 1,
        "notify": lines.append,
    }
    return sparsify_run(stored, **{**arguments, **keys}), lines


@pytest.mark.parametrize("method", ["magnitude", "channel"])
def test_a_curve_is_made_and_kept(trained_store: Folder, method: str) -> None:
    before = bits(trained_store)
    found, lines = sparsify(trained_store, method=method)
    curve = found.curve
    assert [point.sparsity for point in curve.points] == [0, 0.5, 0.98]
    assert len(lines) == 4  # the unpruned one, then one a sparsity
    assert curve.unpruned.accuracy == load(trained_store).state.trials[curve.trial_id].best.validation_accuracy  # type: ignore[union-attr]
    control, half, last = curve.points
    assert control.before_accuracy == curve.unpruned.accuracy
    assert last.accuracy < half.accuracy
    assert half.accuracy >= half.before_accuracy
    assert curve.unpruned.nonzero > half.nonzero > last.nonzero
    assert curve.unpruned.compressed_bytes > half.compressed_bytes > last.compressed_bytes
    assert not last.within_noise
    assert curve.rate == pytest.approx(0.005)
    assert found.key == f"{load(trained_store).key('pruned/')}{curve.trial_id}-{method}.json"
    assert get_json(trained_store, found.key)["sentences"] == curve.sentences
    assert trained_store.get(found.chart).startswith(b"<svg ")
    after = bits(trained_store)
    assert {key: after[key] for key in before} == before
    assert all("pruned/" in key for key in after.keys() - before.keys())
    assert committed_epochs(trained_store, curve.trial_id) == [1, 2, 3]


def test_sparsified_checkpoints_can_be_read_and_vote_as_any_other(trained_store: Folder) -> None:
    from ensembles.pool.pool import read_pool
    from trainables.data.data_table import read_data_table

    curve = sparsify(trained_store)[0].curve
    names = [PrunedId(curve.trial_id, curve.epoch, "magnitude", share, 1) for share in (0.5, 0.98)]
    assert [str(name) for name in names] == [point.name for point in curve.points[1:]]
    table = read_data_table(trained_store, load(trained_store).state.trials[curve.trial_id].config.data_id)
    for split in ("validation", "test"):
        pool = read_pool(trained_store, [CheckpointId(curve.trial_id, curve.epoch), *names], split, table)
        assert pool.left_out == ()
    right = pool.probabilities.argmax(2) == pool.labels
    assert curve.test is None or curve.test.unpruned == right[0].mean()


def test_the_same_again_reads_what_is_stored_and_more_sparsities_add_to_it(
    trained_store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = sparsify(trained_store)
    before = bits(trained_store)
    more, lines = sparsify(trained_store, sparsities=[0.5, 0.8, 0.98])
    assert [line.endswith("(from the store)") for line in lines] == [False, True, True, False, True]
    assert [point for point in more.curve.points if point.sparsity != 0.8] == list(first.curve.points)
    monkeypatch.setattr(Training, "train_epoch", None)
    again, lines = sparsify(trained_store)
    assert again == first
    assert {key: bits(trained_store)[key] for key in before} == before
    assert all(line.endswith("(from the store)") for line in lines[1:])


def test_two_stores_hold_the_same_bits(trained_store: Folder, trained_run: Path, tmp_path: Path) -> None:
    shutil.copytree(trained_run, tmp_path / "other")
    other = Folder(tmp_path / "other", "runs")
    for one in (trained_store, other):
        sparsify(one)
    assert bits(trained_store) == bits(other)


def test_a_damaged_sparsified_checkpoint_is_made_again(trained_store: Folder) -> None:
    found, _ = sparsify(trained_store)
    before = bits(trained_store)
    for part in (layout.WEIGHTS, "validation.arrow", "test.arrow", layout.METRICS):
        key = PrunedId(found.curve.trial_id, found.curve.epoch, "magnitude", 0.5, 1).key(part)
        trained_store.put(key, trained_store.get(key)[:-1])
        assert sparsify(trained_store)[0] == found
        assert bits(trained_store) == before


def test_test_is_scored_for_the_chosen_one_beside_the_unpruned_and_last(
    trained_store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, str]] = []
    real = runner.compression.sparsify.read_pool

    def read_pool(store: Any, members: Any, split: str, table: Any) -> Any:
        opened.append((str(members[0]), split))
        return real(store, members, split, table)

    monkeypatch.setattr(runner.compression.sparsify, "read_pool", read_pool)
    found, _ = sparsify(trained_store, sparsities=[0.1, 0.98])
    chosen = found.curve.chosen
    assert chosen is not None
    assert chosen.sparsity == 0.1
    unpruned = found.curve.unpruned.name
    assert [name for name, split in opened if split == "test"] == [chosen.name, unpruned]
    assert [split for _, split in opened][-2:] == ["test", "test"]
    opened.clear()
    assert sparsify(trained_store, sparsities=[0.98])[0].curve.test is None
    assert {split for _, split in opened} == {"validation"}


def test_without_a_name_the_best_trial_is_sparsified(trained_store: Folder) -> None:
    stored = load(trained_store)
    best = choose_and_evaluate(stored).best
    curve = sparsify(trained_store, trial_id=None, sparsities=[0.5])[0].curve
    assert (curve.trial_id, curve.epoch) == (best.trial_id, best.epoch)


def test_the_report_has_the_curves_from_then_on(trained_store: Folder) -> None:
    def page() -> str:
        stored = load(trained_store)
        return render(stored, choose_and_evaluate(stored), "")

    assert "Sparsified checkpoints" not in page()
    curve = sparsify(trained_store)[0].curve
    assert "Sparsified checkpoints" in page()
    assert 'By magnitude: <a class="id" href="#trial-' in page()
    assert f"{curve.trial_id}@{curve.epoch}-magnitude-0.5-1" in page() or curve.chosen is None


def test_a_fine_tuning_that_diverges_is_reported_and_the_others_are_kept(
    trained_store: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainables.compression import prune as prune_module

    real = prune_module.prune_checkpoint

    def prune_checkpoint(task: Any, pruned: PrunedId) -> dict[str, bytes]:
        if pruned.sparsity == 0.98:
            raise TrialDiverged("the training loss is nan in epoch 4")
        return real(task, pruned)

    monkeypatch.setattr(prune_module, "prune_checkpoint", prune_checkpoint)
    found, lines = sparsify(trained_store)
    assert found.curve.failed == ((0.98, "the training loss is nan in epoch 4"),)
    assert [point.sparsity for point in found.curve.points] == [0, 0.5]
    assert lines[-1].endswith("the training loss is nan in epoch 4")


def test_an_unknown_trial_and_one_without_an_epoch_are_named(trained_store: Folder) -> None:
    stored, before = load(trained_store), bits(trained_store)
    wrong = plain(stored)[:-1] + "z"
    with pytest.raises(NoSuchTrial, match=f"{wrong}.*did you mean {plain(stored)}"):
        sparsify(trained_store, trial_id=wrong)
    idle = next(name for name, one in stored.state.trials.items() if not one.epochs)
    with pytest.raises(NoSuchTrial, match=f"trial {idle} has no checkpoint"):
        sparsify(trained_store, trial_id=idle)
    assert bits(trained_store) == before


def test_a_checkpoint_that_is_gone_or_damaged_is_named(trained_store: Folder) -> None:
    stored = load(trained_store)
    best = stored.state.trials[plain(stored)].best
    assert best is not None
    checkpoint = CheckpointId(plain(stored), best.epoch)
    weights = checkpoint.key(layout.WEIGHTS)
    trained_store.put(weights, trained_store.get(weights)[:-1])
    before = bits(trained_store)
    with pytest.raises(DamagedObject, match=f"{weights} is not what its manifest promises"):
        sparsify(trained_store)
    assert bits(trained_store) == before
    trained_store.delete(checkpoint.key(layout.MANIFEST))
    with pytest.raises(ObjectMissing, match=f"checkpoint {checkpoint}, the best epoch of its trial, is not in"):
        sparsify(trained_store)
    with pytest.raises(StoreError):
        read_part(trained_store, checkpoint, layout.WEIGHTS)


def test_other_data_than_the_runs_are_refused(trained_store: Folder) -> None:
    stored = load(trained_store)
    key = stored.key(layout.SWEEP)
    head = get_json(trained_store, key)
    head["spec"]["data"]["split_seed"] = 5  # type: ignore[index]
    trained_store.put(key, to_json(head))
    before = bits(trained_store)
    with pytest.raises(RunMismatch, match=r"was trained on data .* but its sweep names data"):
        sparsify(trained_store)
    head["spec"] = {"of": "another version"}
    trained_store.put(key, to_json(head))
    with pytest.raises(RunMismatch, match="another version"):
        sparsify(trained_store)
    assert bits(trained_store).keys() == before.keys()


def test_channels_of_a_residual_net_are_refused_before_anything_is_read(trained_store: Folder) -> None:
    before = bits(trained_store)
    with pytest.raises(ModelUnusable, match=r"model\.residual is true.*--method magnitude"):
        sparsify(trained_store, trial_id=residual(load(trained_store)), method="channel")
    assert bits(trained_store) == before
    assert (
        sparsify(trained_store, trial_id=residual(load(trained_store)), sparsities=[0.5])[0].curve.points[1].nonzero > 0
    )


@pytest.mark.parametrize("text", ["0", "1", "1.5", "-0.5", "nan", "half", "", "0.5,", "0.5;0.9"])
def test_a_sparsity_outside_0_to_1_is_named(text: str) -> None:
    with pytest.raises(CannotSparsify, match=r"--sparsity has .*above 0 and below 1"):
        parse_sparsities(text)


def test_arguments_are_checked() -> None:
    assert parse_arguments(None, True, "channel", "0.95,0.5") == ("channel", [0.5, 0.95])
    with pytest.raises(CannotSparsify, match="--method is 'chanel', not one of magnitude, channel"):
        parse_arguments(None, False, "chanel", "0.5")
    with pytest.raises(CannotSparsify, match="--trial 0f3a and --best name two trials"):
        parse_arguments("0f3a", True, "channel", "0.5")


def test_the_verb_prints_one_object_and_names_what_is_wrong(trained_store: Folder, tmp_path: Path) -> None:
    arguments = ("sparsify", "digits", "--store", str(tmp_path / "runs"), "--trial", plain(load(trained_store)))
    result = caucus(*arguments, "--method", "channel", "--sparsity", "0.5", "--epochs", "1")
    assert [point["sparsity"] for point in result["points"]] == [0, 0.5]
    assert get_json(trained_store, result["key"]) == {
        key: value for key, value in result.items() if key not in ("key", "chart")
    }
    assert caucus(*arguments, "--sparsity", "2", code=2)["kind"] == "CannotSparsify"
