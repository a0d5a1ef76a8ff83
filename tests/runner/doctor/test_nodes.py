"""What a node's answer means: `caucus doctor --cluster` without a cluster. With one: tests/end_to_end/test_joined_cluster.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runner.cluster.slot import NodeType, NodeTypes, choose_slot
from runner.config.run import ResourcesConfig
from runner.doctor import nodes as cluster_checkup
from runner.doctor.finding import Checkup, Finding
from runner.doctor.node_report import NodeReport
from runner.doctor.nodes import Answer, Node, check_joined_cluster, evaluate_node

DRIVER_VERSIONS = {"Python": "3.11.7", "torch": "2.9.0+cpu", "Ray": "2.60.0", "Caucus": "0.1.0"}

NODE = Node("ab", "10.0.0.5 worker-1", cpus=48, gpus=4)

GOOD = NodeReport(DRIVER_VERSIONS | {"torch": "2.9.0+cu128"}, "", ("NVIDIA A10G",) * 4, "550.54.15", 40 * 2**30, "")


def evaluate(node: Node = NODE, ahead_s: float = 0.0, **changed: object) -> list[str]:
    found = evaluate_node(node, Answer(replace(GOOD, **changed), ahead_s), DRIVER_VERSIONS)
    return [str(one) for one in found if isinstance(one, Finding)]


def test_a_node_that_is_as_it_should_be_is_one_line():
    (fact,) = evaluate_node(NODE, Answer(GOOD, 0.0), DRIVER_VERSIONS)
    assert str(fact) == (
        "node 10.0.0.5 worker-1: 48 CPU(s) and 4 GPU(s) for trials; torch sees 4 (NVIDIA A10G); driver 550.54.15; "
        "Python 3.11.7, torch 2.9.0+cu128, Ray 2.60.0, Caucus 0.1.0; 40 GiB free; clock +0.0 s; reaches the store"
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gpus": ()}, "Ray counts 4 GPU(s), and torch 2.9.0+cu128 sees none"),
        ({"gpus": ("A",)}, "Ray counts 4 GPUs, and torch sees 1"),
        ({"node": replace(NODE, gpus=0)}, "torch sees 4 GPU(s), and Ray counts none"),
        ({"torch_failure": "libcudart.so: no such file"}, "torch cannot be imported (libcudart.so: no such file)"),
        ({"versions": DRIVER_VERSIONS | {"torch": "2.8.0"}}, "has torch 2.8.0, and the driver 2.9.0+cpu"),
        ({"versions": DRIVER_VERSIONS | {"Python": "3.11.9"}}, "has Python 3.11.9, and the driver 3.11.7"),
        ({"free_bytes": 2**29}, "0.5 GiB free"),
        ({"store_failure": "store s3://x: no such bucket"}, "store s3://x: no such bucket"),
        ({"ahead_s": -900.0}, "its clock is 900 s behind the driver's"),
    ],
)
def test_what_is_wrong_with_a_node_is_one_finding(changed, message):
    (found,) = evaluate(**changed)
    assert found.startswith("node 10.0.0.5 worker-1: ")
    assert message in found


def test_a_head_without_cores_may_leave_its_gpus_idle_and_have_another_caucus():
    assert evaluate(replace(NODE, cpus=0, gpus=0), versions=DRIVER_VERSIONS | {"Caucus": ""}) == []


def test_a_node_that_says_nothing_is_a_finding():
    (found,) = evaluate_node(NODE, "did not answer within 90 s", DRIVER_VERSIONS)
    assert str(found) == "node 10.0.0.5 worker-1: did not answer within 90 s"


def test_a_cluster_that_cannot_be_joined_is_a_finding(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (finding,) = check_joined_cluster("127.0.0.1:1", None, []).findings
    assert "127.0.0.1:1 cannot be joined: connection refused" in str(finding)
    (finding,) = check_joined_cluster("own", None, []).findings
    assert "is no cluster" in str(finding)


HEAD = Node("00", "10.0.0.4 head", cpus=0, gpus=0)

GROWING = NodeTypes(
    (NodeType("g5", 48, 4, 3), NodeType("any", 8, 0, None)), "the autoscaler's node types", 4, is_all=True
)


@pytest.fixture
def check(monkeypatch):
    """What is said of a cluster with these nodes and answers, whose autoscaler promises `meant`."""

    def check(nodes: list[Node], answers: list[Answer | str], meant: NodeTypes | None = None) -> Checkup:
        def find_slot(resources: ResourcesConfig, **_: object):
            return choose_slot(resources, [NodeType(n.name, n.cpus, n.gpus) for n in nodes], meant, can_grow=True)

        monkeypatch.setattr(cluster_checkup, "report_node", lambda _: replace(GOOD, versions=DRIVER_VERSIONS))
        monkeypatch.setattr(cluster_checkup, "_list_nodes", lambda: nodes)
        monkeypatch.setattr(cluster_checkup, "_ask", lambda *_: answers)
        monkeypatch.setattr(cluster_checkup, "ask_autoscaler", lambda: meant)
        monkeypatch.setattr(cluster_checkup, "find_slot", find_slot)
        return cluster_checkup._sort(list(cluster_checkup._check(None, None)))

    return check


def test_a_node_without_an_answer_hides_none_of_the_others(check):
    silent = "did not answer within 60 s: can it start a worker, and has it memory left?"
    checkup = check([HEAD, NODE], [Answer(replace(GOOD, gpus=()), 0.0), silent])
    assert [str(one) for one in checkup.findings] == [f"node 10.0.0.5 worker-1: {silent}"]
    assert [fact.where for fact in checkup.facts] == ["node 10.0.0.4 head", "slot"]
    assert checkup.facts[-1].what == "1 node x 4 GPUs, a trial has 1 GPU and 12 CPUs: 4 at a time"


def test_of_an_empty_cluster_the_promised_node_types_are_reported(check):
    checkup = check([HEAD], [Answer(replace(GOOD, gpus=()), 0.0)], GROWING)
    assert checkup.findings == ()
    assert [str(fact) for fact in checkup.facts[1:]] == [
        "cluster: no node that can train is there yet, its node types promise g5 (at most 3 x 48 CPU(s), 4 GPU(s)), "
        "any (any number x 8 CPU(s), 0 GPU(s))",
        "slot: 3 nodes x 4 GPUs, a trial has 1 GPU and 12 CPUs: 12 at a time",
    ]


def test_an_empty_cluster_that_promises_nothing_is_a_finding_with_what_to_say(check):
    checkup = check([HEAD], [Answer(replace(GOOD, gpus=()), 0.0)])
    assert "and it does not say what its nodes will be" in str(checkup.facts[-1])
    (finding,) = checkup.findings
    assert str(finding).startswith("slot: ")
    assert "resources.gpus=1 if they will, resources.gpus=0 if not" in str(finding)
