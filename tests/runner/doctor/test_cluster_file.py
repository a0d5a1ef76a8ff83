"""The shipped cluster files are right once they are filled in, and every planted mistake is named."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from runner.doctor.cluster_file import check_cluster_file
from runner.doctor.finding import Finding
from tests.sample_runs.sweeps import ROOT
from trainables.errors import SweepFileError

AWS, ON_PREM = ROOT / "cluster.yaml", ROOT / "deploy" / "on-prem.yaml"
FILLED_IN = {
    "192.0.2.10": "10.0.0.10",
    "192.0.2.11": "10.0.0.11",
    "192.0.2.12": "10.0.0.12",
}

Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home folder with a private token, and the checkout as the folder that the command is run in."""
    token = tmp_path / "home" / ".ray" / "auth_token"
    token.parent.mkdir(parents=True)
    token.write_text("a token")
    token.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(ROOT)
    return tmp_path / "home"


def filled_in(path: Path) -> str:
    text = path.read_text()
    for placeholder, value in FILLED_IN.items():
        text = text.replace(placeholder, value)
    return text


def check(tmp_path: Path, text: str) -> tuple[Finding, ...]:
    path = tmp_path / "edited.yaml"
    path.write_text(text)
    return check_cluster_file(str(path)).findings


def check_edited(tmp_path: Path, edit: Edit, source: Path = AWS) -> tuple[Finding, ...]:
    config = copy.deepcopy(yaml.safe_load(filled_in(source)))
    edit(config)
    return check(tmp_path, yaml.safe_dump(config))


@pytest.mark.parametrize("path", [AWS, ON_PREM])
def test_a_shipped_file_wants_nothing_but_its_edit_fields(path, tmp_path):
    findings = check_cluster_file(str(path)).findings
    # What is to be edited for AWS is right as it stands: a region, and a number of machines.
    assert {finding.rule for finding in findings} == ({"A line with EDIT is yours"} if path == ON_PREM else set())
    assert check(tmp_path, filled_in(path)) == ()


def test_an_image_that_was_not_filled_in_is_named_once(tmp_path):
    text = AWS.read_text()
    (image,) = re.findall(r"ImageId: (\S+)", text)
    (finding,) = check(tmp_path, text.replace(image, "ami-00000000000000000"))
    assert finding.where == "available_node_types.head.node_config.ImageId"
    assert finding.rule == "A line with EDIT is yours"


def test_two_lines_of_the_cluster_file_are_marked():
    assert [line.partition(":")[0].strip() for line in AWS.read_text().splitlines() if "  # EDIT" in line] == [
        "max_workers",
        "region",
    ]


def delete(*path: str) -> Edit:
    return lambda config: within(config, path[:-1]).pop(path[-1])


def put(*path_and_value: Any) -> Edit:
    *path, key, value = path_and_value
    return lambda config: within(config, path).update({key: value})


def rename(*path: str, to: str) -> Edit:
    def edit(config: dict[str, Any]) -> None:
        inside = within(config, path[:-1])
        inside[to] = inside.pop(path[-1])

    return edit


def replace(part: str, old: str, new: str) -> Edit:
    def edit(config: dict[str, Any]) -> None:
        before = list(config[part])
        config[part] = [command.replace(old, new) for command in before]
        assert config[part] != before

    return edit


def within(config: dict[str, Any], path: Any) -> Any:
    for key in path:
        config = config[key]
    return config


HEAD = ("available_node_types", "head")
WORKER = ("available_node_types", "g5")
NODE = (*WORKER, "node_config")
START = "head_start_ray_commands"

