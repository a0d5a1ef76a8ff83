"""A trial in memory: its net, its optimizer and its epoch. Plain torch; independent of Ray and the store.

Resuming is exact because no random state survives an epoch: every epoch seeds torch from the trial's seed and its own
number, and the learning rate is a function of the step and of validation losses. What remains to be saved are weights, their
average, the optimizer and, for `plateau`, those losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional

from trainables.augment.pipeline import Augment
from trainables.config.preparation import PreparationConfig
from trainables.config.seed import derive_seed
from trainables.config.trial import TrialConfig
from trainables.errors import CheckpointMismatch, ModelMismatch, TrialDiverged
from trainables.hardware.device import name_device
from trainables.models.boosted import BoostedNet, build_net, take_former, trained_part
from trainables.models.cost import begin_peak, measure_cost, measure_once, measured_peak
from trainables.models.load import check_model
from trainables.models.normalisation import own_normalisation
from trainables.models.pretrained import start_from
from trainables.optim.loss import Loss
from trainables.optim.optimizer import build_optimizer, check_tensors, optimizer_tensors, restore_tensors
from trainables.optim.schedule import count_falls, learning_rate
from trainables.results.layer_statistics import EpochStatistics
from trainables.results.record import TrialCost
from trainables.training.average import Average, measure_statistics, split_state
from trainables.training.device_images import DeviceImages, choose_training_rows, equalise_images
from trainables.training.memory import PredictionBatch
from trainables.training.monitor import TrainingMonitor
from trainables.training.precision import resolve_precision

EVALUATION_BATCH = {"cpu": 125, "cuda": 2000}
"""Initial number of images in a prediction batch, see `prediction_batch`. On a CPU core 2,000 images of 28 x 28 take 0.09 s in
batches of 125 or 250, 0.21 s in batches of 500 and 0.28 s in one of 2,000: the allocator maps larger activations again each time."""


def prediction_batch(device: torch.device) -> PredictionBatch:
    """The prediction batch for `device`; every device but the CPU is treated as a GPU."""
    return PredictionBatch(EVALUATION_BATCH["cpu" if device.type == "cpu" else "cuda"])


CHECK_EVERY = 16
"""Steps between two checks of the loss and the clock: each check synchronises with the device."""

EXPLODED = 10
"""A trial whose loss is above this many times that of guessing diverges. The loss of guessing is ln(classes), also with smoothed
labels."""


LOSSES = "schedule/losses"
"""Name of the validation losses of a `plateau` trial, float64 (epochs,), among the optimizer's tensors."""


class OutOfTime(Exception):
    """The epoch was abandoned because the trial had to stop."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Evaluation of a net on a split: probabilities float32 (images, classes), mean cross-entropy in nats, accuracy."""

    probabilities: npt.NDArray[np.float32]
    loss: float
    accuracy: float


