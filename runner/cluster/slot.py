"""What one trial occupies: its cores and its GPUs, chosen from the planned nodes of a cluster and those that are there now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from runner.config.run import ResourcesConfig
from trainables.errors import CaucusError

NOW = "the nodes that are there now"

CLOSE = 1e-9
"""A third of a GPU fits three times, whatever floats say."""


class NoSlot(CaucusError, RuntimeError):
    """No node can ever hold a trial, or it cannot be known what a trial has to occupy."""


@dataclass(frozen=True)
class NodeType:
    """Nodes that are alike."""

    name: str
    cpus: float
    gpus: float
    most: int | None = 1
    """How many there can be; None without a bound."""


@dataclass(frozen=True)
class NodeTypes:
    """The nodes that a cluster is planned to have."""

    types: tuple[NodeType, ...]
    source: str
    """Where they come from, such as `the autoscaler's node types`."""
    most: int | None = None
    """Nodes of all types together; None without a bound."""
    is_all: bool = False
    """Whether no other node can ever join."""


@dataclass(frozen=True)
class Slot:
    """What one trial occupies, and how many of them there will be. `str` of it is a sentence without its full stop."""

    cpus: int
    gpus: float
    source: str
    """Where the number of GPUs comes from."""
    nodes: NodeTypes
    """Those that can hold a trial; none if they are not known yet."""
    at_a_time: int | None
    """Trials that the cluster holds once all nodes are there; None if that is unknown or has no bound."""
    now: int
    """Trials that fit on the present nodes; 0 on a cluster that starts empty."""
    most: int | None = None
    """`resources.slots`: trials at a time, whatever would fit."""

    def __str__(self) -> str:
        has = f"a trial has {show_share(self.cpus, self.gpus)}"
        if not self.nodes.types:
            return f"{has}: its nodes are still to come"
        bound = " (resources.slots)" if self.most is not None and self.at_a_time == self.most else ""
        count = "as many at a time as fit" if self.at_a_time is None else f"{self.at_a_time} at a time{bound}"
        return f"{_show_nodes(self.nodes, self.gpus)}, {has}: {count}"

    def describe(self) -> dict[str, Any]:
        """The slot as a JSON object."""
        return {
            "sentence": str(self),
            "cpus": self.cpus,
            "gpus": self.gpus,
            "source": self.source,
            "nodes_source": self.nodes.source,
            "at_a_time": self.at_a_time,
            "now": self.now,
        }


def choose_slot(
    resources: ResourcesConfig, now: Sequence[NodeType], meant: NodeTypes | None = None, *, can_grow: bool
) -> Slot:
    """The slot of each trial on a cluster that has the nodes `now` and is planned to have the nodes `meant` (None: unknown).

    `can_grow` says whether further nodes may join. GPUs are those of `resources.gpus`; else one where any
    node has one, now or as meant; else none where there are cores now, or all types are known. Cores are those of
    `resources.cpus`; else a fair share of the cores of a node with GPUs, the least of all types, so that each node's
    cores are enough for all trials that its GPUs hold; else one.
    Raises `NoSlot` if this cannot be known, and if no node can ever hold a trial.
    """
    gpus, source = _choose_gpus(resources, now, meant, can_grow)
    known = [*now, *(meant.types if meant else ())]
    cpus = resources.cpus or _share_cores(gpus, known)
    here = [node for node in now if count_on(node, cpus, gpus)]
    fits_now = sum(count_on(node, cpus, gpus) for node in here)
    foreseen = [node for node in meant.types if count_on(node, cpus, gpus)] if meant else []
    if not here and not foreseen and (not can_grow or (meant is not None and meant.is_all)):
        raise NoSlot(_describe_too_large(cpus, gpus, known, meant))
    nodes = NodeTypes(tuple(foreseen), meant.source, meant.most, meant.is_all) if meant else None
    at_a_time = _count_all(nodes, cpus, gpus) if nodes else 0
    if nodes is None or fits_now > at_a_time:  # there are more nodes than planned: someone has added some
        nodes, at_a_time = NodeTypes(tuple(here), NOW), fits_now
    most = resources.slots or math.inf
    total = min(at_a_time, most) if nodes.types else math.inf
    return Slot(
        cpus, gpus, source, nodes, None if total == math.inf else int(total), int(min(fits_now, most)), resources.slots
    )


def fit_cores(slot: Slot, resources: ResourcesConfig, now: Sequence[NodeType]) -> Slot:
    """The slot with fewer cores, if the nodes that are there `now` have GPUs for trials but too few cores.

    Nodes may come with fewer cores than the cluster file says. A number of cores that the sweep sets is not changed.
    """
    if resources.cpus or not slot.gpus or any(count_on(node, slot.cpus, slot.gpus) for node in now):
        return slot
    found = choose_slot(resources.model_copy(update={"gpus": slot.gpus}), now, can_grow=True)
    return replace(found, source=slot.source) if found.now else slot


def count_on(node: NodeType, cpus: int, gpus: float) -> int:
    """Trials that one node holds at once. A share of a GPU is one of one GPU: four thirds do not fit onto one and a third."""
    by_cores = int(node.cpus / cpus + CLOSE)
    return min(by_cores, _count_by_gpus(node, gpus)) if gpus else by_cores


def show_share(cpus: int, gpus: float) -> str:
    """What a trial has, as text: `1 GPU and 12 CPUs`, or `1 CPU`."""
    return " and ".join([f"{_plural(gpus, 'GPU')}"] * bool(gpus) + [_plural(cpus, "CPU")])


def _choose_gpus(
    resources: ResourcesConfig, now: Sequence[NodeType], meant: NodeTypes | None, can_grow: bool
) -> tuple[float, str]:
    if resources.gpus is not None:
        return resources.gpus, "resources.gpus"
    if any(node.gpus >= 1 for node in now):
        return 1.0, NOW
    if meant and any(node.gpus >= 1 for node in meant.types):
        return 1.0, meant.source
    if meant and meant.is_all:
        return 0.0, meant.source
    if any(node.cpus >= 1 for node in now) or not can_grow:
        return 0.0, NOW
    if meant and meant.types:
        return 0.0, meant.source
    raise NoSlot(
        "the Ray cluster has no node that can train yet, and does not say whether those that come will have GPUs: "
        "say resources.gpus=1 if they will, resources.gpus=0 if not"
    )


def _share_cores(gpus: float, known: Iterable[NodeType]) -> int:
    """The fair share of the cores of a node for each trial that its GPUs hold, the least of all nodes that have enough."""
    shares = [int(node.cpus // trials) for node in known if gpus and (trials := _count_by_gpus(node, gpus))]
    return max(1, min(shares, default=1))


def _count_by_gpus(node: NodeType, gpus: float) -> int:
    if gpus >= 1:
        return int(node.gpus / gpus + CLOSE)
    whole = int(node.gpus + CLOSE)
    return whole * int(1 / gpus + CLOSE) + int((node.gpus - whole) / gpus + CLOSE)


def _count_all(nodes: NodeTypes, cpus: int, gpus: float) -> float:
    """Trials at a time once as many nodes are there as can be, infinite where that has no bound."""
    left = math.inf if nodes.most is None else nodes.most
    trials = 0.0
    for node in sorted(nodes.types, key=lambda one: -count_on(one, cpus, gpus)):
        count = min(left, math.inf if node.most is None else node.most)
        if count == math.inf:
            return count
        trials += count * count_on(node, cpus, gpus)
        left -= count
    return trials


def _describe_too_large(cpus: int, gpus: float, known: Sequence[NodeType], meant: NodeTypes | None) -> str:
    needs = f"a trial needs {show_share(cpus, gpus)}"
    lower = "lower resources.gpus or resources.cpus" if gpus else "lower resources.cpus"
    able = [node for node in known if node.cpus >= 1 or node.gpus >= 1]
    if not able:
        return f"{needs}, but no node has any: start Ray with --num-cpus and --num-gpus"
    largest = max(able, key=lambda node: (node.gpus if gpus else 0, node.cpus))
    has = f"{_plural(largest.gpus, 'GPU')} and {_plural(largest.cpus, 'CPU')}"
    if meant is None:
        return f"{needs}, but this machine has {has}: {lower}"
    return f"{needs}, but the largest of {meant.source} is {largest.name} with {has}: {lower}"


def _show_nodes(nodes: NodeTypes, gpus: float) -> str:
    """Such as `4 nodes x 4 GPUs`, `1 node x 2 CPUs`, or `at most 4 nodes x 4 to 8 GPUs`."""
    what = "GPU" if gpus else "CPU"
    sizes = [(node.gpus if gpus else node.cpus, node.most) for node in nodes.types]
    counts = [most for _, most in sizes]
    total = None if None in counts else sum(count for count in counts if count is not None)
    is_shared = nodes.most is not None and (total is None or nodes.most < total)
    each = sorted({size for size, _ in sizes})
    if is_shared or len(each) == 1:
        count = nodes.most if is_shared else total
        counted = "any number of nodes" if count is None else _plural(count, "node")
        if len(each) == 1:
            return f"{counted} x {_plural(each[0], what)}"
        return f"at most {counted} x {each[0]:g} to {_plural(each[-1], what)}"
    return " and ".join(_show_each(sizes, what))


def _show_each(sizes: Sequence[tuple[float, int | None]], what: str) -> Iterator[str]:
    for size in sorted({size for size, _ in sizes}, reverse=True):
        counts = [most for one, most in sizes if one == size]
        total = None if None in counts else sum(count for count in counts if count is not None)
        yield f"{'any number of nodes' if total is None else _plural(total, 'node')} x {_plural(size, what)}"


def _plural(count: float, what: str) -> str:
    return f"{count:g} {what}{'s' * (count > 1 or count == 0)}"
