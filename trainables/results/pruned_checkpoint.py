"""The name and the keys of a pruned checkpoint. Readers and votes treat it as any other checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from typing_extensions import override

from trainables.results.checkpoint import CheckpointId
from trainables.store import layout

PruneMethod = Literal["magnitude", "channel"]
METHODS: tuple[PruneMethod, ...] = get_args(PruneMethod)


@dataclass(frozen=True, order=True)
class PrunedId(CheckpointId):
    """The name of the checkpoint of a trial at `epoch`, pruned to `sparsity` and fine-tuned for `epochs`.

    >>> str(PrunedId("0f3a", 12, "magnitude", 0.9, 5))
    '0f3a@12-magnitude-0.9-5'
    """

    method: PruneMethod
    sparsity: float
    epochs: int

    def __str__(self) -> str:
        return f"{super().__str__()}-{self.method}-{self.sparsity!r}-{self.epochs}"

    @override
    def key(self, part: str) -> str:
        return layout.pruned_prefix(self.trial_id, self.epoch, self.method, self.sparsity, self.epochs) + part
