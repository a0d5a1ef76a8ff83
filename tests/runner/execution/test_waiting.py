"""What a run says and does while none of its trials can run, by a clock that the test turns."""

from types import SimpleNamespace

import pytest

from runner.cluster.slot import NodeType, choose_slot
from runner.config.run import ResourcesConfig
from runner.execution.waiting import Launches, Placement, Waiting, describe_nodes, read_first_autoscaler

SLOT = choose_slot(ResourcesConfig(gpus=1, cpus=4), [], can_grow=True)


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def make(clock, lines, patience_s=1200.0):
    return Waiting(SLOT, patience_s, lines.append, lambda _: "no node that trains is there", clock)


def test_after_thirty_seconds_a_line_names_what_is_missing_and_after_patience_the_run_ends(clock):
    lines = []
    waiting = make(clock, lines)
    for clock.now_s in range(1200):
        waiting.update(is_running=False)
        assert bool(lines) == (clock.now_s >= 30)
    assert lines[0] == (
        "no trial has run for 30 s: a trial needs 1 GPU and 4 CPUs; no node that trains is there; the run ends after "
        "20 m 0 s of that (resources.patience), and the next one continues"
    )
    assert (len(lines), waiting.reason) == (4, "")
    clock.now_s = 1200.0
    waiting.update(is_running=False)
    assert waiting.reason.startswith("no trial could run for 20 m 0 s (resources.patience): a trial needs 1 GPU and")


def test_with_little_patience_the_line_comes_before_it_ends(clock):
    lines = []
    waiting = make(clock, lines, patience_s=6.0)
    clock.now_s = 3.5
    waiting.update(is_running=False)
    assert len(lines) == 1
    assert not waiting.reason


def test_a_trial_that_runs_makes_all_waiting_forgotten(clock):
    lines = []
    waiting = make(clock, lines)
    for clock.now_s, is_running in ((29, False), (31, True), (60, False), (1230, True), (1259, False)):
        waiting.update(is_running)
        assert waiting.is_waiting is not is_running
    assert len(lines) == 0
    assert not waiting.reason


def test_a_trial_whose_node_is_gone_does_not_run(clock):
    waiting = make(clock, [])
    placement = Placement(waiting)
    trial = SimpleNamespace(trial_id="t", status="RUNNING")
    placement.on_trial_start(0, [], trial)
    placement.on_step_begin(0, [])
    assert not waiting.is_waiting
    trial.status = "PENDING"
    placement.on_step_begin(0, [])
    assert waiting.is_waiting
    clock.now_s = 2000.0
    placement.on_trial_complete(0, [], trial)  # between two trials nobody waits
    assert (waiting.is_waiting, waiting.reason) == (False, "")


def node(cpus, gpus):
    return NodeType("10.0.0.1", cpus, gpus)


@pytest.mark.parametrize(
    ("nodes", "free", "launches", "expected"),
    [
        ([], [], None, "no node that trains is there"),
        ([], [], Launches(), "no node that trains is there; the autoscaler starts none"),
        (
            [],
            [],
            Launches(("2 x g5",), ("1 x g6: sold out",)),
            "no node that trains is there; the autoscaler starts 2 x g5, and failed before: 1 x g6: sold out",
        ),
        ([node(1, 0)], None, None, "1 node is there, the largest with 0 GPU and 1 CPU"),
        ([node(64, 0), node(2, 1)], None, Launches(), "2 nodes are there, the largest with 1 GPU and 2 CPU; the autoscaler starts none"),
        ([node(8, 1)], [node(0, 0)], None, "1 node is there, but all of their room is taken"),
        ([node(8, 1)], [node(8, 1)], None, "1 node is there, and a worker is being started"),
        ([node(8, 1)], None, Launches(), "1 node is there, and a worker is being started"),
    ],
)  # fmt: skip
def test_a_line_says_what_is_there_and_what_is_coming(nodes, free, launches, expected):
    assert describe_nodes(SLOT, nodes, free, launches) == expected


def test_the_first_autoscalers_report_says_what_is_coming_and_what_cannot_come():
    why = {"category": "InsufficientInstanceCapacity", "description": "sold out in us-east-1a\nmore"}
    report = {
        "pending_launches": {"g5": 2},
        "pending_nodes": [["10.0.0.7", "g6", "setting-up"]],
        "node_availability_summary": {
            "node_availabilities": {
                "g5": {"is_available": True, "unavailable_node_information": None},
                "g4dn": {"is_available": False, "unavailable_node_information": why},
            }
        },
    }
    found = read_first_autoscaler({"autoscaler_report": report})
    assert found == Launches(("2 x g5", "1 x g6 (setting-up)"), ("g4dn: sold out in us-east-1a",))
    assert read_first_autoscaler({"load_metrics_report": {}}) is None
