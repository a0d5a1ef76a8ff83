"""Lets Ray Tune place what the controller says, and returns when all has ended or the budget is spent."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from runner.cluster.connect import Cluster, ask_for_plain_workers, count_nodes
from runner.cluster.node_types import list_nodes
from runner.cluster.slot import fit_cores
from runner.config.sweep import SweepSpec
from runner.control.budget import Budget
from runner.control.controller import TrialController
from runner.execution.scratch import scratch_folder
from runner.journal.events import NodesChanged
from runner.journal.lease import Lease
from runner.journal.log import RunLog
from trainables.data.images import ImageArrays
from trainables.hardware.gpu_share import pretends_gpus
from trainables.plugins.trust import trusted
from trainables.results.record import OUT_OF_BUDGET
from trainables.store.base import Store

WORKER_LOSSES = 3
"""How often a trial is started anew when its worker dies, before it has trained another epoch; what raises in its own code is not tried again."""

PENDING_TRIALS = 16
"""Trials queued beyond the running ones on a cluster, so that it sees what to grow for."""


NODES_EVERY_S = 10.0
"""How often a run that is paid for by the node counts them."""

LOOK_EVERY_S = 2.0
"""How often a run on a cluster whose nodes come and go looks at what they are."""

GPUS_IDLE = (
    "a node with GPUs has joined, but the trials of this run train on cores: stop it and run it again to train on GPUs"
)

RESIZED = "the nodes that came are smaller than was meant"
"""Why a launch ended before anything ran, to begin again with smaller slots."""


def launch(
    controller: TrialController,
    spec: SweepSpec,
    images: ImageArrays,
    store: Store,
    log: RunLog,
    cluster: Cluster,
    budget: Budget,
    deadline_unix_s: float,
    lease: Lease,
    say: Callable[[str], None],
) -> str:
    """Train what `controller` says on the connected `cluster`; every event is in `log` when this returns.

    At `deadline_unix_s`, when `budget` is spent, at SIGINT and at SIGTERM, the epochs under way are given up and their
    trials are `stopped`; so they are where the `lease` is lost. Returns why it ended early, "" where every trial came to
    its own end. Raises the `StoreError` of an event that could not be written.
    """
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(PENDING_TRIALS if cluster.elastic else max(1, cluster.slots))
    from ray import tune
    from ray.tune.error import TuneError
    from ray.tune.search import ConcurrencyLimiter

    from runner.execution.ray_scheduler import RayScheduler
    from runner.execution.trial_queue import Slots, TrialQueue, Until
    from runner.execution.waiting import Placement, Waiting, describe_cluster
    from runner.execution.watchdog import Watch, Watchdog
    from trainables.training.ray_trainable import TuneTrial

    ask_for_plain_workers()
    trainable = tune.with_parameters(
        TuneTrial,
        images=images,
        store=store,
        custom_models=trusted(),
        gpus=cluster.slot.gpus,
        is_explicit=spec.resources.gpus is not None,
        is_pretended=pretends_gpus(),
    )
    trainable = tune.with_resources(trainable, {"cpu": cluster.slot.cpus, "gpu": cluster.slot.gpus})
    # On a cluster that shrinks, a slot without work is given back, or its node would be paid for.
    slots = 0 if cluster.elastic else spec.resources.slots or cluster.slots
    tasks = TrialQueue(controller, slots, lambda: deadline_unix_s - time.time())
    queue: Any = tasks
    if not cluster.elastic or spec.resources.slots:
        queue = ConcurrencyLimiter(queue, max_concurrent=spec.resources.slots or cluster.slots)
    waiting = Waiting(cluster.slot, spec.resources.patience, say, describe_cluster)
    unfit = ""
    spent = ""
    counted_s = looked_s = -NODES_EVERY_S
    is_resized = is_told = False
    with scratch_folder() as scratch, _interruptible() as interrupted:

        def end_unfit(reason: str) -> None:
            nonlocal unfit
            if not unfit:
                unfit = reason
                say(reason)

        def look_at_nodes() -> None:
            nonlocal looked_s, is_resized, is_told
            if not cluster.elastic or log.elapsed_s - looked_s < LOOK_EVERY_S:
                return
            looked_s = log.elapsed_s
            nodes = list_nodes()
            is_resized |= waiting.is_waiting and fit_cores(cluster.slot, spec.resources, nodes) != cluster.slot
            is_idle = not cluster.slot.gpus and spec.resources.gpus is None and any(node.gpus >= 1 for node in nodes)
            if is_idle and not is_told:
                say(GPUS_IDLE)
            is_told |= is_idle

        def is_over() -> bool:
            nonlocal spent, counted_s
            look_at_nodes()
            if spec.budget.money is not None and log.elapsed_s - counted_s >= NODES_EVERY_S:
                counted_s = log.elapsed_s
                if (nodes := count_nodes()) != log.state.nodes:
                    log.write(NodesChanged, nodes=nodes)
            spent = budget.spent(log.state, log.elapsed_s)
            is_stuck = bool(unfit or waiting.reason or is_resized)
            return interrupted.is_set() or bool(spent) or is_stuck or time.time() > deadline_unix_s or lease.is_lost

        # `tune.run`, not a `Tuner`: the latter pickles all of its arguments to a file that nobody here may read.
        try:
            tune.run(
                trainable,
                name="tune",
                storage_path=scratch,
                num_samples=-1,
                search_alg=queue,
                scheduler=RayScheduler(controller, tasks.has_more, end_unfit, say),
                stop=Until(is_over),
                callbacks=[
                    Slots(controller, log),
                    Watch(Watchdog(spec.resources.hang), say),
                    Placement(waiting),
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
        over = is_over()
    if lease.is_lost:
        lease.confirm()
    if is_resized and not interrupted.is_set() and not (unfit or spent or waiting.reason):
        return RESIZED
    left = [record for record in log.state.pending() if record.state == "running"]
    out_of_budget = f"{OUT_OF_BUDGET} ({spent})" if spent else OUT_OF_BUDGET
    reason = "interrupted" if interrupted.is_set() else out_of_budget if over else "Tune gave it up"
    if (stuck := unfit or waiting.reason) and not interrupted.is_set():
        reason = stuck
    for record in left:
        controller.end(record.trial_id, "stopped", f"{reason} in epoch {log.state.last_epoch(record.trial_id) + 1}")
    if controller.is_capped and not over and not left:
        return f"{OUT_OF_BUDGET} (budget.trials is {spec.budget.trials})"
    return reason if over or left else ""


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
