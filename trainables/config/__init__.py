"""The configuration of a trial as frozen pydantic models; the trial's id is a hash of them.

Start with `trial.TrialConfig`; each of its sections has a file. Each key is documented at its field. Imports no other package
of Caucus, and neither torch nor Ray.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.config.augment import AugmentConfig
    from trainables.config.conditions import Condition, condition_of
    from trainables.config.model import ModelConfig
    from trainables.config.preparation import PreparationConfig
    from trainables.config.training import AverageConfig, OptimizerConfig, ScheduleConfig
    from trainables.config.trial import TrialConfig

__all__ = [
    "AugmentConfig",
    "AverageConfig",
    "Condition",
    "ModelConfig",
    "OptimizerConfig",
    "PreparationConfig",
    "ScheduleConfig",
    "TrialConfig",
    "condition_of",
]

__getattr__ = lazy_names(
    __name__,
    {
        "augment": ("AugmentConfig",),
        "conditions": (
            "Condition",
            "condition_of",
        ),
        "model": ("ModelConfig",),
        "preparation": ("PreparationConfig",),
        "training": (
            "AverageConfig",
            "OptimizerConfig",
            "ScheduleConfig",
        ),
        "trial": ("TrialConfig",),
    },
)
