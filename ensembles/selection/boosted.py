"""The rounds of boosting as a team: each votes with the weight that it earned on the training images.

A round of gradient boosting is the sum of all rounds up to it, so of such a chain one round votes alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ensembles.config import EnsembleConfig
from ensembles.metrics.scores import cost_of, measure
from ensembles.pool.pool import PredictionPool
from ensembles.selection.ranking import weigh
from ensembles.team import Team
from trainables.errors import SweepFileError
from trainables.results.checkpoint import CheckpointId
from trainables.results.record import TrialRecord


def select_boosted(pool: PredictionPool, config: EnsembleConfig) -> Team:
    """The rounds of `config.rounds`, in their order, as far as they are in `pool`; then the best by `config.metric` of each of
    `config.chains`, of equals the earliest, with a weight of 1.

    Only the latter are selected on validation. Raises `SweepFileError` if there are no rounds.
    """
    positions = {str(member): position for position, member in enumerate(pool.members)}
    found = [(positions[name], weight) for name, weight in config.rounds if name in positions]
    for chain in config.chains:
        if there := [positions[name] for name in chain if name in positions]:
            found.append((min(there, key=lambda position: _cost(pool, config, position)), 1.0))
    if not found:
        raise SweepFileError(
            "ensemble.select is boosted, but no round of boosting can vote: train them with search.method=boosting, or "
            "choose otherwise, such as ensemble.select=greedy"
        )
    return weigh(pool, config, *zip(*found, strict=True))


def with_rounds(config: EnsembleConfig, records: Iterable[TrialRecord]) -> EnsembleConfig:
    """`config` with the rounds among `records`, if it selects `boosted` and does not name them itself."""
    if config.select != "boosted" or config.rounds or config.chains:
        return config
    trials = tuple(records)
    return config.model_copy(update={"rounds": tuple(find_rounds(trials)), "chains": tuple(find_chains(trials))})


def find_rounds(records: Iterable[TrialRecord]) -> Iterator[tuple[str, float]]:
    """The last checkpoint of each round of SAMME, and its weight, chain by chain, each in its order.

    A round that is no better than guessing has no vote, unless it is the first and only one of its chain (Zhu et al. 2009).
    """
    for chain in _chains(records, "samme"):
        for number, (name, weight) in enumerate(map(_name_and_weight, chain)):
            if weight > 0:
                yield name, weight
            elif number == 0:
                yield name, 1.0


def find_chains(records: Iterable[TrialRecord]) -> Iterator[tuple[str, ...]]:
    """The last checkpoints of the rounds of each chain of gradient boosting, in their order."""
    for chain in _chains(records, "gradient"):
        yield tuple(_name_and_weight(record)[0] for record in chain)


def _chains(records: Iterable[TrialRecord], kind: str) -> Iterator[list[TrialRecord]]:
    """The finished rounds of each chain, in order."""
    by_former: dict[str, list[TrialRecord]] = {}
    for record in records:
        boost = record.config.boost
        if boost.kind == kind and record.state == "finished" and record.epochs:
            by_former.setdefault(str(boost.former or ""), []).append(record)
    for first in by_former.pop("", []):
        chain = [first]
        while followers := by_former.get(_name_and_weight(chain[-1])[0]):
            chain.append(followers.pop(0))
        yield chain


def _cost(pool: PredictionPool, config: EnsembleConfig, position: int) -> float:
    return cost_of(config.metric, measure(config.metric, pool.probabilities[position], pool.labels))


def _name_and_weight(record: TrialRecord) -> tuple[str, float]:
    last = record.epochs[-1]
    return str(CheckpointId(record.trial_id, last.epoch)), last.round_weight or 0.0
