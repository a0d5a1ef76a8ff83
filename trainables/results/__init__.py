"""The results of a trial: records, checkpoints, predictions, layer statistics; and their names.

A checkpoint is written part by part, its manifest last: a checkpoint with a manifest is complete. Needs no torch.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.results.checkpoint import CheckpointId, read_predictions, write_checkpoint
    from trainables.results.predictions import Predictions
    from trainables.results.pruned_checkpoint import PrunedId
    from trainables.results.record import EpochResult, TrialCost, TrialRecord, rank
    from trainables.results.soup_id import SoupId

__all__ = [
    "CheckpointId",
    "EpochResult",
    "Predictions",
    "PrunedId",
    "SoupId",
    "TrialCost",
    "TrialRecord",
    "rank",
    "read_predictions",
    "write_checkpoint",
]

__getattr__ = lazy_names(
    __name__,
    {
        "checkpoint": (
            "CheckpointId",
            "read_predictions",
            "write_checkpoint",
        ),
        "predictions": ("Predictions",),
        "pruned_checkpoint": ("PrunedId",),
        "record": (
            "EpochResult",
            "TrialCost",
            "TrialRecord",
            "rank",
        ),
        "soup_id": ("SoupId",),
    },
)
