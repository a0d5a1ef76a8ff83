"""A `Trial` as a Tune trainable, the only use of Ray in this package. Tune decides where a trial runs, nothing else.

Tune gets no checkpoints. Its uploads can fail silently, and its restore loses the decisions of a scheduler; a trial's state is in
the store, and a new trainable continues from there.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from trainables.config.trial import TrialConfig
from trainables.data.images import ImageArrays, hash_labels
from trainables.data.mapped import MappedArrays
from trainables.errors import DataError, DeviceFault, StoreError
from trainables.hardware.gpu_share import GpuMismatch, restrict_to_assigned_gpus
from trainables.hardware.spot_notice import Notice, NoticeUnknown, SpotNotice, choose_notice_source
from trainables.metric import Metric
from trainables.plugins.trust import trust
from trainables.results.config_file import write_config
from trainables.store.base import Store
from trainables.training.tune_messages import TuneReport, TuneTask

if TYPE_CHECKING:
    from trainables.training.device_images import DeviceImages
    from trainables.training.trial import Step, Trial


COMMIT_S = 30.0
"""Seconds before the end of its machine at which a trial must have stopped training, so that its checkpoint can be uploaded."""


class TuneTrial(tune.Trainable):  # type: ignore[misc]
    """Advances one trial by one epoch a step; reused for the next trial, so that torch is imported once a slot.

    Its Tune configuration is a `TuneTask`, and the result of a step a `TuneReport`. After a report that it is leaving, everything that
    it has reported is stored, the next step ends the actor, and the trial continues on another machine.
    """

    _trial: Trial | None
    """None where the store or corrupt images prevent the trial from starting; then each step returns `_refused`."""
    _refused: Step
    _architecture: str
    _cost_reported: bool
    _until_s: float
    """When the trial must stop, on this machine's monotonic clock."""
    _spot: SpotNotice | None = None
    """The source of notices that this machine will be taken away; None where none is configured."""
    _has_left: bool = False
    _began_s: float = 0.0
    """When the current step began."""
    _epoch_s: float = math.inf
    """Total duration of the last epoch; infinite before the first one."""

    def setup(
        self,
        config: dict[str, Any],
        *,
        images: ImageArrays | MappedArrays | None = None,
        store: Store | None = None,
        custom_models: tuple[str, ...] = (),
        gpus: float | None = None,
        is_explicit: bool = True,
        is_pretended: bool = False,
        metric: Metric = "accuracy",
    ) -> None:
        """Once for each actor: set the number of threads, place the images on the device, then begin the first trial. `metric` is
        what the sweep asks for.

        `custom_models` are the user-defined models that it may import: a journal could name others. `gpus` and the arguments
        after it are those of `choose_device`.
        """
        trust(custom_models)
        self._metric: Metric = metric
        if ray.is_initialized():
            restrict_to_assigned_gpus(ray.get_runtime_context().get_accelerator_ids().get("GPU", ()))
        import torch

        from trainables.hardware.device import open_device, slot_threads
        from trainables.results.committer import Committer
        from trainables.training.device_images import place_images

        if images is None or store is None:
            raise ValueError("images and store were not handed to the trainable")
        self._fault, self._unfit = "", ""
        try:
            device = open_device(slot_threads(), gpus, is_explicit=is_explicit, is_pretended=is_pretended)
        except GpuMismatch as error:  # raised here it would count as the death of a worker
            self._unfit = str(error)
            device = torch.device("cpu")
        try:
            arrays = images.open() if isinstance(images, MappedArrays) else images
            self._images = place_images(arrays, device)
            self._pseudo_table, self._with_table = "", self._images
            self._labels_sha256 = hash_labels(arrays)
        except DataError as error:  # the same in every worker: raised here it would count as the death of each of them
            self._fault = str(error)
        self._store = store
        self._committer = Committer(self._store)
        self._unheard = ""
        try:
            if source := choose_notice_source(os.environ):
                self._spot = SpotNotice(source, _drain_node)
        except NoticeUnknown as error:
            self._unheard = str(error)
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Finish writing for the trial before, then begin the next one in the same process."""
        # A failed upload is not an error of the next trial: the driver detects the missing checkpoint at the end.
        with contextlib.suppress(StoreError):
            self._committer.flush()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """Train one epoch of the trial, or report its end."""
        if self._unfit:
            return TuneReport(self._name, unfit=self._unfit).to_result()
        if self._has_left:
            _end_actor()
        if self._standby_s:
            time.sleep(self._standby_s)
            return TuneReport(self._name, standby=True).to_result()
        if self._architecture:
            found = self._test_range(self._architecture)
            return TuneReport(self._name, range_test=found, trained=True).to_result()
        if self._spot and self._spot.notice:
            return self._leave(self._spot.notice)
        self._began_s = time.monotonic()
        step = self._trial.advance(self._must_stop) if self._trial else self._refused
        if step.end == "stopped" and (notice := self._cut_short()) and not self._is_too_late():
            return self._leave(notice)
        if step.trained:
            self._epoch_s = time.monotonic() - self._began_s
        cost = self._trial.cost if self._trial and not self._cost_reported else None
        self._cost_reported |= cost is not None
        return TuneReport(
            self._name,
            end=step.end,
            reason=step.reason,
            by_budget=step.by_budget,
            epoch=step.result,
            trained=step.trained,
            cost=cost,
        ).to_result()

    def cleanup(self) -> None:
        """Store everything that was reported when Tune stops the actor."""
        with contextlib.suppress(StoreError):
            self._committer.close()

    def _begin(self, config: dict[str, Any]) -> None:
        from trainables.training.custom_source import check_source
        from trainables.training.trial import Step, Trial

        task = TuneTask.from_config(config)
        self._name, self._standby_s = task.name, task.standby_s
        self._let_go()
        if task.trial is None:
            return
        self._until_s = time.monotonic() + task.left_s
        trial = self._config = task.trial
        self._cost_reported = False
        self._architecture = task.range_test
        if self._architecture:
            return
        if self._fault:
            self._trial, self._refused = None, Step(end="failed", reason=self._fault)
            return
        if self._unheard:  # as `stopped`, so that the next run continues it
            self._trial, self._refused = None, Step(end="stopped", reason=self._unheard)
            return
        if problem := check_source(trial):
            self._trial, self._refused = None, Step(end="failed", reason=problem)
            return
        try:
            write_config(self._store, trial)
            images = self._with_pseudo_labelled(trial)
            self._trial = Trial(
                trial,
                images,
                self._labels_sha256,
                self._store,
                self._committer,
                epoch=task.after_epoch,
                metric=self._metric,
            )
        except StoreError as error:  # raised here it would count as the death of a worker
            self._trial, self._refused = None, Step(end="stopped", reason=str(error))
        except DataError as error:
            self._trial, self._refused = None, Step(end="failed", reason=str(error))

    def _let_go(self) -> None:
        """Release the GPU memory of the previous trial: where workers share a GPU, others need it."""
        if getattr(self, "_trial", None) is None:
            return
        self._trial = None
        if not self._fault and self._images.pixels.device.type != "cpu":
            from trainables.training.memory import free_memory

            free_memory()

    def _with_pseudo_labelled(self, trial: TrialConfig) -> DeviceImages:
        """The image set of a trial. That of the last pseudo-label table is cached, because all trials of a second stage share one."""
        from trainables.data.pseudo_table import read_pseudo_table
        from trainables.training.device_images import add_pseudo_labelled

        if not trial.pseudo_table:
            return self._images
        if trial.pseudo_table != self._pseudo_table:
            table = read_pseudo_table(self._store, trial.data_id, trial.pseudo_table)
            self._with_table = add_pseudo_labelled(self._images, table.pixels, table.labels)
            self._pseudo_table = trial.pseudo_table
        return self._with_table

    def _test_range(self, architecture: str) -> dict[str, Any]:
        """The result of a range test for the journal; a failed test has a reason in place of bounds."""
        from trainables.models.pretrained import load_initial_weights
        from trainables.training.lr_range_test import range_test

        start_s = time.monotonic()
        result: dict[str, Any] = {"key": architecture, "low": 0.0, "high": 0.0, "rates": [], "losses": []}
        try:
            if self._fault:
                raise DataError(self._fault)
            initial = load_initial_weights(self._store, self._config.model.weights)
            found = range_test(self._config, self._images, initial=initial)
            result |= {"low": found.low, "high": found.high, "reason": found.reason}
            result |= {"rates": found.rates.tolist(), "losses": found.smoothed.tolist()}
        except DeviceFault:
            raise
        except Exception as error:
            result["reason"] = f"{type(error).__name__}: {error}"
        return result | {"busy_s": round(time.monotonic() - start_s, 3)}

    def _leave(self, notice: Notice) -> dict[str, Any]:
        """Wait until everything that was reported is stored; the next step ends the actor."""
        with contextlib.suppress(StoreError):  # then the driver notices it, as after any loss of a worker
            self._committer.flush()
        self._has_left = True
        return TuneReport(self._name, leaving=notice.message).to_result()

    def _cut_short(self) -> Notice | None:
        """The notice for which the current epoch is abandoned, because it would not be finished and stored in time; else None."""
        notice = self._spot.notice if self._spot else None
        if notice and self._began_s + self._epoch_s > notice.until_s - COMMIT_S:
            return notice
        return None

    def _is_too_late(self) -> bool:
        return time.monotonic() > self._until_s

    def _must_stop(self) -> bool:
        return self._is_too_late() or self._cut_short() is not None


def _drain_node(notice: Notice) -> None:
    """Drain this node in Ray as preempted: Ray schedules nothing here any more, and does not count deaths here as failures."""
    from ray._private.worker import global_worker
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    until_unix_ms = int(1000 * (time.time() + max(0.0, notice.until_s - time.monotonic())))
    reason = DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
    with contextlib.suppress(
        Exception
    ):  # without draining, trials leave all the same, and at worst are placed here again
        global_worker.gcs_client.drain_node(
            global_worker.current_node_id.hex(), reason, notice.message, until_unix_ms, timeout=10
        )


def _end_actor() -> None:
    """End the current actor; never returns."""
    from ray.actor import exit_actor

    exit_actor()