class Training:
    """A trial between two epochs. `epoch` is the number of epochs that its weights were trained for.

    A batch that does not fit into memory is computed in `parts`, whose gradients are added up. For the weights this is the
    same step, except for rounding; batch norm normalises each part separately, with statistics of fewer images ("ghost"
    batches, Hoffer et al. 2017); draws of dropout and augmentation differ. So the number of parts belongs to the circumstances of
    an epoch.
    """

    def __init__(
        self,
        config: TrialConfig,
        images: DeviceImages,
        parts: int = 1,
        initial: bytes | None = None,
        net: nn.Module | None = None,
        image_weights: npt.NDArray[np.float64] | None = None,
        former: bytes | None = None,
    ) -> None:
        """`initial` are initial weights; `net` replaces the one that `config` names; `former` are the weights of the previous
        round of gradient boosting, without which `restore` must load them.

        `image_weights` float64 (images,), adding up to one, are the weights of the images of `trained_rows` in the loss.
        """
        self.config = config
        self.epoch = 0
        self.parts = parts
        self._start = config.parent.epoch if config.parent else 0
        self._pixel_bytes = images.pixels.nbytes
        self._images = images = equalise_images(images, config.data.equalise)
        if config.data.equalise != "none":
            self._pixel_bytes += images.pixels.nbytes
        self._mean, self._std = images.mean, images.std
        if config.data.normalise == "model":
            own = own_normalisation(config.model, images.shape.channels)
            self._mean, self._std = (torch.tensor(one, dtype=torch.float32, device=images.mean.device) for one in own)
        self._rows = choose_training_rows(images, config.train_share, config.bag, config.data_id)
        self._device = images.pixels.device
        self.precision = resolve_precision(config.precision, self._device)
        if net is None:
            net = build_net(config, images.shape)
        if initial is not None:
            start_from(trained_part(net), initial)
        if former is not None and isinstance(net, BoostedNet):
            take_former(net, former)
        # channels_last makes a training step 1.5 times faster on a CPU core, and tensor cores need it.
        self._net = net.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = build_optimizer(config.optimizer, self._net)
        self._average = Average(config.average, self._net)
        self._loss = Loss(config.optimizer, images.labels[self._rows], images.shape.classes)
        self._image_weights = self._spread(image_weights)
        self._losses: list[float] = []
        self._prediction_batch = prediction_batch(self._device)
        self._augment = Augment(config.augment, images.shape, self._device)
        self._monitor = TrainingMonitor(trained_part(self._net))
        self._peak_bytes: int | None = None
        self.statistics: EpochStatistics | None = None
        """Statistics of the last epoch; None before the first one."""

    @property
    def batch_size(self) -> int:
        """Number of images in a step."""
        return min(self.config.optimizer.batch_size, len(self._rows))

    def train_epoch(self, should_stop: Callable[[], bool] = lambda: False) -> tuple[float, float]:
        """One pass over the training images; returns mean loss and accuracy during training, while the weights change.

        Raises `TrialDiverged` soon after the loss is not finite or far above that of guessing, and `OutOfTime` soon after
        `should_stop` returns true.
        """
        falls = count_falls(self.config.schedule, self._validation_losses())
        self._average.open_epoch(self.epoch + 1)
        batches = self.open_epoch(self.epoch + 1)
        begin_peak(self._device)
        steps, size = batches.shape
        total_loss = torch.zeros((), device=self._device)
        total_right = torch.zeros((), dtype=torch.int64, device=self._device)
        seen_loss, seen_steps = 0.0, 0
        for step, batch in enumerate(batches):
            at = self.epoch * steps + step
            rate = learning_rate(self.config.schedule, self.config.optimizer.lr, at, steps, falls)
            loss, right = self.train_batch(batch, rate, is_monitored=self._monitor.should_monitor(step, steps))
            self._monitor.take_loss(loss)
            total_loss += loss
            total_right += right
            if step % CHECK_EVERY == CHECK_EVERY - 1 or step == steps - 1:
                loss_now = float(total_loss)
                self._check_loss(loss_now, (loss_now - seen_loss) / (step + 1 - seen_steps), step, steps)
                if should_stop():
                    raise OutOfTime
                seen_loss, seen_steps = loss_now, step + 1
        self._peak_bytes = measured_peak(self._device)  # of the steps alone: predictions are made in larger batches
        self.epoch += 1
        self._average.close_epoch(self.epoch)
        if self._average.wants_statistics:
            seed = derive_seed(self.config.seed, "statistics", self.epoch)
            self._average.measure_statistics(self._rows, seed, self._prediction_batch, self._logits)
        self.statistics = self._close_epoch(rate)
        return float(total_loss) / steps, float(total_right) / (steps * size)

    def open_epoch(self, epoch: int) -> Tensor:
        """The batches of `epoch` in their order: int64 (steps, images in a step), positions of training images.

        Seeds torch for the dropout of that epoch: pass the batches to `train_batch` before using torch's generator otherwise.
        """
        rows, size = self._rows, self.batch_size
        steps = len(rows) // size
        torch.manual_seed(derive_seed(self.config.seed, "epoch", epoch))
        order = rows[torch.randperm(len(rows)).to(self._device)]
        self._augment.begin(derive_seed(self.config.seed, "augment", epoch))
        self._net.train()
        return order[: steps * size].reshape(steps, size)

    def train_batch(self, batch: Tensor, rate: float, is_monitored: bool = False) -> tuple[Tensor, Tensor]:
        """One step at a learning rate; returns the mean loss of `batch` before it, and the number of correct predictions, both on
        the device, without synchronising with it.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad()
        if self.parts == 1:
            loss, right = self._descend(batch)
        else:
            parts_results = [self._descend(part, len(part) / len(batch)) for part in batch.tensor_split(self.parts)]
            loss, right = (torch.stack(values).sum() for values in zip(*parts_results, strict=True))
        if is_monitored:
            self._monitor.before_step()
        self._optimizer.step()
        if is_monitored:
            self._monitor.after_step()
        if self._average.follows_steps:
            self._average.after_step()
        return loss, right

    def _descend(self, batch: Tensor, share: float = 1.0) -> tuple[Tensor, Tensor]:
        """Add the gradient of `batch`, which is `share` of a step's batch; returns its share of the loss, and the number of correct
        predictions."""
        labels = self._images.labels[batch]
        images = self._pixels(batch)
        if self._augment.varies:
            images = self._augment.vary(images)
        mixed = self._augment.mix(images, labels) if self._augment.mixes else None
        logits = self._predict(self._normalise(mixed.images if mixed else images))
        weights = None if self._image_weights is None else self._image_weights[batch]
        loss = self._loss(logits, labels, mixed, weights)
        if share != 1:
            loss = loss * share
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def _close_epoch(self, rate: float) -> EpochStatistics:
        """The statistics of the epoch, with a sample of the training images in evaluation mode."""
        self._net.eval()
        rows = self._monitor.sample(self._rows, self.epoch)

        def predict_sample(size: int) -> Tensor:
            parts = torch.split(rows, size)
            with self._monitor.recording_activations():
                first = self._logits(parts[0])
            return torch.cat([first, *(self._logits(part) for part in parts[1:])])

        with self._average.shown(), torch.inference_mode():
            return self._monitor.close(self._prediction_batch.fit(predict_sample), self._images.labels[rows], rate)

    def measure_statistics(self, seed: int) -> None:
        """Compute the net's batch-norm statistics on training images that `seed` selects, without augmentation.

        For averaged weights, whose activations are not those that the stored statistics come from.
        """
        measure_statistics(self._net, self._rows, seed, self._prediction_batch, self._logits)

    def evaluate(self, split: str) -> Evaluation:
        """Predict every image of `split`, in the order of its rows. Raises `TrialDiverged` where a logit is not finite."""
        self._net.eval()
        rows = self._images.rows[split]

        def predict(size: int) -> Tensor:
            return torch.cat([self._logits(batch) for batch in torch.split(rows, size)])

        with self._average.shown(), torch.inference_mode():
            logits = self._prediction_batch.fit(predict)
            labels = self._images.labels[rows]
            if not torch.isfinite(logits).all():
                raise TrialDiverged(f"a prediction on {split} is no finite number after epoch {self.epoch}")
            loss = float(functional.cross_entropy(logits, labels))
            accuracy = float((logits.argmax(1) == labels).double().mean())
            evaluation = Evaluation(logits.softmax(1).cpu().numpy(), loss, accuracy)
        if split == "validation" and len(self._losses) == self.epoch - self._start - 1:
            self._losses.append(loss)
        return evaluation

    @property
    def trained_rows(self) -> npt.NDArray[np.int64]:
        """Positions of the images that are trained on."""
        return self._rows.cpu().numpy()

    def find_wrong(self) -> npt.NDArray[np.bool_]:
        """Which images of `trained_rows` the net misclassifies in evaluation mode: (images,)."""
        self._net.eval()

        def predict(size: int) -> Tensor:
            return torch.cat([self._logits(batch) for batch in torch.split(self._rows, size)])

        with self._average.shown(), torch.inference_mode():
            wrong = self._prediction_batch.fit(predict).argmax(1) != self._images.labels[self._rows]
        return wrong.cpu().numpy()

    def _spread(self, weights: npt.NDArray[np.float64] | None) -> Tensor | None:
        """Image weights by position, float32 (images,), scaled to a mean of 1 over the training images."""
        if weights is None:
            return None
        spread = torch.ones(len(self._images.labels), dtype=torch.float32)
        spread[self._rows.cpu()] = torch.from_numpy(weights * len(weights)).to(torch.float32)
        return spread.to(self._device)

    def _validation_losses(self) -> list[float]:
        """For `plateau`: the validation losses of all epochs since the start of this trial, including the last one."""
        if self.config.schedule.name != "plateau":
            return []
        if len(self._losses) < self.epoch - self._start:
            self.evaluate("validation")
        return self._losses

    def circumstances(self) -> dict[str, Any]:
        """The circumstances of the computation that may differ between machines; also mean and deviation that pixels are normalised
        by, where they are others than those on record with the data."""
        more: dict[str, Any] = {"parts": self.parts} if self.parts > 1 else {}
        if self.config.data != PreparationConfig():
            more["normalisation"] = {"mean": self._mean.tolist(), "std": self._std.tolist()}
        return {"precision": self.precision, "device": name_device(self._device), "torch": torch.__version__, **more}

    def cost(self) -> TrialCost:
        """The costs of the net, measured once for each architecture, after an epoch whose peak memory is that of a step."""
        optimizer_bytes = sum(
            value.numel() * value.element_size()
            for buffers in self._optimizer.state.values()
            for value in buffers.values()
            if isinstance(value, Tensor)
        )
        size = -(-self.batch_size // self.parts)
        shape, model = self._images.shape, self.config.model.model_dump_json()

        def measure() -> TrialCost:
            autocast = torch.bfloat16 if self.precision == "bfloat16" else None
            peak_bytes = self._peak_bytes
            if peak_bytes is not None:
                peak_bytes -= self._pixel_bytes
            return measure_cost(self._net, shape, size, optimizer_bytes, autocast, peak_bytes)

        rounds = self.config.boost.round
        return measure_once((model, rounds, shape, size, optimizer_bytes, self.precision, str(self._device)), measure)

    def weights(self) -> bytes:
        """The weights and batch-norm statistics for prediction, averaged if there is an average, as a safetensors file."""
        with self._average.shown():
            tensors = {name: value.detach().contiguous() for name, value in self._net.state_dict().items()}
            return bytes(save_tensors(tensors))

    def optimizer_state(self) -> bytes:
        """The optimizer's tensors, named `<parameter>/<buffer>`, and the other state for resuming, as a safetensors file.

        The other state is `Average.state`, and for `plateau` the validation losses.
        """
        tensors = optimizer_tensors(self._optimizer, self._net) | self._average.state()
        if self.config.schedule.name == "plateau":
            tensors[LOSSES] = torch.tensor(self._validation_losses(), dtype=torch.float64)
        return bytes(save_tensors(tensors))

    def restore(self, epoch: int, weights: bytes, optimizer_state: bytes) -> None:
        """Load the checkpoint of the end of `epoch`.

        Rate, momentum, betas and decay are those of this training's configuration: the checkpoint may belong to another trial. In
        that case its weights in training are used, not their average. Raises `CheckpointMismatch` where it is one of another
        model, of another optimizer, or lacks validation losses.
        """
        stored = load_tensors(weights)
        buffers, raw, rest = split_state(load_tensors(optimizer_state))
        raw = raw or stored
        check_model(self._net, stored)
        check_model(self._net, raw)
        check_tensors(self.config.optimizer, self._net, buffers, epoch)
        losses: list[float] = []
        if self.config.schedule.name == "plateau" and epoch > self._start:
            losses = rest[LOSSES].tolist() if LOSSES in rest else []
            if len(losses) != epoch - self._start:
                raise CheckpointMismatch(f"it holds {len(losses)} validation losses of {epoch - self._start} epochs")
        self._net.load_state_dict(raw)
        restore_tensors(self._optimizer, self._net, buffers)
        self._average.restore(stored, rest, epoch)
        self._losses = losses
        self.epoch = epoch

    def _check_loss(self, total: float, mean: float, step: int, steps: int) -> None:
        """Raise `TrialDiverged` where the sum of losses is not finite, or their mean since the last check is too high."""
        where = f"in epoch {self.epoch + 1}, step {step + 1} of {steps}"
        if not math.isfinite(total):
            raise TrialDiverged(f"the training loss is {total} {where}")
        guessing = math.log(self._images.shape.classes)
        if mean > EXPLODED * guessing:
            raise TrialDiverged(
                f"the training loss is {mean:.4g} {where}: more than {EXPLODED} times that of guessing, {guessing:.4g}"
            )

    def _logits(self, batch: Tensor) -> Tensor:
        return self._predict(self._normalise(self._pixels(batch)))

    def _pixels(self, batch: Tensor) -> Tensor:
        """The images of `batch`: float32 (images, channels, height, width) from 0 to 1, in channels_last."""
        if self._images.read_ahead is not None:
            self._images.read_ahead(batch.tolist())
        return self._images.pixels[batch].to(torch.float32).div_(255).permute(0, 3, 1, 2)

    def _normalise(self, images: Tensor) -> Tensor:
        """Normalise `images` in place by the mean and deviation that `data.normalise` names."""
        return images.sub_(self._mean[:, None, None]).div_(self._std[:, None, None])

    def _predict(self, images: Tensor) -> Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            logits: Tensor = self._net(images)
        if logits.shape != (len(images), self._images.shape.classes):  # on a GPU the loss would end the whole process
            raise ModelMismatch(
                f"the model gives {tuple(logits.shape)} for {len(images)} images of {self._images.shape.classes} classes, "
                "not logits (images, classes): repair its last layer"
            )
        return logits.float()
