"""Reports what a run waits for while none of its trials can run, and ends the run if that takes too long."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from typing_extensions import override

from runner.cluster.node_types import list_nodes
from runner.cluster.slot import NodeType, Slot, count_on, show_share
from runner.config.duration import show_duration
from trainables.errors import RunCutShort

FIRST_NOTICE_S = 30.0
"""A worker takes seconds to start, and more if torch is read from a slow disk."""

NEXT_NOTICE_S = 300.0

CHECK_S = 1.0

ASK_S = 5.0
"""Timeout of a request to the head for the autoscaler's state, between two steps of Tune's loop."""


class Waiting:
    """Measures for how long no trial could run. `reason` is "" until that is longer than `patience_s`."""

    def __init__(
        self,
        slot: Slot,
        patience_s: float,
        notify: Callable[[str], None],
        describe: Callable[[Slot], str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._slot = slot
        self._patience_s = patience_s
        self._notify = notify
        self._describe = describe
        self._clock = clock
        self._since_s = clock()
        self._first_notice_s = min(FIRST_NOTICE_S, patience_s / 2)
        self._notice_s = self._first_notice_s
        self.reason = ""
        self.is_waiting = True
        """Whether nothing was running at the last `update`."""

    def update(self, is_running: bool) -> None:
        """To be called repeatedly, with whether any trial is running now."""
        now_s = self._clock()
        self.is_waiting = not is_running
        if is_running:
            self._since_s, self._notice_s = now_s, self._first_notice_s
            return
        waited_s = now_s - self._since_s
        needs = f"a trial needs {show_share(self._slot.cpus, self._slot.gpus)}"
        if waited_s >= self._patience_s:
            self.reason = self.reason or (
                f"no trial could run for {show_duration(self._patience_s)} (resources.patience): {needs}; {self._describe(self._slot)}"
            )
        elif waited_s >= self._notice_s:
            self._notice_s = waited_s + NEXT_NOTICE_S
            self._notify(
                f"no trial has run for {show_duration(waited_s)}: {needs}; {self._describe(self._slot)}; the run ends after "
                f"{show_duration(self._patience_s)} of that (resources.patience), and the next one continues"
            )


class Placement(tune.Callback):  # type: ignore[misc]
    """Updates a `Waiting` on every turn of Tune's loop with whether any trial runs."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._begun: dict[str, Any] = {}
        """Tune's trials that have had a worker, by id, whether they still have it or not."""

    @override
    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._begun[trial.trial_id] = trial

    @override
    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The slot is free again: the time between two trials does not count as waiting."""
        self._begun.pop(trial.trial_id, None)
        self._waiting.update(is_running=True)

    @override
    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._begun.pop(trial.trial_id, None)

    @override
    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        self._waiting.update(any(trial.status == Trial.RUNNING for trial in self._begun.values()))

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks into a state file of its own, which is thrown away unread."""
        return {}


def wait_for_all(tasks: Sequence[Any], slot: Slot, waiting: Waiting) -> None:
    """Return once all `tasks` of Ray, each as large as a trial, have ended. Raises `RunCutShort` if none can run for too long.

    While there is a node that could hold one, they run or wait for each other.
    """
    import ray

    left = list(tasks)
    while left:
        ended, left = ray.wait(left, timeout=CHECK_S)
        waiting.update(bool(ended) or any(count_on(node, slot.cpus, slot.gpus) for node in list_nodes()))
        if waiting.reason:
            raise RunCutShort(f"{waiting.reason}; what reached the store is kept: run it again to go on")


@dataclass(frozen=True)
class Launches:
    """An autoscaler's report on the nodes that it starts."""

    coming: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """Why nodes could not be started, newest last."""


def describe_cluster(slot: Slot) -> str:
    """The nodes of the connected cluster and its autoscaler's report, as a clause of a sentence."""
    try:
        return describe_nodes(slot, list_nodes(), None if _has_place() else _list_free(), find_launches())
    except Exception as error:  # whatever Ray says of a head that is gone, it must not end a run that may go on
        return f"the cluster does not answer ({type(error).__name__})"


