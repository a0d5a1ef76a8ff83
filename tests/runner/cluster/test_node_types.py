"""Node types, from everything that tells them."""

import pytest
import yaml

from runner.cluster import node_types
from runner.cluster.node_types import find_autoscaler_file, read_cluster_config, read_head, read_neighbour, read_types
from runner.cluster.slot import NoSlot, choose_slot
from runner.config.run import ResourcesConfig
from tests.sample_runs.sweeps import ROOT


def describe_slot(types):
    return str(choose_slot(ResourcesConfig(), [], types, can_grow=True))


def test_the_shipped_cluster_file_decides_the_slot():
    expected = "4 nodes x 4 GPUs, a trial has 1 GPU and 12 CPUs: 16 at a time"
    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    assert describe_slot(read_types(config, "it", is_all=True)) == expected
    assert describe_slot(read_neighbour(str(ROOT / "sweeps" / "digits.yaml"))) == expected


def test_the_file_that_ray_up_leaves_on_the_head_decides_the_slot(tmp_path, monkeypatch):
    from ray.autoscaler._private.util import prepare_config

    config = prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text()))
    (tmp_path / "ray_bootstrap_config.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert describe_slot(read_head("10.0.0.1:6379")).startswith("4 nodes x 4 GPUs, a trial has 1 GPU and 12 CPUs: 16")


@pytest.mark.parametrize("name", ["rayjob.yaml", "raycronjob.yaml"])
def test_the_kubernetes_files_decide_the_slot(name):
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    spec = yaml.safe_load((ROOT / "deploy" / "kuberay" / name).read_text())["spec"]
    spec = spec.get("jobTemplate", spec)["rayClusterSpec"]
    config = _derive_autoscaling_config_from_ray_cr({"metadata": {"name": "x", "namespace": "y"}, "spec": spec})
    types = read_types(config, "it", is_all=True)
    (node,) = types.types
    slot = choose_slot(ResourcesConfig(), [], types, can_grow=True)
    assert (slot.gpus, slot.cpus, slot.at_a_time) == (1, node.cpus // node.gpus, node.most * node.gpus)


def test_the_autoscalers_configuration_in_the_gcs_decides_the_slot():
    from ray.core.generated.autoscaler_pb2 import ClusterConfig

    config = ClusterConfig()
    for name, resources, most in (("head", {"CPU": 0}, 1), ("gpu", {"CPU": 32, "GPU": 8}, 3), ("any", {"CPU": 4}, -1)):
        group = config.node_group_configs.add(name=name, max_count=most)
        group.resources.update(resources)
    found = read_cluster_config(config)
    assert [(node.name, node.most) for node in found.types] == [("gpu", 3), ("any", None)]
    assert describe_slot(found) == "3 nodes x 8 GPUs, a trial has 1 GPU and 4 CPUs: 24 at a time"
    assert read_cluster_config(None) is None
    assert read_cluster_config(ClusterConfig()) is None


def test_a_head_that_trains_counts_as_one_node():
    config = {
        "max_workers": 2,
        "head_node_type": "head",
        "available_node_types": {
            "head": {"resources": {"CPU": 8, "GPU": 1}},
            "more": {"resources": {"CPU": 32, "GPU": 4}},
        },
    }
    assert describe_slot(read_types(config, "it", is_all=True)) == "2 nodes x 4 GPUs and 1 node x 1 GPU, a trial has 1 GPU and 8 CPUs: 9 at a time"  # fmt: skip


def test_a_cluster_file_that_leaves_the_number_of_workers_out_means_what_ray_takes_for_it():
    from ray.autoscaler._private.util import prepare_config

    config = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    del config["max_workers"]
    assert describe_slot(read_types(config, "it", is_all=True)) == describe_slot(
        read_types(prepare_config(config), "it", is_all=True)
    )
    assert describe_slot(read_types(config, "it", is_all=True)).startswith("2 nodes x 4 GPUs")


def test_a_cluster_that_may_have_no_workers_promises_none_whatever_a_type_says():
    config = {"max_workers": 0, "available_node_types": {"g": {"resources": {"CPU": 8, "GPU": 2}, "max_workers": 2}}}
    assert read_types(config, "it", is_all=False) is None
    with pytest.raises(NoSlot):
        describe_slot(read_types(config, "it", is_all=True))


@pytest.mark.parametrize(
    "config",
    [
        None,
        [],
        {},
        {"available_node_types": None},
        {"available_node_types": {"a": None}},
        {"available_node_types": {"a": {"resources": {}}}},
        {"available_node_types": {"a": {"resources": {"CPU": "many", "GPU": None}}}},
        {"available_node_types": {"a": {"resources": {"CPU": float("nan")}, "max_workers": -1}}},
        yaml.safe_load((ROOT / "deploy" / "on-prem.yaml").read_text()),
    ],
)
def test_a_cluster_file_without_resources_says_nothing(config):
    assert read_types(config, "it", is_all=False) is None


def test_the_cluster_file_beside_the_sweep_comes_before_those_further_away(tmp_path, monkeypatch):
    folder = tmp_path / "project" / "sweeps"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    types = {"max_workers": 1, "available_node_types": {"one": {"resources": {"CPU": 6, "GPU": 2}}}}
    (folder.parent / "cluster.yaml").write_text(yaml.safe_dump(types))
    found = read_neighbour(str(folder / "x.yaml"))
    assert (found.source, found.types[0].name) == ("the node types of project/cluster.yaml", "one")
    assert read_neighbour("project/sweeps/x.yaml") == found
    (folder / "cluster.yaml").write_text(yaml.safe_dump({**types, "available_node_types": {"two": types["available_node_types"]["one"]}}))  # fmt: skip
    assert read_neighbour(str(folder / "x.yaml")).types[0].name == "two"
    (folder / "cluster.yaml").write_text("a: [")
    assert read_neighbour(str(folder / "x.yaml")) is None


def test_the_autoscalers_own_file_is_found_among_the_processes_of_the_head(tmp_path, monkeypatch):
    monitor = ["python", "-u", "/lib/ray/autoscaler/v2/monitor.py", "--logs-dir=/tmp", "--gcs-address=10.0.0.1:6379"]
    path = tmp_path / "types.yaml"
    path.write_text(yaml.safe_dump({"max_workers": 2, "available_node_types": {"g": {"resources": {"CPU": 8, "GPU": 2}}}}))  # fmt: skip
    lines = [
        ["python", "x.py"],
        monitor,
        [*monitor[:-1], "--gcs-address=10.0.0.2:6379", f"--autoscaling-config={path}"],
    ]
    assert find_autoscaler_file(lines, "10.0.0.1:6379") is None
    assert find_autoscaler_file(lines, "10.0.0.3:6379") is None
    monkeypatch.setattr(node_types, "_command_lines", lambda: lines)
    assert describe_slot(read_head("10.0.0.2:6379")) == "2 nodes x 2 GPUs, a trial has 1 GPU and 4 CPUs: 4 at a time"


@pytest.mark.parametrize("is_growing", [True, False])
def test_on_kubernetes_the_operators_object_decides_the_slot(tmp_path, monkeypatch, is_growing):
    from ray.autoscaler._private.kuberay.node_provider import KubernetesHttpApiClient

    requests = []

    def get(self, path):
        requests.append((self._namespace, path))
        spec = yaml.safe_load((ROOT / "deploy" / "kuberay" / "rayjob.yaml").read_text())["spec"]["rayClusterSpec"]
        spec |= {"enableInTreeAutoscaling": is_growing}
        return {"metadata": {"name": "night-x2", "namespace": "ml"}, "spec": spec}

    (tmp_path / "namespace").write_text("ml\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(node_types, "NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.setattr(KubernetesHttpApiClient, "get", get)
    assert read_head("10.0.0.1:6379") is None
    monkeypatch.setenv("RAY_CLUSTER_NAME", "night-x2")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    found = read_head("10.0.0.1:6379")
    assert requests == [("ml", "rayclusters/night-x2")]
    assert (found.source, found.is_all) == ("the worker groups of RayCluster night-x2", is_growing)
    assert choose_slot(ResourcesConfig(), [], found, can_grow=True).gpus == 1
    monkeypatch.setattr(KubernetesHttpApiClient, "get", lambda self, path: {"message": "forbidden"})
    assert read_head("10.0.0.1:6379") is None
