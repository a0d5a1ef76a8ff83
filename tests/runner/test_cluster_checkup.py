"""What a node's answer means: `caucus doctor --cluster` without a cluster. With one: tests/runner/test_joined_cluster.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.cluster_checkup import Answer, Node, check_joined_cluster, judge_node
from runner.finding import Finding
from runner.node_report import NodeReport

OWN = {"Python": "3.11.7", "torch": "2.9.0+cpu", "Ray": "2.60.0", "Caucus": "0.1.0"}

NODE = Node("ab", "10.0.0.5 worker-1", cpus=48, gpus=4)

GOOD = NodeReport(OWN | {"torch": "2.9.0+cu128"}, "", ("NVIDIA A10G",) * 4, "550.54.15", 40 * 2**30, "")


def judge(node: Node = NODE, ahead_s: float = 0.0, **changed: object) -> list[str]:
    found = judge_node(node, Answer(replace(GOOD, **changed), ahead_s), OWN)
    return [str(one) for one in found if isinstance(one, Finding)]


def test_a_node_that_is_as_it_should_be_is_one_line():
    (fact,) = judge_node(NODE, Answer(GOOD, 0.0), OWN)
    assert str(fact) == (
        "node 10.0.0.5 worker-1: 48 CPU(s) and 4 GPU(s) for trials; torch sees 4 (NVIDIA A10G); driver 550.54.15; "
        "Python 3.11.7, torch 2.9.0+cu128, Ray 2.60.0, Caucus 0.1.0; 40 GiB free; clock +0.0 s; reaches the store"
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gpus": ()}, "Ray counts 4 GPU(s), and torch 2.9.0+cu128 sees none"),
        ({"gpus": ("A",)}, "Ray counts 4 GPUs, and torch sees 1"),
        ({"node": replace(NODE, gpus=0)}, "torch sees 4 GPU(s), and Ray counts none"),
        ({"torch_failure": "libcudart.so: no such file"}, "torch cannot be imported (libcudart.so: no such file)"),
        ({"versions": OWN | {"torch": "2.8.0"}}, "has torch 2.8.0, and the driver 2.9.0+cpu"),
        ({"versions": OWN | {"Python": "3.11.9"}}, "has Python 3.11.9, and the driver 3.11.7"),
        ({"free_bytes": 2**29}, "0.5 GiB free"),
        ({"store_failure": "store s3://x: no such bucket"}, "store s3://x: no such bucket"),
        ({"ahead_s": -900.0}, "its clock is 900 s behind the driver's"),
    ],
)
def test_what_is_wrong_with_a_node_is_one_finding(changed, said):
    (found,) = judge(**changed)
    assert found.startswith("node 10.0.0.5 worker-1: ")
    assert said in found


def test_a_head_without_cores_may_leave_its_gpus_idle_and_have_another_caucus():
    assert judge(replace(NODE, cpus=0, gpus=0), versions=OWN | {"Caucus": ""}) == []


def test_a_node_that_says_nothing_is_a_finding():
    (found,) = judge_node(NODE, "did not answer within 90 s", OWN)
    assert str(found) == "node 10.0.0.5 worker-1: did not answer within 90 s"


def test_a_cluster_that_cannot_be_joined_is_a_finding(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (finding,) = check_joined_cluster("127.0.0.1:1", None, []).findings
    assert "127.0.0.1:1 cannot be joined: connection refused" in str(finding)
    (finding,) = check_joined_cluster("own", None, []).findings
    assert "is no cluster" in str(finding)
