"""User-defined code: which `module:function` may be imported, and how."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from trainables.plugins.load import find_function

__all__ = ["find_function"]

__getattr__ = lazy_names(__name__, {"load": ("find_function",)})
