"""The Ray under a run: joined or started, monitored, and cleared away; and what a trial occupies on it.

`join` knows within seconds whether a cluster can be joined; `private_ray` starts one on this machine, `orphans` clears up
what a dead driver has left; `slot` chooses cores and GPUs of a trial. Ray is imported inside functions.
"""

from typing import TYPE_CHECKING

from trainables.lazy import lazy_names

if TYPE_CHECKING:
    from runner.cluster.connect import Cluster, connected
    from runner.cluster.join import Target, find_cluster
    from runner.cluster.node_types import find_slot
    from runner.cluster.ray_monitor import RayLost
    from runner.cluster.slot import Slot, choose_slot

__all__ = ["Cluster", "RayLost", "Slot", "Target", "choose_slot", "connected", "find_cluster", "find_slot"]

__getattr__ = lazy_names(
    __name__,
    {
        "connect": (
            "Cluster",
            "connected",
        ),
        "join": (
            "Target",
            "find_cluster",
        ),
        "node_types": ("find_slot",),
        "ray_monitor": ("RayLost",),
        "slot": (
            "Slot",
            "choose_slot",
        ),
    },
)
