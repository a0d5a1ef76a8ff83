"""Charts written as SVG by hand: axes, dots, lines and heat maps in the page's own classes, small enough for a thousand trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import numpy.typing as npt

WIDTH = 864.0
"""Units of a chart as wide as the page's text; the same as of those that matplotlib draws."""

LETTER = 6.2
"""Width of a letter at the charts' size, about: the page chooses the typeface."""

STEPS = 6
"""Shades of a heat map to each side of nothing."""


@dataclass(frozen=True)
class Axis:
    """Values from `low` to `high` on the stretch from `start` to `end` of a chart."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where `value` lies, to a tenth of a unit; what is outside lies on the nearer end."""
        low, high, at = (math.log(one) if self.log else one for one in (self.low, self.high, value))
        share = (at - low) / (high - low) if high > low else 0.5
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)

    def ticks(self, most: int = 6) -> list[float]:
        """Round values inside, `most` or a few less.

        >>> Axis(0.91, 0.965, 0, 100).ticks()
        [0.91, 0.92, 0.93, 0.94, 0.95, 0.96]
        >>> Axis(2e-4, 0.3, 0, 100, log=True).ticks()
        [0.001, 0.01, 0.1]
        >>> Axis(0.003, 0.008, 0, 100, log=True).ticks(3)
        [0.004, 0.006, 0.008]
        """
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            stride = max(1, math.ceil((last - first + 1) / most))
            if last - first >= 2:
                return [float(f"1e{power}") for power in range(first, last + 1, stride)]
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
            if len(inside := [tick for tick in found if self.low <= tick <= self.high]) > 2:
                return inside
        if self.high <= self.low:
            return [self.low]
        rough = (self.high - self.low) / most
        size = 10 ** math.floor(math.log10(rough))
        step = next(size * many for many in (1, 2, 5, 10) if size * many >= rough - 1e-12)
        first = math.ceil(self.low / step - 1e-9)
        return [float(f"{number * step:.10g}") for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def spread(values: Sequence[float], start: float, end: float, margin: float = 0.06, log: bool = False) -> Axis:
    """An axis on which all of `values` have `margin` to both sides, a share of their span."""
    low, high = min(values), max(values)
    if log:
        wide = max(math.log(high / low), 0.2) * margin
        return Axis(low * math.exp(-wide), high * math.exp(wide), start, end, log=True)
    wide = max(high - low, 1e-9) * margin
    return Axis(low - wide, high + wide, start, end)


def shares_log(values: Sequence[float]) -> bool:
    """Whether values are better seen on a logarithmic axis: all above zero, and far apart."""
    return min(values) > 0 and max(values) / min(values) >= 30


def svg(body: Sequence[str], height: float, caption: str, width: float = WIDTH, kind: str = "") -> str:
    """A chart of the page: its parts, and what it shows in words."""
    # A chart that is not as wide as the page is shown at the size of the others.
    size = f' style="max-width: {1.3 * width:.0f}px"' if width < WIDTH else ""
    return (
        f'<svg class="chart own{f" {kind}" if kind else ""}"{size} role="img" aria-label={quoteattr(caption)} '
        f'viewBox="0 0 {width:g} {height:g}">\n' + "\n".join(body) + "\n</svg>"
    )


def label(x: float, y: float, text: str, kind: str = "", turn: float = 0) -> str:
    """A line of text with its baseline at (x, y): `kind` is `m` (centred), `e` (ends there), `k` (ink), in any order."""
    turned = f' transform="rotate({turn:g} {x:g} {y:g})"' if turn else ""
    return f'<text x="{x:g}" y="{y:g}"{f" class={quoteattr(kind)}" if kind else ""}{turned}>{escape(text)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str = "g") -> str:
    """A straight line; `g` is that of a grid."""
    return f'<line class="{kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>'


def path(points: Sequence[tuple[float, float]], kind: str, trial: str = "") -> str:
    """A line through points; of a `trial`, one that the page can light up."""
    data = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
    return f'<path class="{kind}"{_of(trial)} d="{data}"/>'


def dot(x: float, y: float, radius: float, kind: str, trial: str = "", title: str = "") -> str:
    """A dot with a tooltip."""
    rest = f"><title>{escape(title)}</title></circle>" if title else "/>"
    return f'<circle class="{kind}"{_of(trial)} cx="{x:g}" cy="{y:g}" r="{radius:g}"{rest}'


def as_percent(share: float) -> str:
    """A tick of an axis of shares, with as many digits as it needs.

    >>> as_percent(0.915), as_percent(0.2), as_percent(0.97825)
    ('91.5%', '20%', '97.825%')
    """
    return f"{100 * share:.6g}%"


def as_number(value: float) -> str:
    """A tick of an axis of numbers.

    >>> as_number(1e-05), as_number(0.2575)
    ('1e-05', '0.2575')
    """
    return f"{value:.4g}"


def grid_y(axis: Axis, left: float, right: float, show: Callable[[float], str], most: int = 5) -> list[str]:
    """Horizontal lines with their values to the left."""
    parts = []
    for tick in axis.ticks(most):
        y = axis.place(tick)
        parts += [line(left, y, right, y), label(left - 6, y + 3.5, show(tick), "e")]
    return parts


def grid_x(axis: Axis, bottom: float, show: Callable[[float], str], most: int = 7) -> list[str]:
    """Values below an axis."""
    return [label(axis.place(tick), bottom + 15, show(tick), "m") for tick in axis.ticks(most)]


def heat_map(
    values: npt.NDArray[np.float64],
    rows: Sequence[str],
    columns: Sequence[str],
    show: str,
    caption: str,
    ends: tuple[float, float],
    signed: bool = False,
    most_shown: int = 16,
) -> str:
    """A table of numbers as shades, from the palest to the deepest of `ends`. With `signed`, two colours around nothing.

    Cells show their numbers up to `most_shown` columns; NaN is no cell.
    """
    palest, deepest_value = (0.0, max(map(abs, ends))) if signed else ends
    count = len(columns)
    # A team of three must not fill the page, and one of forty must still fit on it.
    cell = min(46.0, max(13.0, 430 / max(count, len(rows), 1)))
    tall = min(cell, 30.0)
    left = 12 + LETTER * max((len(name) for name in rows), default=0)
    deepest = max((len(name) for name in columns), default=0)
    top = 14 + LETTER * deepest * 0.72
    parts = []
    for number, name in enumerate(columns):
        x = round(left + (number + 0.5) * cell, 1)
        upright = deepest <= 3
        parts.append(
            label(x, round(top - 5, 1), name, "m") if upright else label(x + 3, round(top - 5, 1), name, turn=-45)
        )
    for number, name in enumerate(rows):
        parts.append(label(left - 6, round(top + (number + 0.5) * tall + 3.5, 1), name, "e"))
    for at, of in np.argwhere(np.isfinite(values)).tolist():
        value = float(values[at, of])
        share = ((abs(value) if signed else value) - palest) / max(deepest_value - palest, 1e-12)
        depth = min(STEPS, max(0, round(STEPS * share)))
        x, y = round(left + of * cell, 1), round(top + at * tall, 1)
        kind = f"h{'n' if signed and value < 0 else 'p'}{depth}"
        parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{cell - 1.5:.3g}" height="{tall - 1.5:.3g}">'
            f"<title>{escape(rows[at])}, {escape(columns[of])}: {show.format(value)}</title></rect>"
        )
        if count <= most_shown and (value or not signed):
            inside = "m x" if depth > STEPS // 2 else "m k"
            parts.append(
                label(round(x + (cell - 1.5) / 2, 1), round(y + tall / 2 + 2.8, 1), show.format(value), inside)
            )
    width = left + count * cell + 0.75 * LETTER * deepest + 12
    return svg(parts, round(top + len(rows) * tall + 6, 1), caption, round(width, 1), "map")


def _of(trial: str) -> str:
    return f" data-t={quoteattr(trial)}" if trial else ""
