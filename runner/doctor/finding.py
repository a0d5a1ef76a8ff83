"""The findings and facts of `caucus doctor`."""

from __future__ import annotations

from dataclasses import asdict, dataclass


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
class Checkup:
    """The result of checking a machine, a cluster or a file."""

    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, object]:
        """The checkup as JSON."""
        return {
            "facts": [asdict(fact) for fact in self.facts],
            "findings": [asdict(finding) for finding in self.findings],
        }

    def lines(self) -> list[str]:
        """The checkup as lines of text: facts first, then findings."""
        good = [f"  ok  {fact}" for fact in self.facts]
        bad = [f"WRONG  {finding}" for finding in self.findings]
        return [*good, *bad, f"{len(self.findings)} thing(s) to correct" if bad else "nothing to correct"]
