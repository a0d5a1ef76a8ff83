"""Where trials run: a private Ray on this machine, or a cluster that exists already."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.cluster.auth_token import find_private_fault
from runner.cluster.join import Target, check_joinable, find_cluster, find_silence, join
from runner.cluster.node_types import find_slot
from runner.cluster.private_ray import private_ray
from runner.cluster.ray_monitor import AWAY_S, OVER_THE_NET_S, RECONNECT_S, disconnected_after, monitored
from runner.cluster.slot import Slot
from runner.config.run import ResourcesConfig
from trainables.distribution import CHECKOUT, PACKAGES
from trainables.errors import ClusterError as ClusterError


@dataclass(frozen=True)
class Cluster:
    """A connected Ray, seen as slots."""

    slot: Slot
    """What each trial occupies."""
    elastic: bool
    """Whether trials are queued beyond the slots, so that an autoscaler sees the demand."""
    say: Callable[[str], None] = lambda _: None
    """Called with a line for a person, such as what the run waits for."""

    @property
    def slots(self) -> int:
        """Trials at a time once all nodes are there; if that is unknown, those that fit now."""
        return self.slot.now if self.slot.at_a_time is None else self.slot.at_a_time


@contextlib.contextmanager
def connected(
    resources: ResourcesConfig,
    images_bytes: int,
    address: str | None,
    custom_code: Sequence[Path] = (),
    sweep: str | None = None,
) -> Iterator[Cluster]:
    """Ray for the time of the `with` block.

    Raises `ClusterError`, `NoSlot` if Ray has no room for a single trial, and `RunCutShort` if Ray does not start on
    this machine or dies during the block.

    `sweep` is the path of the sweep file; a cluster file beside it may say which nodes an empty cluster will have.
    `custom_code` are modules (files) and packages (folders) of user-defined models, which workers get as they get ours.

    `address` is that of a cluster, `auto` for the one that this machine belongs to, `any` for that one or else a private
    Ray, and None or `own` for a private Ray. A cluster that exists and cannot be joined is an error: nothing is trained
    elsewhere.
    """
    quieten_ray()
    target = find_cluster(address, os.environ)
    with private_ray(images_bytes, custom_code) if target is None else joined(target, custom_code):
        yield Cluster(find_slot(resources, is_joined=target is not None, sweep=sweep), elastic=target is not None)


def check_cluster(address: str | None) -> None:
    """Raise `ClusterError` within seconds if `address` names a cluster that cannot be joined, or if a private Ray could not start.

    Changes nothing.
    """
    if target := find_cluster(address, os.environ):
        check_joinable(target, os.environ)
    elif fault := find_private_fault(os.environ):
        raise ClusterError(f"a Ray of our own cannot start: {fault}")


@contextlib.contextmanager
def joined(target: Target, custom_code: Sequence[Path] = ()) -> Iterator[None]:
    """A connection to the cluster for the time of the block. Its workers run this driver's code, whatever is installed there."""
    modules = [str(CHECKOUT / package) for package in PACKAGES]
    join(target, [*modules, *map(str, custom_code)], check_joinable(target, os.environ))
    with disconnected_after(), monitored(lambda: find_silence(target), AWAY_S, OVER_THE_NET_S):
        yield


def count_nodes() -> int:
    """Nodes of the connected Ray that can train: a head without cores is left out. At least 1."""
    import ray

    alive = [node for node in ray.nodes() if node.get("Alive") and node.get("Resources", {}).get("CPU", 0) > 0]
    return max(1, len(alive))


def ask_for_plain_workers() -> None:
    """Keep Tune from asking Ray for workers with a runtime environment.

    It copies the driver's AWS keys there, which Ray's agents write to their logs in plain text and its dashboard shows;
    each machine has keys of its own: in its environment, a file, or as its role. And it sets a variable for another
    library there, for which Ray leaves the workers that it has started already idle and starts as many again: 2 of the 30
    CPU-seconds of a sweep of a few epochs.
    """
    from ray.tune.execution import class_cache

    class_cache.DEFAULT_ENV_VARS = {}
    class_cache.ENV_VARS_TO_PROPAGATE = {
        name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_")
    }


def quieten_ray() -> None:
    """Set what Ray reads once, when it is imported or started. Variables that are set already are kept."""
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        # Ray's client ends the driver after so long without a head; `ray_monitor` does it before, with a sentence.
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_S),
        "RAY_DEDUP_LOGS": "1",
        # Tune's loggers cost more than a small epoch, and its state file is never read: the store is what counts.
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
        "TUNE_DISABLE_SIGINT_HANDLER": "1",
        # A worker that dies is replaced; its end is in the log if it is not.
        "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
        # The last result of a trial may be its end alone, without a metric.
        "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)
