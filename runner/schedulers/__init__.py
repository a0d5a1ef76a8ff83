"""How long each trial trains. A scheduler is a fold over the epochs on record; one algorithm a file.

`base.Scheduler` is the protocol, `choose` goes from a sweep file to one.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.schedulers.asha import Asha
    from runner.schedulers.asha_promote import PromotingAsha
    from runner.schedulers.base import Scheduler, SchedulerDecision, Unpaused
    from runner.schedulers.choose import choose_scheduler
    from runner.schedulers.early_stopping import Patience
    from runner.schedulers.hyperband import HyperBand
    from runner.schedulers.median import MedianStopping

__all__ = [
    "Asha",
    "HyperBand",
    "MedianStopping",
    "Patience",
    "PromotingAsha",
    "Scheduler",
    "SchedulerDecision",
    "Unpaused",
    "choose_scheduler",
]

__getattr__ = lazy_names(
    __name__,
    {
        "asha": ("Asha",),
        "asha_promote": ("PromotingAsha",),
        "base": (
            "SchedulerDecision",
            "Scheduler",
            "Unpaused",
        ),
        "choose": ("choose_scheduler",),
        "early_stopping": ("Patience",),
        "hyperband": ("HyperBand",),
        "median": ("MedianStopping",),
    },
)
