"""Initial weights of trials from elsewhere: `model.weights`, a safetensors file.

Before a sweep starts, the file is copied into its store under the hash of its bytes, and that hash replaces its name in the
trials' configurations: so the trial ids follow from the content of the file, and workers need the store alone.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.errors import DamagedObject, ModelUnusable, ObjectMissing, StoreError
from trainables.store import layout
from trainables.store.base import Store, sha256_of
from trainables.store.open import open_store

if TYPE_CHECKING:
    from torch import nn

BY_HASH = "sha256:"
"""Prefix of `model.weights` where it names a file in the store by its hash."""

LONGEST_HEADER_BYTES = 100_000_000

CONVERT = (
    "a pickle runs whatever its maker wrote into it, so it is not read here: where you trust it, convert it with "
    'python -c "import torch, safetensors.torch as s; s.save_file({{k: v.contiguous() for k, v in '
    "torch.load('{path}', weights_only=True).items()}}, 'weights.safetensors')\""
)


def read_weights(source: str, store: Store, endpoint_url: str | None = None) -> bytes:
    """The safetensors file that `source` names: `sha256:…` or a key in `store`, an `s3://` URI, or a path.

    Raises `ModelUnusable` where there is no such file, or where it is no safetensors file.
    """
    try:
        data = _read(source, store, endpoint_url)
    except (OSError, StoreError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ModelUnusable(
            f"model.weights is {source}: {reason}; name a safetensors file by its path, its s3:// URI or its key in {store.uri}"
        ) from None
    check_safetensors(data, source)
    return data


def _read(source: str, store: Store, endpoint_url: str | None) -> bytes:
    if source.startswith(BY_HASH):
        return load_initial_weights(store, source) or b""
    if "://" in source:
        folder, _, name = source.rpartition("/")
        return open_store(folder, endpoint_url).get(name)
    path = Path(source).expanduser()
    if path.is_file():
        return path.read_bytes()
    try:
        return store.get(source)
    except StoreError:
        return path.read_bytes()  # raises the error that there is no such file


def check_safetensors(data: bytes, source: str) -> None:
    """Raise `ModelUnusable` where `data` is no safetensors file; the message says how to convert a pickle."""
    if data[:4] == b"PK\x03\x04" or data[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise ModelUnusable(f"model.weights is {source}, a pickle of torch: {CONVERT.format(path=source)}")
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + size]) if 0 < size <= min(LONGEST_HEADER_BYTES, len(data) - 8) else None
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise ModelUnusable(f"model.weights is {source}, which is no safetensors file: name one")


def name_weights(data: bytes) -> str:
    """The name of this file in a trial's configuration: `sha256:<64 hexadecimal digits>`."""
    return BY_HASH + sha256_of(data)


def store_weights(store: Store, data: bytes) -> None:
    """Write the file to the store, unless it exists there."""
    key = layout.initial_weights_key(sha256_of(data))
    if store.stat(key) is None:
        store.put(key, data)


def load_initial_weights(store: Store, source: str) -> bytes | None:
    """The file that a trial's `model.weights` names by its hash; None where that is "".

    Raises `ObjectMissing`, or `DamagedObject` where the file does not match the hash.
    """
    if not source:
        return None
    sha256 = source.removeprefix(BY_HASH)
    key = layout.initial_weights_key(sha256)
    if not source.startswith(BY_HASH):
        raise ObjectMissing(
            f"model.weights is {source}, which is not in the store: a run puts it there before it starts"
        )
    data = store.get(key)
    if sha256_of(data) != sha256:
        raise DamagedObject(f"{store.uri}/{key} is not what its name promises: delete it, the next run writes it again")
    return data


def start_from(net: nn.Module, data: bytes) -> None:
    """Load the tensors of a safetensors file into `net`. A last layer of another size keeps its initial weights.

    Raises `ModelUnusable`, with `net` unchanged, where a tensor other than those of the last layer is missing, unknown, or has
    another shape.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        stored = load(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise ModelUnusable(f"model.weights is no whole safetensors file ({error}): name another one") from None
    state = net.state_dict()
    last = last_layer(net)
    kept = {name for name in state if name.startswith(f"{last}.")}
    afresh = any(name not in stored or stored[name].shape != state[name].shape for name in kept)
    for name in [*state, *stored]:
        there = tuple(stored[name].shape) if name in stored else "missing"
        here = tuple(state[name].shape) if name in state else "missing"
        if there != here and not name.startswith(f"{last}."):
            raise ModelUnusable(
                f"model.weights do not fit: {name} is {there} in the file and {here} in this net; only the last layer "
                f"({last}) may differ: name the weights of this net, or the net of these weights"
            )
    with torch.no_grad():
        for name, value in state.items():
            if not (afresh and name in kept):
                value.copy_(stored[name])


def last_layer(net: nn.Module) -> str:
    """Name of the last linear layer or convolution."""
    from torch import nn as layers

    found: list[str] = [
        name for name, module in net.named_modules() if isinstance(module, layers.Linear | layers.Conv2d)
    ]
    return found[-1] if found else ""
