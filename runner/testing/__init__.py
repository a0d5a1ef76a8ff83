"""Contract suites for plug-ins: whether a store does what Caucus relies on.

`stores.store_checks()` gives named checks, to be called with a function that opens a new store; `check_store(open_store)` runs
them all. No pytest, torch or Ray is needed.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.testing.contract import Check
    from runner.testing.stores import check_store, store_checks

__all__ = [
    "Check",
    "check_store",
    "store_checks",
]

__getattr__ = lazy_names(
    __name__,
    {
        "contract": ("Check",),
        "stores": (
            "check_store",
            "store_checks",
        ),
    },
)
