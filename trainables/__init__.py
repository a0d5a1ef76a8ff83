"""A single trial: its configuration, images, net, training, checkpoints, and the store.

Start with `config` (the configuration of a trial), `training` (its epochs) and `store` (its storage).
The other two top packages build on this one; it imports neither. Torch is imported by the modules that train, not by this one.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.config.data import DataConfig
    from trainables.config.model import ModelConfig
    from trainables.config.trial import TrialConfig
    from trainables.data.images import ImageSet
    from trainables.datasets.load import load_images
    from trainables.errors import CaucusError
    from trainables.results.record import TrialRecord
    from trainables.store.base import Store
    from trainables.store.open import open_store
    from trainables.training.training import Training

__all__ = [
    "CaucusError",
    "DataConfig",
    "ImageSet",
    "ModelConfig",
    "Store",
    "Training",
    "TrialConfig",
    "TrialRecord",
    "load_images",
    "open_store",
]

__getattr__ = lazy_names(
    __name__,
    {
        "config.model": ("ModelConfig",),
        "config.trial": ("TrialConfig",),
        "data.images": ("ImageSet",),
        "config.data": ("DataConfig",),
        "datasets.load": ("load_images",),
        "errors": ("CaucusError",),
        "results.record": ("TrialRecord",),
        "store.base": ("Store",),
        "store.open": ("open_store",),
        "training.training": ("Training",),
    },
)
