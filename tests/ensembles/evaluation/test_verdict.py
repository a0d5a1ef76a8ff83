"""The verdict by hand, and what it may not see."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from ensembles.config import EnsembleConfig
from ensembles.evaluation.score import PredictionCost
from ensembles.evaluation.verdict import Verdict, evaluate, from_json, to_json
from ensembles.metrics.intervals import mcnemar_p, paired_bootstrap, wilson_interval
from ensembles.pool.pool import PredictionPool
from ensembles.selection_bias.corrected import correct
from ensembles.team import Team
from ensembles.voting.vote import VOTES
from tests.ensembles.samples import make_pool, make_run, make_team, member
from trainables.errors import DamagedObject, MismatchedPredictions
from trainables.results.record import TrialCost


def binary(split: str, *rows: list[float]) -> PredictionPool:
    """Two classes, class 0 always true; one list a member: what it gives to class 0."""
    of_class_0 = np.array(rows)
    return make_pool(np.stack([of_class_0, 1 - of_class_0], axis=2), [0] * of_class_0.shape[1], split)


# On validation: 3/4, 2/4, 1/4. On test 2/4, 3/4, 2/4.
VALIDATION = binary("validation", [0.9, 0.9, 0.9, 0.1], [0.6, 0.6, 0.1, 0.1], [0.6, 0.1, 0.1, 0.1])
TEST = binary("test", [0.6, 0.6, 0.45, 0.1], [0.2, 0.9, 0.9, 0.6], [0.45, 0.6, 0.1, 0.7])


def team(*weights: float) -> Team:
    return make_team(*weights)


def test_a_verdict_by_hand() -> None:
    verdict = evaluate(team(0.5, 0.5), EnsembleConfig(size=2), VALIDATION, TEST, member(0))
    # The soft vote of 0 and 1 on test: .4 .75 .675 .35; the best single, 0, is right on the first two.
    assert (verdict.vote, verdict.best_member) == ("soft", member(0))
    assert (verdict.fixed, verdict.broken, verdict.gain) == (1, 1, 0.0)
    assert (verdict.validation_images, verdict.test_images) == (4, 4)
    soft = verdict.votes["soft"]
    assert (soft.members, soft.validation_accuracy, soft.test_accuracy) == (2, 0.75, 0.5)
    assert soft.test_nll == pytest.approx(-np.log([0.4, 0.75, 0.675, 0.35]).mean(), rel=1e-6)
    assert soft.ci95 == wilson_interval(2, 4)
    # Confidence .6 .75 .675 .65 against wrong, right, right, wrong: bins of their own but for .65 in (.6, .6667].
    assert soft.test_ece == pytest.approx((0.6 + 0.25 + 0.325 + 0.65) / 4, rel=1e-6)
    assert verdict.best.test_accuracy == 0.5
    assert verdict.best.validation_accuracy == 0.75
    assert not verdict.ship


def test_validation_accuracy_of_each_vote_by_hand() -> None:
    # Means on validation .75 .75 .5 .1: the tie is for class 0.
    verdict = evaluate(team(0.5, 0.5), EnsembleConfig(size=2), VALIDATION, TEST, member(0))
    found = {how: score.validation_accuracy for how, score in verdict.votes.items()}
    assert tuple(found) == VOTES
    assert found["hard"] == found["soft"] == found["weighted"] == found["majority"] == 0.75


def test_the_baselines_are_the_top_by_validation_and_all() -> None:
    verdict = evaluate(team(1.0), EnsembleConfig(size=2), VALIDATION, TEST, member(0))
    assert {name: score.members for name, score in verdict.baselines.items()} == {"top": 2, "all": 3}
    # All three on test: .4167 .7 .4833 .4667.
    assert verdict.baselines["all"].test_accuracy == 0.25
    assert evaluate(team(1.0), EnsembleConfig(size=9), VALIDATION, TEST, member(0)).baselines["top"].members == 3


def won(fixed: int, broken: int, images: int = 1000) -> Verdict:
    """The verdict where a second member puts `fixed` images right and gets `broken` wrong."""
    single = np.where(np.arange(images) < fixed, 0.4, 0.6)
    other = np.where(np.arange(images) < fixed, 0.9, np.where(np.arange(images) >= images - broken, 0.1, 0.6))
    test = binary("test", single.tolist(), other.tolist())
    return evaluate(team(0.5, 0.5), EnsembleConfig(), VALIDATION_OF_TWO, test, member(0))


VALIDATION_OF_TWO = binary("validation", [0.9, 0.9], [0.9, 0.1])


def test_a_gain_whose_interval_is_above_zero_is_shipped() -> None:
    verdict = won(30, 4)
    right, before = np.arange(1000) < 996, np.arange(1000) >= 30
    assert (verdict.fixed, verdict.broken) == (30, 4)
    assert verdict.gain == pytest.approx(0.026)
    assert verdict.gain_ci95 == paired_bootstrap(right, before, seed=0)
    assert verdict.mcnemar_p == mcnemar_p(right, before)
    assert verdict.ship
    assert verdict.sentence.startswith(
        "Ship the ensemble: the soft vote of 2 is right on 99.60% of 1,000 test images, 2.60 points more than the best "
        "single checkpoint (95 % interval +1.50 to +3."
    )
    assert verdict.sentence.endswith("McNemar p below 0.001).")


def test_a_gain_that_could_be_none_is_not_shipped() -> None:
    verdict = won(6, 4)
    assert not verdict.ship
    assert verdict.headline == "Ship the best single checkpoint"
    assert "a difference of +0.20 points (95 % interval -0.4" in verdict.sentence
    assert verdict.sentence.endswith("McNemar p 0.754) that these images cannot tell from none.")


def test_a_loss_is_described_as_a_loss() -> None:
    verdict = won(2, 40)
    assert not verdict.ship
    assert verdict.gain == pytest.approx(-0.038)
    assert "Ship the best single checkpoint: the soft vote of 2 is right on 96.00%" in verdict.sentence
    assert "3.80 points less" in verdict.sentence


def test_a_team_of_the_best_alone_gains_nothing_and_says_so() -> None:
    verdict = evaluate(team(1.0), EnsembleConfig(), VALIDATION, TEST, member(0))
    assert (verdict.gain, verdict.gain_ci95, verdict.mcnemar_p, verdict.ship) == (0, (0, 0), 1, False)
    assert verdict.sentence == (
        "Ship the best single checkpoint: the team is this checkpoint alone, right on 50.00% of 4 test images."
    )


def test_the_configured_vote_decides() -> None:
    # Image 3 has .35 by equal weights and .55 by these.
    pair = team(0.1, 0.9)
    soft = evaluate(pair, EnsembleConfig(vote="soft"), VALIDATION, TEST, member(0))
    weighted = evaluate(pair, EnsembleConfig(vote="weighted"), VALIDATION, TEST, member(0))
    assert soft.votes == weighted.votes
    assert soft.gain == 0
    assert weighted.gain == 0.25
    assert "the weighted vote of 2" in weighted.sentence


def test_pools_of_other_splits_or_data_are_refused() -> None:
    with pytest.raises(MismatchedPredictions, match="needs pools of validation and test, not of test and validation"):
        evaluate(team(1.0), EnsembleConfig(), TEST, VALIDATION, member(0))
    with pytest.raises(MismatchedPredictions, match="validation is of data d1, but test of d2"):
        evaluate(team(1.0), EnsembleConfig(), VALIDATION, replace(TEST, data_id="d2"), member(0))


def test_a_member_without_test_predictions_stops_the_verdict_a_mere_candidate_does_not() -> None:
    fewer = replace(TEST, members=TEST.members[:2], probabilities=TEST.probabilities[:2])
    assert evaluate(team(0.5, 0.5), EnsembleConfig(), VALIDATION, fewer, member(0)).baselines["all"].members == 2
    with pytest.raises(MismatchedPredictions, match="000000000002@3 has no predictions on test"):
        evaluate(team(0.4, 0.3, 0.3), EnsembleConfig(), VALIDATION, fewer, member(0))


def test_a_verdict_comes_back_from_json() -> None:
    given = make_run()
    written = json.dumps({"config": {"size": 8}, **to_json(given.verdict, given.team)}, allow_nan=False)
    assert from_json(json.loads(written)) == (given.verdict, given.team)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("choice", "members", None), ("choice", "weights", [0.5]), ("verdict", "best", {}), ("verdict", "more", 1)],
)
def test_a_stored_ensemble_that_is_damaged_is_refused(part: str, key: str, value: object) -> None:
    given = make_run()
    payload = json.loads(json.dumps(to_json(given.verdict, given.team)))
    payload[part][key] = value
    with pytest.raises(DamagedObject, match="write it again with `caucus report`"):
        from_json(payload)
    with pytest.raises(DamagedObject):
        from_json({})


def test_every_figure_of_a_score_by_hand() -> None:
    verdict = evaluate(team(0.5, 0.5), EnsembleConfig(size=2, calibrate="none"), VALIDATION, TEST, member(0))
    soft, of_true_class = verdict.votes["soft"], np.array([0.4, 0.75, 0.675, 0.35])
    assert soft.validation_nll == pytest.approx(-np.log([0.75, 0.75, 0.5, 0.1]).mean(), rel=1e-6)
    assert soft.test_brier == pytest.approx(np.mean(2 * (1 - of_true_class) ** 2), rel=1e-6)
    assert soft.test_balanced_accuracy == 0.5  # only class 0 occurs
    assert soft.test_macro_f1 == pytest.approx((2 * 2 / 6 + 0) / 2)
    assert (soft.test_nll_calibrated, soft.test_ece_calibrated) == (soft.test_nll, soft.test_ece)
    assert soft.test_nll_best_temperature <= soft.test_nll
    assert (soft.corrected, soft.corrected_nll, soft.cost) == (None, None, None)


def test_calibration_is_fitted_on_validation_and_scored_on_test() -> None:
    # Given .9 on validation, right on half of the images: worth .5, whatever test looks like.
    validation = binary("validation", [0.9] * 500 + [0.1] * 500)
    given = binary("test", [0.9] * 10)
    found = evaluate(team(1.0), EnsembleConfig(calibrate="temperature"), validation, given, member(0)).best
    assert found.test_ece == pytest.approx(0.1)
    assert found.test_ece_calibrated == pytest.approx(0.5, abs=0.05)
    assert found.test_nll_calibrated == pytest.approx(np.log(2), abs=0.1)


def test_the_corrected_scores_stand_beside_those_they_correct() -> None:
    config = EnsembleConfig(size=2, vote="hard")
    pair = team(0.5, 0.5)
    corrected = correct(VALIDATION, pair, config, ("soft",))
    assert corrected is not None
    verdict = evaluate(pair, config, VALIDATION, TEST, member(0), corrected)
    assert verdict.votes["hard"].corrected == corrected.votes["hard"].accuracy
    assert verdict.votes["soft"].corrected_nll == corrected.votes["soft"].log_loss
    assert verdict.votes["weighted"].corrected is None  # was not asked for
    assert verdict.best.corrected == corrected.baselines["best"].accuracy
    assert verdict.baselines["all"].corrected == corrected.baselines["all"].accuracy
    assert verdict.corrected_gain == corrected.gain
    assert from_json(json.loads(json.dumps(to_json(verdict, pair)))) == (verdict, pair)


def test_a_team_costs_the_sum_of_its_members_and_what_is_not_known_is_none() -> None:
    costs = {member(0).trial_id: TrialCost(100, 5000, 0.001, 32, 0.01, 1, True)}
    unknown = evaluate(team(0.5, 0.5), EnsembleConfig(), VALIDATION, TEST, member(0), costs=costs)
    assert unknown.votes["soft"].cost is None
    assert unknown.best.cost == PredictionCost(100, 5000, 0.001)
    assert len(unknown.sentences) == 1
    costs[member(1).trial_id] = TrialCost(300, 10_000, 0.004, 32, 0.01, 1, True)
    known = evaluate(team(0.5, 0.5), EnsembleConfig(), VALIDATION, TEST, member(0), costs=costs)
    assert known.votes["soft"].cost == PredictionCost(400, 15_000, 0.005)
    assert known.sentences[-1] == (
        "A prediction takes 4.0 times the parameters, 3.0 times the arithmetic and 5.0 times the latency of the best "
        "single checkpoint's."
    )
    assert from_json(json.loads(json.dumps(to_json(known, team(0.5, 0.5)))))[0] == known


def test_an_ensemble_stored_by_an_older_version_is_read() -> None:
    verdict = evaluate(team(0.5, 0.5), EnsembleConfig(size=2, calibrate="none"), VALIDATION, TEST, member(0))
    payload = json.loads(json.dumps(to_json(verdict, team(0.5, 0.5))))
    old = ("members", "validation_accuracy", "test_accuracy", "ci95", "test_nll", "test_ece")

    def strip(score: dict[str, object]) -> dict[str, object]:
        return {key: value for key, value in score.items() if key in old}

    payload["verdict"] = {
        key: value for key, value in payload["verdict"].items() if key not in ("corrected_gain", "calibration")
    }
    payload["verdict"]["best"] = strip(payload["verdict"]["best"])
    for part in ("votes", "baselines"):
        payload["verdict"][part] = {how: strip(score) for how, score in payload["verdict"][part].items()}
    found, _ = from_json(payload)
    assert (found.gain, found.sentence, found.corrected_gain) == (verdict.gain, verdict.sentence, None)
    assert found.votes["soft"].test_accuracy == verdict.votes["soft"].test_accuracy
    assert found.votes["soft"].test_brier is None
    assert found.best.cost is None


def test_choosing_and_voting_load_nothing_heavy() -> None:
    program = (
        "import ensembles.config, ensembles.evaluation.verdict, ensembles.selection.select, ensembles.voting.vote, ensembles.pool.pool, sys;"
        "heavy = {'matplotlib', 'scipy', 'sklearn', 'torch', 'ray', 'boto3', 'jinja2'};"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[]"
