"""One trial in memory: its net, its optimizer and how far they are. Plain torch; knows neither Ray nor the store.

Resuming is exact because nothing random survives an epoch: every epoch seeds torch from the trial's seed and its own
number, and the learning rate is a function of the step. What is left to save are weights and optimizer.
"""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Set
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional

from trainables import layout
from trainables.config import OptimizerConfig, TrialConfig
from trainables.errors import CaucusError, TrialDiverged
from trainables.images import ImageArrays
from trainables.models import ImageShape, build_model
from trainables.schedule import learning_rate

EVALUATION_BATCH = {"cpu": 125, "cuda": 2000}
"""Images a batch of prediction. On a CPU core 2,000 images of 28 x 28 take 0.09 s in batches of 125 or 250, 0.21 s of
500 and 0.28 s of 2,000: larger activations are mapped anew by the allocator each time."""

CHECK_EVERY = 16
"""Steps between two looks at the loss and the clock: each look waits for the device."""

EXPLODED = 10
"""A loss above so many times that of guessing is given up. Guessing costs ln(classes), with smoothed labels too."""

BUFFERS = {"sgd": {"momentum_buffer"}, "adamw": {"exp_avg", "exp_avg_sq", "step"}}
"""What each optimizer keeps of a parameter; `sgd` without momentum keeps nothing."""


class OutOfTime(Exception):
    """The epoch was given up because its trial was told to stop."""


class CheckpointMismatch(CaucusError, ValueError):
    """A checkpoint of another model or another optimizer."""


@dataclass(frozen=True, eq=False)
class DeviceImages:
    """An image set on the device that trains, shared by all trials there.

    pixels    uint8 (images, height, width, channels)
    labels    int64 (images,)
    rows      for each split the positions of its images
    mean, std float32 (channels,), of the training images
    """

    pixels: Tensor
    labels: Tensor
    rows: dict[str, Tensor]
    mean: Tensor
    std: Tensor
    shape: ImageShape


