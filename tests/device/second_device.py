"""A device that is not the CPU, for machines without a GPU: `second_device.cpp`, built once and loaded into this process.

`open_second_device()` gives `torch.device("second:0")`. Its tensors lie in the CPU's memory and meet the CPU's kernels, so
results have the CPU's bits; but an operation that mixes devices is refused as on CUDA, memory has an end where a test
sets one, and `count_waits` counts what a GPU would be waited for.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import torch

SOURCE = Path(__file__).with_name("second_device.cpp")
BUILD_TIMEOUT_S = 240

LOWERED = ("conv2d", "linear", "matmul", "addmm", "mm", "bmm", "baddbmm", "scaled_dot_product_attention")
"""What CUDA's autocast computes in bfloat16, as far as nets here ask for it."""


_Listener = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_loaded: list[ctypes.CDLL] = []


class NoCompiler(RuntimeError):
    """The device cannot be built here."""


@dataclass(frozen=True)
class Wait:
    """Once that the host waited for the device: for which operation, and where in the sources ("trainables/training/monitor.py:124")."""

    operation: str
    place: str


@dataclass
class Waits:
    """All that was heard while `count_waits` was open."""

    heard: list[Wait] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.heard)

    def by_place(self) -> dict[str, int]:
        """How often at each place, most often first."""
        return dict(Counter(f"{one.place} {one.operation}" for one in self.heard).most_common())


def open_second_device() -> torch.device:
    """The device, built and loaded at the first call in this process. Raises `NoCompiler` with the reason."""
    if not _loaded:
        library = ctypes.CDLL(str(_build()))
        library.second_allocated.restype = library.second_peak.restype = ctypes.c_int64
        library.second_limit.argtypes = [ctypes.c_int64]
        for name in _names_that_mix():
            library.second_walks_elements(name.encode())
        library.second_open()
        torch.utils.rename_privateuse1_backend("second")
        torch._register_device_module("second", _module(library))
        torch.utils.generate_methods_for_privateuse1_backend()
        _teach_autocast()
        _loaded.append(library)
    return torch.device("second:0")


@contextlib.contextmanager
def count_waits() -> Iterator[Waits]:
    """Meanwhile every wait for the device is written down."""
    waits = Waits()

    @_Listener
    def hear(what: bytes) -> None:
        waits.heard.append(Wait(what.decode().removeprefix("aten::"), _place()))

    _loaded[0].second_listen(hear)
    try:
        yield waits
    finally:
        _loaded[0].second_listen(_Listener())


@contextlib.contextmanager
def limit_memory(size_bytes: int) -> Iterator[None]:
    """Meanwhile the device has so much memory in all."""
    _loaded[0].second_limit(size_bytes)
    try:
        yield
    finally:
        _loaded[0].second_limit(0)


def allocated_bytes() -> int:
    """Memory in use on the device."""
    return int(_loaded[0].second_allocated())


def _build() -> Path:
    """The library, from the temporary folder of this machine where it was built before with the same torch."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise NoCompiler("no C++ compiler (g++) is here to build the second device with")
    key = hashlib.sha256(SOURCE.read_bytes() + torch.__version__.encode() + sys.version.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"caucus-second-device-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    built = folder / f"{key}.so"
    if built.exists():
        return built
    root = Path(torch.__file__).parent
    unfinished = folder / f"{key}-{os.getpid()}.so"  # two test processes may build at a time
    command = [compiler, "-std=c++20", "-O1", "-fPIC", "-shared", "-w", str(SOURCE), "-o", str(unfinished)]
    command += [f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]
    command += [f"-I{root / 'include'}", f"-I{root / 'include/torch/csrc/api/include'}"]
    command += [f"-L{root / 'lib'}", "-lc10", "-ltorch_cpu", f"-Wl,-rpath,{root / 'lib'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(
            f"second_device.cpp cannot be built against torch {torch.__version__}:\n{done.stderr[-3000:]}"
        )
    unfinished.replace(built)
    return built


def _names_that_mix() -> list[str]:
    """Operations that CUDA lets take a CPU tensor without dimensions: those that torch's own table checks no device of."""
    import torchgen

    table = Path(torchgen.__file__).parent / "packaged/ATen/native/native_functions.yaml"
    found, name = [], ""
    for line in table.read_text().splitlines():
        if begun := re.match(r"- func: ([\w.]+)\(", line):
            name = begun[1]
        elif line.startswith("  device_check: NoCheck"):
            found.append(f"aten::{name}")
    return found


def _module(library: ctypes.CDLL) -> ModuleType:
    """What torch asks of `torch.second`."""
    module: Any = ModuleType("torch.second")
    module.is_available = lambda: True
    module.is_initialized = lambda: True
    module._is_in_bad_fork = lambda: False
    module.device_count = lambda: 1
    module.current_device = lambda: 0
    module.synchronize = lambda device=None: None
    module.manual_seed_all = lambda seed: None
    module.get_amp_supported_dtype = lambda: [torch.bfloat16, torch.float16]
    module.max_memory_allocated = lambda device=None: int(library.second_peak())
    module.reset_peak_memory_stats = lambda device=None: library.second_reset_peak()
    module.memory_reserved = lambda device=None: int(library.second_allocated())
    module.empty_cache = lambda: None
    return module


def _teach_autocast() -> None:
    library = torch.library.Library("aten", "IMPL")
    _keep.append(library)
    anything = torch.library.Library("_", "IMPL")
    _keep.append(anything)
    anything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def lower(operation: Any) -> Any:
        def cast(value: Any) -> Any:
            if isinstance(value, torch.Tensor) and value.is_floating_point() and value.device.type == "second":
                return value.to(torch.get_autocast_dtype("second"))
            return value

        def kernel(*given: Any, **named: Any) -> Any:
            with torch._C._ExcludeDispatchKeyGuard(keys):
                return operation(*map(cast, given), **{name: cast(value) for name, value in named.items()})

        return kernel

    for name in LOWERED:
        library.impl(name, lower(getattr(torch.ops.aten, name)), "AutocastPrivateUse1")


_keep: list[Any] = []


def _place() -> str:
    """The innermost line of Caucus's own sources that is being run."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.parent.name in ("trainables", "runner", "ensembles"):
            return f"{path.parent.name}/{path.name}:{frame.f_lineno}"
        frame = frame.f_back
    return "elsewhere"