MISTAKES: list[tuple[Edit, str, str]] = [
    # keys that Ray's schema refuses, but without a hint
    (rename("setup_commands", to="setup_comands"), "setup_comands", "did you mean setup_commands?"),
    (rename("auth", "ssh_user", to="ssh_usr"), "auth.ssh_usr", "did you mean ssh_user?"),
    (
        rename(*WORKER, "min_workers", to="min_worker"),
        "available_node_types.g5.min_worker",
        "did you mean min_workers?",
    ),
    # keys that it lets through
    (
        rename("provider", "cache_stopped_nodes", to="cache_stoped_nodes"),
        "provider.cache_stoped_nodes",
        "cache_stopped",
    ),
    (put("provider", "availability_zones", "us-east-1a"), "provider.availability_zones", "availability_zone?"),
    (
        rename(*NODE, "InstanceType", to="InstanceTyp"),
        "available_node_types.g5.node_config.InstanceTyp",
        "InstanceType?",
    ),
    (
        put(*NODE, "BlockDeviceMappings", [{"DeviceName": "/dev/sda1", "Ebs": {"VolumSize": 60}}]),
        "available_node_types.g5.node_config.BlockDeviceMappings[0].Ebs.VolumSize",
        "did you mean VolumeSize?",
    ),
    (
        put(*NODE, "IamInstanceProfile", {"Nam": "caucus-worker"}),
        "available_node_types.g5.node_config.IamInstanceProfile.Nam",
        "Name",
    ),
    # values
    (put(*NODE, "InstanceType", "g5.12xlrge"), "available_node_types.g5.node_config.InstanceType", "g5.12xlarge?"),
    (
        put(*NODE, "InstanceMarketOptions", {"MarketType": "Spot"}),
        "available_node_types.g5.node_config.InstanceMarketOptions.MarketType",
        "did you mean spot?",
    ),
    (
        put(*NODE, "BlockDeviceMappings", [{"Ebs": {"VolumeSize": "60 GB"}}]),
        "available_node_types.g5.node_config.BlockDeviceMappings[0].Ebs.VolumeSize",
        "a whole number",
    ),
    (put(*NODE, "ImageId", "ami-12345"), "available_node_types.g5.node_config.ImageId", "ami- and 8 or 17 digits"),
    (put(*NODE, "ImageId", "resolve:ssm: /aws"), "available_node_types.g5.node_config.ImageId", "resolve:ssm: and"),
    (put(*NODE, "ImageId", "resolve:smm:/aws"), "available_node_types.g5.node_config.ImageId", "resolve:ssm: and"),
    (put("docker", "worker_run_options", ["-e CAUCUS_SPOT_NOTICE=asw"]), "CAUCUS_SPOT_NOTICE", "did you mean aws?"),
    (put("docker", "run_options", ["-e CAUCUS_SPOT_NOTICE=azure"]), "CAUCUS_SPOT_NOTICE", "Google's machines"),
    (replace(START, "RAY_AUTH_MODE", "CAUCUS_SPOT_NOTICE=./x RAY_AUTH_MODE"), "CAUCUS_SPOT_NOTICE", "absolute path"),
    (rename("docker", "worker_run_options", to="worker_run_option"), "docker.worker_run_option", "worker_run_options?"),
    (put("provider", "region", "us-east1"), "provider.region", "did you mean us-east-1?"),
    (put("provider", "availability_zone", "us-east-1a,eu-west-1b"), "provider.availability_zone", "'eu-west-1b'"),
    (put("max_workers", "four"), "max_workers", "'four'"),
    (put("head_node_type", "haed"), "the file", "head_node_type"),
    # what is left out or open
    (delete("file_mounts", "~/.ray/auth_token"), "file_mounts.~/.ray/auth_token", "is missing"),
    (delete("file_mounts", "~/caucus/runner"), "file_mounts.~/caucus/runner", "mount it: ~/caucus/runner: runner"),
    (replace(START, "RAY_AUTH_MODE=token", ""), f"{START}[2]", "without RAY_AUTH_MODE=token"),
    (replace("worker_start_ray_commands", "RAY_AUTH_MODE=token", ""), "worker_start_ray_commands[2]", "RAY_AUTH_MODE"),
    (replace(START, "127.0.0.1", "0.0.0.0"), f"{START}[2]", "opens the dashboard on 0.0.0.0"),
    (delete(START), f"{START}[1]", "opens the dashboard on 0.0.0.0"),  # Ray's default does
    (replace(START, "RAY_health_check_period_ms=1000", ""), f"{START}[2]", "notices a dead node after 15 s"),
    (replace(START, "RAY_health_check_timeout_ms", "RAY_health_check_time_out_ms"), f"{START}[2]", "check_timeout_ms?"),
    (delete("setup_commands"), "setup_commands", "constraints.txt"),
    (
        replace("setup_commands", "--constraint ~/caucus/constraints.txt --editable", "ray -e"),
        "setup_commands",
        "ray==…",
    ),
    (delete(*NODE, "IamInstanceProfile"), "available_node_types.g5.node_config.IamInstanceProfile", "is missing"),
    (put(*NODE, "IamInstanceProfile", {"Name": "caucus-head"}), "IamInstanceProfile", "the same for head and workers"),
    (delete(*HEAD, "resources", "CPU"), "available_node_types.head.resources", "resources: {CPU: 0, GPU: 0}"),
    (put(*HEAD, "resources", {"CPU": 2}), "available_node_types.head.resources", "are {'CPU': 2}"),
    (delete("metadata"), "metadata.price_per_node_hour", "g4dn, g5, g6"),
    (put("metadata", "price_per_node_hour", 0), "metadata.price_per_node_hour", "is 0: a number above 0"),
    (rename("metadata", "price_per_node_hour", "g5", to="g55"), "metadata.price_per_node_hour.g55", "did you mean g5?"),
]


