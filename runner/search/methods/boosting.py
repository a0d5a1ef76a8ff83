"""Boosting: rounds, each a trial that concentrates on the errors of the round before.

A round's configuration names the last checkpoint of the round before, which holds the weights of the training images or,
with gradient boosting, the nets to which this round adds one. That trial's name is a hash of its own configuration, and
so on down to the first round. With `repeats` there are as many chains of rounds, which have other seeds and train side by
side.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from typing_extensions import override

from runner.config.rules import stage_scheduler
from runner.config.search import BoostingConfig
from runner.journal.events import Event
from runner.journal.state import RunState
from runner.search.base.decisions import RoundEnded
from runner.search.base.protocol import Decide, Over, Plan, Search, Step, Wait
from runner.search.base.stage_context import Progress, StageContext
from trainables.config.base import short_hash
from trainables.config.trial import BoostConfig, ParentConfig, TrialConfig
from trainables.errors import SweepFileError
from trainables.results.record import EpochResult, TrialRecord

"""The kind of decision: the result of a round, and whether another one follows."""


@dataclass
class Chain:
    """The rounds of one chain, in order."""

    number: int
    rounds: list[TrialConfig] = field(default_factory=list)
    evaluated: int = 0
    is_over: bool = False


class BoostingSearch(Search):
    """The rounds of each chain, one after the other, until there are enough, or until another one cannot improve.

    Raises `SweepFileError` if the sweep sets what rounds cannot have.
    """

    def __init__(self, scope: StageContext) -> None:
        _check(scope)
        self._scope = scope
        self._progress = Progress(scope.stage)
        self._chains = [Chain(number) for number in range(scope.method.repeats)]
        for chain in self._chains:
            self._extend(chain)

    @override
    def step(self, state: RunState) -> Step:
        """The next round of each chain whose last one has ended and is evaluated; before that, the decision on it."""
        due = [chain.rounds[-1] for chain in self._chains if not chain.is_over]
        left = tuple(trial for trial in due if trial.trial_id not in self._progress.planned)
        if left:
            return Plan(left, stage=self._scope.stage)
        for chain in self._chains:
            if not chain.is_over and self._progress.have_ended([chain.rounds[-1].trial_id]):
                return self._evaluate(chain, state)
        return Wait() if due else Over()

    @override
    def observe(self, event: Event) -> None:
        self._progress.observe(event)
        if found := RoundEnded.read(event, self._scope.stage):
            chain = self._chains[found.chain]
            chain.evaluated += 1
            chain.is_over = not found.goes_on
            if not chain.is_over:
                self._extend(chain)

    @override
    def wants(self, trial_id: str) -> bool:
        return True

    def _extend(self, chain: Chain) -> None:
        former = chain.rounds[-1] if chain.rounds else None
        named = {"search.seed": self._scope.spec.search.seed, "chain": chain.number, "round": len(chain.rounds) + 1}
        trial = self._scope.trial({"seed": int(short_hash(named, digits=8), 16)})
        parent = ParentConfig(trial_id=former.trial_id, epoch=self._scope.max_epochs) if former else None
        boosting = self._scope.method.boosting
        fields = {}
        if boosting.kind == "gradient" and parent:  # a first round is the same with any shrinkage
            fields = {"round": len(chain.rounds) + 1, "shrinkage": boosting.shrinkage}
        boost = BoostConfig.model_validate({"kind": boosting.kind, "former": parent, **fields})
        chain.rounds.append(trial.model_copy(update={"boost": boost}))

    def _evaluate(self, chain: Chain, state: RunState) -> Decide:
        trial, boosting = chain.rounds[-1], self._scope.method.boosting
        record = state.trials[trial.trial_id]
        last = _last(record, self._scope.max_epochs)
        votes, continues, reason = False, False, f"{record.state}, so none can follow it: {record.reason}"
        if last and boosting.kind == "gradient":
            before = [_last(state.trials[each.trial_id], self._scope.max_epochs) for each in chain.rounds[-2:-1]]
            votes, continues, reason = _describe_gradient(
                last, before[0] if before else None, len(chain.rounds), boosting
            )
        elif last:
            votes, continues, reason = _describe(last, len(chain.rounds), boosting.rounds)
        name = f"round {len(chain.rounds)}" + (f" of chain {chain.number + 1}" if len(self._chains) > 1 else "")
        decision = RoundEnded(
            chain=chain.number,
            round=len(chain.rounds),
            kind=trial.boost.kind,
            epoch=last.epoch if last else None,
            error=last.round_error if last else None,
            weight=last.round_weight if last else None,
            votes=votes,
            goes_on=continues,
        )
        return decision.record(f"{name}: {reason}", stage=self._scope.stage, trial_id=trial.trial_id)


def _describe(last: EpochResult, number: int, rounds: int) -> tuple[bool, bool, str]:
    """Whether a round that has ended votes, whether another one follows, and why."""
    continues = number < rounds
    if last.round_weight is None or last.round_error is None:  # a simulation makes up no weights
        return True, continues, f"{last.shown_merit} on validation"
    text = f"{last.round_error:.2%} of the weights are wrong, its vote weighs {last.round_weight:.3g}"
    if last.round_weight <= 0:
        alone = number == 1
        why = "no better than guessing" + (", but the only one" if alone else ", so it does not vote, and none follows")
        return alone, False, f"{text}: {why}"
    if last.round_error == 0:
        return True, False, f"{text}: it has every training image right, so there is nothing to do for another one"
    return True, continues, text if continues else f"{text}; it is the last one"


def _describe_gradient(
    last: EpochResult, former: EpochResult | None, number: int, boosting: BoostingConfig
) -> tuple[bool, bool, str]:
    """The same for gradient boosting; a round votes if the sum with it has a lower loss on validation."""
    continues = number < boosting.rounds
    text = f"{last.shown_merit} on validation"
    if last.round_weight is None:  # a simulation's losses know nothing of rounds
        return True, continues, text
    text += f", loss {last.validation_loss:.4g}"
    falls = former is None or last.validation_loss < former.validation_loss
    if former:
        text += f" after {former.validation_loss:.4g}"
    if not falls and boosting.stop_early:
        return False, False, f"{text}: it does not fall any more, so none follows"
    return falls, continues, text if continues else f"{text}; it is the last one"


def _last(record: TrialRecord, epoch: int) -> EpochResult | None:
    """The result of a round's last epoch; None if it did not reach it."""
    return next((at for at in reversed(record.epochs) if at.epoch == epoch and record.state == "finished"), None)


def _check(scope: StageContext) -> None:
    """Raise `SweepFileError` for keys that would separate the weights from their images."""
    search = f"search.stages.{scope.stage}" if scope.stage else "search"
    weighs = scope.method.boosting.kind == "samme"
    for key in ("augment.mixup", "augment.cutmix"):
        if scope.fixed(key) and weighs:
            raise SweepFileError(
                f"{key} is {scope.fixed(key)}, but {search}.method=boosting weighs single images: remove it"
            )
    if stage_scheduler(scope.spec, scope.stage).patience:
        raise SweepFileError(
            f"scheduler.patience would end a round before its last epoch, which {search}.method=boosting builds on: remove it"
        )
    if scope.fixed("bag.kind") != "none" and weighs:
        raise SweepFileError(
            f"bag.kind is {scope.fixed('bag.kind')}, but {search}.method=boosting weighs the same images in each round: "
            "remove bag"
        )
    if scope.spec.pseudo_labels:
        raise SweepFileError(
            f"pseudo_labels are asked for, but {search}.method=boosting has rounds of its own: remove them"
        )
