"""The machine under a trial: its device, its share of a GPU, and the notice that it will be taken away."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.hardware.device import open_device
    from trainables.hardware.gpu_share import choose_device
    from trainables.hardware.spot_notice import SpotNotice

__all__ = ["SpotNotice", "choose_device", "open_device"]

__getattr__ = lazy_names(
    __name__, {"device": ("open_device",), "gpu_share": ("choose_device",), "spot_notice": ("SpotNotice",)}
)
