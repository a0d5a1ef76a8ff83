"""Where trials run: a Ray of our own on this machine, or a cluster that is there already."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import ensembles
import runner
import trainables
from runner.auth_token import asks_for_token, find_token_fault, provide_private_token
from runner.node_types import find_slot
from runner.slot import Slot
from runner.spec import ResourcesConfig
from trainables.errors import CaucusError

OBJECT_STORE_BYTES = 256 * 1024**2
"""Shared memory of a local Ray beside the images: results and actors' arguments are small."""

HERE = ("auto", "any")
"""Words in place of an address, for the cluster of this machine."""


class ClusterError(CaucusError, RuntimeError):
    """Ray cannot be started or reached."""


@dataclass(frozen=True)
class Cluster:
    """A connected Ray, seen as slots."""

    slot: Slot
    """What each trial occupies."""
    elastic: bool
    """Whether trials should be queued beyond the slots, so that a cluster sees what it could grow for."""
    say: Callable[[str], None] = lambda _: None
    """Tells a person what is waited for."""

    @property
    def slots(self) -> int:
        """Trials at a time once all nodes are there; where nobody knows, those that fit now."""
        return self.slot.now if self.slot.at_a_time is None else self.slot.at_a_time


@contextlib.contextmanager
def connected(
    resources: ResourcesConfig,
    images_bytes: int,
    address: str | None,
    own_code: Sequence[Path] = (),
    sweep: str | None = None,
) -> Iterator[Cluster]:
    """Ray for the time of the `with` block. Raises `ClusterError`, and `NoSlot` where it has no room for a single trial.

    `sweep` is the path of the sweep file, beside which a cluster file may tell what an empty cluster is meant to be.
    `own_code` are modules (files) and packages (folders) of a person's own models, which workers get as they get ours.

    `address` is that of a cluster, `auto` for the one that this machine belongs to, `any` for that one or else one of
    our own, and None for one of our own.
    """
    quieten_ray()
    import ray

    joined = _connect(address, images_bytes, own_code)
    try:
        yield Cluster(find_slot(resources, is_joined=joined, sweep=sweep), elastic=joined)
    finally:
        ray.shutdown()


def _connect(address: str | None, images_bytes: int, own_code: Sequence[Path]) -> bool:
    """Join or start a Ray; whether it was joined."""
    if address and (fault := find_token_fault(os.environ)):
        raise ClusterError(f"no Ray cluster can be joined: {fault}")
    wanted = _find_cluster() if address in HERE else address
    if wanted:
        try:
            _join(wanted, own_code)
            return True
        except ClusterError:
            # On a head that asks for a token, a run must not end up on the head alone because its token is wrong.
            if address != "any" or asks_for_token(os.environ):
                raise
    elif address == "auto":
        raise ClusterError(
            "no Ray cluster was started on this machine: start one with `ray start --head`, or name one with --address"
        )
    _start(images_bytes, own_code)
    return False


def _find_cluster() -> str | None:
    """The cluster that this machine belongs to: the one of `RAY_ADDRESS`, else the one that `ray start --head` started here.

    Not Ray's own `auto`: that joins whatever Ray it finds among the processes, such as the one that another sweep has
    started for itself and takes with it when it ends.
    """
    from ray._private.services import find_bootstrap_address

    told = os.environ.get("RAY_ADDRESS", "")
    return told if told not in ("", *HERE) else find_bootstrap_address(None)


def _join(address: str, own_code: Sequence[Path]) -> None:
    """Connect to a cluster. Its workers run this driver's code, whatever is installed on them."""
    import ray

    modules = [str(Path(package.__file__).parent) for package in (trainables, ensembles, runner) if package.__file__]
    modules += map(str, own_code)
    try:
        ray.init(address=address, runtime_env={"py_modules": modules}, log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        hint = "; is your token the cluster's?" if asks_for_token(os.environ) else ""
        raise ClusterError(f"the Ray cluster at {address} cannot be reached: {error}{hint}") from None


def _start(images_bytes: int, own_code: Sequence[Path]) -> None:
    """Start a Ray of our own, which ends with this process. Its workers find `own_code` where it lies."""
    import ray

    if own_code:
        known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        folders = [str(path.parent) for path in own_code if str(path.parent) not in known]
        os.environ["PYTHONPATH"] = os.pathsep.join(one for one in (*folders, *known) if one)
    provide_private_token(os.environ)
    memory_bytes = OBJECT_STORE_BYTES + 2 * images_bytes
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=memory_bytes,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise ClusterError(f"Ray cannot be started on this machine: {error}") from None


def count_nodes() -> int:
    """Nodes of the connected Ray that can train: a head without cores is left out. At least 1."""
    import ray

    alive = [node for node in ray.nodes() if node.get("Alive") and node.get("Resources", {}).get("CPU", 0) > 0]
    return max(1, len(alive))


def ask_for_plain_workers() -> None:
    """Keep Tune from asking Ray for workers with an environment of their own.

    It copies the driver's AWS keys there, which Ray's agents write to their logs in plain words and its dashboard shows;
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
    """Settings that Ray reads once, when it is imported or started. A person's own settings win."""
    settings = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
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
