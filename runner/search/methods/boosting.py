"""Boosting: rounds, each a trial that is shown what the round before had wrong.

A round's configuration names the checkpoint that the round before ended with, which holds the weights of the training
images, or of gradient boosting the nets that it adds one to; that trial's name is a hash of its own configuration, and so on down to the first round. With `repeats` there are as
many chains of rounds, which have other seeds and train side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from runner.config.search import BoostingConfig
from runner.config.sweep import stage_scheduler
from runner.journal.events import Decided, Event
from runner.journal.state import RunState
from runner.search.base.protocol import Decide, Over, Plan, Step, Wait
from runner.search.base.stage_context import Progress, StageContext
from trainables.config.base import short_hash
from trainables.config.trial import BoostConfig, ParentConfig, TrialConfig
from trainables.errors import SweepFileError
from trainables.results.record import EpochResult, TrialRecord

ROUND = "round"
"""The kind of decision: what a round came to, and whether another one follows."""


@dataclass
class Chain:
    """The rounds of one chain, in order."""

    number: int
    rounds: list[TrialConfig] = field(default_factory=list)
    judged: int = 0
    is_over: bool = False


class BoostingSearch:
    """The rounds of each chain, one after the other, until there are enough, or one leaves nothing to do for another.

    Raises `SweepFileError` where the sweep asks for what rounds cannot have.
    """

    def __init__(self, scope: StageContext) -> None:
        _check(scope)
        self._scope = scope
        self._progress = Progress(scope.stage)
        self._chains = [Chain(number) for number in range(scope.method.repeats)]
        for chain in self._chains:
            self._extend(chain)

    def step(self, state: RunState) -> Step:
        """The next round of each chain whose last one has ended and is judged; before that, the judgement."""
        due = [chain.rounds[-1] for chain in self._chains if not chain.is_over]
        left = tuple(trial for trial in due if trial.trial_id not in self._progress.planned)
        if left:
            return Plan(left, stage=self._scope.stage)
        for chain in self._chains:
            if not chain.is_over and self._progress.have_ended([chain.rounds[-1].trial_id]):
                return self._judge(chain, state)
        return Wait() if due else Over()

    def observe(self, event: Event) -> None:
        """Take an event into account."""
        self._progress.observe(event)
        if isinstance(event, Decided) and event.what == ROUND and event.stage == self._scope.stage:
            chain = self._chains[event.values["chain"]]
            chain.judged += 1
            chain.is_over = not event.values["goes_on"]
            if not chain.is_over:
                self._extend(chain)

    def wants(self, trial_id: str) -> bool:
        """All that is on record."""
        return True

    def _extend(self, chain: Chain) -> None:
        former = chain.rounds[-1] if chain.rounds else None
        named = {"search.seed": self._scope.spec.search.seed, "chain": chain.number, "round": len(chain.rounds) + 1}
        trial = self._scope.trial({"seed": int(short_hash(named, digits=8), 16)})
        parent = ParentConfig(trial_id=former.trial_id, epoch=self._scope.max_epochs) if former else None
        wanted = self._scope.method.boosting
        own = {}
        if wanted.kind == "gradient" and parent:  # a first round is the same with any shrinkage
            own = {"round": len(chain.rounds) + 1, "shrinkage": wanted.shrinkage}
        boost = BoostConfig.model_validate({"kind": wanted.kind, "former": parent, **own})
        chain.rounds.append(trial.model_copy(update={"boost": boost}))

    def _judge(self, chain: Chain, state: RunState) -> Decide:
        trial, wanted = chain.rounds[-1], self._scope.method.boosting
        record = state.trials[trial.trial_id]
        last = _last(record, self._scope.max_epochs)
        votes, goes_on, told = False, False, f"{record.state}, so none can follow it: {record.reason}"
        if last and wanted.kind == "gradient":
            before = [_last(state.trials[each.trial_id], self._scope.max_epochs) for each in chain.rounds[-2:-1]]
            votes, goes_on, told = _describe_gradient(last, before[0] if before else None, len(chain.rounds), wanted)
        elif last:
            votes, goes_on, told = _describe(last, len(chain.rounds), wanted.rounds)
        name = f"round {len(chain.rounds)}" + (f" of chain {chain.number + 1}" if len(self._chains) > 1 else "")
        values = {
            "chain": chain.number,
            "round": len(chain.rounds),
            "kind": trial.boost.kind,
            "epoch": last.epoch if last else None,
            "error": last.round_error if last else None,
            "weight": last.round_weight if last else None,
            "votes": votes,
            "goes_on": goes_on,
        }
        return Decide(ROUND, f"{name}: {told}", values, trial_id=trial.trial_id, stage=self._scope.stage)


def _describe(last: EpochResult, number: int, wanted: int) -> tuple[bool, bool, str]:
    """Whether a round that came to its end votes, whether another one follows, and why."""
    goes_on = number < wanted
    if last.round_weight is None or last.round_error is None:  # a rehearsal makes up no weights
        return True, goes_on, f"{last.validation_accuracy:.2%} on validation"
    told = f"{last.round_error:.2%} of the weights are wrong, its vote weighs {last.round_weight:.3g}"
    if last.round_weight <= 0:
        alone = number == 1
        why = "no better than guessing" + (", but the only one" if alone else ", so it does not vote, and none follows")
        return alone, False, f"{told}: {why}"
    if last.round_error == 0:
        return True, False, f"{told}: it has every training image right, so there is nothing to do for another one"
    return True, goes_on, told if goes_on else f"{told}; it is the last one"


def _describe_gradient(
    last: EpochResult, former: EpochResult | None, number: int, wanted: BoostingConfig
) -> tuple[bool, bool, str]:
    """The same of gradient boosting; a round has a vote where the sum is better with it, by the loss on validation."""
    goes_on = number < wanted.rounds
    told = f"{last.validation_accuracy:.2%} on validation"
    if last.round_weight is None:  # a rehearsal's losses know nothing of rounds
        return True, goes_on, told
    told += f", loss {last.validation_loss:.4g}"
    falls = former is None or last.validation_loss < former.validation_loss
    if former:
        told += f" after {former.validation_loss:.4g}"
    if not falls and wanted.stop_early:
        return False, False, f"{told}: it does not fall any more, so none follows"
    return falls, goes_on, told if goes_on else f"{told}; it is the last one"


def _last(record: TrialRecord, epoch: int) -> EpochResult | None:
    """What a round measured at its end; None where it did not come so far."""
    return next((at for at in reversed(record.epochs) if at.epoch == epoch and record.state == "finished"), None)


def _check(scope: StageContext) -> None:
    """Raise `SweepFileError` for what would part the weights from their images."""
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
