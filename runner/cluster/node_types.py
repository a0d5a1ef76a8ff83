"""The node types that a Ray cluster is planned to have: from its autoscaler, or from the cluster file beside the sweep."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runner.cluster.slot import NodeType, NodeTypes, NoSlot, Slot, choose_slot
from runner.config.run import ResourcesConfig
from runner.config.yaml_file import parse_yaml, read_found_file
from runner.control.price import CLUSTER_FILE
from trainables.errors import CaucusError
from trainables.hardware.gpu_share import HIDDEN, describe_uncounted_gpus

BOOTSTRAP_FILE = "~/ray_bootstrap_config.yaml"
"""The configuration of the autoscaler, which `ray up` copies to the head."""

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

HEAD_RESOURCE = "node:__internal_head__"

LEFT_OUT_WORKERS = {"aws": 2, "gcp": 2, "azure": 2, "vsphere": 5}
"""Ray's default of `max_workers`, by provider (its `defaults.yaml`)."""

ASK_S = 30.0
"""Timeout of a task on the head, which starts a process for it; that takes seconds."""


def find_slot(resources: ResourcesConfig, *, is_joined: bool, sweep: str | None = None) -> Slot:
    """The slot of each trial on the connected Ray; a cluster that was joined can grow. Raises `NoSlot`.

    `sweep` is the path of the sweep file. If Ray does not know its planned node types, they are read from a cluster file
    in that folder or in the one above.
    """
    now = list_nodes()
    if not is_joined and resources.gpus is None and not any(node.gpus for node in now) and (seen := count_gpus()):
        raise NoSlot(describe_uncounted_gpus(seen, "the kernel shows"))
    meant = ask_autoscaler() if is_joined else None
    if is_joined and meant is None and not any(node.cpus >= 1 for node in now):
        meant = read_neighbour(sweep)
    return choose_slot(resources, now, meant, can_grow=is_joined)


def list_nodes() -> list[NodeType]:
    """The nodes of the connected Ray that are alive and have CPUs or GPUs."""
    import ray

    found = []
    for node in ray.nodes():
        has = node.get("Resources") or {}
        if node.get("Alive") and (has.get("CPU", 0) or has.get("GPU", 0)):
            found.append(NodeType(node.get("NodeManagerAddress", ""), has.get("CPU", 0), has.get("GPU", 0)))
    return found


def ask_autoscaler() -> NodeTypes | None:
    """The node types of the connected cluster, from its GCS, else from its head; None if neither knows them. Works on any machine."""
    with contextlib.suppress(Exception):  # private parts of Ray, which another version may not have
        from ray._private.state import state

        if (found := read_cluster_config(state.get_cluster_config())) is not None:
            return found
    with contextlib.suppress(Exception):  # a head that just died, or does not answer: the run will notice that itself
        return _ask_head()
    return None


def read_cluster_config(config: Any) -> NodeTypes | None:
    """The node types in the `ClusterConfig` that Ray's autoscaler has put into the GCS (None if it has not)."""
    if config is None or not config.node_group_configs:
        return None
    types = [
        NodeType(group.name, group.resources.get("CPU", 0), group.resources.get("GPU", 0), _bound(group.max_count))
        for group in config.node_group_configs
    ]
    return _usable_types(types, "the autoscaler's node types", None, is_all=True)


def read_types(config: object, source: str, *, is_all: bool) -> NodeTypes | None:
    """The node types in a cluster file, or in the configuration of an autoscaler; None if it names no resources.

    A head counts as one node. Types without resources are left out, and then `is_all` is False.
    """
    types = config.get("available_node_types") if isinstance(config, Mapping) else None
    if not isinstance(config, Mapping) or not isinstance(types, Mapping):
        return None
    provider = config.get("provider")
    kind = provider.get("type") if isinstance(provider, Mapping) else None
    workers = _count(config.get("max_workers", LEFT_OUT_WORKERS.get(str(kind))))
    head = config.get("head_node_type")
    found: list[NodeType] = []
    for name, node_type in types.items():
        has = node_type.get("resources") if isinstance(node_type, Mapping) else None
        if not isinstance(has, Mapping) or not {"CPU", "GPU"} & set(has):
            is_all = False
            continue
        most = _count(node_type.get("max_workers", 0 if name == head else workers))
        if name == head:
            most = None if most is None else most + 1
        found.append(NodeType(str(name), _number(has.get("CPU")), _number(has.get("GPU")), most))
    has_head = any(node.name == head and node.cpus >= 1 for node in found)
    return _usable_types(found, source, None if workers is None else workers + has_head, is_all)


