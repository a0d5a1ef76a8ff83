"""The candidates of a vote: predictions of checkpoints, verified to be of the same images, in memory or streamed from a store.

`pool.PredictionPool` holds all of them, `stored` reads no more than a selection needs, `streaming` makes one pass over them.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from ensembles.pool.in_memory import Candidates, WholePool
    from ensembles.pool.pool import PredictionPool, read_pool
    from ensembles.pool.stored import StoredPool, open_pool
    from ensembles.pool.streaming import stream_mean

__all__ = ["Candidates", "PredictionPool", "StoredPool", "WholePool", "open_pool", "read_pool", "stream_mean"]

__getattr__ = lazy_names(
    __name__,
    {
        "in_memory": (
            "Candidates",
            "WholePool",
        ),
        "pool": (
            "PredictionPool",
            "read_pool",
        ),
        "stored": (
            "StoredPool",
            "open_pool",
        ),
        "streaming": ("stream_mean",),
    },
)
