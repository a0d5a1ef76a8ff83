"""The name of a soup, and where it lies. It reads and votes as any other checkpoint does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from trainables.results.checkpoint import CheckpointId
from trainables.store import layout
from trainables.store.base import sha256_of

SoupKind = Literal["uniform", "greedy"]
KINDS: tuple[SoupKind, ...] = get_args(SoupKind)
DIGEST_DIGITS = 12


@dataclass(frozen=True, order=True)
class SoupId(CheckpointId):
    """Names a soup of checkpoints that lies with the trial of the best of them; `epoch` is the newest that it may hold.

    >>> str(SoupId("0f3a", 12, "greedy", "9c1e"))
    '0f3a@12-greedy-soup-9c1e'
    """

    kind: SoupKind
    digest: str

    def __str__(self) -> str:
        return f"{super().__str__()}-{self.kind}-soup-{self.digest}"

    def key(self, part: str) -> str:
        """Key of one part in the store."""
        return layout.soup_prefix(self.trial_id, self.kind, self.digest) + part


def name_soup(kind: SoupKind, ordered: Sequence[CheckpointId], metric: str) -> SoupId:
    """The soup of these candidates, the best first; `metric` is what greedy looks at, and uniform does not."""
    text = "\n".join([kind, metric if kind == "greedy" else "", *map(str, ordered)])
    newest = max(each.epoch for each in ordered)
    return SoupId(ordered[0].trial_id, newest, kind, sha256_of(text.encode())[:DIGEST_DIGITS])
