"""The Kubernetes manifests: what KubeRay's own definitions take, and a cluster that Ray's own autoscaler understands."""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.deploy.commands import DEPLOY, check_command, kuberay
from tests.deploy.crd import mistakes
from tests.sample_runs.sweeps import ROOT

FILES = ["rayjob.yaml", "raycronjob.yaml"]


@pytest.fixture
def job() -> dict[str, Any]:
    spec: dict[str, Any] = kuberay("rayjob.yaml")["spec"]
    return spec


def groups(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["rayClusterSpec"]
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def pods(job: dict[str, Any]) -> list[dict[str, Any]]:
    return [group["template"]["spec"] for group in groups(job)]


def containers(job: dict[str, Any]) -> list[dict[str, Any]]:
    return [container for pod in pods(job) for container in pod["containers"]]


@pytest.mark.parametrize("name", FILES)
def test_the_operators_own_definition_takes_it(name):
    assert mistakes(kuberay(name)) == []


def spec_of(manifest: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]
    return spec.get("jobTemplate", spec)  # type: ignore[no-any-return]


def worker_of(manifest: dict[str, Any]) -> dict[str, Any]:
    return pods(spec_of(manifest))[1]


def rename(of: dict[str, Any], old: str, new: str) -> None:
    of[new] = of.pop(old)


TYPOS: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("ttlSecondAfterFinished", lambda one: rename(spec_of(one), "ttlSecondsAfterFinished", "ttlSecondAfterFinished")),
    ("toleration", lambda one: rename(worker_of(one), "tolerations", "toleration")),
    ("nodeselector", lambda one: rename(worker_of(one), "nodeSelector", "nodeselector")),
    ("secretref", lambda one: rename(worker_of(one)["containers"][0]["envFrom"][0], "secretRef", "secretref")),
    ("prestop", lambda one: rename(worker_of(one)["containers"][0]["lifecycle"], "preStop", "prestop")),
    ("backoffLimit", lambda one: spec_of(one).update(backoffLimit="one")),
    ("runAsNonRoot", lambda one: worker_of(one)["securityContext"].update(runAsNonRoot="yes")),
    ("rayStartParams", lambda one: groups(spec_of(one))[0].update(rayStartParams={"num-cpus": 0})),
    ("memory", lambda one: worker_of(one)["containers"][0]["resources"]["limits"].update(memory="32 GB")),
    ("twice", lambda one: worker_of(one)["containers"][0]["env"].append({"name": "CAUCUS_SPOT_NOTICE"})),
    ("label", lambda one: one["metadata"].update(label={})),
    ("apiVersion", lambda one: one.update(apiVersion="ray.io/v1alpha1")),
    ("rayClusterSpecs", lambda one: rename(spec_of(one), "rayClusterSpec", "rayClusterSpecs")),
]


@pytest.mark.parametrize(("where", "edit"), TYPOS, ids=[where for where, _ in TYPOS])
def test_and_no_mistake_in_it_however_deep(where, edit):
    manifest = kuberay("raycronjob.yaml")  # which holds all of the other one
    edit(manifest)
    found = mistakes(manifest)
    assert found
    assert any(where in one for one in found), found


def test_the_nightly_one_is_the_same_job_on_a_schedule(job):
    nightly = kuberay("raycronjob.yaml")
    assert {*nightly["spec"]} == {"schedule", "timeZone", "jobTemplate"}
    assert nightly["spec"]["schedule"] == "0 1 * * *"
    assert nightly["spec"]["jobTemplate"] == job


def test_a_finished_cluster_goes_and_a_finished_night_is_not_run_again(job):
    assert job["shutdownAfterJobFinishes"] is True
    assert 0 < job["ttlSecondsAfterFinished"] <= 3600
    assert job["backoffLimit"] == 1
    assert "--no-better-is=0" in job["entrypoint"].split()


def test_pods_have_no_rights_that_they_do_not_need(job):
    for pod in pods(job):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            }
    assert pods(job)[1]["automountServiceAccountToken"] is False


