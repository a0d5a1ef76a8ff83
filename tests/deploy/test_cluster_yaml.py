"""cluster.yaml, as far as it can be checked without a cloud: what it promises, and what an imitation of AWS makes of it.

What `caucus doctor` asks of every cluster file is in tests/runner/doctor/test_cluster_file.py.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.doctor.ec2_keys import regions
from tests.sample_runs.sweeps import ROOT

FILES = [ROOT / "cluster.yaml", ROOT / "deploy" / "on-prem.yaml"]


@pytest.fixture
def config() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    return parsed


def test_rays_own_validation_accepts_it(config):
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(config))


def test_the_head_has_no_slots(config):
    assert config["available_node_types"][config["head_node_type"]]["resources"] == {"CPU": 0, "GPU": 0}


def test_workers_are_spot_machines_of_several_types_and_gpus_that_come_and_go(config):
    nodes = config["available_node_types"]
    workers = [node for name, node in nodes.items() if name != config["head_node_type"]]
    assert len({worker["node_config"]["InstanceType"] for worker in workers}) == 3
    for worker in workers:
        assert (worker["min_workers"], worker["resources"]["GPU"]) == (0, 4)
        assert worker["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    # As many machines as `max_workers` allows, of any of the types, in any zone of the region.
    assert not any("max_workers" in worker for worker in workers)
    assert "availability_zone" not in config["provider"]
    assert config["provider"]["region"] in regions()


def test_every_type_has_a_price_and_the_dearest_counts(config, tmp_path, monkeypatch):
    from runner.control.price import find_price
    from tests.sample_runs.sample_run import make_spec

    monkeypatch.chdir(ROOT)
    prices = config["metadata"]["price_per_node_hour"]
    assert set(prices) == set(config["available_node_types"]) - {config["head_node_type"]}
    assert find_price(make_spec("runs")) == max(prices.values()) == 5.67


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_token_is_mounted_and_made_private(path):
    config = yaml.safe_load(path.read_text())
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert config["setup_commands"][0] == "chmod 600 ~/.ray/auth_token"


@pytest.mark.parametrize("part", ["head_start_ray_commands", "worker_start_ray_commands"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("content", "mode", "starts"), [(None, 0, False), ("", 0o600, False), ("x", 0o644, False), ("x", 0o600, True)]
)
def test_nothing_starts_without_a_private_token(path, part, content, mode, starts, tmp_path):
    first, *others = yaml.safe_load(path.read_text())[part]
    assert not any("ray start" in command for command in [first])
    assert any("ray start" in command for command in others)
    if content is not None:
        token = tmp_path / ".ray" / "auth_token"
        token.parent.mkdir()
        token.write_text(content)
        token.chmod(mode)
    done = subprocess.run(
        ["bash", "-c", first],
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is starts
    assert ("run `ray get-auth-token --generate`" in done.stderr) is not starts


def test_what_ray_would_install_by_default_is_overridden(config):
    assert any("constraints.txt" in command for command in config["setup_commands"])
    assert not any("nightly" in command or "3.0.0.dev" in command for command in config["setup_commands"])
    assert config["provider"]["cache_stopped_nodes"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_nodes_get_what_jobs_and_every_search_need(path):
    (extras,) = re.findall(r"--editable ~/caucus'\[(.*)\]'", path.read_text())
    with (ROOT / "pyproject.toml").open("rb") as file:
        known = tomllib.load(file)["project"]["optional-dependencies"]
    requirements = [requirement for extra in extras.split(",") for requirement in known[extra]]
    assert [re.split("[>=]", requirement)[0] for requirement in requirements] == ["ray[default]", "optuna"]


def test_the_container_has_the_pinned_ray_and_its_workers_their_gpus_and_the_notice(config):
    pinned = re.search(r"^ray==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned
    docker = config["docker"]
    assert docker["image"] == f"rayproject/ray:{pinned[1]}-py311"
    assert f"FROM {docker['image']}\n" in (ROOT / "deploy" / "Dockerfile").read_text()
    assert "-e RAY_AUTH_MODE=token" in docker["run_options"]
    assert docker["worker_run_options"] == ["--gpus all", "-e CAUCUS_SPOT_NOTICE=aws"]
    # Ray's own way from the file to `docker run`; what stands in the list is joined with spaces.
    from ray.autoscaler._private.docker import docker_start_cmds, validate_docker_config

    validate_docker_config(config)
    options = [*docker["run_options"], *docker["worker_run_options"]]
    mounts = {"~/caucus/runner": "runner", "~/.ray/auth_token": "~/.ray/auth_token"}
    command = docker_start_cmds("ubuntu", docker["image"], mounts, "caucus", options, "caucus", "/home/ray", "docker")
    assert shlex.split(command)[-2:] == [docker["image"], "bash"]
    assert re.search(r"-v \S+:/home/ray/caucus/runner .*--gpus all -e CAUCUS_SPOT_NOTICE=aws --net=host", command)


def test_the_image_of_the_machines_is_one_that_aws_publishes_in_every_region(config):
    for node in config["available_node_types"].values():
        text = node["node_config"]["ImageId"]
        # The form that AWS documents for its Deep Learning AMIs: architecture, then the image's name.
        assert re.fullmatch(
            r"resolve:ssm:/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22\.04/latest/ami-id",
            text,
        )
        assert node["node_config"]["MetadataOptions"] == {"HttpTokens": "required"}


def test_the_comment_about_slots_is_true(config):
    nodes = [node for name, node in config["available_node_types"].items() if name != config["head_node_type"]]
    assert all(set(node["resources"]) == {"CPU", "GPU"} for node in config["available_node_types"].values())
    ((cpus, gpus),) = {(node["resources"]["CPU"], node["resources"]["GPU"]) for node in nodes}
    text = f"# A trial has 1 GPU and {cpus // gpus} CPUs: {gpus * config['max_workers']} at a time."
    assert text in (ROOT / "cluster.yaml").read_text()


AMI = "ami-12c6146b"
"""One that moto knows."""


@pytest.mark.long
def test_aws_would_start_these_machines_with_our_profiles(config, tmp_path, monkeypatch):
    """Ray's own way from the file to EC2, with moto in the place of AWS: it refuses what EC2's description refuses."""
    from moto import mock_aws

    for name, value in {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HOME": str(tmp_path),
        "MOTO_IAM_LOAD_MANAGED_POLICIES": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for node in config["available_node_types"].values():
        node["node_config"]["ImageId"] = AMI
    region = config["provider"]["region"]
    with mock_aws():
        import boto3
        from ray.autoscaler._private.aws.config import bootstrap_aws
        from ray.autoscaler._private.aws.node_provider import AWSNodeProvider
        from ray.autoscaler._private.util import prepare_config, validate_config

        iam = boto3.client("iam", region_name=region)
        _make_profiles(iam)
        roles = {role["RoleName"] for role in iam.list_roles()["Roles"]}
        prepared = prepare_config(config)
        validate_config(prepared)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            ready = bootstrap_aws(prepared)
            provider = AWSNodeProvider(ready["provider"], ready["cluster_name"])
            for name, node in ready["available_node_types"].items():
                provider.create_node(node["node_config"], {"ray-user-node-type": name}, 1)
        found = [
            machine
            for reservation in boto3.client("ec2", region_name=region).describe_instances()["Reservations"]
            for machine in reservation["Instances"]
        ]
        started = {
            machine["InstanceType"]: machine["IamInstanceProfile"]["Arn"].rpartition("/")[2] for machine in found
        }
        assert started == {
            "m6i.large": "caucus-head",
            "g5.12xlarge": "caucus-worker",
            "g6.12xlarge": "caucus-worker",
            "g4dn.12xlarge": "caucus-worker",
        }
        spot = {machine["InstanceType"] for machine in found if machine.get("InstanceLifecycle") == "spot"}
        assert spot == set(started) - {"m6i.large"}
        for machine in found:
            assert {"Key": "ray-cluster-name", "Value": "caucus"} in machine["Tags"]
        # No role of Ray's own, which may do anything to EC2 and S3.
        assert {role["RoleName"] for role in iam.list_roles()["Roles"]} == roles


def _make_profiles(iam: Any) -> None:
    """What deploy/README.md says to do once."""
    trust = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
    assert trust in Path(ROOT / "deploy" / "README.md").read_text()
    for role in ("head", "worker"):
        name = f"caucus-{role}"
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
        document = json.loads((ROOT / "deploy" / "policies" / f"{role}.json").read_text())
        iam.put_role_policy(RoleName=name, PolicyName="caucus", PolicyDocument=json.dumps(document))
        iam.create_instance_profile(InstanceProfileName=name)
        iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)


@pytest.mark.parametrize("before", [None, "", "alias ll='ls -l'\n"])
def test_on_machines_of_your_own_every_shell_finds_ray_whatever_its_files_were(tmp_path, before):
    commands = yaml.safe_load((ROOT / "deploy" / "on-prem.yaml").read_text())["setup_commands"]
    if before is not None:
        (tmp_path / ".bashrc").write_text(before)
    for command in [each for each in commands if "profile" in each or "bashrc" in each] * 2:
        subprocess.run(["bash", "-c", command], check=True, env={**os.environ, "HOME": str(tmp_path)})
    for name in (".profile", ".bashrc"):
        lines = (tmp_path / name).read_text().splitlines()
        assert [line for line in lines if "env/bin" in line] == ["export PATH=~/env/bin:$PATH RAY_AUTH_MODE=token"]
        assert "env/bin" in lines[0]  # a .bashrc may return early where nobody types
    assert (before or "") in (tmp_path / ".bashrc").read_text()
