"""Measures training on a GPU: images a second against a plain loop, waits, memory, trials that share the GPU, and fusion.

    python -m benchmarks.gpu [--seconds 2] [--without-fusion]

Nets of the two demo sweeps, on random images of the sets' sizes. The plain loop is what a careful person writes: images on the
device, channels_last, the same precision, fused SGD; no augmentation, no monitors, and the loss is read only at the end of an epoch.
Both take epochs in turns, and the figure is the median over rounds. Trials that share the GPU are processes, as Ray's are.
Figures go to benchmarks/results/gpu.json. Needs torch and what `trainables` imports, but not Ray; without a GPU it says so and
ends with code 2. `--device cpu` is for checking the script, and writes no file unless `--out` names one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmarks.figures import at_least, at_most
from benchmarks.fusion_probe import probe
from trainables.config.model import ModelConfig
from trainables.config.training import OptimizerConfig
from trainables.config.trial import TrialConfig
from trainables.data.images import ImageArrays
from trainables.hardware.device import name_device, open_device, wait_for
from trainables.models.boosted import build_net
from trainables.optim.optimizer import build_optimizer
from trainables.training.device_images import DeviceImages, place_images
from trainables.training.training import CHECK_EVERY, Training

RESULTS = Path(__file__).parent / "results" / "gpu.json"

SLOWER = 0.9
"""Share of the plain loop's images a second that a trial is to reach."""

SHARED = 1.2
"""Times the images a second of one process that two are to reach together."""

NO_GPU = "benchmarks.gpu: torch sees no GPU here: run it where `nvidia-smi` shows one and torch is built for CUDA"


@dataclass(frozen=True)
class Demo:
    """A net of a demo sweep, and how many images it is trained on here."""

    model: ModelConfig
    batch_size: int
    train: int
    side: int


DEMOS = {
    "digits": Demo(ModelConfig(blocks=2, width=16, dropout=0.2), 32, 32 * 40, 8),
    "fashion": Demo(ModelConfig(blocks=3, width=24, dropout=0.1), 64, 64 * 200, 28),
    "fashion in batches of 512": Demo(ModelConfig(blocks=3, width=24, dropout=0.1), 512, 512 * 50, 28),
}


def make_images(demo: Demo) -> ImageArrays:
    """Noise: the time of an epoch does not depend on the pixels."""
    rng = np.random.default_rng(0)
    count = demo.train + 2000
    splits = np.repeat(np.array([0, 1, 2], np.int8), [demo.train, 1000, 1000])
    pixels = rng.integers(0, 256, (count, demo.side, demo.side, 1), dtype=np.uint8)
    return ImageArrays(pixels, rng.integers(0, 10, count), splits, 10)


def make_config(demo: Demo, precision: Any = "auto") -> TrialConfig:
    optimizer = OptimizerConfig(lr=1e-4, batch_size=demo.batch_size)
    return TrialConfig(data_id="noise", seed=0, precision=precision, model=demo.model, optimizer=optimizer)


