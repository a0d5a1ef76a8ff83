"""Notices nodes that join and leave while trials run."""

from __future__ import annotations

from typing import Any

from ray import tune

from runner.cluster.connect import Cluster, count_nodes
from runner.cluster.node_types import list_nodes
from runner.cluster.slot import fit_cores
from runner.execution.context import RunContext
from runner.execution.stop import StopConditions
from runner.execution.waiting import Waiting
from runner.journal.events import NodesChanged

COUNT_EVERY_S = 10.0
"""How often a run that is paid for by the node counts them."""

INSPECT_EVERY_S = 2.0
"""How often a run on a cluster whose nodes come and go inspects them."""

GPUS_IDLE = (
    "a node with GPUs has joined, but the trials of this run train on cores: stop it and run it again to train on GPUs"
)


class NodeChanges(tune.Callback):  # type: ignore[misc]
    """Records the number of nodes where money is spent on them, and compares their sizes with the slot that was chosen."""

    def __init__(self, context: RunContext, cluster: Cluster, waiting: Waiting, conditions: StopConditions) -> None:
        self._context = context
        self._cluster = cluster
        self._waiting = waiting
        self._conditions = conditions
        self._counted_s = self._inspected_s = -COUNT_EVERY_S
        self._is_reported = False

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune in every turn of its loop."""
        now_s = self._context.log.elapsed_s
        if self._cluster.elastic and now_s - self._inspected_s >= INSPECT_EVERY_S:
            self._inspected_s = now_s
            self._inspect()
        if self._context.spec.budget.money is not None and now_s - self._counted_s >= COUNT_EVERY_S:
            self._counted_s = now_s
            if (nodes := count_nodes()) != self._context.log.state.nodes:
                self._context.log.write(NodesChanged, nodes=nodes)

    def _inspect(self) -> None:
        resources, slot, nodes = self._context.spec.resources, self._cluster.slot, list_nodes()
        if self._waiting.is_waiting and fit_cores(slot, resources, nodes) != slot:
            self._conditions.is_resized = True
        is_idle = not slot.gpus and resources.gpus is None and any(node.gpus >= 1 for node in nodes)
        if is_idle and not self._is_reported:
            self._is_reported = True
            self._context.notify(GPUS_IDLE)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its callbacks into a state file of its own, which is thrown away unread."""
        return {}
