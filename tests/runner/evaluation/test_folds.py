"""The answers of a fold, from a run that was really trained."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ensembles.evaluation.over_folds import summarise_folds
from runner.evaluation.conclusion import choose_and_evaluate
from runner.evaluation.folds import name_configuration, read_fold
from tests.sample_runs.trained_digits import TrainedRun


def test_a_fold_answers_as_its_verdict_says(digits_run: TrainedRun) -> None:
    conclusion = choose_and_evaluate(digits_run.stored())
    verdict = conclusion.verdict
    found = read_fold(conclusion)
    assert float(found.team.mean()) == verdict.votes[verdict.vote].test_accuracy
    assert float(found.best.mean()) == verdict.best.test_accuracy
    assert found.groups is None
    assert set(found.configurations) == {name_configuration(record) for record in conclusion.records if record.best}
    for record in conclusion.records:
        if record.best:
            answers = found.configurations[name_configuration(record)]
            assert answers.merit == record.best.merit
            assert answers.right.shape == (verdict.test_images,)
    best = next(record for record in conclusion.records if record.trial_id == verdict.best_member.trial_id)
    if best.best and best.best.epoch == verdict.best_member.epoch:
        assert np.array_equal(found.configurations[name_configuration(best)].right, found.best)
    assert summarise_folds([found, found]).images == 2 * verdict.test_images


def test_a_configuration_has_one_name_on_all_data(digits_run: TrainedRun) -> None:
    record = choose_and_evaluate(digits_run.stored()).records[0]
    elsewhere = replace(record, config=record.config.model_copy(update={"data_id": "f" * 16}))
    assert name_configuration(elsewhere) == name_configuration(record)
    other = replace(record, config=record.config.model_copy(update={"seed": 5}))
    assert name_configuration(other) != name_configuration(record)
