"""Networks: plain functions from a configuration and the shape of the images to a `torch.nn.Module`.

`build.build_model` dispatches by name; `cnn` is the net that sweeps vary, `torchvision`, `timm` and `custom` are other models.
`check` runs one batch before a sweep spends hours, `cost` measures a net's costs, `load` rebuilds a net from a
checkpoint, `normalisation` knows what pretrained nets were normalised by.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.models.build import build_model
    from trainables.models.check import ModelCheck, check_model
    from trainables.models.cnn import build_cnn
    from trainables.models.cost import measure_cost
    from trainables.models.load import load_net

__all__ = ["ModelCheck", "build_cnn", "build_model", "check_model", "load_net", "measure_cost"]

__getattr__ = lazy_names(
    __name__,
    {
        "build": ("build_model",),
        "check": (
            "ModelCheck",
            "check_model",
        ),
        "cnn": ("build_cnn",),
        "cost": ("measure_cost",),
        "load": ("load_net",),
    },
)
