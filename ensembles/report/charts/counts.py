"""Large numbers, short."""

from __future__ import annotations


def show_count(count: float) -> str:
    """A large number, short.

    >>> show_count(168_448), show_count(911_601_664)
    ('168 k', '912 M')
    """
    for size, name in ((1e12, " T"), (1e9, " G"), (1e6, " M"), (1e3, " k")):
        if count >= size:
            return f"{count / size:.3g}{name}"
    return f"{count:.3g}"
