"""`caucus doctor --cluster`: whether Caucus can run on this Ray cluster, one line per node, from a task on it, and the slot of a trial."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runner.cluster.connect import joined, quieten_ray
from runner.cluster.join import find_cluster, in_one_line
from runner.cluster.node_types import ask_autoscaler, find_slot
from runner.cluster.slot import NoSlot
from runner.config.checks import read_spec
from runner.config.run import ResourcesConfig
from runner.config.sweep import SweepSpec
from runner.doctor.finding import Checkup, Fact, Finding
from runner.doctor.node_report import NodeReport, StoreProbe, read_clock, report_node
from trainables.errors import CaucusError, ClusterError, StoreError
from trainables.store.open import open_store

ANSWER_S = 60.0
"""A node that does not answer for so long would delay trials, too. The first worker of a driver takes seconds to start."""

LEAST_FREE_BYTES = 2 * 1024**3

CLOCK_S = 60.0
"""Far more than a message takes, far less than the 15 minutes that S3 bears."""


@dataclass(frozen=True)
class Node:
    """A node as the cluster knows it."""

    node_id: str
    name: str
    """Address and host name."""
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Answer:
    """A node's answer."""

    report: NodeReport
    ahead_s: float
    """By how many seconds its clock is ahead of the driver's at least, given the round-trip time."""


def check_joined_cluster(address: str | None, sweep: str | None, overrides: list[str]) -> Checkup:
    """The checkup of each node of the cluster at `address` (by default, that of this machine), and the slot of a trial.

    If a sweep file is named, each node tries to reach its store, which gets a probe object; that is deleted again if
    deleting is allowed. Trains nothing.
    """
    try:
        spec = None if sweep is None else read_spec(sweep, overrides)
    except CaucusError as error:
        return _sort([Finding("sweep", str(error))])
    quieten_ray()
    try:
        target = find_cluster(address or "auto", os.environ)
        if target is None:
            raise ClusterError(
                f"--address {address} is no cluster: name one as HOST:6379, or auto for that of this machine"
            )
        with joined(target):
            return _sort([Fact("cluster", f"{target.named}: joined"), *_check(spec, sweep)])
    except CaucusError as error:
        return _sort([Finding("cluster", str(error))])


def evaluate_node(node: Node, answer: Answer | str, driver_versions: Mapping[str, str]) -> list[Fact | Finding]:
    """Facts and findings from a node's answer, given the driver's versions. An answer that is a `str` says why there is none."""
    where = f"node {node.name}"
    if isinstance(answer, str):
        return [Finding(where, answer)]
    return [Fact(where, _describe(node, answer)), *_find_faults(where, node, answer, driver_versions)]


def _find_faults(where: str, node: Node, answer: Answer, driver_versions: Mapping[str, str]) -> Iterator[Finding]:
    report = answer.report
    if report.torch_failure:
        what = f"torch cannot be imported ({report.torch_failure})"
        yield Finding(where, what, "Trials need it", "install Caucus on the node again")
    elif report.gpus and not node.gpus and node.cpus:
        advice = f"start it with `ray start --num-gpus={len(report.gpus)}`"
        what = f"torch sees {len(report.gpus)} GPU(s), and Ray counts none"
        yield Finding(where, what, "Trials would leave them idle", advice)
    elif node.gpus and not report.gpus:
        what = f"Ray counts {node.gpus:g} GPU(s), and torch {report.versions['torch']} sees none"
        advice = "install a torch that is built for CUDA, and an NVIDIA driver that is new enough for it"
        yield Finding(where, what, "Each trial there would fail", advice)
    elif len(report.gpus) < node.gpus:
        what = f"Ray counts {node.gpus:g} GPUs, and torch sees {len(report.gpus)}"
        advice = f"start it with `ray start --num-gpus={len(report.gpus)}`"
        yield Finding(where, what, "Some trials would find none", advice)
    for name, expected in driver_versions.items():
        found = report.versions.get(name, "")
        # The part after the plus is torch's build (CPU, CUDA), and a head without GPUs may have another one. Caucus comes from the driver.
        if name != "Caucus" and found and expected and found.partition("+")[0] != expected.partition("+")[0]:
            what = f"has {name} {found}, and the driver {expected}"
            rule = "Results are equal to the bit with equal versions alone"
            yield Finding(where, what, rule, "install the same constraints.txt on all nodes")
    if report.free_bytes < LEAST_FREE_BYTES:
        rule = f"A run wants {LEAST_FREE_BYTES / 2**30:g} GiB"
        yield Finding(where, f"{report.free_bytes / 2**30:.1f} GiB free", rule, "free some, or take a larger disk")
    if report.store_failure:
        yield Finding(where, report.store_failure)
    if abs(answer.ahead_s) > CLOCK_S:
        side = "ahead of" if answer.ahead_s > 0 else "behind"
        what = f"its clock is {abs(answer.ahead_s):.0f} s {side} the driver's"
        rule = "S3 refuses requests by a clock that is 15 minutes off"
        yield Finding(where, what, rule, "let chrony or timesyncd set it")