def test_head_and_workers_have_accounts_and_secrets_of_their_own_by_reference(job):
    head, worker = pods(job)
    accounts = [one["metadata"]["name"] for one in yaml.safe_load_all((DEPLOY / "kuberay" / "access.yaml").read_text())]
    assert [head["serviceAccountName"], worker["serviceAccountName"]] == accounts == ["caucus-head", "caucus-worker"]
    secrets = [container["envFrom"][0]["secretRef"]["name"] for container in containers(job)]
    assert secrets == ["caucus-store-head", "caucus-store-worker"]
    text = (DEPLOY / "kuberay" / "access.yaml").read_text()
    assert "for role in head worker" in text
    assert "create secret generic caucus-store-$role" in text
    for name in FILES:
        assert "AWS_SECRET" not in (DEPLOY / "kuberay" / name).read_text()


def test_a_worker_asks_for_its_gpu_on_nodes_that_have_one_and_has_shared_memory(job):
    head, worker = pods(job)
    resources = worker["containers"][0]["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "1"
    assert not any("nvidia.com/gpu" in part for part in head["containers"][0]["resources"].values())
    assert worker["nodeSelector"]["nvidia.com/gpu.present"] == "true"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in worker["tolerations"]
    for pod in (head, worker):
        assert pod["volumes"] == [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}]
        assert pod["containers"][0]["volumeMounts"] == [{"name": "shm", "mountPath": "/dev/shm"}]


def test_the_comment_about_slots_is_true(job):
    (worker,) = job["rayClusterSpec"]["workerGroupSpecs"]
    params, resources = worker["rayStartParams"], worker["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert (params["num-cpus"], params["num-gpus"]) == (resources["cpu"], resources["nvidia.com/gpu"])
    cpus = int(params["num-cpus"]) // int(params["num-gpus"])
    for name in FILES:
        text = f"# A trial has 1 GPU and {cpus} CPUs: {int(params['num-gpus']) * worker['maxReplicas']} at a time."
        assert text in (DEPLOY / "kuberay" / name).read_text()


def before_it_stops(job: dict[str, Any]) -> list[str]:
    """The command that Kubernetes runs before it ends a worker's pod."""
    command: list[str] = pods(job)[1]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    return command


def test_a_pod_that_has_to_end_gives_notice_and_waits_until_no_trial_is_left(job, tmp_path):
    (variable,) = containers(job)[1]["env"]
    *shell, script = before_it_stops(job)
    assert variable["name"] == "CAUCUS_SPOT_NOTICE"
    assert variable["value"] in script
    notice = tmp_path / "notice"
    script = script.replace(variable["value"], str(notice)).replace("/proc/", f"{tmp_path}/proc/")
    for pid, command in {"1": "/bin/bash -lc ray start --block", "70": "ray::TuneTrial.train", "71": script}.items():
        folder = tmp_path / "proc" / pid
        folder.mkdir(parents=True)
        (folder / "cmdline").write_text(command.replace(" ", "\0"))
    with subprocess.Popen([*shell, script]) as waiting:
        while not notice.exists():
            time.sleep(0.02)
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(timeout=0.3)
        (tmp_path / "proc" / "70" / "cmdline").unlink()
        assert waiting.wait(timeout=30) == 0
    assert float(notice.read_text()) < pods(job)[1]["terminationGracePeriodSeconds"]


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
    environment = {one["name"]: one["value"] for one in containers(job)[0]["env"]}
    assert environment == dict(re.findall(r"(RAY_health_check_\w+)=(\d+)", (ROOT / "cluster.yaml").read_text()))


def test_the_entrypoint_is_in_the_image(job):
    assert shlex.split(job["entrypoint"])[0] == "python"
    check_command(job["entrypoint"].replace("/home/ray/caucus/", ""))
    assert "WORKDIR /home/ray/caucus" in (ROOT / "deploy" / "Dockerfile").read_text()
