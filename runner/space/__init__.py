"""The ways in which a key may vary: distributions, how they are written in a sweep file, and how they are drawn."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.space.distribution import Distribution
    from runner.space.draws import share_of
    from runner.space.parse import parse_distribution

__all__ = ["Distribution", "parse_distribution", "share_of"]

__getattr__ = lazy_names(
    __name__, {"distribution": ("Distribution",), "draws": ("share_of",), "parse": ("parse_distribution",)}
)
