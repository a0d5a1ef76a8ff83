"""What one trial is made of: images, nets, training, checkpoints, and the store that they lie in.

Start with `config` (what decides a trial), `training` (how it is carried out) and `store` (where it is kept).
The other two top packages build on this one; it imports neither. Torch is loaded by what trains, not by this face.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.config.model import ModelConfig
    from trainables.config.trial import TrialConfig
    from trainables.data.images import ImageSet
    from trainables.datasets.config import DataConfig
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
        "datasets.config": ("DataConfig",),
        "datasets.load": ("load_images",),
        "errors": ("CaucusError",),
        "results.record": ("TrialRecord",),
        "store.base": ("Store",),
        "store.open": ("open_store",),
        "training.training": ("Training",),
    },
)
