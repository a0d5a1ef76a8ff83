"""The Kubernetes manifests: fields that KubeRay 1.6 has, and a cluster that Ray's own autoscaler understands."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.deploy.commands import check_command
from tests.sweeps import ROOT

FOLDER = ROOT / "deploy" / "kuberay"

# The published fields of ray.io/v1 as of KubeRay 1.6, as far as they could be wanted here; an unknown one is a typo.
JOB = {
    *("entrypoint", "backoffLimit", "activeDeadlineSeconds", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished"),
    *("rayClusterSpec", "submissionMode", "runtimeEnvYAML", "suspend", "metadata", "jobId", "clusterSelector"),
    *("entrypointNumCpus", "entrypointNumGpus", "entrypointResources", "deletionStrategy", "submitterPodTemplate"),
}
CLUSTER = {
    "rayVersion",
    "authOptions",
    "enableInTreeAutoscaling",
    "autoscalerOptions",
    "headGroupSpec",
    "workerGroupSpecs",
}
HEAD = {"rayStartParams", "template", "serviceType", "enableIngress"}
WORKERS = {"groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "rayStartParams", "template"}
POD = {"containers", "nodeSelector", "tolerations", "serviceAccountName", "volumes"}
CONTAINER = {"name", "image", "env", "envFrom", "resources", "command", "args", "volumeMounts", "imagePullPolicy"}


def read(name: str) -> dict[str, Any]:
    told: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return told


@pytest.fixture
def job() -> dict[str, Any]:
    spec: dict[str, Any] = read("rayjob.yaml")["spec"]
    return spec


def groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def containers(job: dict[str, Any]) -> list[dict[str, Any]]:
    return [container for group in groups(job) for container in group["template"]["spec"]["containers"]]


def test_every_field_is_one_that_kuberay_has(job):
    assert {*read("rayjob.yaml")} == {"apiVersion", "kind", "metadata", "spec"}
    assert (read("rayjob.yaml")["apiVersion"], read("rayjob.yaml")["kind"]) == ("ray.io/v1", "RayJob")
    head, *workers = groups(job)
    assert {*job} <= JOB
    assert {*job["rayClusterSpec"]} <= CLUSTER
    assert {*head} <= HEAD
    assert all({*worker} <= WORKERS for worker in workers)
    assert all({*group["template"]} == {"spec"} and {*group["template"]["spec"]} <= POD for group in groups(job))
    assert all({*container} <= CONTAINER for container in containers(job))


def test_the_nightly_one_is_the_same_job_on_a_schedule(job):
    nightly = read("raycronjob.yaml")
    assert (nightly["apiVersion"], nightly["kind"]) == ("ray.io/v1", "RayCronJob")
    assert {*nightly["spec"]} == {"schedule", "jobTemplate"}
    assert nightly["spec"]["schedule"] == "0 1 * * *"
    assert nightly["spec"]["jobTemplate"] == job


def test_rays_own_autoscaler_understands_the_cluster(job):
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
    from ray.autoscaler._private.util import prepare_config, validate_config

    resource = {"metadata": {"name": "caucus", "namespace": "default"}, "spec": job["rayClusterSpec"]}
    config = _derive_autoscaling_config_from_ray_cr(resource)
    validate_config(prepare_config(config))
    types = config["available_node_types"]
    head = types.pop(config["head_node_type"])
    assert (head["resources"]["CPU"], head["resources"].get("GPU", 0)) == (0, 0)
    ((worker),) = types.values()
    assert (worker["min_workers"], worker["max_workers"]) == (0, 4)
    assert (worker["resources"]["CPU"], worker["resources"]["GPU"]) == (8, 1)


def test_the_ray_is_the_pinned_one_and_asks_for_a_token(job):
    pinned = re.search(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    assert job["rayClusterSpec"]["rayVersion"] == pinned[1]
    assert job["rayClusterSpec"]["authOptions"] == {"mode": "token"}


def test_the_head_notices_a_dead_node_as_that_of_the_cluster_file_does(job):
    told = {one["name"]: one["value"] for one in containers(job)[0]["env"]}
    assert told == dict(re.findall(r"(RAY_health_check_\w+)=(\d+)", (ROOT / "cluster.yaml").read_text()))


def test_the_entrypoint_is_in_the_image(job):
    check_command(job["entrypoint"].replace("/home/ray/caucus/", ""))
    assert "WORKDIR /home/ray/caucus" in (ROOT / "deploy" / "Dockerfile").read_text()
