"""The user-defined models (`module:function`) that this process may import: those that a person has named, no others.

Configurations are also read from stores and bundles, and the author of one could name any function of any installed
package, with arguments of their choice. A name is therefore trusted where it comes from a sweep file, the command line or
`--custom-code`, never where it comes from a store. Processes that this one starts inherit its trusted names.
"""

from __future__ import annotations

from collections.abc import Iterable

from trainables.errors import ModelUnusable

_TRUSTED: set[str] = set()


def trust(names: Iterable[str]) -> None:
    """Allow this process to import the models of these names."""
    _TRUSTED.update(names)


def trusted() -> tuple[str, ...]:
    """The trusted names, sorted, for processes that this one starts."""
    return tuple(sorted(_TRUSTED))


def check_trusted(name: str) -> None:
    """Raise `ModelUnusable` unless a person has named this model."""
    if name not in _TRUSTED:
        raise ModelUnusable(
            f"model.name is {name}: a store or a bundle says so, and not you, so that code is not run: "
            "where you trust it, name it in the sweep file, name the run by that file, or add --custom-code"
        )
