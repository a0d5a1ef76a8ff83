"""Lets Ray Tune place what the controller says, and returns when all trials have ended or the run has to stop."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

from runner.cluster.connect import Cluster, ask_for_plain_workers
from runner.control.controller import TrialController
from runner.execution.context import RunContext
from runner.execution.scratch import scratch_folder
from runner.execution.stop import StopCause, StopConditions, StopReason
from trainables.data.mapped import without_copy
from trainables.hardware.gpu_share import pretends_gpus
from trainables.plugins.trust import trusted
from trainables.results.record import OUT_OF_BUDGET

WORKER_LOSSES = 3
"""How often a trial is restarted when its worker dies before it has trained another epoch. An exception of its own code is not retried."""

PENDING_TRIALS = 16
"""Trials queued beyond the running ones on a cluster, so that its autoscaler sees what to grow for."""


def launch(
    context: RunContext, controller: TrialController, cluster: Cluster, deadline_unix_s: float
) -> StopReason | None:
    """Train what `controller` says on the connected `cluster`; every event is in the log when this returns.

    At `deadline_unix_s`, when the budget is spent, at SIGINT and SIGTERM, and where the lease is lost, the epochs under way
    are abandoned and their trials are `stopped`. Returns why training ended early, None where every trial came to its own
    end. Raises the `StoreError` of an event that could not be written, and `RunCutShort` where the lease is lost.
    """
    with _interruptible() as interrupted:
        stop = _run_tune(context, controller, cluster, deadline_unix_s, interrupted)
    if context.lease.is_lost:
        context.lease.confirm()
    if stop and stop.cause is StopCause.RESIZED:
        return stop
    state = context.log.state
    running = [record for record in state.pending() if record.state == "running"]
    if running and stop is None:
        stop = StopReason(StopCause.GAVE_UP, "Tune gave it up")
    for record in running:
        assert stop is not None
        reason = f"{stop.text} in epoch {state.last_epoch(record.trial_id) + 1}"
        controller.end(record.trial_id, "stopped", reason, by_budget=stop.cause is StopCause.BUDGET)
    if controller.is_capped and stop is None:
        return StopReason(StopCause.BUDGET, f"{OUT_OF_BUDGET} (budget.trials is {context.spec.budget.trials})")
    return stop


def _run_tune(
    context: RunContext,
    controller: TrialController,
    cluster: Cluster,
    deadline_unix_s: float,
    interrupted: threading.Event,
) -> StopReason | None:
    """Run Tune's loop to its end; returns why it had to stop, None where nothing was left."""
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(PENDING_TRIALS if cluster.elastic else max(1, cluster.slots))
    from ray import tune
    from ray.tune.error import TuneError

    from runner.execution.node_changes import NodeChanges
    from runner.execution.ray_scheduler import RayScheduler
    from runner.execution.trial_queue import Slots, TrialQueue, Until
    from runner.execution.waiting import Placement, Waiting, describe_cluster
    from runner.execution.watchdog import Watch, Watchdog

    ask_for_plain_workers()
    resources, log, notify = context.spec.resources, context.log, context.notify
    # On a cluster that shrinks, a slot without work is given back, or its node would be paid for.
    slots = 0 if cluster.elastic else resources.slots or cluster.slots
    tasks = TrialQueue(controller, slots, lambda: deadline_unix_s - time.time())
    waiting = Waiting(cluster.slot, resources.patience, notify, describe_cluster)
    conditions = StopConditions(context, deadline_unix_s, waiting, interrupted)
    with scratch_folder() as scratch:
        # `tune.run`, not a `Tuner`: the latter pickles all of its arguments to a file that nobody here may read.
        try:
            tune.run(
                _trainable(context, cluster),
                name="tune",
                storage_path=scratch,
                num_samples=-1,
                search_alg=_limited(tasks, context, cluster),
                scheduler=RayScheduler(controller, tasks.has_more, conditions.end_unfit, notify),
                stop=Until(lambda: conditions.reason is not None),
                callbacks=[
                    Slots(controller, log),
                    Watch(Watchdog(resources.hang), notify),
                    Placement(waiting),
                    NodeChanges(context, cluster, waiting, conditions),
                ],
                reuse_actors=True,
                max_failures=WORKER_LOSSES,
                raise_on_failed_trial=False,
                trial_name_creator=lambda trial: str(trial.config["name"]),
                trial_dirname_creator=lambda trial: f"{trial.config['name']}-{trial.trial_id}",
                verbose=0,
            )
        except TuneError:
            if log.failure is None:
                raise
            raise log.failure from None
        return conditions.reason


def _trainable(context: RunContext, cluster: Cluster) -> Any:
    """What Tune makes an actor of for each slot."""
    from ray import tune

    from trainables.training.ray_trainable import TuneTrial

    images = replace(context.images.arrays, statistics=context.images.statistics)
    trainable = tune.with_parameters(
        TuneTrial,
        images=images if cluster.elastic else without_copy(images),
        store=context.store,
        custom_models=trusted(),
        gpus=cluster.slot.gpus,
        is_explicit=context.spec.resources.gpus is not None,
        is_pretended=pretends_gpus(),
        metric=context.spec.ensemble.deciding_metric,
    )
    return tune.with_resources(trainable, {"cpu": cluster.slot.cpus, "gpu": cluster.slot.gpus})


def _limited(tasks: Any, context: RunContext, cluster: Cluster) -> Any:
    """The queue of tasks, with no more of them at a time than there are slots; on a cluster that grows as many as fit."""
    from ray.tune.search import ConcurrencyLimiter

    if cluster.elastic and not context.spec.resources.slots:
        return tasks
    return ConcurrencyLimiter(tasks, max_concurrent=context.spec.resources.slots or cluster.slots)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, instead of what they do otherwise; a second one kills as usual."""
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return
    before: dict[signal.Signals, Any] = {}

    def on_signal(number: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in (signal.SIGINT, signal.SIGTERM):
        before[number] = signal.signal(number, on_signal)
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
