import pytest

from runner.control.architecture import name_architecture
from runner.plan.epoch_times import GAP_S, IMPORT_S, START_S, UNSURE, EpochTimes, Overheads, find_epoch_times
from runner.plan.history import History
from runner.plan.probe import Probe
from tests.trainables.training.tiny_trials import make_config
from trainables.training.epoch_timer import EpochTime


def make_epoch_times(seconds):
    """By width."""
    configs = {width: make_config(model={"width": width}) for width in seconds}
    names = {width: name_architecture(config) for width, config in configs.items()}
    return EpochTimes(
        {names[width]: took for width, took in seconds.items()},
        {names[width]: config for width, config in configs.items()},
        Overheads(),
        0.1,
    )


def make_probe(*seconds, import_s=IMPORT_S):
    name = name_architecture(make_config())
    times = tuple(EpochTime(took, 0.0, 0.0, begin_s=0.5, step_s=0.01) for took in seconds)
    return Probe({name: times}, import_s)


def test_a_measured_architecture_takes_what_was_measured():
    assert make_epoch_times({4: 1.0, 8: 3.0}).epoch_s(make_config(seed=9, model={"width": 8})) == 3.0


def test_a_power_law_is_found_again():
    times = make_epoch_times({4: 1.0, 8: 2.0, 16: 4.0, 64: 16.0})
    assert times.epoch_s(make_config(model={"width": 32})) == pytest.approx(8.0, rel=0.02)
    assert times.epoch_s(make_config(model={"width": 128})) == pytest.approx(32.0, rel=0.02)


def test_where_one_is_known_all_take_as_long():
    assert make_epoch_times({4: 1.5}).epoch_s(make_config(model={"width": 32})) == pytest.approx(1.5)


def test_of_several_measurements_the_middle_counts_and_the_way_to_the_driver_is_added():
    config = make_config()
    times = find_epoch_times(History(1, {}, ""), make_probe(1.0, 2.0, 1.1), {name_architecture(config): config})
    assert times.epoch_s(config) == pytest.approx(1.1 + GAP_S)
    assert (times.probed, times.measured_before) == (1, 0)


def test_the_farther_measurements_are_apart_the_larger_is_the_error():
    estimates = [
        find_epoch_times(History(1, {}, ""), make_probe(*seconds), {})
        for seconds in ((1.0,), (0.9, 1.0, 1.1), (1.0, 2.0))
    ]
    assert [times.unsure for times in estimates] == [UNSURE, UNSURE, pytest.approx(0.5 / 1.5)]


def test_an_epoch_is_no_shorter_than_the_store_takes_for_its_checkpoint():
    config = make_config()
    configs = {name_architecture(config): config}
    slow, fast = (find_epoch_times(History(1, {}, ""), make_probe(1.0), configs, commit_s=each) for each in (4.0, 0.5))
    assert slow.epoch_s(config) == pytest.approx(4.0 + GAP_S)
    assert fast.epoch_s(config) == pytest.approx(1.0 + GAP_S)


def test_a_machine_on_which_torch_takes_longer_to_import_takes_longer_to_start():
    slow = find_epoch_times(History(1, {}, ""), make_probe(1.0, import_s=4 * IMPORT_S), {})
    usual = find_epoch_times(History(1, {}, ""), make_probe(1.0), {})
    assert usual.overheads.start_s == pytest.approx(START_S)
    assert slow.overheads.start_s == pytest.approx(2 * START_S)


def test_without_a_measurement_there_are_no_epoch_times():
    assert find_epoch_times(History(1, {}, ""), None, {}) is None
    assert find_epoch_times(History(1, {}, ""), Probe({}), {}) is None
