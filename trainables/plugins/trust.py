"""Which models of a person's own (`module:function`) this process may import: those that a person has named, no others.

Configurations are read from stores and bundles too, and whoever wrote those could name any function of any installed
package, with keys of their choice. So a name is believed where it comes from a sweep file, the command line or
`--custom-code`, never where it comes from a store. Processes that this one starts are told its names.
"""

from __future__ import annotations

from collections.abc import Iterable

from trainables.errors import ModelUnusable

_TRUSTED: set[str] = set()


def trust(names: Iterable[str]) -> None:
    """From now on this process may import the models of these names."""
    _TRUSTED.update(names)


def trusted() -> tuple[str, ...]:
    """The names so far, sorted: what a process that is started by this one is told."""
    return tuple(sorted(_TRUSTED))


def check_trusted(name: str) -> None:
    """Raise `ModelUnusable` unless a person has named this model."""
    if name not in _TRUSTED:
        raise ModelUnusable(
            f"model.name is {name}: a store or a bundle says so, and not you, so that code is not run: "
            "where you trust it, name it in the sweep file, name the run by that file, or add --custom-code"
        )
