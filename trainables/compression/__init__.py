"""Smaller nets from trained ones: pruning by weight or by channel, and soups of several epochs.

Each is a function from checkpoints in a store to a new checkpoint, which readers and votes treat as any other.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.compression.prune import PruningTask, prune_checkpoint
    from trainables.compression.pruned_size import PrunedSize
    from trainables.compression.soup import Soup, make_soup

__all__ = ["PrunedSize", "PruningTask", "Soup", "make_soup", "prune_checkpoint"]

__getattr__ = lazy_names(
    __name__,
    {
        "prune": (
            "PruningTask",
            "prune_checkpoint",
        ),
        "pruned_size": ("PrunedSize",),
        "soup": (
            "Soup",
            "make_soup",
        ),
    },
)
