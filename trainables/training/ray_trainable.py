"""The one door to Ray: a `Trial` as a Tune trainable. Tune decides which trial advances where; nothing else.

Tune gets no checkpoint to keep. Its own copying loses uploads silently and its restore forgets what a scheduler
decided; a trial's state lives in the store, and a trainable that is built anew continues from there.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import ray
from ray import tune

from trainables.config.trial import TrialConfig
from trainables.data.images import ImageArrays, hash_labels
from trainables.errors import DataError, DeviceFault, StoreError
from trainables.hardware.gpu_share import GpuMismatch, restrict_to_assigned_gpus
from trainables.hardware.spot_notice import Notice, NoticeUnknown, SpotNotice, choose_notice_source
from trainables.plugins.trust import trust
from trainables.results.config_file import write_config
from trainables.store.base import Store

if TYPE_CHECKING:
    from trainables.training.device_images import DeviceImages
    from trainables.training.trial import Step, Trial


COMMIT_S = 30.0
"""So long before its machine goes a trial is done with training: its checkpoint has to reach the store."""


class TuneTrial(tune.Trainable):  # type: ignore[misc]
    """Advances one trial by one epoch a step; reused for the next trial, so that torch is imported once a slot.

    Its Tune configuration is {"name": its trial_id, "trial": JSON of a `TrialConfig`, "epoch": the last epoch that the run has on record,
    "left_s": how many seconds later it has to stop (left out: never)};
    or, with "range_test" in place of "epoch", names an architecture whose learning-rate range test is to be made with that trial;
    or is {"name": …, "standby": seconds}: to wait so long, a step, until there is work.
    A step's result holds "trial_id" of ours as "name", and either the fields of an `EpochResult` (with the first a "cost" as JSON), or "end" and "reason",
    or "range_test" with what that has found, as JSON (Tune flattens what is nested), or "standby"; or "unfit", why nothing can be
    trained in this worker; or "leaving" with the reason, where its machine
    is to be taken away: then all that it reported is stored, the next step ends the actor, and the trial goes on from there elsewhere.
    """

    _trial: Trial | None
    """None where the store would not even let the trial begin, or its images are corrupt; then this is said in its place:"""
    _refused: Step
    _architecture: str
    _cost_reported: bool
    _until_s: float
    """When it has to stop, on this machine's monotonic clock."""
    _spot: SpotNotice | None = None
    """What tells that this machine is to be taken away; None where nobody says."""
    _has_left: bool = False
    _began_s: float = 0.0
    """When the step under way began."""
    _epoch_s: float = math.inf
    """What the last epoch took in all; before that nobody knows."""

    def setup(
        self,
        config: dict[str, Any],
        *,
        images: ImageArrays | None = None,
        store: Store | None = None,
        custom_models: tuple[str, ...] = (),
        gpus: float | None = None,
        is_explicit: bool = True,
        is_pretended: bool = False,
    ) -> None:
        """Once an actor: pin the threads, place the images, then begin the first trial.

        `custom_models` are those of a person's own that it may import: a journal could name others. `gpus` and the words after it
        are those of `choose_device`.
        """
        trust(custom_models)
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
            self._images = place_images(images, device)
            self._pseudo_table, self._with_table = "", self._images
            self._labels_sha256 = hash_labels(images)
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
        # A checkpoint that the store did not take is no fault of the next trial: the driver looks for it at the end.
        with contextlib.suppress(StoreError):
            self._committer.flush()
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        """One epoch of the trial, or its end."""
        if self._unfit:
            return {"name": self._name, "unfit": self._unfit}
        if self._has_left:
            _end_actor()
        if self._standby_s:
            time.sleep(self._standby_s)
            return {"name": self._name, "standby": True}
        if self._architecture:
            return {
                "name": self._name,
                "trained": True,
                "end": "",
                "range_test": json.dumps(self._test_range(self._architecture)),
            }
        if self._spot and self._spot.notice:
            return self._leave(self._spot.notice)
        self._began_s = time.monotonic()
        step = self._trial.advance(self._must_stop) if self._trial else self._refused
        if step.end == "stopped" and (notice := self._cut_short()) and not self._is_too_late():
            return self._leave(notice)
        if step.trained:
            self._epoch_s = time.monotonic() - self._began_s
        result: dict[str, Any] = {"name": self._name, "trained": step.trained, "end": step.end, "reason": step.reason}
        if self._trial and self._trial.cost and not self._cost_reported:
            result["cost"] = json.dumps(asdict(self._trial.cost))
            self._cost_reported = True
        return result | (asdict(step.result) if step.result else {})

    def cleanup(self) -> None:
        """Nothing that was reported may be lost when Tune stops the actor."""
        with contextlib.suppress(StoreError):
            self._committer.close()

    def _begin(self, config: dict[str, Any]) -> None:
        from trainables.training.trial import Step, Trial

        self._name, self._standby_s = config["name"], config.get("standby", 0.0)
        self._let_go()
        if self._standby_s:
            return
        self._until_s = time.monotonic() + config.get("left_s", math.inf)
        trial = TrialConfig.model_validate(json.loads(config["trial"]))
        self._config = trial
        self._cost_reported = False
        self._architecture = config.get("range_test", "")
        if self._architecture:
            return
        if self._fault:
            self._trial, self._refused = None, Step(end="failed", reason=self._fault)
            return
        if self._unheard:  # as `stopped` the next run goes on with it
            self._trial, self._refused = None, Step(end="stopped", reason=self._unheard)
            return
        try:
            write_config(self._store, trial)
            images = self._with_pseudo_labelled(trial)
            self._trial = Trial(trial, images, self._labels_sha256, self._store, self._committer, epoch=config["epoch"])
        except StoreError as error:  # raised here it would count as the death of a worker
            self._trial, self._refused = None, Step(end="stopped", reason=str(error))
        except DataError as error:
            self._trial, self._refused = None, Step(end="failed", reason=str(error))

    def _let_go(self) -> None:
        """Give back what the trial before held on a GPU: with a fraction of it, its memory is another worker's, too."""
        if getattr(self, "_trial", None) is None:
            return
        self._trial = None
        if not self._fault and self._images.pixels.device.type != "cpu":
            from trainables.training.memory import free_memory

            free_memory()

    def _with_pseudo_labelled(self, trial: TrialConfig) -> DeviceImages:
        """The images that a trial trains on; those of the last table are kept, since a second stage has one for all."""
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
        """What the journal keeps of a range test; one that fails says so."""
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
        """Let all that was reported reach the store; the next step ends the actor."""
        with contextlib.suppress(StoreError):  # then the driver finds it out, as after any loss of a worker
            self._committer.flush()
        self._has_left = True
        return {"name": self._name, "trained": False, "end": "", "reason": "", "leaving": notice.message}

    def _cut_short(self) -> Notice | None:
        """The notice for which the epoch under way is given up: it would not be over, or not be stored, in time."""
        notice = self._spot.notice if self._spot else None
        if notice and self._began_s + self._epoch_s > notice.until_s - COMMIT_S:
            return notice
        return None

    def _is_too_late(self) -> bool:
        return time.monotonic() > self._until_s

    def _must_stop(self) -> bool:
        return self._is_too_late() or self._cut_short() is not None


def _drain_node(notice: Notice) -> None:
    """Tell Ray that this node is to be preempted: it places nothing here any more, and whoever dies here has not failed."""
    from ray._private.worker import global_worker
    from ray.core.generated.autoscaler_pb2 import DrainNodeReason

    until_unix_ms = int(1000 * (time.time() + max(0.0, notice.until_s - time.monotonic())))
    reason = DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
    with contextlib.suppress(Exception):  # whatever it is: trials leave all the same, and come back here at worst
        global_worker.gcs_client.drain_node(
            global_worker.current_node_id.hex(), reason, notice.message, until_unix_ms, timeout=10
        )


def _end_actor() -> None:
    """Never returns."""
    from ray.actor import exit_actor

    exit_actor()
