import pytest

from runner.runs.former_run import read_former, read_trained
from tests.sample_runs.sample_run import make_spec, write_sample_run
from trainables.errors import RunMismatch, RunMissing, SweepFileError

LR = {"optimizer.lr": {"log": [1e-4, 1.0]}}


@pytest.fixture
def sample(tmp_path):
    return write_sample_run(tmp_path)


def warm(run, **search):
    return make_spec("runs", search={"space": LR, "warm_start": {"run": run}, **search})


def test_a_sweep_that_names_no_run_needs_none(sample):
    assert read_former(sample.store, make_spec("runs"), sample.images.data_id) is None


def test_the_named_run_is_read_with_its_records_and_decisions(sample):
    former = read_former(sample.store, warm(f"dots/{sample.run_id}"), sample.images.data_id)
    assert former.run == f"dots/{sample.run_id}"
    assert former.records == tuple(sample.state.trials.values())
    assert [record.best.validation_accuracy for record in former.ranked] == sorted(
        (record.best.validation_accuracy for record in former.records if record.best), reverse=True
    )


def test_a_name_alone_means_the_sweeps_latest_run(sample):
    assert read_former(sample.store, warm("dots"), sample.images.data_id).run == f"dots/{sample.run_id}"


def test_a_run_over_other_data_is_refused_by_name(sample):
    with pytest.raises(RunMismatch, match=r"search\.warm_start\.run is dots, which was run on other data"):
        read_former(sample.store, warm("dots"), "ffffffffffffffff")
    replay = make_spec("runs", search={"method": "replay", "replay": "dots"}, scheduler={"method": "none"})
    with pytest.raises(RunMismatch, match=r"search\.replay is dots, which was run on other data"):
        read_former(sample.store, replay, "ffffffffffffffff")


def test_a_warm_start_may_begin_with_points_of_other_data_where_it_says_so(sample):
    spec = make_spec("runs", search={"space": LR, "warm_start": {"run": "dots", "other_data": True}})
    former = read_former(sample.store, spec, "ffffffffffffffff")
    assert [record.config.data_id for record in former.records] == [sample.images.data_id] * 7


def test_a_run_that_is_not_there_is_refused_with_the_nearest_one(sample):
    with pytest.raises(RunMissing, match="did you mean dots"):
        read_former(sample.store, warm("dot"), sample.images.data_id)


def test_two_different_runs_are_refused(sample):
    spec = make_spec(
        "runs",
        search={"method": "replay", "replay": "dots/a", "warm_start": {"run": "dots/b"}},
        scheduler={"method": "none"},
    )
    with pytest.raises(SweepFileError, match="name different runs"):
        read_former(sample.store, spec, sample.images.data_id)


def test_trials_with_a_result_of_all_runs_of_the_sweep_over_the_same_data_are_known(sample):
    trained = read_trained(sample.store, sample.spec, sample.images.data_id)
    assert [trial.trial_id for trial in trained] == [
        record.trial_id for record in sample.state.trials.values() if record.epochs
    ]
    assert read_trained(sample.store, sample.spec, "ffffffffffffffff") == []
    assert read_trained(sample.store, make_spec("runs", name="others"), sample.images.data_id) == []