def read_neighbour(sweep: str | None) -> NodeTypes | None:
    """The node types of the cluster file beside a sweep file, or in the folder above; None if neither has one."""
    for folder in Path(sweep).absolute().parents[:2] if sweep is not None else ():
        path = folder / CLUSTER_FILE
        if path.is_file():
            return _read_file(path, f"the node types of {os.path.relpath(path)}", is_all=False)
    return None


def read_head(gcs_address: str) -> NodeTypes | None:
    """The configuration of this head's autoscaler. Has to be called on the head.

    It is in the file that the autoscaler's command line names, else in the operator's object in Kubernetes, else in the
    file that `ray up` left.
    """
    if (path := find_autoscaler_file(_command_lines(), gcs_address)) is not None:
        return _read_file(Path(path).expanduser(), "the autoscaler's node types", is_all=True)
    with contextlib.suppress(Exception):  # no right to read it, or no such thing
        if (found := _ask_kubernetes(os.environ)) is not None:
            return found
    return _read_file(Path(BOOTSTRAP_FILE).expanduser(), f"the node types of {BOOTSTRAP_FILE}", is_all=False)


def find_autoscaler_file(command_lines: Iterable[list[str]], gcs_address: str) -> str | None:
    """The file that the autoscaler of the cluster at `gcs_address` reads, from the command lines of its head."""
    for arguments in command_lines:
        if (
            any(argument.endswith("/monitor.py") for argument in arguments)
            and f"--gcs-address={gcs_address}" in arguments
        ):
            files = [
                argument.partition("=")[2] for argument in arguments if argument.startswith("--autoscaling-config=")
            ]
            return files[0] if files and files[0] else None
    return None


def _ask_head() -> NodeTypes | None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context()
    head = next((node["NodeID"] for node in ray.nodes() if node["Alive"] and HEAD_RESOURCE in node["Resources"]), None)
    if head is None:
        return None
    if head == here.get_node_id():
        # Asked again below only if nothing else is known: the head's processes may have another home.
        found = read_head(here.gcs_address)
        if found is not None or any(node.cpus >= 1 for node in list_nodes()):
            return found
    place = NodeAffinitySchedulingStrategy(head, soft=False)
    reference = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=place)(read_head).remote(here.gcs_address)
    answer: NodeTypes | None = ray.get(reference, timeout=ASK_S)
    return answer


def _ask_kubernetes(environ: Mapping[str, str]) -> NodeTypes | None:
    """The node types in this pod's RayCluster, as Ray's own autoscaler reads it; None if this is not a pod of KubeRay's."""
    name = environ.get("RAY_CLUSTER_NAME")
    if not name or "KUBERNETES_SERVICE_HOST" not in environ:
        return None
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
    from ray.autoscaler._private.kuberay.node_provider import KubernetesHttpApiClient

    namespace = environ.get("RAY_CLUSTER_NAMESPACE") or NAMESPACE_FILE.read_text().strip()
    resource = KubernetesHttpApiClient(namespace).get(f"rayclusters/{name}")
    is_growing = bool(resource["spec"].get("enableInTreeAutoscaling"))
    config = _derive_autoscaling_config_from_ray_cr(resource)
    return read_types(config, f"the worker groups of RayCluster {name}", is_all=is_growing)


def _command_lines() -> Iterable[list[str]]:
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # gone in the meantime
            yield entry.read_bytes().decode(errors="replace").split("\0")


def _read_file(path: Path, source: str, is_all: bool) -> NodeTypes | None:
    try:
        config = parse_yaml(read_found_file(path), str(path))
    except (OSError, UnicodeDecodeError, CaucusError):
        return None
    return read_types(config, source, is_all=is_all)


def _usable_types(types: list[NodeType], source: str, most: int | None, is_all: bool) -> NodeTypes | None:
    """The types that can hold a trial and can have a node; with `most` 0 there are none."""
    usable = tuple(node for node in types if (node.cpus >= 1 or node.gpus >= 1) and node.most != 0 and most != 0)
    return NodeTypes(usable, source, most, is_all) if usable or is_all else None


def _bound(count: int) -> int | None:
    return None if count < 0 else count


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _number(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0
    return float(value) if is_number and isinstance(value, int | float) else 0.0


def count_gpus() -> int:
    """NVIDIA devices that a process here may use, found without loading CUDA."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = sum(path.name.removeprefix("nvidia").isdigit() for path in Path("/dev").glob("nvidia*"))
    if visible is None:
        return devices
    # CUDA sees those that stand before the first that is none.
    names = itertools.takewhile(
        lambda one: one not in HIDDEN and (not one.isdigit() or int(one) < devices),
        (one.strip() for one in visible.split(",")),
    )
    return min(devices, len(list(names)))
