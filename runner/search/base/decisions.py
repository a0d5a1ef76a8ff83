"""What searches decide: one frozen class for each kind of decision, with its inverse.

A search makes a `Decide` of one with `record`, and finds it again in an event of the journal with `read`. The JSON of a decision is its
fields. A plug-in may put plain JSON into a `Decide` instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from runner.config.pseudo_labels import PSEUDO
from runner.journal.events import Decided, Event
from runner.search.base.protocol import Decide
from runner.space.distribution import Value
from trainables.errors import DamagedObject
from trainables.results.record import TrialState

Values = dict[str, Value]
"""Dotted keys of a trial with their values."""


class Record(BaseModel):
    """A part of a decision. Keys that this version does not know are left out when one is read."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, populate_by_name=True)


class Decision(Record):
    """Base of all decisions. `WHAT` is its kind in the journal."""

    WHAT: ClassVar[str]

    def record(self, reason: str, *, stage: str = "", trial_id: str | None = None) -> Decide:
        """The step that records it. `reason` is a sentence for the report."""
        return Decide(self.WHAT, reason, self.to_values(), trial_id, stage)

    @classmethod
    def read(cls, event: Event, stage: str | None = None) -> Self | None:
        """The decision in `event`; None where that is another kind of event, or of another stage (None: of any).

        Raises `DamagedObject` where the record lacks a field.
        """
        if not isinstance(event, Decided) or event.what != cls.WHAT or stage not in (None, event.stage):
            return None
        try:
            return cls.from_values(event.values)
        except ValidationError as error:
            problem = error.errors()[0]
            place = ".".join(map(str, problem["loc"]))
            raise DamagedObject(
                f"the decision {cls.WHAT!r} in the journal is not readable ({place}: {problem['msg']}): take another --run-id"
            ) from None

    def to_values(self) -> dict[str, Any]:
        """Its fields as plain JSON; those that were not given are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_values`. Raises `pydantic.ValidationError`."""
        return cls.model_validate(dict(values))


class StageChosen(Decision):
    """The configuration of a stage's best trial, from which the next stage begins."""

    WHAT = "stage"

    values: Values

    def to_values(self) -> dict[str, Any]:
        """The dotted keys themselves."""
        return dict(self.values)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_values`."""
        return cls(values=dict(values))


Side = Literal["below", "above"]


class BorderReached(Decision):
    """The best point of a mesh lies on a border: whether that grows."""

    WHAT = "border"

    key: str
    side: Side
    grows: bool


class Move(Record):
    """What a member of a population does next: it stays, or it continues from the checkpoint of `donor` with other `values`."""

    member: int
    trial_id: str
    """Its segment in the generation that has ended."""
    accuracy: float | None
    """Merit on validation (the accuracy, or see `EpochResult.merit`) at the end of that; None if it did not get there."""
    donor: Annotated[int | None, Field(alias="from")] = None
    values: Values = Field(default_factory=dict)


class GenerationEnded(Decision):
    """The moves of all members, in their order; none where no member came to the end."""

    WHAT = "generation"

    generation: int
    moves: Annotated[tuple[Move, ...], Field(strict=False)]


class ScheduleStep(Record):
    """One step of a schedule of values."""

    first_epoch: int
    last_epoch: int
    trial_id: str
    values: Values
    accuracy: float
    """Merit on validation at its last epoch: the accuracy, or see `EpochResult.merit`."""


Steps = Annotated[tuple[ScheduleStep, ...], Field(strict=False, min_length=1)]


class ScheduleFound(Decision):
    """The schedule of a population's best member."""

    WHAT = "schedule"

    steps: Steps


class ReplayBegun(Decision):
    """The schedule that a replay trains."""

    WHAT = "replay"

    steps: Steps


class RoundEnded(Decision):
    """A round of boosting: whether it votes, and whether another one follows."""

    WHAT = "round"

    chain: int
    round: int
    kind: str
    epoch: int | None
    """Its last epoch; None if it did not come to the end."""
    error: float | None
    weight: float | None
    votes: bool
    goes_on: bool


class StepEnded(Decision):
    """A step of a capacity ladder: whether it pays. Accuracies are shares of 1."""

    WHAT = "step"

    step: int
    """Counted from 1."""
    pays: bool
    parameters: int | None
    accuracy: float | None
    gained: float | None
    needed: float
    noise: float | None


class LadderEnded(Decision):
    """Where a capacity ladder ends."""

    WHAT = "ladder"

    step: int
    """The last one that paid, counted from 1."""
    accuracy: float | None
    values: Values


class FormerResult(Record):
    """A trial of a former run, for the model of a search."""

    trial_id: str
    values: Values
    accuracies: Annotated[tuple[Annotated[tuple[int, float], Field(strict=False)], ...], Field(strict=False)]
    """Epochs with their validation accuracies."""
    state: TrialState


class WarmStarted(Decision):
    """What a search begins with from a former run."""

    WHAT = "warm-start"

    points: Annotated[tuple[Values, ...], Field(strict=False)]
    """Its best points, the best first."""
    results: Annotated[tuple[FormerResult, ...], Field(strict=False)] = ()

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_values`; `results` was called `told` until 2026-11."""
        return super().from_values({"results": values.get("told", ()), **values})


class Retrained(Record):
    """A trial that is trained again with pseudo-labels."""

    trial_id: str
    max_epochs: int


Checkpoint = Annotated[tuple[str, int], Field(strict=False)]
"""Trial and epoch."""


class PseudoLabelled(Decision):
    """A second stage: the table of pseudo-labels and the trials that train with it; `table` is "" where there is none."""

    WHAT = PSEUDO

    table: str
    candidates: int
    """Trials of the first stage when its team labelled."""
    trials: Annotated[tuple[Retrained, ...], Field(strict=False)]
    labelling: dict[str, Any] | None
    """Counts of the labels, as `ensembles.pseudo_labels.labelling.Labelling` writes them."""
    members: Annotated[tuple[Checkpoint, ...], Field(strict=False)] = ()
    """The team that labelled."""
    weights: Annotated[tuple[float, ...], Field(strict=False)] = ()
    best: Checkpoint | None = None
    """The best single checkpoint of the first stage."""