def place_images(images: ImageArrays, device: torch.device) -> DeviceImages:
    """`images` as tensors on `device`; on a CPU without a copy."""
    _, height, width, channels = images.pixels.shape
    with warnings.catch_warnings():  # arrays from Ray's object store are read-only; nobody writes to these tensors
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        pixels = torch.from_numpy(images.pixels).to(device)
        labels = torch.from_numpy(images.labels).to(device)
    # Mean and variance from the counts of the 256 grey levels: exact, and no float copy of the whole set.
    train = images.pixels[images.rows("train")].reshape(-1, channels)
    counts = np.stack([np.bincount(train[:, channel], minlength=256) for channel in range(channels)])
    levels = np.arange(256) / 255
    mean = counts @ levels / len(train)
    std = np.sqrt(counts @ levels**2 / len(train) - mean**2)
    return DeviceImages(
        pixels=pixels,
        labels=labels,
        rows={split: torch.from_numpy(images.rows(split)).to(device) for split in layout.SPLITS},
        mean=torch.tensor(mean, dtype=torch.float32, device=device),
        std=torch.tensor(np.maximum(std, 1e-3), dtype=torch.float32, device=device),
        shape=ImageShape(height, width, channels, images.classes),
    )


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a net says of one split: probabilities float32 (images, classes), mean cross-entropy in nats, accuracy."""

    probabilities: npt.NDArray[np.float32]
    loss: float
    accuracy: float


class Training:
    """A trial between two epochs. `epoch` counts the epochs that its weights have seen."""

    def __init__(self, config: TrialConfig, images: DeviceImages) -> None:
        self.config = config
        self.epoch = 0
        self._images = images
        self._device = images.pixels.device
        self.precision = resolve_precision(config.precision, self._device)
        net = build_model(config.model, images.shape, derive_seed(config.seed, "weights"))
        # channels_last makes a training step 1.5 times faster on a CPU core and is what tensor cores want.
        self._net = net.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._optimizer = build_optimizer(config.optimizer, self._net)

    def train_epoch(self, should_stop: Callable[[], bool] = lambda: False) -> tuple[float, float]:
        """One pass over the training images: mean loss and accuracy while training, weights moving.

        Raises `TrialDiverged` soon after the loss is no finite number or far above that of guessing, and `OutOfTime`
        soon after `should_stop` is true.
        """
        batches = self.open_epoch(self.epoch + 1)
        steps, size = batches.shape
        total_loss = torch.zeros((), device=self._device)
        total_right = torch.zeros((), dtype=torch.int64, device=self._device)
        seen_loss, seen_steps = 0.0, 0
        for step, batch in enumerate(batches):
            rate = learning_rate(self.config.schedule, self.config.optimizer.lr, self.epoch * steps + step, steps)
            loss, right = self.train_batch(batch, rate)
            total_loss += loss
            total_right += right
            if step % CHECK_EVERY == CHECK_EVERY - 1 or step == steps - 1:
                loss_now = float(total_loss)
                self._check_loss(loss_now, (loss_now - seen_loss) / (step + 1 - seen_steps), step, steps)
                if should_stop():
                    raise OutOfTime
                seen_loss, seen_steps = loss_now, step + 1
        self.epoch += 1
        return float(total_loss) / steps, float(total_right) / (steps * size)

    def open_epoch(self, epoch: int) -> Tensor:
        """The batches of `epoch` in their order: int64 (steps, images a step), positions of training images.

        Seeds torch, so that dropout draws what it draws in that epoch: `train_batch` them before anything else is drawn.
        """
        rows = self._images.rows["train"]
        size = min(self.config.optimizer.batch_size, len(rows))
        steps = len(rows) // size
        torch.manual_seed(derive_seed(self.config.seed, "epoch", epoch))
        order = rows[torch.randperm(len(rows)).to(self._device)]
        self._net.train()
        return order[: steps * size].reshape(steps, size)

    def train_batch(self, batch: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """One step at a learning rate: mean loss of `batch` before it, and how many were right, on the device.

        Asks nothing of the device, so it does not wait for it.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        labels = self._images.labels[batch]
        logits = self._logits(batch)
        loss = functional.cross_entropy(logits, labels, label_smoothing=self.config.optimizer.label_smoothing)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.detach(), (logits.detach().argmax(1) == labels).sum()

    def evaluate(self, split: str) -> Evaluation:
        """Predict every image of `split`, in the order of its rows. Raises `TrialDiverged` on a logit that is no finite number."""
        self._net.eval()
        rows = self._images.rows[split]
        with torch.inference_mode():
            logits = torch.cat(
                [self._logits(batch) for batch in torch.split(rows, EVALUATION_BATCH[self._device.type])]
            )
            labels = self._images.labels[rows]
            if not torch.isfinite(logits).all():
                raise TrialDiverged(f"a prediction on {split} is no finite number after epoch {self.epoch}")
            loss = float(functional.cross_entropy(logits, labels))
            accuracy = float((logits.argmax(1) == labels).double().mean())
            return Evaluation(logits.softmax(1).cpu().numpy(), loss, accuracy)

    def circumstances(self) -> dict[str, str]:
        """What the numbers were computed with, where that may differ from one machine to the next."""
        device = torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu"
        return {"precision": self.precision, "device": device, "torch": torch.__version__}

    def weights(self) -> bytes:
        """Weights and batch-norm statistics as a safetensors file."""
        return bytes(
            save_tensors({name: value.detach().contiguous() for name, value in self._net.state_dict().items()})
        )

    def optimizer_state(self) -> bytes:
        """The optimizer's tensors as a safetensors file, named `<parameter>/<buffer>`."""
        state = self._optimizer.state_dict()["state"]
        names = [name for name, _ in self._ordered_parameters()]
        tensors = {
            f"{names[position]}/{buffer}": value.detach().contiguous()
            for position, buffers in state.items()
            for buffer, value in buffers.items()
            if value is not None
        }
        return bytes(save_tensors(tensors))

    def restore(self, epoch: int, weights: bytes, optimizer_state: bytes) -> None:
        """Become the trial that `weights` and `optimizer_state` were taken from at the end of `epoch`.

        Rate, momentum, betas and decay stay those of this training's own configuration: they may come from another
        trial's checkpoint. Raises `CheckpointMismatch` where it is one of another model or another optimizer.
        """
        stored, buffers = load_tensors(weights), load_tensors(optimizer_state)
        places = {name: (position, parameter) for position, (name, parameter) in enumerate(self._ordered_parameters())}
        self._check_model(stored)
        self._check_optimizer(buffers.keys(), places.keys(), epoch)
        if self.config.optimizer.name == "sgd" and not self.config.optimizer.momentum:
            buffers = {}  # of a parent with momentum: kept unused, they would come back to life in a grandchild
        self._net.load_state_dict(stored)
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in buffers.items():
            name, buffer = key.rsplit("/", 1)
            position, parameter = places[name]
            if value.shape == parameter.shape:
                # The fused optimizers walk parameter and buffer in the order of memory, without asking for their
                # strides: a buffer in another format than its channels_last parameter is silently mixed up.
                value = torch.empty_like(parameter).copy_(value)
            state.setdefault(position, {})[buffer] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": state})
        self.epoch = epoch

    def _check_model(self, stored: dict[str, Tensor]) -> None:
        theirs = {name: tuple(value.shape) for name, value in stored.items()}
        ours = {name: tuple(value.shape) for name, value in self._net.state_dict().items()}
        for name in [*ours, *theirs]:
            there, here = theirs.get(name, "missing"), ours.get(name, "missing")
            if there != here:
                raise CheckpointMismatch(f"its weights are of another model: {name} is {there} there and {here} here")

    def _check_optimizer(self, stored: Set[str], parameters: Set[str], epoch: int) -> None:
        kind = self.config.optimizer.name
        expected = {f"{name}/{buffer}" for name in parameters for buffer in BUFFERS[kind]}
        may_be_empty = epoch == 0 or kind == "sgd"  # which keeps nothing where it has no momentum
        if stored != expected and (stored or not may_be_empty):
            found = ", ".join(sorted({key.rsplit("/", 1)[-1] for key in stored})) or "nothing"
            raise CheckpointMismatch(
                f"its optimizer is another one: it keeps {found} of a parameter, {kind} keeps {', '.join(sorted(BUFFERS[kind]))}"
            )

    def _check_loss(self, total: float, mean: float, step: int, steps: int) -> None:
        """Raise `TrialDiverged` where the sum of losses is no finite number, or their mean since the last look too high."""
        where = f"in epoch {self.epoch + 1}, step {step + 1} of {steps}"
        if not math.isfinite(total):
            raise TrialDiverged(f"the training loss is {total} {where}")
        guessing = math.log(self._images.shape.classes)
        if mean > EXPLODED * guessing:
            raise TrialDiverged(
                f"the training loss is {mean:.4g} {where}: more than {EXPLODED} times that of guessing, {guessing:.4g}"
            )

    def _logits(self, batch: Tensor) -> Tensor:
        pixels = self._images.pixels[batch].to(torch.float32).div_(255).sub_(self._images.mean).div_(self._images.std)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self.precision == "bfloat16"):
            logits: Tensor = self._net(pixels.permute(0, 3, 1, 2))
        return logits.float()

    def _ordered_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Parameters by name in the optimizer's own order."""
        names = {parameter: name for name, parameter in self._net.named_parameters()}
        return [
            (names[parameter], parameter) for group in self._optimizer.param_groups for parameter in group["params"]
        ]


def build_optimizer(config: OptimizerConfig, net: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over all parameters of `net`; weight decay spares biases and norms (all tensors of one dimension)."""
    parameters = list(net.parameters())
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, betas=(config.beta1, config.beta2), fused=True)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=True)


def resolve_precision(wanted: str, device: torch.device) -> str:
    """`auto` as what this device is fast in: bfloat16 on AMX (2 to 3 times faster here) and on GPUs that have it."""
    if wanted != "auto":
        return wanted
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else torch.cpu._is_amx_tile_supported()
    return "bfloat16" if fast else "float32"


def derive_seed(seed: int, *parts: object) -> int:
    """A seed of 63 bits for one purpose, as good as independent of those for other purposes."""
    digest = hashlib.sha256("/".join(str(part) for part in (seed, *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seconds_since(start_s: float) -> float:
    """Seconds since `start_s` on the monotonic clock, to the millisecond."""
    return round(time.monotonic() - start_s, 3)
