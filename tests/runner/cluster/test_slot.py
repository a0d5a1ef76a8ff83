"""What a trial occupies, of clusters written down by hand."""

import pytest

from runner.cluster.slot import NodeType, NodeTypes, NoSlot, choose_slot, fit_cores
from runner.config.checks import parse_spec
from runner.config.run import ResourcesConfig
from trainables.errors import SweepFileError

SPOT = NodeTypes(
    tuple(NodeType(name, 48, 4, 4) for name in ("g5", "g6", "g4dn")), "the autoscaler's node types", 4, is_all=True
)
CORES = NodeTypes((NodeType("c7", 16, 0, 8),), "the autoscaler's node types", 8, is_all=True)


def choose(now=(), meant=None, *, can_grow=True, **resources):
    nodes = [NodeType(f"10.0.0.{number}", *each) for number, each in enumerate(now)]
    return choose_slot(ResourcesConfig(**resources), nodes, meant, can_grow=can_grow)


@pytest.mark.parametrize(
    ("slot", "expected"),
    [
        (choose((), SPOT), "4 nodes x 4 GPUs, a trial has 1 GPU and 12 CPUs: 16 at a time"),
        (choose([(2, 0)], SPOT), "4 nodes x 4 GPUs, a trial has 1 GPU and 12 CPUs: 16 at a time"),
        (choose((), SPOT, gpus=0.25), "4 nodes x 4 GPUs, a trial has 0.25 GPU and 3 CPUs: 64 at a time"),
        (choose((), SPOT, gpus=2), "4 nodes x 4 GPUs, a trial has 2 GPUs and 24 CPUs: 8 at a time"),
        (choose((), SPOT, gpus=3), "4 nodes x 4 GPUs, a trial has 3 GPUs and 48 CPUs: 4 at a time"),
        (choose((), SPOT, gpus=0), "4 nodes x 48 CPUs, a trial has 1 CPU: 192 at a time"),
        (choose((), SPOT, cpus=16), "4 nodes x 4 GPUs, a trial has 1 GPU and 16 CPUs: 12 at a time"),
        (choose((), SPOT, slots=3), "4 nodes x 4 GPUs, a trial has 1 GPU and 12 CPUs: 3 at a time (resources.slots)"),
        (choose((), CORES), "8 nodes x 16 CPUs, a trial has 1 CPU: 128 at a time"),
        (choose([(2, 0)]), "1 node x 2 CPUs, a trial has 1 CPU: 2 at a time"),
        (choose([(8, 2)]), "1 node x 2 GPUs, a trial has 1 GPU and 4 CPUs: 2 at a time"),
        (choose([(8, 2)], gpus=0.25), "1 node x 2 GPUs, a trial has 0.25 GPU and 1 CPU: 8 at a time"),
        (choose([(16, 0), (8, 2)]), "1 node x 2 GPUs, a trial has 1 GPU and 4 CPUs: 2 at a time"),
        (choose([(2, 0)], gpus=1), "a trial has 1 GPU and 1 CPU: its nodes are still to come"),
        (choose((), gpus=0), "a trial has 1 CPU: its nodes are still to come"),
    ],
)
def test_a_slot_is_described_in_one_sentence(slot, expected):
    assert str(slot) == expected


def test_each_node_of_each_type_holds_a_trial_on_each_of_its_gpus():
    types = NodeTypes((NodeType("g5", 48, 4, 2), NodeType("p3", 8, 1, 3), NodeType("c7", 64, 0, 9)), "the types")
    slot = choose((), types)
    assert (slot.gpus, slot.cpus, slot.at_a_time) == (1, 8, 2 * 4 + 3)
    assert str(slot) == "2 nodes x 4 GPUs and 3 nodes x 1 GPU, a trial has 1 GPU and 8 CPUs: 11 at a time"


def test_types_that_share_a_bound_are_filled_from_the_largest():
    types = NodeTypes((NodeType("g5", 48, 4, 6), NodeType("p4", 96, 8, 2)), "the types", most=6)
    assert str(choose((), types)) == "at most 6 nodes x 4 to 8 GPUs, a trial has 1 GPU and 12 CPUs: 32 at a time"


def test_types_without_a_bound_hold_as_many_as_fit_and_never_more_than_resources_slots():
    types = NodeTypes((NodeType("g5", 48, 4, None),), "the types")
    assert choose((), types).at_a_time is None
    assert str(choose((), types)).endswith(": as many at a time as fit")
    assert choose((), types, slots=6).at_a_time == 6


