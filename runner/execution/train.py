"""Trains what a run has left to train, on a Ray that is connected for that time."""

from __future__ import annotations

import time
from dataclasses import replace

from runner.cluster.connect import Cluster, connected
from runner.cluster.node_types import list_nodes
from runner.cluster.slot import fit_cores
from runner.config.custom_code import find_custom_code
from runner.control.budget import time_left_s
from runner.control.controller import TrialController
from runner.execution.context import RunContext
from runner.execution.head import write_head
from runner.execution.labelling import label, rebuild_table
from runner.execution.launch import launch
from runner.execution.prepare import PreparedRun
from runner.execution.stop import StopCause, StopReason
from runner.runs.versions import versions
from runner.search.pseudo_labels import SecondStage
from trainables.models.pretrained import store_weights
from trainables.results.record import OUT_OF_BUDGET


class Trainer:
    """Trains the trials of one run, as often as it is asked to: checkpoints that are lost in the end are trained again."""

    def __init__(
        self, context: RunContext, prepared: PreparedRun, address: str | None, command: str, sweep: str | None
    ) -> None:
        self._context = context
        self._prepared = prepared
        self._address = address
        self._command = command
        self._sweep = sweep
        self._slot = ""
        self.epochs_trained = 0
        self.busy_s = 0.0
        """Seconds of training and evaluation, summed over slots."""
        self.has_connected = False
        """Whether anything may have been trained, so that what was listed before is no longer true."""

    def train(self, lost: dict[str, set[int]]) -> StopReason | None:
        """Train what is left, and the epochs that are `lost`; returns why that ended early, None where nothing is left."""
        context = self._context
        controller, second = self._begin(lost)
        left_s = time_left_s(context.spec, context.log)
        if controller.is_over or left_s <= 0 or context.budget.spent(context.log.state, context.log.elapsed_s):
            self._write_head()
            return None if controller.is_over else StopReason(StopCause.BUDGET, OUT_OF_BUDGET)
        spec = context.spec
        with connected(
            spec.resources, self._prepared.image_bytes, self._address, find_custom_code(spec), self._sweep
        ) as found:
            cluster = self._show(replace(found, say=context.notify))
            self.has_connected = True
            self._write_head()
            for data in self._prepared.weights.values():
                store_weights(context.store, data)
            context.log.open(versions(), cluster.slots)
            if second:
                rebuild_table(context.store, spec, context.log.state, context.images, cluster)
            stop = self._launch(controller, second, cluster, lost)
        self.epochs_trained += context.log.state.epochs_trained
        self.busy_s += context.log.state.busy_s
        return stop

    def _launch(
        self, controller: TrialController, second: SecondStage | None, cluster: Cluster, lost: dict[str, set[int]]
    ) -> StopReason | None:
        """Launch until nothing is left: again with smaller slots where nodes are smaller, and after images were labelled."""
        context = self._context
        deadline_unix_s = time.time() + time_left_s(context.spec, context.log)
        while True:
            stop = launch(context, controller, cluster, deadline_unix_s)
            if stop and stop.cause is StopCause.RESIZED:
                smaller = fit_cores(cluster.slot, context.spec.resources, list_nodes())
                cluster = self._show(replace(cluster, slot=smaller), f"{stop.text}: ")
                controller, second = self._begin(lost)
            elif second and not stop and second.is_due(context.log.state):
                state, images = context.log.state, context.images
                controller.decide(label(context.store, context.spec, state, images, cluster, self._prepared.unlabelled))
            else:
                return stop

    def _begin(self, lost: dict[str, set[int]]) -> tuple[TrialController, SecondStage | None]:
        search = self._prepared.new_search()
        controller = TrialController(self._context.spec, search, self._context.log, lost)
        return controller, search if isinstance(search, SecondStage) else None

    def _write_head(self) -> None:
        context = self._context
        context.lease.retain()
        for line in write_head(context.store, context.spec, context.run, context.images, self._command):
            context.notify(line)

    def _show(self, cluster: Cluster, why: str = "") -> Cluster:
        """Say what a slot of `cluster` is, where that was not said before."""
        if str(cluster.slot) != self._slot:
            self._slot = str(cluster.slot)
            self._context.notify(f"{self._context.title}: {why}{self._slot}")
        return cluster
