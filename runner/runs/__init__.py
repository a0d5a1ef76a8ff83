"""Runs in a store: found by the names that a user types, loaded, verified, and shown as tables and as status."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.runs.integrity_check import verify_run
    from runner.runs.locate import Located, find_runs
    from runner.runs.status import read_status
    from runner.runs.stored_run import StoredRun, load_run

__all__ = ["Located", "StoredRun", "find_runs", "load_run", "read_status", "verify_run"]

__getattr__ = lazy_names(
    __name__,
    {
        "integrity_check": ("verify_run",),
        "locate": (
            "Located",
            "find_runs",
        ),
        "status": ("read_status",),
        "stored_run": (
            "StoredRun",
            "load_run",
        ),
    },
)
