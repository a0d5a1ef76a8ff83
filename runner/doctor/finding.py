"""The findings and facts of `caucus doctor`."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass

from trainables.data.finding import LEAVE_OUT, DataFinding


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    where: str
    """A key path such as `available_node_types.g5.node_config`, or a part of this machine."""
    what: str
    """What is wrong there."""
    rule: str = ""
    """The rule that is broken; "" if `what` says it all."""
    advice: str = ""
    """What to do; "" if `what` says it all."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" + (f". {self.rule}: {self.advice}" if self.rule else "")


@dataclass(frozen=True)
class Fact:
    """Something that was checked and is right."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class DataCheckup:
    """What a set of images holds, and what was found in it."""

    images: int
    classes: dict[str, int]
    """Number of images by class."""
    data_id: str
    findings: tuple[DataFinding, ...]
    left_out: tuple[str, ...] = ()
    """Ids that the sweep's `data.leave_out` leaves out already."""

    def to_dict(self) -> dict[str, object]:
        """For JSON, without the findings."""
        return {"images": self.images, "classes": self.classes, "data_id": self.data_id}

    def list_to_leave_out(self) -> str:
        """A text for `data.leave_out`: the ids that are left out already, then those that findings name, each once with its reason."""
        reasons = dict.fromkeys(self.left_out, "left out before")
        for found in self.findings:
            for image_id in found.leave_out:
                reasons.setdefault(image_id, found.kind)
        return "".join(f"{image_id}\t{reason}\n" for image_id, reason in reasons.items())


@dataclass(frozen=True)
class Checkup:
    """The result of checking a machine, a cluster or a file."""

    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]
    data: DataCheckup | None = None
    """What was found in the images, where there are any."""

    @property
    def is_wrong(self) -> bool:
        """Whether anything has to be corrected; what a person should only look at does not count."""
        return bool(self.findings) or any(found.is_wrong for found in self._in_data)

    @property
    def _in_data(self) -> tuple[DataFinding, ...]:
        return self.data.findings if self.data else ()

    def to_dict(self) -> dict[str, object]:
        """The checkup as JSON. A finding in the data has the keys of both kinds, so that who reads one reads the other."""
        in_data = [
            {"where": "data", "what": found.detail, "rule": "", "advice": found.patch, **found.to_dict()}
            for found in self._in_data
        ]
        return {
            **(self.data.to_dict() if self.data else {}),
            "facts": [asdict(fact) for fact in self.facts],
            "findings": [*(asdict(finding) for finding in self.findings), *in_data],
        }

    def lines(self) -> list[str]:
        """The checkup as lines of text: facts first, then what should be looked at, then what is wrong."""
        good = [f"  ok  {fact}" for fact in self.facts]
        bad = [f"WRONG  {finding}" for finding in self.findings]
        bad += [f"WRONG  data: {_sentence(found)}" for found in self._in_data if found.is_wrong]
        look = [f" LOOK  data: {_sentence(found)}" for found in self._in_data if not found.is_wrong]
        ended = f"{len(bad)} thing(s) to correct" if bad else "nothing to correct"
        return [*good, *look, *bad, f"{ended}, {len(look)} to look at" if look else ended]


def _sentence(found: DataFinding) -> str:
    """What was found, and what to type."""
    if not found.patch:
        return found.detail
    if found.patch == LEAVE_OUT:
        return f"{found.detail}. {LEAVE_OUT} leaves out {len(found.leave_out):,}: --out FILE lists them"
    return f"{found.detail}. {shlex.quote(found.patch)} mends it"
