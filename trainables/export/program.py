"""A net as a program of torch.export, in a file without a pickle.

`torch.export.save` writes an archive of raw weights and a graph in JSON; its one pickle is the images that the net was traced
with. Those are left out here: `torch.export.load` reads an empty file in their place as "none".
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import torch
from torch import nn

from trainables.data.image_shape import ImageShape
from trainables.errors import CaucusError

TRACED_IMAGES = 2
"""Images of the traced batch: with a single one torch.export would assume that there is always one."""

PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""First bytes of torch's archives, which contain a pickle, and of pickles."""

_ORIGINS = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node")
"""Metadata of a graph node about its source code, with paths of the machine on which it was traced."""

_VIEWS = (torch.ops.aten.view.default, torch.ops.aten._unsafe_view.default)


class CannotTrace(CaucusError, ValueError):
    """A net that torch.export cannot trace."""


def write_program(net: nn.Module, shape: ImageShape) -> bytes:
    """`net` (images to a tensor) as the bytes of a `.pt2` file; equal nets give equal bytes.

    The program takes images (any number, height, width, channels) with values from 0 to 255, uint8 or float32, and runs wherever
    torch does: autocast is written out as conversions, so the arithmetic is the same on any device. The weights of `net` are
    converted to contiguous memory, which changes no value. Raises `CannotTrace`.
    """
    net = net.to(memory_format=torch.contiguous_format)
    images = torch.zeros((TRACED_IMAGES, shape.height, shape.width, shape.channels), dtype=torch.uint8)
    count = torch.export.Dim("images", min=1)
    try:
        with torch.no_grad():
            traced = torch.export.export(net, (images,), dynamic_shapes=({0: count},))
            program = traced.run_decompositions({})
    except Exception as error:  # torch.export raises nearly anything on code that it cannot follow
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise CannotTrace(f"torch.export cannot follow this net ({type(error).__name__}: {reason})") from error
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            _strip(module)
    written = io.BytesIO()
    torch.export.save(program, written)
    return _without_examples(written.getvalue())


def read_program(data: bytes) -> torch.nn.Module:
    """The inverse of `write_program`: a module from images to probabilities."""
    program: torch.nn.Module = torch.export.load(io.BytesIO(data)).module()
    return program


def find_pickles(data: bytes) -> list[str]:
    """Names of the parts of a `.pt2` file that are pickles, or archives with one."""
    return [name for name, part in _parts(data) if part.startswith(PICKLE_STARTS)]


def _strip(module: torch.fx.GraphModule) -> None:
    """Remove the nodes' source metadata and the check that pixels are uint8, so that floats are accepted, too.

    Views become reshapes: the traced memory format is not always that of the kernel which runs (a convolution of one channel in
    bfloat16 on a CPU), and then the view is impossible.
    """
    for node in list(module.graph.nodes):
        for key in _ORIGINS:
            node.meta.pop(key, None)
        if node.target is torch.ops.aten._assert_tensor_metadata.default:
            module.graph.erase_node(node)
        elif node.target in _VIEWS:
            node.target = torch.ops.aten.reshape.default
    module.recompile()


def _without_examples(data: bytes) -> bytes:
    kept = io.BytesIO()
    with zipfile.ZipFile(kept, "w") as archive:
        for name, part in _parts(data):
            archive.writestr(zipfile.ZipInfo(name), b"" if "/sample_inputs/" in name else part)
    return kept.getvalue()


def _parts(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in archive.namelist():
            yield name, archive.read(name)
