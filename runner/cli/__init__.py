"""The command `caucus`: each verb reads its arguments, calls one function, and prints the result.

`main` lists the verbs, `options` has what they share (arguments, exit codes, unforeseen errors), `tables` lays results out.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.cli.main import execute, run

__all__ = ["execute", "run"]

__getattr__ = lazy_names(
    __name__,
    {
        "main": (
            "execute",
            "run",
        )
    },
)
