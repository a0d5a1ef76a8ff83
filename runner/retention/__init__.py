"""Retention: finds and deletes checkpoints that no ensemble selection takes and no run needs to continue."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.retention.removal import Removal
    from runner.retention.retention import Retention, carry_out, plan_retention

__all__ = ["Removal", "Retention", "carry_out", "plan_retention"]

__getattr__ = lazy_names(
    __name__,
    {
        "removal": ("Removal",),
        "retention": (
            "Retention",
            "carry_out",
            "plan_retention",
        ),
    },
)
