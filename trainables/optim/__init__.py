"""Optimizers, learning rate schedules, losses, and the image weights of boosting (SAMME)."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.optim.loss import Loss
    from trainables.optim.optimizer import build_optimizer
    from trainables.optim.samme import evaluate_round
    from trainables.optim.schedule import learning_rate

__all__ = ["Loss", "build_optimizer", "evaluate_round", "learning_rate"]

__getattr__ = lazy_names(
    __name__,
    {
        "loss": ("Loss",),
        "optimizer": ("build_optimizer",),
        "samme": ("evaluate_round",),
        "schedule": ("learning_rate",),
    },
)
