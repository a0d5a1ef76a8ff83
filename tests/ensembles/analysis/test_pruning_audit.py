"""Audits by hand: where pruned trials would have stood, and how little a few of them say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from ensembles.analysis.pruning_audit import AuditedTrial, PruningAudit, evaluate_pruning, share_at_most
from tests.ensembles.samples import make_record
from trainables.results.record import TrialRecord, TrialState

FINISHED = [make_record((0.5, 0.6, 0.900 - 0.003 * place), seed=place) for place in range(10)]
PRUNED = [make_record((0.3,), "pruned", seed=100 + place) for place in range(38)]


def audit(final: float, seed: int, state: TrialState = "pruned", epochs: int = 3) -> AuditedTrial:
    return AuditedTrial(make_record((0.4, 0.5, final)[:epochs], state, seed=seed, audited_from=1), 1)


def evaluated(*audited: AuditedTrial, records: list[TrialRecord] | None = None) -> PruningAudit:
    given = FINISHED + PRUNED if records is None else records
    found = evaluate_pruning([*given, *(each.record for each in audited)], audited)
    assert found is not None
    return found


def test_two_audits_below_the_top_by_hand() -> None:
    found = evaluated(audit(0.7, 50), audit(0.892, 51))
    assert [row.rank for row in found.rows] == [4, 11]
    assert [row.accuracy_when_pruned for row in found.rows] == [0.4, 0.4]
    assert (found.finished, found.pruned, found.beat_best, found.beat_top, found.cut_short) == (10, 40, 0, 0, 0)
    assert found.sentence == (
        "2 pruned trials were trained to the end: the better one would have been rank 4 of 11, 0.8 points below the "
        "best; pruning missed nothing at the top. With 2 of 40 pruned trials audited, at most 78% of the pruned would "
        "have been the best (95 % confidence)."
    )


def test_an_audit_that_would_have_been_the_best_is_reported() -> None:
    found = evaluated(audit(0.92, 50), audit(0.7, 51), audit(0.6, 52))
    assert (found.rows[0].rank, found.beat_best, found.beat_top) == (1, 1, 1)
    assert (
        "the best of them would have been rank 1 of 11, 2.0 points above the best; 1 of 3 would have" in found.sentence
    )


def test_an_audit_among_the_first_but_not_the_best_is_reported() -> None:
    found = evaluated(audit(0.898, 50))
    assert (found.rows[0].rank, found.top, found.beat_top, found.beat_best) == (2, 3, 1, 0)
    assert found.sentence.startswith("1 pruned trial was trained to the end: it would have been rank 2 of 11")
    assert "1 of 1 would have been among the first 3, none the best" in found.sentence


def test_an_audit_equal_to_the_best_missed_nothing() -> None:
    found = evaluated(audit(0.9, 50))
    assert (found.rows[0].rank, found.beat_best) == (2, 0)
    assert "level with the best" in found.sentence


@pytest.mark.parametrize(
    ("hits", "draws", "share"),
    [
        (0, 1, 0.95),
        (0, 2, 1 - math.sqrt(0.05)),  # (1 - p) ** 2 is 0.05
        (1, 2, math.sqrt(0.95)),  # 1 - p ** 2 is 0.05
        (2, 2, 1.0),
    ],
)
def test_the_bound_is_clopper_and_pearsons(hits: int, draws: int, share: float) -> None:
    assert share_at_most(hits, draws) == pytest.approx(share)


def test_the_rule_of_three_is_near_for_many_draws() -> None:
    assert share_at_most(0, 300) == pytest.approx(3 / 300, rel=0.01)


def test_where_all_pruned_trials_were_audited_the_share_is_known() -> None:
    found = evaluated(audit(0.92, 50), audit(0.7, 51), records=FINISHED)
    assert (found.pruned, found.share_below) == (2, 0.5)
    assert found.sentence.endswith("No other trial was pruned.")


def test_an_audit_that_is_still_under_way_is_not_evaluated() -> None:
    found = evaluated(audit(0.892, 50), audit(0.99, 51, epochs=2))
    assert (len(found.rows), found.cut_short) == (1, 1)


def test_an_audit_that_diverged_has_come_to_its_end() -> None:
    found = evaluated(audit(0.99, 50, "diverged", epochs=2))
    assert (found.rows[0].accuracy, found.cut_short) == (0.5, 0)


def test_an_audited_trial_that_is_marked_finished_does_not_count_as_such() -> None:
    assert evaluated(audit(0.99, 50, "finished")).finished == 10


def test_without_an_audit_or_a_finished_trial_there_is_nothing_to_evaluate() -> None:
    under_way = audit(0.9, 50, epochs=2)
    assert evaluate_pruning(FINISHED + PRUNED, []) is None
    assert evaluate_pruning([audit(0.9, 50).record], [audit(0.9, 50)]) is None
    assert evaluate_pruning([*FINISHED, under_way.record], [under_way]) is None


def test_an_audit_ranks_by_the_metric_that_the_search_looked_at() -> None:
    def by_loss(record: TrialRecord, loss: float) -> TrialRecord:
        return replace(
            record, epochs=tuple(replace(at, metric="log_loss", validation_score=loss) for at in record.epochs)
        )

    finished = [by_loss(make_record((0.9,), seed=place), 0.3 + 0.1 * place) for place in range(3)]
    audited = AuditedTrial(by_loss(make_record((0.1,), "pruned", seed=9, audited_from=1), 0.35), 1)
    found = evaluate_pruning([*finished, audited.record], [audited])
    assert found is not None
    assert (found.rows[0].rank, found.metric, found.best) == (2, "log_loss", pytest.approx(math.exp(-0.3)))
