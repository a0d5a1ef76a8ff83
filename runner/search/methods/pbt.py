"""Population based training: values that change while a network trains (Jaderberg et al. 2017).

A population evolves in generations of `interval` epochs. At the end of each, the worst members continue from the
checkpoint of one of the best, with values that are perturbed or resampled. Such a segment is a trial of its own, whose
parent is that checkpoint. In the paper each member compares itself with the others when it reaches the interval; here a
generation ends when all of its segments have, so that the result does not depend on the order of arrival. Ray's own
`PopulationBasedTraining` needs Tune's checkpoints and pausing, draws from global generators, and loses its state when its
driver is killed, so it is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from typing_extensions import override

from runner.journal.events import Decided, Event, TrialEnded, TrialPlanned
from runner.journal.state import RunState
from runner.search.base.best import configuration_of
from runner.search.base.decisions import GenerationEnded, Move, ScheduleFound, ScheduleStep
from runner.search.base.protocol import Decide, Over, Plan, Search, Step, Wait
from runner.search.base.stage_context import StageContext
from runner.search.methods.random import PATIENCE
from runner.space.distribution import Distribution, Value, shorten
from trainables.config.base import short_hash
from trainables.config.trial import ParentConfig, TrialConfig
from trainables.errors import SweepFileError
from trainables.results.record import ENDED, EpochResult, TrialRecord

MAX_LISTED_MOVES = 3
"""More members than these that change their place are counted in a reason, not listed."""


@dataclass(frozen=True)
class Member:
    """One member of the population, with its lineage."""

    trial: TrialConfig
    """Its present segment, which continues for as many generations as the member survives."""
    values: Mapping[str, Value]
    first_epoch: int = 1
    """First epoch of the present segment."""
    steps: tuple[ScheduleStep, ...] = ()
    """The segments before, from epoch 1, each up to the epoch at which the next one branched off."""

    def lineage(self, last_epoch: int, accuracy: float) -> tuple[ScheduleStep, ...]:
        """All steps up to `last_epoch`, at which its merit on validation is `accuracy`."""
        present = ScheduleStep(
            first_epoch=self.first_epoch,
            last_epoch=last_epoch,
            trial_id=self.trial.trial_id,
            values=dict(self.values),
            accuracy=accuracy,
        )
        return (*self.steps, present)


class PBTSearch(Search):
    """The generations of a population, then the schedule of values of the best member.

    Raises `SweepFileError` if the sweep sets what a population cannot vary or have.
    """

    def __init__(self, scope: StageContext) -> None:
        _check(scope)
        self._scope = scope
        self._generation = 0
        self._members = _draw_members(scope)
        self._is_over = False
        self._begin()

    @override
    def step(self, state: RunState) -> Step:
        """The segments of this generation; once all have ended, what each member does next; at last the schedule."""
        if self._is_over:
            return Over()
        if self._left:
            return Plan(tuple(self._left.values()), max_epochs=self._last_epoch, stage=self._scope.stage)
        return Wait() if self._open else self._decide(state)

    @override
    def observe(self, event: Event) -> None:
        match event:
            case TrialPlanned(stage=self._scope.stage, max_epochs=self._last_epoch) if event.trial_id in self._left:
                del self._left[event.trial_id]
                self._open.add(event.trial_id)
            case TrialEnded() if event.state in ENDED:
                self._open.discard(event.trial_id)
            case Decided():
                if found := GenerationEnded.read(event, self._scope.stage):
                    self._follow(found.moves)
                elif ScheduleFound.read(event, self._scope.stage):
                    self._is_over = True

    @override
    def wants(self, trial_id: str) -> bool:
        return True

    @property
    def _last_epoch(self) -> int:
        """The last epoch of this generation."""
        return min((self._generation + 1) * self._scope.method.population.interval, self._scope.max_epochs)

    def _begin(self) -> None:
        self._left = {member.trial.trial_id: member.trial for member in self._members}
        self._open: set[str] = set()

    def _follow(self, moves: Sequence[Move]) -> None:
        """Apply the recorded decision about a generation."""
        self._is_over = not moves
        self._members = [self._next(move, moves) for move in moves]
        self._generation += 1
        self._begin()

    def _next(self, move: Move, moves: Sequence[Move]) -> Member:
        if move.donor is None:
            return self._members[move.member]
        donor, accuracy = self._members[move.donor], moves[move.donor].accuracy
        assert accuracy is not None  # only a member that came to the end is continued from
        parent = ParentConfig(trial_id=donor.trial.trial_id, epoch=self._last_epoch)
        named = {"generation": self._generation + 1, "member": move.member}
        trial = make_segment(self._scope, move.values, parent, named)
        return Member(trial, move.values, parent.epoch + 1, donor.lineage(parent.epoch, accuracy))

    def _decide(self, state: RunState) -> Decide:
        records = [state.trials[member.trial.trial_id] for member in self._members]
        results = [_result_at(record, self._last_epoch) for record in records]
        ranking = sorted(range(len(results)), key=lambda member: (_place(results[member]), member))
        best = results[ranking[0]]
        if best is None:
            reason = next((record.reason for record in records if record.reason), "none has finished")
            text = f"generation {self._generation}: no member came to epoch {self._last_epoch}, so none can go on: {reason}"
            return GenerationEnded(generation=self._generation, moves=()).record(text, stage=self._scope.stage)
        if self._last_epoch == self._scope.max_epochs:
            return self._choose(ranking[0], best)
        return self._move(ranking, records, results)

    def _choose(self, member: int, result: EpochResult) -> Decide:
        steps = self._members[member].lineage(result.epoch, result.merit)
        # What earlier stages froze belongs to the schedule: a replay of it has no such stages.
        whole = tuple(step.model_copy(update={"values": {**self._scope.base, **step.values}}) for step in steps)
        return ScheduleFound(steps=whole).record(
            f"member {member} is the best of {len(self._members)} with {result.shown_merit} after "
            f"{result.epoch} epochs: a schedule of {len(steps)} step(s)",
            stage=self._scope.stage,
            trial_id=self._members[member].trial.trial_id,
        )

    def _move(self, ranking: list[int], records: list[TrialRecord], results: list[EpochResult | None]) -> Decide:
        """Truncation selection: the worst share of the members continues from members of the best share."""
        few = max(1, int(self._scope.method.population.quantile * len(ranking) + 1e-9))
        alive = sum(result is not None for result in results)
        donors = ranking[: min(few, alive)]
        moves = [
            Move(member=member, trial_id=record.trial_id, accuracy=result.merit if result else None)
            for member, (record, result) in enumerate(zip(records, results, strict=True))
        ]
        changed = []
        for member in sorted(ranking[-max(few, len(ranking) - alive) :]):
            donor = donors[int(self._share(member, "donor") * len(donors))]
            values = explore(self._scope, self._members[donor].values, partial(self._share, member))
            moves[member] = moves[member].model_copy(update={"donor": donor, "values": values})
            names = [_name(one, records[one], results[one]) for one in (member, donor)]
            changes = _describe_changes(self._members[donor].values, values)
            changed.append(f"{names[0]} continues from {names[1]}: {changes}")
        if len(changed) > MAX_LISTED_MOVES:
            best = _name(ranking[0], records[ranking[0]], results[ranking[0]])
            changed = [
                f"{len(changed)} of {len(moves)} members continue from the best {len(donors)}, the first of which is {best}"
            ]
        reason = f"generation {self._generation}: {'; '.join(changed)}"
        return GenerationEnded(generation=self._generation, moves=tuple(moves)).record(reason, stage=self._scope.stage)

    def _share(self, member: int, what: str) -> float:
        return self._scope.share(member, f"generation {self._generation}/{what}")


def make_segment(
    scope: StageContext, values: Mapping[str, Value], parent: ParentConfig | None, named: Mapping[str, int]
) -> TrialConfig:
    """The trial with `values` that continues from `parent`. Its seed follows from all of these and from `named`."""
    identity = {
        "search.seed": scope.spec.search.seed,
        "values": dict(values),
        "parent": parent.model_dump(mode="json") if parent else None,
        **named,
    }
    trial = scope.trial({**values, "seed": int(short_hash(identity, digits=8), 16)})
    return trial.model_copy(update={"parent": parent})


def explore(scope: StageContext, values: Mapping[str, Value], share: Callable[[str], float]) -> dict[str, Value]:
    """`values`, each resampled with probability `resample`, else perturbed; `share` draws a number from 0 to 1 by name.

    A key that becomes active is drawn, one that becomes inactive is dropped.
    """
    population = scope.method.population
    explored: dict[str, Value] = {}
    for key, how in scope.space.items():
        if not scope.is_active(key, explored):
            continue
        if key not in values or share(f"{key}/resample") < population.resample:
            explored[key] = how.draw(share(f"{key}/draw"))
        else:
            explored[key] = move(how, values[key], population.factor, up=share(f"{key}/up") < 0.5)
    return explored


def move(how: Distribution, value: Value, factor: float, up: bool) -> Value:
    """A number times `factor`, or divided by it, inside the range; for a choice, the next one or the one before.

    A whole number moves by at least one. At the ends a choice turns back, and a number stays.
    """
    if how.kind == "choice":
        at = next(index for index, one in enumerate(how.values) if type(one) is type(value) and one == value)
        away = 1 if up else -1
        near = (at + away, at - away, at)
        return next(how.values[to] for to in near if 0 <= to < len(how.values))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number, so it cannot be moved")
    moved = value * factor if up else value / factor
    if how.kind == "int":
        whole = round(moved) if round(moved) != value else int(value) + (1 if up else -1)
        return min(max(whole, int(how.low)), int(how.high))
    return min(max(shorten(moved), shorten(how.low)), shorten(how.high))


def _check(scope: StageContext) -> None:
    """Raise `SweepFileError` for keys that cannot change along a chain of checkpoints."""
    search = f"search.stages.{scope.stage}" if scope.stage else "search"
    for key, how in scope.space.items():
        if why := _why_fixed(key):
            raise SweepFileError(
                f"{search}.space.{key} cannot change along a chain of checkpoints: {why}; take it out of the space"
            )
        if how.kind == "range_test":
            raise SweepFileError(
                f"{search}.space.{key}: a population needs fixed bounds, a range test finds others for each model; "
                "write {log: [low, high]}"
            )
    if scope.method.repeats > 1:
        raise SweepFileError(
            f"{search}.repeats is {scope.method.repeats}, but the members of a population are compared one by one: "
            "remove it, and replay the schedule found with search.method=replay and repeats"
        )
    if scope.spec.search.warm_start and scope.stage == scope.spec.search.parts[0][0]:
        raise SweepFileError(
            f"search.warm_start is {scope.spec.search.warm_start.run}, but the points it brings would train beside the "
            "population, not in it: remove it"
        )


def _why_fixed(key: str) -> str:
    if key.startswith("model.") and key != "model.dropout":
        return "the weights of the parent would not fit"
    if key == "optimizer.name":
        return "the momenta of the parent would not fit"
    return "each segment has a seed of its own" if key == "seed" else ""


def _draw_members(scope: StageContext) -> list[Member]:
    """As many members as configured, with different values; if the space has too few, values repeat with other seeds."""
    size = scope.method.population.size
    found: dict[str, dict[str, Value]] = {}
    index = newest = 0
    while len(found) < size and index - newest <= PATIENCE + len(found):
        values = scope.draw(index)
        name = configuration_of(scope.trial(values))
        newest = newest if name in found else index
        found.setdefault(name, values)
        index += 1
    drawn = list(found.values())
    return [
        Member(scope.trial(drawn[number % len(drawn)], repeat=number // len(drawn)), drawn[number % len(drawn)])
        for number in range(size)
    ]


def _result_at(record: TrialRecord, epoch: int) -> EpochResult | None:
    """The result of a trial at the end of its segment; None if it did not reach it."""
    return next((at for at in reversed(record.epochs) if at.epoch == epoch and record.state == "finished"), None)


def _place(result: EpochResult | None) -> tuple[float, float]:
    return (-result.merit, result.validation_loss) if result else (1.0, 0.0)


def _name(member: int, record: TrialRecord, result: EpochResult | None) -> str:
    return f"member {member} ({result.shown_merit if result else record.state})"


def _describe_changes(before: Mapping[str, Value], after: Mapping[str, Value]) -> str:
    """The differences as text, such as `optimizer.lr 0.03 -> 0.036`."""
    changes = [
        f"{key} {before.get(key, 'unused')} -> {after.get(key, 'unused')}"
        for key in dict.fromkeys([*before, *after])
        if key not in before or key not in after or before[key] != after[key]
    ]
    return ", ".join(changes) or "as it is"