def _describe(node: Node, answer: Answer) -> str:
    report = answer.report
    seen = f"{len(report.gpus)} ({', '.join(dict.fromkeys(report.gpus))})" if report.gpus else "none"
    parts = [
        f"{node.cpus:g} CPU(s) and {node.gpus:g} GPU(s) for trials",
        f"torch sees {seen}",
        f"driver {report.driver}" if report.driver else "no NVIDIA driver",
        ", ".join(f"{name} {found or 'missing'}" for name, found in report.versions.items()),
        f"{report.free_bytes / 2**30:.0f} GiB free",
        f"clock {answer.ahead_s:+.1f} s",
    ]
    parts += ["reaches the store"] * (report.store_failure == "")
    return "; ".join(parts)


def _check(spec: SweepSpec | None, sweep: str | None) -> Iterator[Fact | Finding]:
    driver_versions = report_node(None).versions
    with contextlib.ExitStack() as stack:
        probe = None
        if spec is not None:
            try:
                probe = stack.enter_context(_probed(spec))
            except CaucusError as error:
                yield Finding("store", str(error))
        nodes = _list_nodes()
        for node, answer in zip(nodes, _ask(nodes, probe), strict=True):
            yield from evaluate_node(node, answer, driver_versions)
    if not any(node.cpus >= 1 for node in nodes):
        meant = ask_autoscaler()
        promised = (
            "its node types promise "
            + ", ".join(
                f"{one.name} ({'any number' if one.most is None else f'at most {one.most}'} x {one.cpus:g} CPU(s), {one.gpus:g} GPU(s))"
                for one in meant.types
            )
            if meant and meant.types
            else "and it does not say what its nodes will be"
        )
        yield Fact("cluster", f"no node that can train is there yet, {promised}")
    try:
        yield Fact("slot", str(find_slot(spec.resources if spec else ResourcesConfig(), is_joined=True, sweep=sweep)))
    except NoSlot as error:
        yield Finding("slot", str(error))


@contextlib.contextmanager
def _probed(spec: SweepSpec) -> Iterator[StoreProbe]:
    """An object in the store of a sweep, which exists during the block."""
    store = open_store(spec.store.uri, spec.store.endpoint_url)
    key = f"probe-{secrets.token_hex(8)}"
    store.put(key, b"from the driver")
    try:
        yield StoreProbe(spec.store.uri, spec.store.endpoint_url, key)
    finally:
        with contextlib.suppress(StoreError):  # a role that may write but not delete is as it should be
            store.delete(key)


def _list_nodes() -> list[Node]:
    import ray

    found = []
    for node in ray.nodes():
        has = node.get("Resources") or {}
        if node.get("Alive"):
            name = " ".join(dict.fromkeys([node["NodeManagerAddress"], node["NodeManagerHostname"]]))
            found.append(Node(node["NodeID"], name, has.get("CPU", 0.0), has.get("GPU", 0.0)))
    return sorted(found, key=lambda node: node.name)


def _ask(nodes: Sequence[Node], probe: StoreProbe | None) -> list[Answer | str]:
    """The answer of each node, or why there is none. All are asked at once, by tasks without a core, so that busy ones answer, too."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    def ask(function: Any, node: Node, *arguments: Any) -> Any:
        place = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
        return ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=place)(function).remote(*arguments)

    found: dict[str, Answer | str] = {}
    reports: dict[str, NodeReport] = {}
    waiting = {ask(report_node, node, probe): node for node in nodes}
    sent_s: dict[Any, float] = {}
    end_s = time.monotonic() + ANSWER_S
    while waiting and (left_s := end_s - time.monotonic()) > 0:
        for done in ray.wait(list(waiting), timeout=left_s)[0]:
            node = waiting.pop(done)
            try:
                got = ray.get(done)
            except Exception as error:
                found[node.node_id] = f"cannot run a task of ours: {in_one_line(error)}"
                continue
            if (
                node.node_id not in reports
            ):  # the clock is read by a second task in the same worker, whose round trip is short
                reports[node.node_id] = got
                again = ask(read_clock, node)
                waiting[again], sent_s[again] = node, time.time()
                continue
            middle_s, half_s = (sent_s[done] + time.time()) / 2, (time.time() - sent_s[done]) / 2
            ahead_s = got - middle_s
            found[node.node_id] = Answer(
                reports[node.node_id],
                0.0 if abs(ahead_s) <= half_s else ahead_s - half_s if ahead_s > 0 else ahead_s + half_s,
            )
    silent = f"did not answer within {ANSWER_S:g} s: can it start a worker, and has it memory left?"
    return [found.get(node.node_id, silent) for node in nodes]


def _sort(found: Sequence[Fact | Finding]) -> Checkup:
    facts = tuple(one for one in found if isinstance(one, Fact))
    return Checkup(facts, tuple(one for one in found if isinstance(one, Finding)))
