"""The summary of a night and its comparison with the last accepted one: `night.json` of its run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from ensembles.nights.compare import NightComparison
from trainables.errors import DamagedObject
from trainables.metric import Metric, merit_of, name_metric, show_score
from trainables.store.json_records import seal_json, to_json

NightVerdict = Literal["accepted", "no worse", "worse", "partial", "failed"]
"""accepted: better beyond doubt than the last accepted night, or there is none to compare with; no worse: these images cannot
distinguish the two; partial: cut short, the same night continues when it is started again; failed: nothing to vote."""

DECIDED: tuple[NightVerdict, ...] = ("accepted", "no worse", "worse")

CauseKind = Literal["trials", "labels", "configuration", "images", "custom code", "code", "versions"]
CAUSES: tuple[CauseKind, ...] = ("trials", "labels", "configuration", "images", "custom code", "code", "versions")
"""What can make a night worse, the likeliest first. A rule of thumb: trials that did not end well are missing from the vote;
labels and configuration decide every number; more or other images a little; code is tested before it is used, and versions of
packages are tested by others."""


@dataclass(frozen=True)
class Cause:
    """One thing that has changed since the night before."""

    kind: CauseKind
    description: str
    """What changed, from what to what."""


@dataclass(frozen=True)
class NightMember:
    """A checkpoint that votes."""

    trial_id: str
    epoch: int
    weight: float
    settings: str
    """Its trial's values of the keys that the search varies: `optimizer.lr=0.012 model.width=16`."""


@dataclass(frozen=True)
class MembersChange:
    """Members of the team now and then; two members are the same if trial and epoch are."""

    stayed: tuple[NightMember, ...]
    joined: tuple[NightMember, ...]
    left: tuple[NightMember, ...]


@dataclass(frozen=True)
class NightFacts:
    """Everything beside its sweep file that determines a night's numbers."""

    data_id: str
    caucus: str
    commit: str | None
    """Commit of the checkout that the driver ran from, with a `+` if files differ from it; None if it is no checkout."""
    code: str
    """Hash of the sources of the packages."""
    custom_code: Mapping[str, str]
    """Hash of each file or folder with user-defined models."""
    versions: Mapping[str, str]
    """Versions of the packages that Caucus needs, and of Python."""


@dataclass(frozen=True)
class NightSummary:
    """The whole record of a night. Accuracies are shares of 1, of the team's vote."""

    run: str
    """`<name>/<run>`."""
    number: int
    """Number that rises from night to night of a sweep, independently of dates and clocks."""
    decided_unix_s: float
    verdict: NightVerdict
    sentence: str
    facts: NightFacts
    against: str | None = None
    """The accepted night that it was compared with."""
    warm_start: str = ""
    """What the search started from, or why it started from nothing."""
    test_accuracy: float | None = None
    test_images: int = 0
    validation_accuracy: float | None = None
    team: tuple[NightMember, ...] = ()
    answers_sha256: str = ""
    """Hash of the answers on test: the same answers are not evaluated twice."""
    comparison: NightComparison | None = None
    members: MembersChange | None = None
    causes: tuple[Cause, ...] = ()
    """What has changed since `against`, the likeliest cause first."""
    unchanged: tuple[str, ...] = ()
    """What has not changed since `against`."""
    notes: tuple[str, ...] = field(default=())
    metric: Metric | None = None
    """What the sweep asks for; None where that is accuracy."""
    test_score: float | None = None
    """The team's vote by that metric on test."""
    validation_score: float | None = None
    dropped: bool = False
    """Whether its checkpoints were deleted by `keep`, except those that another run has, too."""

    @property
    def merit(self) -> float:
        """How good its vote was on validation, higher is better: see `merit_of`; the accuracy where no other metric is asked for."""
        if self.metric is None or self.validation_score is None:
            return self.validation_accuracy or 0.0
        return merit_of(self.metric, self.validation_score)

    @property
    def shown_score(self) -> str:
        """Its score on test by the metric that the sweep asks for; "" where that is accuracy."""
        if self.metric is None or self.test_score is None:
            return ""
        return f"{name_metric(self.metric)} {show_score(self.metric, self.test_score)}"

    @property
    def accepted(self) -> bool:
        """Whether later nights are compared with this one."""
        return self.verdict == "accepted"

    @property
    def is_decided(self) -> bool:
        """Whether it was completed and evaluated."""
        return self.verdict in DECIDED

    def to_dict(self) -> dict[str, Any]:
        """As one JSON object."""
        return {**asdict(self), "accepted": self.accepted}


_READER = TypeAdapter(NightSummary)


def write_summary(summary: NightSummary) -> bytes:
    """The bytes of `night.json`."""
    return seal_json(summary.to_dict())


def read_summary(payload: Mapping[str, Any]) -> NightSummary:
    """The inverse of `NightSummary.to_dict`; also reads records with former names. Raises `DamagedObject`."""
    try:
        # As JSON, where a list may be a tuple and no number is NaN.
        return _READER.validate_json(to_json(_rename_former(payload)), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
    except ValueError as error:
        why = str(error)
    raise DamagedObject(f"the record of a night cannot be read ({why}): delete it and start that night again")


def _rename_former(payload: Mapping[str, Any]) -> dict[str, Any]:
    """`payload` under today's names. Until 2026-11 custom code was `own code`, and the description of a cause `told`."""
    renamed = dict(payload)
    facts, causes = renamed.get("facts"), renamed.get("causes")
    if isinstance(facts, Mapping) and "own_code" in facts:
        renamed["facts"] = {"custom_code" if key == "own_code" else key: value for key, value in facts.items()}
    if isinstance(causes, list) and all(isinstance(cause, Mapping) for cause in causes):
        renamed["causes"] = [
            {
                "description" if key == "told" else key: "custom code"
                if (key, value) == ("kind", "own code")
                else value
                for key, value in cause.items()
            }
            for cause in causes
        ]
    return renamed


def compare_teams(now: tuple[NightMember, ...], before: tuple[NightMember, ...]) -> MembersChange:
    """Members that stayed, joined and left, each in the order of its team."""
    then = {(member.trial_id, member.epoch) for member in before}
    here = {(member.trial_id, member.epoch) for member in now}
    return MembersChange(
        stayed=tuple(member for member in now if (member.trial_id, member.epoch) in then),
        joined=tuple(member for member in now if (member.trial_id, member.epoch) not in then),
        left=tuple(member for member in before if (member.trial_id, member.epoch) not in here),
    )
