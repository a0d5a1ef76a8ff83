"""Custom selections, votes, calibrations and rules: what they are given, and what they must give back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from array_api_compat import array_namespace

from ensembles.calibration.calibrate import calibrate, fit_calibration, read_calibrator
from ensembles.config import EnsembleConfig
from ensembles.diagnosis.custom import find_rules
from ensembles.diagnosis.rules import Rule
from ensembles.evaluation.fitted_vote import prepare_vote
from ensembles.evaluation.verdict import evaluate
from ensembles.plugins import check_ensemble_plugins
from ensembles.selection.select import select
from ensembles.selection_bias.corrected import correct
from ensembles.voting.vote import VOTES, fit_voter, read_voter
from tests.ensembles.samples import make_pool, make_team, member
from trainables.errors import PluginUnusable
from trainables.plugins.kinds import CALIBRATION, RULE, SELECTION, VOTE

TABLE = [
    [[0.75, 0.25], [0.50, 0.50], [0.25, 0.75]],
    [[0.50, 0.50], [1.00, 0.00], [0.00, 1.00]],
    [[0.00, 1.00], [0.75, 0.25], [0.50, 0.50]],
]
LABELS = [0, 0, 1]


@VOTE.register("mine/last")
def last(tables: Any, weights: Any, *, share: float = 1.0) -> Any:
    """The last member in the order of names, mixed with the uniform distribution."""
    return share * tables[-1] + (1 - share) / tables[-1].shape[1]


@VOTE.register("mine/odd")
def odd(tables: Any, weights: Any, *, how: str = "short") -> Any:
    answers: dict[str, Any] = {
        "short": tables[0][:1],
        "text": "first",
        "large": tables[0] * 2,
        "negative": tables[0] - 1,
        "nan": tables[0] * np.nan,
    }
    return 1 / 0 if how == "raises" else answers[how]


@VOTE.register("mine/learns")
class Learns:
    """The member that was right most often on validation."""

    def __init__(self, place: int) -> None:
        self.place = place

    @classmethod
    def fit(cls, tables: Any, labels: Any, *, offset: int = 0) -> Learns:
        right = [(table.argmax(1) == labels).mean() for table in tables]
        return cls((int(np.argmax(right)) + offset) % len(tables))

    def combine(self, tables: Any, weights: Any) -> Any:
        return tables[self.place]

    def to_dict(self) -> dict[str, Any]:
        return {"place": self.place}

    @classmethod
    def read(cls, payload: Any) -> Learns:
        return cls(payload["place"])


@SELECTION.register("mine/select")
def pick(pool: Any, size: int, metric: str, *, first: int = 0, how: str = "weights") -> Any:
    weights = np.zeros(len(pool.members))
    weights[first : first + size] = [3.0, 1.0, 1.0][:size]
    answers = {"weights": weights, "few": weights[:1], "none": 0 * weights, "negative": -weights, "text": "all"}
    return 1 / 0 if how == "raises" else answers[how]


@CALIBRATION.register("mine/blend")
class Blend:
    """Probabilities mixed with the shares of the classes."""

    def __init__(self, shares: list[float], mix: float) -> None:
        self.shares, self.mix = shares, mix

    @classmethod
    def fit(cls, probabilities: Any, labels: Any, *, mix: float = 0.5) -> Blend:
        return cls((np.bincount(labels, minlength=probabilities.shape[1]) / len(labels)).tolist(), mix)

    def apply(self, probabilities: Any) -> Any:
        xp = array_namespace(probabilities)
        return (1 - self.mix) * probabilities + self.mix * xp.asarray(self.shares)

    def to_dict(self) -> dict[str, Any]:
        return {"shares": self.shares, "mix": self.mix}

    @classmethod
    def read(cls, payload: Any) -> Blend:
        return cls(payload["shares"], payload["mix"])


def test_a_vote_gets_the_members_in_the_order_of_their_names_and_its_own_keys() -> None:
    pool, team = make_pool(TABLE, LABELS), make_team(0.5, 0.25, 0.25)
    ballot = fit_voter(pool, team, "mine/last", None, {"share": 0.5, "of": "another plug-in"}).vote(pool)
    np.testing.assert_allclose(ballot.probabilities, [[0.25, 0.75], [0.625, 0.375], [0.5, 0.5]])
    assert ballot.predicted.tolist() == [1, 0, 0]
    assert ballot.probabilities.dtype == np.float64


@pytest.mark.parametrize("method", ["mine/last", "mine/learns"])
def test_a_vote_survives_its_record(method: str) -> None:
    pool, team = make_pool(TABLE, LABELS), make_team(0.5, 0.25, 0.25)
    voter = fit_voter(pool, team, method, None, {"share": 0.25})
    again = read_voter(json.loads(json.dumps(voter.to_dict())))
    assert np.array_equal(again.vote(pool).probabilities, voter.vote(pool).probabilities)
    assert again.to_dict() == voter.to_dict()


def test_a_vote_that_learns_does_so_on_the_rows_that_it_may_see() -> None:
    pool, team = make_pool(TABLE, LABELS), make_team(0.5, 0.25, 0.25)
    everywhere = fit_voter(pool, team, "mine/learns").to_dict()["fitted"]
    on_the_last = fit_voter(pool, team, "mine/learns", np.array([1, 2]), {"offset": 1}).to_dict()["fitted"]
    assert (everywhere, on_the_last) == ({"place": 0}, {"place": 1})
    with pytest.raises(ValueError, match=r"fitted on split test"):
        fit_voter(make_pool(TABLE, LABELS, split="test"), team, "mine/learns")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("short", r"of tables of shape \(3, 2\) it returned shape \(1, 2\)"),
        ("text", "it returned str"),
        ("large", "rows that are no probabilities"),
        ("negative", "rows that are no probabilities"),
        ("nan", "rows that are no probabilities"),
        ("raises", "it raised ZeroDivisionError: division by zero"),
        ("unknown", "it raised KeyError"),
    ],
)
def test_what_is_no_vote_is_refused_with_its_name(how: str, said: str) -> None:
    pool = make_pool(TABLE, LABELS)
    voter = fit_voter(pool, make_team(0.5, 0.25, 0.25), "mine/odd", None, {"how": how})
    with pytest.raises(PluginUnusable, match=rf"ensemble.vote is mine/odd: .*{said}"):
        voter.vote(pool)


def test_a_selection_returns_weights_which_are_scaled_to_a_team() -> None:
    pool = make_pool(TABLE, LABELS)
    team = select(pool, EnsembleConfig(select="mine/select", size=2, metric="accuracy", first=1))  # type: ignore[call-arg]
    assert (team.members, team.weights, team.how) == ((member(1), member(2)), (0.75, 0.25), "mine/select")
    # By hand: 0.75 x second + 0.25 x third; right on the second and third image.
    assert team.validation_score == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("few", r"of 3 candidates it returned float64\(1,\): return one weight for each"),
        ("none", "weights that are below 0, not finite, or all 0"),
        ("negative", "weights that are below 0"),
        ("text", "of 3 candidates it returned"),
        ("raises", "it raised ZeroDivisionError"),
    ],
)
def test_what_is_no_selection_is_refused_with_its_name(how: str, said: str) -> None:
    config = EnsembleConfig.model_validate({"select": "mine/select", "size": 2, "how": how})
    with pytest.raises(PluginUnusable, match=rf"ensemble.select is mine/select: .*{said}"):
        select(make_pool(TABLE, LABELS), config)


def test_a_calibration_is_applied_recorded_and_read_again() -> None:
    ballot = fit_voter(make_pool(TABLE, LABELS), make_team(1.0), "soft").vote(make_pool(TABLE, LABELS))
    found = fit_calibration("mine/blend", ballot.probabilities, np.array(LABELS), {"mix": 0.25, "share": 1})
    expected = 0.75 * np.array(TABLE[0]) + 0.25 * np.array([2 / 3, 1 / 3])
    np.testing.assert_allclose(calibrate(ballot, found).probabilities, expected)
    payload = json.loads(json.dumps(found.to_dict()))
    assert payload["kind"] == "mine/blend"
    np.testing.assert_allclose(read_calibrator(payload).apply(ballot.probabilities), expected)
    with pytest.raises(PluginUnusable, match=r"ensemble.calibrate is mine/blend: it raised TypeError"):
        fit_calibration("mine/blend", ballot.probabilities, np.array(LABELS), {"mix": "much"}).apply(
            ballot.probabilities
        )


def test_the_verdict_and_the_correction_have_the_custom_vote_beside_the_built_in_ones() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    table = rng.dirichlet([1, 1], (4, 60)) + 2 * np.eye(2)[labels]
    pool = make_pool(table / table.sum(2, keepdims=True), labels)
    config = EnsembleConfig.model_validate(
        {
            "vote": "mine/last",
            "select": "mine/select",
            "calibrate": "mine/blend",
            "size": 3,
            "share": 0.9,
            "bootstraps": 4,
        }
    )
    team = select(pool, config)
    corrected = correct(pool, team, config)
    assert corrected is not None
    assert set(corrected.votes) == {"mine/last"}
    test = make_pool(table / table.sum(2, keepdims=True), labels, split="test")
    verdict = evaluate(team, config, pool, test, member(0), corrected)
    assert (verdict.vote, tuple(verdict.votes)) == ("mine/last", (*VOTES, "mine/last"))
    ready = prepare_vote(team, "mine/last", "mine/blend", pool, config.custom_keys)
    assert verdict.votes["mine/last"].test_accuracy == np.mean(ready.vote(test).predicted == labels)


def test_keys_are_checked_before_anything_is_trained() -> None:
    config = EnsembleConfig.model_validate({"vote": "mine/last", "calibrate": "mine/blend", "share": 0.9, "mix": 0.1})
    check_ensemble_plugins(config, config.custom_keys)
    with pytest.raises(
        PluginUnusable, match=r"ensemble\.shaer is 1, but mine/last and mine/blend take no shaer: they take mix, share"
    ):
        check_ensemble_plugins(config, {"shaer": 1})
    CALIBRATION.register("mine/no-calibration")(pick)
    with pytest.raises(PluginUnusable, match=r"mine/no-calibration, which has no fit, apply, to_dict, read"):
        check_ensemble_plugins(EnsembleConfig(calibrate="mine/no-calibration"), {})
    VOTE.register("mine/blend")(Blend)
    with pytest.raises(
        PluginUnusable, match=r"ensemble.vote is mine/blend, which has no combine: it has to be a class with fit, "
    ):
        check_ensemble_plugins(EnsembleConfig(vote="mine/blend"), {})
    VOTE.register("mine/system")(lambda command: 0)
    with pytest.raises(PluginUnusable, match=r"ensemble names mine/system: it takes 1 positional .* is called with 2"):
        check_ensemble_plugins(EnsembleConfig(vote="mine/system"), {})


def test_a_rule_must_be_a_rule_and_its_errors_name_it() -> None:
    RULE.register("mine/number")(3)
    with pytest.raises(
        PluginUnusable, match=r"diagnosis.rules names mine/number, a int: make it an ensembles.diagnosis.Rule"
    ):
        find_rules(["mine/number"])

    def fail(*_: object) -> bool:
        raise OSError("no disk")

    RULE.register("mine/fails")(Rule("odd", fail, (), "It is odd.", lambda record: {}, ""))
    (rule,) = find_rules(["mine/fails"])
    nothing: Any = None
    with pytest.raises(PluginUnusable, match=r"diagnosis.rules names mine/fails: it raised OSError: no disk"):
        rule.holds(nothing, nothing, nothing)
