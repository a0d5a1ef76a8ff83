import io

import pytest
from rich.console import Console

import runner.plan
from runner.plan import plan_sweep, show_plan
from runner.search.listed import list_trials
from tests.runner.sample_run import RATES, make_images, make_spec, open_log, write_epoch, write_sample_run
from trainables import layout
from trainables.errors import StoreError
from trainables.folder import Folder


@pytest.fixture
def no_images(monkeypatch):
    def refuse(config):
        raise AssertionError("the images were read")

    monkeypatch.setattr(runner.plan, "load_images", refuse)


@pytest.fixture
def images(monkeypatch):
    """The folder of images that the sweep names, and how often it was read."""
    read = []
    monkeypatch.setattr(runner.plan, "load_images", lambda config: (read.append(config), make_images())[1])
    return read


def show(plan):
    console = Console(width=160, file=io.StringIO())
    console.print(show_plan(plan))
    return console.file.getvalue()


def test_new_stored_and_ended_trials_are_told_apart(tmp_path, no_images):
    run = write_sample_run(tmp_path)
    plan = plan_sweep(make_spec(str(tmp_path)), None)
    assert (plan.run, plan.data_id) == (f"dots/{run.run_id}", run.images.data_id)
    assert [(trial.stored_epochs, trial.ended) for trial in plan.trials] == [
        (3, True),
        (3, True),
        (1, True),
        (2, False),  # stopped by the budget: to be continued
        (0, True),
        (0, True),
        (0, False),
    ]
    assert [trial.config for trial in plan.trials] == run.trials
    told = plan.told()
    assert told["trials"] == {"planned": 7, "ended": 5, "new": 1}
    # Expected are 1 + 2/3 epochs a trial: the stopped one has more, the waiting one has none.
    assert told["epochs"] == {"stored": 9, "expected": 1.7}


def test_epochs_of_another_run_are_not_to_be_trained_again(tmp_path, no_images):
    run = write_sample_run(tmp_path)
    plan = plan_sweep(make_spec(str(tmp_path), scheduler={"method": "none", "max_epochs": 3}), None)
    assert plan.run != f"dots/{run.run_id}"
    assert [trial.stored_epochs for trial in plan.trials] == [3, 3, 1, 2, 0, 0, 0]
    assert not any(trial.ended for trial in plan.trials)
    assert plan.told()["trials"] == {"planned": 7, "ended": 0, "new": 3}
    assert plan.expected_epochs == 0 + 0 + 2 + 1 + 3 + 3 + 3


def test_a_run_may_be_named(tmp_path, no_images):
    run = write_sample_run(tmp_path)
    assert not any(trial.ended for trial in plan_sweep(make_spec(str(tmp_path)), "other").trials)
    assert plan_sweep(make_spec(str(tmp_path)), run.run_id).told()["trials"]["ended"] == 5


def test_an_epoch_without_its_manifest_is_not_stored(tmp_path, no_images):
    run = write_sample_run(tmp_path)
    run.store.delete(layout.checkpoint_prefix(run.trials[0].trial_id, 3) + layout.MANIFEST)
    assert plan_sweep(make_spec(str(tmp_path)), None).trials[0].stored_epochs == 2


def test_nothing_is_written(tmp_path, images):
    run = write_sample_run(tmp_path / "runs")
    before = run.files()
    plan_sweep(make_spec(str(tmp_path / "runs")), None)
    plan_sweep(make_spec(str(tmp_path / "runs"), data={"path": "other"}), None)
    assert run.files() == before
    plan_sweep(make_spec(str(tmp_path / "none")), None)
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_without_a_store_the_images_are_read_once_and_all_is_new(tmp_path, images):
    spec = make_spec(str(tmp_path / "none"))
    plan = plan_sweep(spec, None)
    assert images == [spec.data]
    assert plan.data_id == make_images().data_id
    assert [trial.config for trial in plan.trials] == list_trials(spec, plan.data_id)
    assert plan.told()["trials"] == {"planned": 7, "ended": 0, "new": 7}


@pytest.mark.parametrize("data", [{"path": "images/of/dots", "split_seed": 1}, {"path": "elsewhere"}])
def test_the_fingerprint_on_record_counts_for_the_same_data_alone(tmp_path, images, data):
    write_sample_run(tmp_path)
    plan_sweep(make_spec(str(tmp_path), data=data), None)
    assert len(images) == 1


@pytest.mark.parametrize("damage", [b"{", b"[]", b"{}", b'{"spec": 3}'])
def test_a_damaged_record_of_the_latest_run_only_costs_reading_the_images(tmp_path, images, damage):
    run = write_sample_run(tmp_path)
    run.store.put(layout.run_key("dots", run.run_id, layout.SWEEP), damage)
    assert plan_sweep(make_spec(str(tmp_path)), None).data_id == run.images.data_id
    assert len(images) == 1


def test_a_store_that_cannot_be_read_is_refused(tmp_path, no_images):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="no folder"):
        plan_sweep(make_spec(str(tmp_path / "file")), None)


def test_the_plan_as_json_lists_every_trial_with_its_configuration(tmp_path, no_images):
    write_sample_run(tmp_path)
    told = plan_sweep(make_spec(str(tmp_path)), None).told()
    assert (told["search"], told["scheduler"], told["max_epochs"]) == ("grid", "asha", 3)
    assert [trial["config"]["optimizer.lr"] for trial in told["list"]] == list(RATES)
    assert [trial["ended"] for trial in told["list"]] == [True, True, True, False, True, True, False]


def test_a_person_sees_a_row_a_trial_with_the_keys_that_vary(tmp_path, no_images):
    run = write_sample_run(tmp_path)
    text = show(plan_sweep(make_spec(str(tmp_path)), None))
    title = f"dots/{run.run_id}: 7 trials (grid), asha up to 3 epochs; 5 have ended, about 1.7 epochs to train"
    assert " ".join(text.split()).startswith(title)
    heading, *rows = [line.split() for line in text.splitlines()[-8:]]
    assert heading == ["trial", "in", "the", "store", "lr"]
    held = ["3 epochs, ended", "3 epochs, ended", "1 epochs, ended", "2 epochs", "ended", "ended", "-"]
    assert rows == [
        [trial.trial_id, *each.split(), f"{rate:.3g}"]
        for trial, each, rate in zip(run.trials, held, RATES, strict=True)
    ]


def test_a_plan_knows_epochs_of_trials_that_the_run_has_not_reached(tmp_path, images):
    store, spec = Folder(tmp_path), make_spec(str(tmp_path))
    trial = list_trials(spec, make_images().data_id)[2]
    write_epoch(store, make_images(), trial, 1, 2.0)
    open_log(store).open({}, 1)
    assert [trial.stored_epochs for trial in plan_sweep(spec, None).trials] == [0, 0, 1, 0, 0, 0, 0]
