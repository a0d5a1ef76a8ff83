"""The policies for head and workers: AWS would take them, and they allow what Caucus does and no more."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

import boto3
import pytest
import yaml

from tests.sample_runs.sweeps import ROOT
from tests.services.servers import S3Server, running_moto
from trainables.errors import StoreError
from trainables.store.base import Store
from trainables.store.open import open_store

FOLDER = ROOT / "deploy" / "policies"
ASSUME = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def policy(role: str) -> dict[str, Any]:
    policy: dict[str, Any] = json.loads((FOLDER / f"{role}.json").read_text())
    return policy


def actions(role: str) -> set[str]:
    found = [statement["Action"] for statement in policy(role)["Statement"]]
    return {action for one in found for action in ([one] if isinstance(one, str) else one)}


def test_a_worker_may_do_what_a_trial_does_and_nothing_else():
    assert actions("worker") == {
        *("s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"),
        *("s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"),
    }


def test_the_head_may_also_delete_and_start_machines():
    assert actions("head") - actions("worker") == {
        *("s3:DeleteObject", "ec2:DescribeInstances", "ec2:RunInstances", "ec2:CreateTags", "ec2:TerminateInstances"),
        *("iam:PassRole", "ssm:GetParameters"),
    }


def test_what_the_head_may_do_to_machines_is_tied_to_its_cluster_its_region_and_the_workers_role():
    cluster = yaml.safe_load((ROOT / "cluster.yaml").read_text())
    statements = {statement["Sid"]: statement for statement in policy("head")["Statement"]}
    for sid in ("StartMachinesOfThisCluster", "TagAndEndMachinesOfThisCluster"):
        (condition,) = statements[sid]["Condition"]["StringEquals"].items()
        assert condition[0].endswith("Tag/ray-cluster-name")
        assert condition[1] == cluster["cluster_name"]
    resources = [
        statement["Resource"] for sid, statement in statements.items() if "Machines" in sid and sid != "SeeMachines"
    ]
    flat = [resource for one in resources for resource in ([one] if isinstance(one, str) else one)]
    assert all(resource.startswith(f"arn:aws:ec2:{cluster['provider']['region']}:") for resource in flat)
    image = cluster["available_node_types"]["g5"]["node_config"]["ImageId"].removeprefix("resolve:ssm:")
    allowed = statements["FindTheNewestImage"]["Resource"]
    assert fnmatch(f"arn:aws:ssm:{cluster['provider']['region']}::parameter{image}", allowed)
    worker = cluster["available_node_types"]["g5"]["node_config"]["IamInstanceProfile"]["Name"]
    assert statements["GiveWorkersTheirRole"]["Resource"] == f"arn:aws:iam::*:role/{worker}"


def lint(document: dict[str, Any]) -> list[str]:
    """The mistakes that cfn-lint finds in a policy; it knows the actions of all services. Mere hints are left out."""
    from cfnlint.api import lint_all

    properties = {"AssumeRolePolicyDocument": ASSUME, "Policies": [{"PolicyName": "p", "PolicyDocument": document}]}
    template = {"Resources": {"Role": {"Type": "AWS::IAM::Role", "Properties": properties}}}
    return [str(match) for match in lint_all(json.dumps(template)) if match.rule.severity != "informational"]


@pytest.mark.parametrize("role", ["head", "worker"])
def test_a_linter_that_knows_the_actions_of_aws_finds_nothing(role):
    document = policy(role)
    assert lint(document) == []
    document["Statement"][0]["Action"] = "s3:ListBuket"
    assert lint(document)


@dataclass(frozen=True)
class GuardedBucket:
    """A bucket of a server that believes nobody who has no policy for it, and the keys of one user a role."""

    server: S3Server
    bucket: str
    keys: dict[str, tuple[str, str]]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    with running_moto(tmp_path_factory.mktemp("guarded")) as server:
        bucket, keys = server.new_bucket(), {}
        login = {"aws_access_key_id": "root", "aws_secret_access_key": "root", "region_name": "us-east-1"}
        iam = boto3.client("iam", endpoint_url=server.endpoint_url, **login)
        for role in ("head", "worker"):
            iam.create_user(UserName=role)
            document = json.dumps(policy(role)).replace("YOUR-BUCKET", bucket)
            iam.put_user_policy(UserName=role, PolicyName="p", PolicyDocument=document)
            key = iam.create_access_key(UserName=role)["AccessKey"]
            keys[role] = (key["AccessKeyId"], key["SecretAccessKey"])
        url = f"{server.endpoint_url}/moto-api/reset-auth"  # from now on moto looks at policies
        request = urllib.request.Request(url, b"0", {"Content-Type": "text/plain"})
        urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()
        yield GuardedBucket(server, bucket, keys)


@pytest.fixture
def store_of(guarded, monkeypatch):
    """Open the store as a machine with the policy of a role does."""

    def open_as(role: str, prefix: str = "caucus") -> Store:
        guarded.server.login(monkeypatch)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", guarded.keys[role][0])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", guarded.keys[role][1])
        return open_store(f"s3://{guarded.bucket}/{prefix}")

    return open_as


def test_a_worker_reads_writes_and_lists_but_cannot_delete(store_of):
    store = store_of("worker")
    store.check()
    store.put("trials/a/weights", b"weights")
    assert store.get("trials/a/weights") == b"weights"
    assert [found.key for found in store.find("trials/")] == ["trials/a/weights"]
    with pytest.raises(StoreError):
        store.delete("trials/a/weights")
    assert store.get("trials/a/weights") == b"weights"


def test_the_head_deletes_what_is_retired(store_of):
    store = store_of("head")
    store.put("trials/b/weights", b"weights")
    store.delete("trials/b/weights")
    assert store.stat("trials/b/weights") is None


@pytest.mark.parametrize("role", ["head", "worker"])
def test_neither_reads_nor_writes_beside_the_prefix_of_the_store(role, store_of):
    with pytest.raises(StoreError, match=r"AccessDenied|refused|denied"):
        store_of(role, "payroll").check_writable()
    with pytest.raises(StoreError):  # a store that has answered before is patient with a refusal: this one has not
        store_of(role, "payroll").get("salaries")
