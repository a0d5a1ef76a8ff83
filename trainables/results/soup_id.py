"""The name and the keys of a soup. Readers and votes treat it as any other checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from typing_extensions import override

from trainables.results.checkpoint import CheckpointId
from trainables.store import layout
from trainables.store.base import sha256_of

SoupKind = Literal["uniform", "greedy"]
KINDS: tuple[SoupKind, ...] = get_args(SoupKind)
DIGEST_DIGITS = 12


@dataclass(frozen=True, order=True)
class SoupId(CheckpointId):
    """The name of a soup of checkpoints, stored with the trial of the best one; `epoch` is the newest of its candidates.

    >>> str(SoupId("0f3a", 12, "greedy", "9c1e"))
    '0f3a@12-greedy-soup-9c1e'
    """

    kind: SoupKind
    digest: str

    def __str__(self) -> str:
        return f"{super().__str__()}-{self.kind}-soup-{self.digest}"

    @override
    def key(self, part: str) -> str:
        return layout.soup_prefix(self.trial_id, self.kind, self.digest) + part


def name_soup(kind: SoupKind, ordered: Sequence[CheckpointId], metric: str) -> SoupId:
    """The name of the soup of these candidates, the best first; `metric` is the score of a greedy soup."""
    text = "\n".join([kind, metric if kind == "greedy" else "", *map(str, ordered)])
    newest = max(each.epoch for each in ordered)
    return SoupId(ordered[0].trial_id, newest, kind, sha256_of(text.encode())[:DIGEST_DIGITS])