def describe_nodes(
    slot: Slot, nodes: Sequence[NodeType], free: Sequence[NodeType] | None, launches: Launches | None
) -> str:
    """The same for a cluster with these `nodes`, of which `free` is unused; None if a trial has its placement already."""
    able = [node for node in nodes if count_on(node, slot.cpus, slot.gpus)]
    has = f"{len(nodes)} node{'s are' if len(nodes) != 1 else ' is'} there"
    if able and free is not None and not any(count_on(node, slot.cpus, slot.gpus) for node in free):
        return f"{has}, but all of their room is taken"
    if able:
        return f"{has}, and a worker is being started"
    text = "no node that trains is there"
    if nodes:
        largest = max(nodes, key=lambda node: (bool(slot.gpus) * node.gpus, node.cpus))
        text = f"{has}, the largest with {largest.gpus:g} GPU and {largest.cpus:g} CPU"
    if launches is None:
        return text
    text += f"; the autoscaler starts {', '.join(launches.coming) or 'none'}"
    return text + (f", and failed before: {launches.failed[-1]}" if launches.failed else "")


def find_launches() -> Launches | None:
    """The report of the connected cluster's autoscaler, in either of its versions; None if there is none."""
    import ray

    with contextlib.suppress(Exception):  # a part of Ray that another version may not have
        from ray.autoscaler.v2.sdk import get_cluster_status

        status = get_cluster_status(ray.get_runtime_context().gcs_address, timeout=int(ASK_S))
        if status.stats.autoscaler_version not in (None, "", "0"):
            coming = [f"{one.count} x {one.ray_node_type_name}" for one in status.pending_launches]
            coming += [f"1 x {one.ray_node_type_name} ({one.details or 'pending'})" for one in status.pending_nodes]
            failed = [
                f"{one.count} x {one.ray_node_type_name}: {_first_line(one.details)}" for one in status.failed_launches
            ]
            return Launches(tuple(coming), tuple(failed))
    with contextlib.suppress(Exception):
        from ray.experimental.internal_kv import _internal_kv_get

        if status_text := _internal_kv_get("__autoscaling_status"):
            return read_first_autoscaler(json.loads(status_text))
    return None


def read_first_autoscaler(status: Mapping[str, Any]) -> Launches | None:
    """The report that Ray's first autoscaler writes to the GCS; None if there is none."""
    report = status.get("autoscaler_report")
    if not report:
        return None
    coming = [f"{count} x {name}" for name, count in report.get("pending_launches", {}).items()]
    coming += [f"1 x {name} ({state})" for _, name, state in report.get("pending_nodes", ())]
    found = (report.get("node_availability_summary") or {}).get("node_availabilities") or {}
    failed = [
        f"{name}: {_first_line(why.get('description'))}"
        for name, one in found.items()
        if (why := one.get("unavailable_node_information"))
    ]
    return Launches(tuple(coming), tuple(failed))


def _list_free() -> list[NodeType] | None:
    with contextlib.suppress(Exception):
        from ray._private.state import available_resources_per_node

        return [
            NodeType(name, has.get("CPU", 0), has.get("GPU", 0)) for name, has in available_resources_per_node().items()
        ]
    return None


def _has_place() -> bool:
    """Whether Ray has a placement group for a trial of this driver: the ids of placement groups end in that of their job."""
    import ray

    with contextlib.suppress(Exception):
        job_id = ray.get_runtime_context().get_job_id()
        groups = ray.util.placement_group_table().values()
        return any(one["placement_group_id"].endswith(job_id) and one["state"] == "CREATED" for one in groups)
    return False


def _first_line(text: str | None) -> str:
    return (text or "no reason is given").strip().splitlines()[0][:200]