def plain_loop(config: TrialConfig, images: DeviceImages, precision: str) -> Callable[[], None]:
    """An epoch of the plain loop, to be called again and again."""
    device, rows, size = images.pixels.device, images.rows["train"], config.optimizer.batch_size
    net = build_net(config, images.shape).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(config.optimizer, net)

    def train() -> None:
        net.train()
        order = rows[torch.randperm(len(rows), device=device)]
        total = torch.zeros((), device=device)
        for batch in order[: len(rows) // size * size].reshape(-1, size):
            pixels = images.pixels[batch].float().div_(255).permute(0, 3, 1, 2)
            pixels = pixels.sub_(images.mean[:, None, None]).div_(images.std[:, None, None])
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
                logits = net(pixels)
            loss = functional.cross_entropy(logits.float(), images.labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach()
        float(total)

    return train


def measure_rates(name: str, device: torch.device, seconds: float) -> dict[str, Any]:
    """Images a second of a trial and of the plain loop, and their ratio."""
    demo = DEMOS[name]
    images = place_images(make_images(demo), device)
    training = Training(make_config(demo), images)
    loop = plain_loop(training.config, images, training.precision)
    acts: dict[str, Callable[[], object]] = {"caucus": training.train_epoch, "plain": loop}
    took: dict[str, list[float]] = {which: [] for which in acts}
    begun_s = time.perf_counter()
    while len(took["plain"]) < 4 or time.perf_counter() - begun_s < 2 * seconds:
        for which, act in acts.items():
            took[which].append(time_of(act, device))
    rates = {which: demo.train / statistics.median(times[1:]) for which, times in took.items()}
    ratio = statistics.median(plain / ours for plain, ours in zip(took["plain"][1:], took["caucus"][1:], strict=True))
    rounded = {which: round(rate) for which, rate in rates.items()}
    return at_least(ratio, "of the plain loop's images a second", SLOWER) | rounded | {"precision": training.precision}


def measure_waits(device: torch.device) -> dict[str, Any]:
    """How often an epoch waits for the GPU within its steps, as torch itself counts it; None on other devices."""
    demo = DEMOS["digits"]
    training = Training(make_config(demo), place_images(make_images(demo), device))
    training.train_epoch()
    steps = demo.train // demo.batch_size
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        training.train_epoch()
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")
    waits = sum("synchroniz" in str(one.message) for one in heard)
    budget = steps / CHECK_EVERY + 30  # and what the monitors ask at the end of an epoch
    return at_most(waits, f"waits in an epoch of {steps} steps", budget)


def measure_checkpoint(device: torch.device) -> dict[str, Any]:
    """Seconds that prediction and a checkpoint's bytes take after an epoch of the fashion demo, as a share of that."""
    demo = DEMOS["fashion"]
    training = Training(make_config(demo), place_images(make_images(demo), device))
    training.train_epoch()
    epoch_s = time_of(training.train_epoch, device)

    def finish() -> None:
        training.evaluate("validation")
        training.evaluate("test")
        training.weights()
        training.optimizer_state()

    finish()
    return at_most(time_of(finish, device) / epoch_s, f"of an epoch of {demo.train} images", 0.25)


def measure_memory(device: torch.device) -> dict[str, Any]:
    """Memory of a training step of the fashion demo."""
    demo = DEMOS["fashion in batches of 512"]
    training = Training(make_config(demo), place_images(make_images(demo), device))
    training.train_epoch()
    cost = training.cost()
    return at_most(cost.step_bytes / 1e6, "MB a step of 512 images", 2000) | {"measured": cost.step_bytes_measured}


def measure_sharing(device: torch.device, seconds: float) -> dict[str, Any]:
    """Images a second of two processes that share the device over that of one."""
    one, two = (sum(run_processes(count, device, seconds)) for count in (1, 2))
    return at_least(two / one, "times the images a second of one process", SHARED) | {"one": round(one)}


def run_processes(count: int, device: torch.device, seconds: float) -> list[float]:
    """Images a second of each of `count` processes that train the fashion demo at a time."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--alone", "--device", str(device), "--seconds", str(seconds)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    try:
        for process in processes:
            if process.stdout is None or process.stdout.readline().strip() != "ready":
                raise RuntimeError("a process that was to share the device did not come up")
        for process in processes:
            if process.stdin is not None:
                process.stdin.write("go\n")
                process.stdin.flush()
        return [float(process.stdout.readline()) for process in processes if process.stdout is not None]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def train_alone(device: torch.device, seconds: float) -> None:
    """One of the processes: warm up, wait for "go", then train for so long."""
    demo = DEMOS["fashion"]
    training = Training(make_config(demo), place_images(make_images(demo), device))
    training.train_epoch()
    print("ready", flush=True)
    sys.stdin.readline()
    start_s, images = time.perf_counter(), 0
    while time.perf_counter() - start_s < seconds:
        training.train_epoch()
        images += demo.train
    print(images / (time.perf_counter() - start_s), flush=True)


def time_of(act: Callable[[], object], device: torch.device) -> float:
    wait_for(device)
    start_s = time.perf_counter()
    act()
    wait_for(device)
    return time.perf_counter() - start_s


def measure(device: torch.device, seconds: float, sharing: bool = True) -> dict[str, Any]:
    """All figures but those of fusion."""
    figures = {f"gpu/{name}_of_plain_loop": measure_rates(name, device, seconds) for name in DEMOS}
    figures["gpu/waits"] = measure_waits(device)
    figures["gpu/checkpoint"] = measure_checkpoint(device)
    figures["gpu/memory"] = measure_memory(device)
    if sharing:
        figures["gpu/two_trials_share"] = measure_sharing(device, seconds)
    return figures


def describe(device: torch.device) -> dict[str, Any]:
    """The device and the versions of the measurement."""
    about: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        "device": name_device(device),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "numpy": version("numpy"),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        about |= {"capability": f"{properties.major}.{properties.minor}", "memory_bytes": properties.total_memory}
        about |= {"cudnn": torch.backends.cudnn.version()}  # type: ignore[no-untyped-call]
    return about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="left out: the GPU")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement, about")
    parser.add_argument("--without-fusion", action="store_true", help="leave benchmarks.fusion_probe out")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    found = open_device(1)
    device = torch.device(arguments.device) if arguments.device else found
    if device.type == "cpu" and not arguments.device:
        print(NO_GPU, file=sys.stderr)
        raise SystemExit(2)
    if arguments.alone:
        train_alone(device, arguments.seconds)
        return
    figures = measure(device, arguments.seconds)
    for name, figure in figures.items():
        met = "met" if figure["met"] else "NOT met"
        print(f"{name}: {figure['value']} {figure['unit']} (goal {figure['goal']}, {met})", flush=True)
    rows = []
    for row in () if arguments.without_fusion else probe(device.type, arguments.seconds):
        rows.append(row)
        print(json.dumps(row), flush=True)
    out = arguments.out or (RESULTS if device.type != "cpu" else None)
    if out:
        record = {**figures, "fusion": rows, "machine": describe(device)}
        out.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
