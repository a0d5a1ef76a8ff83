"""Which way of training K small nets on one GPU is fastest? One line of JSON a measurement.

    python -m benchmarks.fusion_probe [--device cuda] [--seconds 2.0] [--batch 128] [--widths 32,64] [--k 1,8,32]

Each strategy trains K independent nets (three times convolution, batch norm, pooling, ReLU; dropout; a linear layer; 28 x 28 x 1,
ten classes) on random images with SGD and momentum, in bfloat16 autocast and channels_last where that applies. The figure is
milliseconds a step and TRIAL, lower is better: the median over repeats, timed around a synchronised region.

    eager      one net, the plain loop
    graph      one net, its whole step captured as a CUDA graph
    streams    K nets, each its own captured graph, replayed on K streams
    grouped    K nets side by side in the channels, grouped convolution, the whole step captured
    matmul     K nets stacked, convolution as unfold and batched matmul, the whole step captured
    processes  K eager processes that share the device, which is what fractions of a GPU give today

Needs torch alone. On a CPU graphs and streams are left out; that is for checking the script.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

REPEATS = 5
MOST_PROCESSES = 16
"""Each of them holds a context of CUDA, some 400 MB."""

CLASSES, SIDE = 10, 28


class GroupedBlock(nn.Module):
    def __init__(self, k: int, before: int, after: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(k * before, k * after, 3, padding=1, groups=k, bias=False)
        self.norm = nn.BatchNorm2d(k * after)

    def forward(self, images: Tensor) -> Tensor:
        return functional.relu(functional.max_pool2d(self.norm(self.conv(images)), 2))


class GroupedNet(nn.Module):
    """K nets in the channels: (images, K, 28, 28) to logits (images, K, classes). K = 1 is the plain net."""

    def __init__(self, k: int, width: int) -> None:
        super().__init__()
        self.k = k
        self.blocks = nn.Sequential(
            GroupedBlock(k, 1, width), GroupedBlock(k, width, 2 * width), GroupedBlock(k, 2 * width, 2 * width)
        )
        self.head_weight = nn.Parameter(torch.randn(k, 2 * width * 9, CLASSES) * 0.02)
        self.head_bias = nn.Parameter(torch.zeros(k, 1, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        seen = functional.dropout(self.blocks(images), 0.2, self.training)
        seen = seen.reshape(len(seen), self.k, -1).transpose(0, 1)
        return torch.baddbmm(self.head_bias.to(seen.dtype), seen, self.head_weight.to(seen.dtype)).transpose(0, 1)


class MatmulNet(nn.Module):
    """K nets stacked in a leading axis: (K, images, 1, 28, 28) to logits (images, K, classes)."""

    def __init__(self, k: int, width: int) -> None:
        super().__init__()
        sizes = [(1, width), (width, 2 * width), (2 * width, 2 * width)]
        self.filters = nn.ParameterList(
            [nn.Parameter(torch.randn(k, 9 * before, after) * (2 / (9 * before)) ** 0.5) for before, after in sizes]
        )
        self.gains = nn.ParameterList([nn.Parameter(torch.ones(k, 1, after)) for _, after in sizes])
        self.biases = nn.ParameterList([nn.Parameter(torch.zeros(k, 1, after)) for _, after in sizes])
        self.head_weight = nn.Parameter(torch.randn(k, 2 * width * 9, CLASSES) * 0.02)
        self.head_bias = nn.Parameter(torch.zeros(k, 1, CLASSES))

    def forward(self, images: Tensor) -> Tensor:
        k, count = images.shape[:2]
        for filters, gain, bias in zip(self.filters, self.gains, self.biases, strict=True):
            channels, height, width = images.shape[2:]
            columns = functional.unfold(images.reshape(k * count, channels, height, width), 3, padding=1)
            columns = columns.reshape(k, count, channels * 9, height * width).transpose(2, 3)
            seen = torch.bmm(columns.reshape(k, count * height * width, channels * 9), filters.to(columns.dtype))
            mean = seen.float().mean(1, keepdim=True)
            variance = seen.float().var(1, keepdim=True, unbiased=False)
            seen = ((seen - mean) * torch.rsqrt(variance + 1e-5) * gain + bias).to(columns.dtype)
            seen = seen.reshape(k * count, height, width, -1).permute(0, 3, 1, 2)
            images = functional.relu(functional.max_pool2d(seen, 2)).reshape(k, count, -1, height // 2, width // 2)
        flat = functional.dropout(images.reshape(k, count, -1), 0.2, self.training)
        return torch.baddbmm(self.head_bias.to(flat.dtype), flat, self.head_weight.to(flat.dtype)).transpose(0, 1)


class Work:
    """Nets, their optimizer and fixed images; `step()` is one training step of K trials."""

    def __init__(self, kind: str, k: int, width: int, batch: int, device: str) -> None:
        self.device, self.batch = device, batch
        self.net: nn.Module = MatmulNet(k, width) if kind == "matmul" else GroupedNet(k, width)
        self.net.to(device)
        if kind == "matmul":
            self.images = torch.rand(k, batch, 1, SIDE, SIDE, device=device)
        else:
            self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.images = torch.rand(batch, k, SIDE, SIDE, device=device).to(memory_format=torch.channels_last)
        self.labels = torch.randint(0, CLASSES, (batch, k), device=device)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4, foreach=True)

    def step(self) -> None:
        self.optimizer.zero_grad(set_to_none=False)
        with torch.autocast(self.device, torch.bfloat16, cache_enabled=False):  # a graph must not reuse cached casts
            logits = self.net(self.images)
        losses = functional.cross_entropy(logits.float().flatten(0, 1), self.labels.flatten(), reduction="sum")
        (losses / self.batch).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()


def wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def time_ms(run: Callable[[], None], device: str, seconds: float) -> float:
    """Median milliseconds of one call of `run`."""
    for _ in range(3):
        run()
    wait(device)
    start_s = time.perf_counter()
    run()
    wait(device)
    count = max(1, int(seconds / REPEATS / max(time.perf_counter() - start_s, 1e-5)))
    took = []
    for _ in range(REPEATS):
        start_s = time.perf_counter()
        for _ in range(count):
            run()
        wait(device)
        took.append((time.perf_counter() - start_s) / count * 1e3)
    return sorted(took)[REPEATS // 2]


def capture(work: Work) -> torch.cuda.CUDAGraph:
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work.step()
    return graph


def measure(strategy: str, k: int, width: int, batch: int, device: str, seconds: float) -> float:
    """Milliseconds a step and trial."""
    if strategy == "eager":
        return time_ms(Work("grouped", 1, width, batch, device).step, device, seconds)
    if strategy == "graph":
        return time_ms(capture(Work("grouped", 1, width, batch, device)).replay, device, seconds)
    if strategy in ("grouped", "matmul"):
        work = Work(strategy, k, width, batch, device)
        return time_ms(capture(work).replay if device == "cuda" else work.step, device, seconds) / k
    if strategy == "streams":
        return time_ms(make_streams(k, width, batch, device), device, seconds) / k
    if strategy == "processes":
        return measure_processes(k, width, batch, device, seconds)
    raise ValueError(f"strategy {strategy!r} is not known")


def make_streams(k: int, width: int, batch: int, device: str) -> Callable[[], None]:
    graphs = [capture(Work("grouped", 1, width, batch, device)) for _ in range(k)]
    streams = [torch.cuda.Stream() for _ in range(k)]
    main_stream = torch.cuda.current_stream()

    def run() -> None:
        for graph, stream in zip(graphs, streams, strict=True):
            stream.wait_stream(main_stream)
            with torch.cuda.stream(stream):
                graph.replay()
        for stream in streams:
            main_stream.wait_stream(stream)

    return run


def measure_processes(k: int, width: int, batch: int, device: str, seconds: float) -> float:
    command = [
        sys.executable,
        "-m",
        "benchmarks.fusion_probe",
        "--alone",
        "--device",
        device,
        "--seconds",
        str(seconds),
    ]
    command += ["--batch", str(batch), "--widths", str(width)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(k)]
    try:
        pipes = [(process.stdin, process.stdout) for process in processes]
        for _, out in pipes:
            if out is None or out.readline().strip() != "ready":
                raise RuntimeError("a process did not come up")
        for into, _ in pipes:
            if into is not None:
                into.write("go\n")
                into.flush()
        rates = [float(out.readline()) for _, out in pipes if out is not None]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return 1e3 / sum(rates)


def step_alone(width: int, batch: int, device: str, seconds: float) -> None:
    """One of the processes that share the device: warm up, wait for "go", then count steps."""
    torch.set_num_threads(1)
    work = Work("grouped", 1, width, batch, device)
    for _ in range(10):
        work.step()
    wait(device)
    print("ready", flush=True)
    sys.stdin.readline()
    start_s, count = time.perf_counter(), 0
    while time.perf_counter() - start_s < seconds:
        work.step()
        count += 1
        if count % 20 == 0:
            wait(device)
    wait(device)
    print(count / (time.perf_counter() - start_s), flush=True)


def probe(
    device: str, seconds: float = 2.0, batch: int = 128, widths: Sequence[int] = (32,), ks: Sequence[int] = (1, 4, 16)
) -> Iterator[dict[str, Any]]:
    """One row a measurement: width, strategy, k, and `ms_per_trial_step`, or `error` of a strategy that does not run here."""
    on_gpu = device == "cuda"
    for width in widths:
        plan = [("eager", 1)] + ([("graph", 1)] if on_gpu else [])
        for k in ks:
            plan += [("grouped", k), ("matmul", k)] + ([("streams", k)] if on_gpu else [])
            plan += [("processes", k)] if k <= MOST_PROCESSES else []
        for strategy, k in plan:
            row: dict[str, Any] = {"width": width, "strategy": strategy, "k": k}
            try:
                row["ms_per_trial_step"] = round(measure(strategy, k, width, batch, device, seconds), 4)
            except Exception as error:  # a strategy that does not run here is a finding, not the end of the probe
                row["error"] = f"{type(error).__name__}: {error}"[:200]
            yield row
            if on_gpu:
                torch.cuda.empty_cache()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--widths", default="16,32,64")
    parser.add_argument("--k", default="1,4,16,64")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    widths, ks = ([int(number) for number in text.split(",")] for text in (arguments.widths, arguments.k))
    if arguments.alone:
        step_alone(widths[0], arguments.batch, arguments.device, arguments.seconds)
        return
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
    print(json.dumps({"torch": torch.__version__, "device": name, "batch": arguments.batch}), flush=True)
    for row in probe(arguments.device, arguments.seconds, arguments.batch, widths, ks):
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
