"""`caucus sparsify` and `caucus soup`: smaller nets from the checkpoints of a run."""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.compression.soup import soup_run
    from runner.compression.sparsify import sparsify_run
    from runner.compression.trained_trial import find_trial

__all__ = ["find_trial", "soup_run", "sparsify_run"]

__getattr__ = lazy_names(
    __name__, {"soup": ("soup_run",), "sparsify": ("sparsify_run",), "trained_trial": ("find_trial",)}
)
