"""Selects and votes again from the stored predictions, and compares with other selections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ensembles.config import EnsembleConfig, Metric, SelectMethod, VoteMethod
from ensembles.evaluation.fitted_vote import prepare_vote
from ensembles.evaluation.ledger import Ledger
from ensembles.evaluation.score import Score, score_vote
from ensembles.pool.pool import PredictionPool
from ensembles.selection.boosted import with_rounds
from ensembles.selection_bias.estimate import Estimate
from ensembles.team import Team, team_of_equals
from ensembles.voting.vote import VOTES
from runner.evaluation.conclusion import Conclusion, enter_into_ledger, evaluate_team, open_candidates
from runner.evaluation.team import SelectedTeam, choose, costs_of
from runner.evaluation.to_json import conclusion_to_json
from runner.runs.stored_run import StoredRun, pool_trials
from trainables.results.record import TrialCost

OTHERS: tuple[SelectMethod, ...] = ("best", "top", "all", "greedy")
"""Selections that are compared with the configured one."""

BASELINES: tuple[SelectMethod, ...] = ("best", "top", "all")
"""Selections that the verdict contains anyway."""


@dataclass(frozen=True)
class Row:
    """One selection with one vote."""

    team: Team
    vote: VoteMethod
    score: Score
    corrected: Estimate | None
    """The bias-corrected score of the selection, in its metric."""
    configured: bool
    """Whether it is the one that the sweep, with the overrides, configures."""


@dataclass(frozen=True)
class Revote:
    """The result of another vote of a stored run."""

    run: str
    conclusion: Conclusion
    rows: tuple[Row, ...]
    ledger: Ledger


def vote_again(stored: StoredRun, everything: bool = False) -> Revote:
    """The configured selection by every vote, and the other selections by the configured vote; with `everything`, by every vote.

    Everything is selected before test is opened. The only thing written is an entry in the ledger. Raises `NothingToVote`.
    """
    records = pool_trials(stored)
    pool, costs = open_candidates(stored, records), costs_of(records)
    config = with_rounds(stored.ensemble, stored.state.trials.values())
    every = tuple(dict.fromkeys((*VOTES, config.vote)))
    mine = choose(pool, config, costs, votes=every if everything else None)
    known = () if everything or not _are_baselines(config) else BASELINES
    others = [
        choose(mine.pool, _other(config, how, len(mine.pool.members)), costs, votes=every if everything else ())
        for how in OTHERS
        if how != config.select and how not in known
    ]
    conclusion = evaluate_team(stored, mine)  # opens test
    rows = [
        Row(mine.team, how, score, mine.corrected.score if mine.corrected else None, how == config.vote)
        for how, score in conclusion.verdict.votes.items()
    ]
    rows += [_take_baseline(how, mine, conclusion) for how in known if how != config.select]
    for other in others:
        rows += _score(other, every if everything else (config.vote,), costs)
    return Revote(stored.run, conclusion, tuple(rows), enter_into_ledger(stored, conclusion))


def _other(config: EnsembleConfig, how: SelectMethod, candidates: int) -> EnsembleConfig:
    changes: dict[str, Any] = {"select": how, "size": min(config.size, candidates)}
    if how in ("best", "top"):  # as the verdict's own baselines rank
        changes["metric"] = config.deciding_metric
    return config.model_copy(update=changes)


def _are_baselines(config: EnsembleConfig) -> bool:
    """Whether the other selections would equal the verdict's own baselines (equal weights, soft vote): then no further
    predictions have to be read."""
    return config.vote in ("soft", "weighted") and config.deciding_metric == "accuracy"


def _take_baseline(how: SelectMethod, mine: SelectedTeam, conclusion: Conclusion) -> Row:
    verdict, untested = conclusion.verdict, {member for member, _ in conclusion.left_out}
    members = [member for member in (mine.pool.members if how == "all" else mine.ranked) if member not in untested]
    if how != "all":
        members = members[: 1 if how == "best" else mine.config.size]
    score = verdict.best if how == "best" else verdict.baselines[how]
    config = _other(mine.config, how, len(members))
    by_loss = config.metric == "log_loss" and score.validation_nll is not None
    selected = score.validation_nll if by_loss and score.validation_nll is not None else score.validation_accuracy
    metric: Metric = "log_loss" if by_loss else "accuracy"
    team = team_of_equals(members, how, metric, selected)
    return Row(team, mine.config.vote, score, score.corrected_nll if by_loss else score.corrected, False)


def _score(selected: SelectedTeam, methods: Sequence[VoteMethod], costs: Mapping[str, TrialCost]) -> Iterator[Row]:
    test = selected.pool.read(selected.validation.members, "test")
    team = _with_test_predictions(selected.team, test)
    for method in methods:
        config = selected.config
        ready = prepare_vote(team, method, config.calibrate, selected.validation, config.custom_keys)
        found = selected.corrected.votes.get(method) if selected.corrected else None
        metric = config.deciding_metric
        score = score_vote(
            ready, selected.validation.labels, ready.vote(test), test.labels, found, costs, metric=metric
        )
        yield Row(team, method, score, selected.corrected.score if selected.corrected else None, False)


def _with_test_predictions(team: Team, test: PredictionPool) -> Team:
    """A team of all candidates without those that lack predictions on test: a mere comparison does not fail for them."""
    if team.how != "all" or set(team.members) <= set(test.members):
        return team
    members = [member for member in team.members if member in set(test.members)]
    return team_of_equals(members, "all", team.metric, team.validation_score)


def revote_to_json(revote: Revote) -> dict[str, Any]:
    """The JSON object of `caucus ensemble --json`. Figures are null if they were not requested or could not be measured."""
    verdict = revote.conclusion.verdict
    return {
        **conclusion_to_json(revote.conclusion),
        "run": revote.run,
        "data_id": revote.conclusion.table.data_id,
        "choices": [_row_to_json(row) for row in revote.rows],
        "verdict": {
            "ship": verdict.ship,
            "headline": verdict.headline,
            "sentences": list(verdict.sentences),
            "gain": verdict.gain,
            "ci95": list(verdict.gain_ci95),
            "corrected_gain": _estimate_to_json(verdict.corrected_gain),
            "mcnemar_p": verdict.mcnemar_p,
            "fixed": verdict.fixed,
            "broken": verdict.broken,
            "best": {
                "trial_id": verdict.best_member.trial_id,
                "epoch": verdict.best_member.epoch,
                **_score_to_json(verdict.best),
            },
            "baselines": {
                name: {"members": score.members, **_score_to_json(score)} for name, score in verdict.baselines.items()
            },
            "validation_images": verdict.validation_images,
            "test_images": verdict.test_images,
        },
        "left_out": [{**asdict(member), "reason": reason} for member, reason in revote.conclusion.left_out],
        "ledger": revote.ledger.to_dict(),
    }


def _row_to_json(row: Row) -> dict[str, Any]:
    team, corrected = row.team, row.corrected
    return {
        "select": team.how,
        "vote": row.vote,
        "configured": row.configured,
        "metric": team.metric,
        "members": [
            {**asdict(member), "weight": weight} for member, weight in zip(team.members, team.weights, strict=True)
        ],
        "score": {
            "selected": team.validation_score,
            "corrected": corrected.value if corrected else None,
            "ci95": list(corrected.ci95) if corrected else None,
        },
        **_score_to_json(row.score),
    }


def _score_to_json(score: Score) -> dict[str, Any]:
    return {
        "validation": {
            "selected": score.validation_accuracy,
            "corrected": score.corrected.value if score.corrected else None,
            "ci95": list(score.corrected.ci95) if score.corrected else None,
            "nll_selected": score.validation_nll,
            "nll_corrected": score.corrected_nll.value if score.corrected_nll else None,
            "nll_ci95": list(score.corrected_nll.ci95) if score.corrected_nll else None,
        },
        "test": {
            "accuracy": score.test_accuracy,
            "ci95": list(score.ci95),
            "nll": score.test_nll,
            "nll_best_temperature": score.test_nll_best_temperature,
            "nll_calibrated": score.test_nll_calibrated,
            "ece": score.test_ece,
            "ece_calibrated": score.test_ece_calibrated,
            "brier": score.test_brier,
            "balanced_accuracy": score.test_balanced_accuracy,
            "macro_f1": score.test_macro_f1,
            **({} if score.test_score is None else {"score": score.test_score}),
        },
        "cost": asdict(score.cost) if score.cost else None,
    }


def _estimate_to_json(found: Estimate | None) -> dict[str, Any] | None:
    return {"value": found.value, "ci95": list(found.ci95)} if found else None