@pytest.mark.parametrize(
    ("edit", "where", "message"), MISTAKES, ids=[f"{where}-{message}" for _, where, message in MISTAKES]
)
def test_a_planted_mistake_is_named(edit, where, message, tmp_path):
    findings = check_edited(tmp_path, edit)
    assert any(finding.where == where and message in str(finding) for finding in findings), findings


def test_two_mistakes_are_both_named_and_nothing_else_is(tmp_path):
    def edit(config: dict[str, Any]) -> None:
        rename("setup_commands", to="setup_comands")(config)
        rename(*NODE, "InstanceType", to="InstanceTyp")(config)

    named = [finding.where for finding in check_edited(tmp_path, edit)]
    # Without setup commands Ray's own are taken, which install another Ray.
    assert set(named) == {"setup_comands", "setup_commands", "available_node_types.g5.node_config.InstanceTyp"}


def test_subnets_which_ray_takes_out_before_it_asks_ec2_are_no_mistake(tmp_path):
    assert check_edited(tmp_path, put(*NODE, "SubnetIds", ["subnet-0123456789abcdef0"])) == ()


def test_one_price_for_all_types_is_enough(tmp_path):
    assert check_edited(tmp_path, put("metadata", "price_per_node_hour", 5)) == ()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda token: token.unlink(), "there is no token"),
        (lambda token: token.write_text(" \n"), "is empty"),
        (lambda token: token.chmod(0o644), "has mode 644"),
    ],
)
def test_the_token_is_checked_before_it_is_copied(spoil, message, home, tmp_path):
    spoil(home / ".ray" / "auth_token")
    (finding,) = check(tmp_path, filled_in(AWS))
    assert finding.where == "file_mounts.~/.ray/auth_token"
    assert message in finding.what


def test_another_ray_than_the_pinned_one_is_named(tmp_path):
    (tmp_path / "constraints.txt").write_text("boto3==1\nray==1.2.3\n")
    (finding,) = check(tmp_path, filled_in(AWS))
    assert (finding.where, "1.2.3" in finding.rule) == ("ray", True)


def test_a_key_that_stands_twice_is_refused(tmp_path):
    with pytest.raises(SweepFileError, match="max_workers"):
        check(tmp_path, filled_in(AWS) + "\nmax_workers: 400\n")


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "\tx", "a: &a [*a]"])
def test_what_is_no_cluster_file_is_refused(text, tmp_path):
    with pytest.raises(SweepFileError):
        check(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "cluster_name: x",
        "provider: aws",
        "provider: {type: moon}",
        "provider: {type: [1]}",
        "provider: {type: aws}\navailable_node_types: [1]",
        "provider: {type: aws}\nfile_mounts: [1]",
        "provider: {type: aws}\navailable_node_types: {a: 1}\nhead_node_type: a",
        "provider: {type: local}",
        "provider: {type: local, head_ip: 1, worker_ips: x}",
    ],
)
def test_any_other_mapping_is_answered_and_not_fallen_over(text, tmp_path):
    assert check(tmp_path, text)


@pytest.mark.parametrize(
    ("edit", "where", "message"),
    [
        (rename("provider", "worker_ips", to="worker_ip"), "the file", "worker_ips"),
        (put("provider", "region", "here"), "provider.region", "provider local"),
        (replace(START, "RAY_AUTH_MODE=token", ""), f"{START}[2]", "RAY_AUTH_MODE"),
    ],
)
def test_a_planted_mistake_in_the_file_for_machines_of_your_own_is_named(edit, where, message, tmp_path):
    findings = check_edited(tmp_path, edit, ON_PREM)
    assert any(finding.where == where and message in str(finding) for finding in findings), findings