@pytest.mark.parametrize(("gpus", "trials"), [(0.25, 8), (0.3, 6), (0.5, 4), (0.7, 2), (1, 2), (2, 1), (1 / 3, 6)])
def test_shares_of_a_gpu_never_reach_over_two_of_them(gpus, trials):
    assert choose([(64, 2)], gpus=gpus, cpus=1).now == trials


def test_a_node_that_has_a_share_of_a_gpu_holds_the_trials_that_fit_into_it():
    assert choose([(8, 0.5)], gpus=0.25).now == 2
    assert choose([(8, 1.5)], gpus=0.5).now == 3


def test_a_cluster_that_has_more_than_it_is_meant_to_is_counted_as_it_is():
    assert choose([(48, 4)] * 5, SPOT).at_a_time == 20
    assert choose([(48, 4)] * 2, SPOT).now == 8


@pytest.mark.parametrize(
    ("now", "meant", "resources", "expected"),
    [
        ((), SPOT, {"gpus": 16}, "16 GPUs and 1 CPU, but the largest of the autoscaler's node types is g5 with 4 GPUs"),
        ((), SPOT, {"cpus": 64}, "1 GPU and 64 CPUs, but the largest of .* lower resources.gpus or resources.cpus"),
        ((), CORES, {"gpus": 1}, "a trial needs 1 GPU and 1 CPU, but the largest of .* c7 with 0 GPUs and 16 CPUs"),
    ],
)
def test_what_no_node_type_can_ever_hold_is_refused_at_the_start(now, meant, resources, expected):
    with pytest.raises(NoSlot, match=expected):
        choose(now, meant, **resources)


def test_a_machine_that_is_too_small_for_a_trial_is_refused():
    with pytest.raises(NoSlot, match=r"needs 4 CPUs, but this machine has 0 GPUs and 2 CPUs: lower resources.cpus"):
        choose([(2, 0)], cpus=4, can_grow=False)


def test_an_empty_cluster_of_which_nothing_is_known_is_refused_with_the_two_words_to_choose_between():
    with pytest.raises(NoSlot, match=r"resources.gpus=1 if they will, resources.gpus=0 if not") as refused:
        choose()
    assert "\n" not in str(refused.value)
    with pytest.raises(NoSlot):
        choose(cpus=4)
    assert choose(gpus=1).gpus == 1
    assert choose(gpus=0).gpus == 0


def test_cores_that_are_there_now_are_trained_on_where_nobody_knows_of_a_gpu():
    assert (choose([(4, 0)]).gpus, choose([(4, 0)]).cpus) == (0, 1)


def test_a_gpu_that_is_meant_to_come_is_waited_for_whatever_cores_are_there_now():
    assert choose([(16, 0)], SPOT).gpus == 1
    assert choose([(16, 0)], CORES).gpus == 0


@pytest.mark.parametrize("gpus", [1.5, -1, ".inf", ".nan", 1e-9])
def test_a_number_of_gpus_that_ray_cannot_give_away_is_refused_when_the_sweep_is_read(gpus):
    raw = {"data": {"name": "digits"}, "resources": {"gpus": float(str(gpus).lstrip(".")) if gpus else gpus}}
    with pytest.raises(SweepFileError, match=r"x.yaml: resources.gpus"):
        parse_spec(raw, "x.yaml")


def test_what_a_trial_occupies_changes_neither_its_name_nor_that_of_the_run():
    resources = ({}, {"gpus": 1}, {"gpus": 0.25, "cpus": 12}, {"patience": "5m"})
    specs = [parse_spec({"data": {"name": "digits"}, "resources": each}, "x.yaml") for each in resources]
    assert len({spec.trial("d", {}).trial_id for spec in specs}) == 1
    assert len({spec.run_id("d") for spec in specs}) == 1


def test_cores_that_are_shared_out_follow_the_nodes_that_come():
    resources = ResourcesConfig()
    slot = choose((), SPOT)
    small = [NodeType("10.0.0.1", 4, 4)]
    fitted = fit_cores(slot, resources, small)
    assert (fitted.gpus, fitted.cpus, fitted.now, fitted.source) == (1, 1, 4, slot.source)
    assert fit_cores(slot, resources, []) == slot
    assert fit_cores(slot, resources, [NodeType("10.0.0.1", 64, 0)]) == slot
    assert fit_cores(slot, resources, [*small, NodeType("10.0.0.2", 48, 4)]) == slot
    assert fit_cores(slot, ResourcesConfig(cpus=12), small) == slot
