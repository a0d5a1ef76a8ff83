"""One trial: its net, its optimizer, its epochs, and its checkpoints.

`training.Training` is plain PyTorch in memory; `trial.Trial` continues it from the checkpoints in the store;
`ray_trainable.TuneTrial` is the only use of Ray. `monitor`, `average`, `precision` and `memory` are parts of an epoch.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.training.average import Average
    from trainables.training.lr_range_test import range_test
    from trainables.training.monitor import TrainingMonitor
    from trainables.training.predict import predict_images
    from trainables.training.ray_trainable import TuneTrial
    from trainables.training.training import Evaluation, Training
    from trainables.training.trial import Trial

__all__ = ["Average", "Evaluation", "Training", "TrainingMonitor", "Trial", "TuneTrial", "predict_images", "range_test"]

__getattr__ = lazy_names(
    __name__,
    {
        "average": ("Average",),
        "lr_range_test": ("range_test",),
        "monitor": ("TrainingMonitor",),
        "predict": ("predict_images",),
        "ray_trainable": ("TuneTrial",),
        "training": (
            "Evaluation",
            "Training",
        ),
        "trial": ("Trial",),
    },
)
