import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

import runner.plan.plan
from runner.cli.tables.plan import MOST_ROWS, show_plan
from runner.config.checks import read_spec
from runner.control.architecture import name_architecture
from runner.plan.probe import Probe
from runner.search.choose import list_trials
from tests.sample_runs.sample_run import RATES, make_images, make_spec, open_log, write_epoch, write_sample_run
from tests.sample_runs.sweeps import ROOT
from trainables.errors import StoreError
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.training.epoch_timer import EpochTime

READY = sorted((ROOT / "sweeps").glob("*.yaml"))


def plan_sweep(spec, run, **options):
    """The plan without a probe, unless `options` says otherwise."""
    return runner.plan.plan.plan_sweep(spec, run, **{"measure": False, "slots": 2, **options})


@pytest.fixture
def no_images(monkeypatch):
    def refuse(config):
        raise AssertionError("the images were read")

    monkeypatch.setattr(runner.plan.plan, "load_images", refuse)


@pytest.fixture
def images(monkeypatch):
    """The folder of images that the sweep names, and how often it was read."""
    read = []
    monkeypatch.setattr(runner.plan.plan, "load_images", lambda config: (read.append(config), make_images())[1])
    return read


def make_random(folder, trials, **parts):
    space = {"optimizer.lr": {"log": [0.001, 1.0]}}
    return make_spec(str(folder), search={"method": "random", "trials": trials, "space": space}, **parts)


def show(plan):
    console = Console(width=160, file=io.StringIO())
    console.print(show_plan(plan))
    return console.file.getvalue()


def test_new_stored_and_ended_trials_are_distinguished(tmp_path, no_images):
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
    payload = plan.to_dict()
    assert payload["trials"] == {"planned": 7, "ended": 5, "new": 1}
    # Expected are 1 + 2/3 epochs a trial: the stopped one has more, the waiting one has none.
    assert payload["epochs"] == {"stored": 9, "expected": 1.7}


def test_epochs_of_another_run_are_not_to_be_trained_again(tmp_path, no_images):
    run = write_sample_run(tmp_path)
    plan = plan_sweep(make_spec(str(tmp_path), scheduler={"method": "none", "max_epochs": 3}), None)
    assert plan.run != f"dots/{run.run_id}"
    assert [trial.stored_epochs for trial in plan.trials] == [3, 3, 1, 2, 0, 0, 0]
    assert not any(trial.ended for trial in plan.trials)
    assert plan.to_dict()["trials"] == {"planned": 7, "ended": 0, "new": 3}
    assert plan.expected_epochs == 0 + 0 + 2 + 1 + 3 + 3 + 3


def test_a_run_may_be_named(tmp_path, no_images):
    run = write_sample_run(tmp_path)
    assert not any(trial.ended for trial in plan_sweep(make_spec(str(tmp_path)), "other").trials)
    assert plan_sweep(make_spec(str(tmp_path)), run.run_id).to_dict()["trials"]["ended"] == 5


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
    assert plan.to_dict()["trials"] == {"planned": 7, "ended": 0, "new": 7}


@pytest.mark.parametrize("data", [{"path": "images/of/dots", "split_seed": 1}, {"path": "elsewhere"}])
def test_the_fingerprint_on_record_counts_for_the_same_data_alone(tmp_path, images, data):
    write_sample_run(tmp_path)
    plan_sweep(make_spec(str(tmp_path), data=data), None)
    assert len(images) == 1


def test_what_trials_make_of_pixels_is_no_matter_of_the_fingerprint(tmp_path, images):
    write_sample_run(tmp_path)
    plan_sweep(make_spec(str(tmp_path), data={"path": "images/of/dots", "equalise": "clahe"}), None)
    assert images == []


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
    payload = plan_sweep(make_spec(str(tmp_path)), None).to_dict()
    assert (payload["search"], payload["scheduler"], payload["max_epochs"]) == ("grid", "asha", 3)
    assert [trial["config"]["optimizer.lr"] for trial in payload["list"]] == list(RATES)
    assert [trial["ended"] for trial in payload["list"]] == [True, True, True, False, True, True, False]


def test_a_person_sees_a_row_a_trial_with_the_keys_that_vary(tmp_path, no_images):
    run = write_sample_run(tmp_path)
    title, sentence, heading, *rows = show(plan_sweep(make_spec(str(tmp_path)), None)).splitlines()
    assert title.startswith(f"dots/{run.run_id}: 7 trials (grid), asha up to 3 epochs; 5 have ended, ")
    assert sentence.startswith("no forecast of the time on 2 slots: no epoch of it was ever measured")
    assert heading.split() == ["trial", "in", "the", "store", "lr"]
    expected = ["3 epochs, ended", "3 epochs, ended", "1 epochs, ended", "2 epochs", "ended", "ended", "-"]
    assert [row.split() for row in rows] == [
        [trial.trial_id, *each.split(), f"{rate:.3g}"]
        for trial, each, rate in zip(run.trials, expected, RATES, strict=True)
    ]


def test_of_many_trials_a_person_sees_the_first(tmp_path, images):
    plan = plan_sweep(make_random(tmp_path, MOST_ROWS + 3), None)
    lines = show(plan).splitlines()
    assert lines[-1].strip() == "and 3 more"
    assert len(lines) == 3 + MOST_ROWS + 1
    assert len(plan.to_dict()["list"]) == MOST_ROWS + 3


def test_a_plan_knows_epochs_of_trials_that_the_run_has_not_reached(tmp_path, images):
    store, spec = Folder(tmp_path), make_spec(str(tmp_path))
    trial = list_trials(spec, make_images().data_id)[2]
    write_epoch(store, make_images(), trial, 1, 2.0)
    open_log(store).open({}, 1)
    assert [trial.stored_epochs for trial in plan_sweep(spec, None).trials] == [0, 0, 1, 0, 0, 0, 0]


def test_a_half_trained_run_counts_only_what_is_left(tmp_path, no_images):
    write_sample_run(tmp_path)
    payload = plan_sweep(make_spec(str(tmp_path)), None).to_dict()["forecast"]
    # The stopped trial has one epoch to go; the waiting one has one, and two more if it is among the best third.
    assert (payload["low_epochs"], payload["high_epochs"]) in ((2, 2), (2, 4), (4, 4))
    assert payload["trials"] == 7
    assert (payload["seconds"], payload["low_s"], payload["high_s"]) == (None, None, None)


def test_nothing_is_left_of_a_finished_run(tmp_path, images):
    spec = make_spec(str(tmp_path), scheduler={"method": "none", "max_epochs": 1})
    log = open_log(Folder(tmp_path), run=spec.run_id(make_images().data_id))
    log.open({}, 2)
    trials = list_trials(spec, make_images().data_id)
    log.plan(trials)
    for trial in trials:
        result = write_epoch(Folder(tmp_path), make_images(), trial, 1, 2.0)
        log.report(trial.trial_id, result, True, ("finished", ""))
    payload = plan_sweep(spec, None, measure=None).to_dict()
    assert payload["forecast"]["epochs"] == 0
    assert payload["forecast"]["seconds"] < 10
    assert payload["stages"] == [
        {
            "stage": "",
            "method": "grid",
            "points": 7,
            "around": {},
            "trials": 7,
            "epochs": 0,
            "scheduler": "none",
            "max_epochs": 1,
        }
    ]


@pytest.fixture
def two_seconds(monkeypatch):
    """A probe of two seconds an epoch, and the trials that it gets."""
    probed = []

    def fake(arrays, configs, slots, resources, gpus):
        probed.extend(configs)
        took = EpochTime(train_s=1.5, evaluate_s=0.5, rest_s=0.0, begin_s=0.0, step_s=0.1)
        return Probe({name_architecture(config): (took,) for config in configs}, import_s=1.0)

    monkeypatch.setattr(runner.plan.plan, "probe", fake)
    return probed


def test_an_architecture_that_no_run_has_measured_is_probed(tmp_path, images, two_seconds):
    payload = plan_sweep(make_random(tmp_path, 4), None, measure=None).to_dict()["forecast"]
    assert len(two_seconds) == 4
    assert (payload["probed"], payload["measured_before"], payload["slots"]) == (1, 0, 2)
    assert payload["low_s"] < payload["seconds"] < payload["high_s"]
    assert "money" not in payload


def test_what_an_earlier_run_has_measured_is_not_probed_unless_that_is_requested(
    tmp_path, no_images, two_seconds, monkeypatch
):
    run = write_sample_run(tmp_path)
    monkeypatch.setattr(runner.plan.plan, "versions", lambda: {"python": "3.11", "caucus": "0.1.0"})
    spec = make_spec(str(tmp_path), scheduler={"method": "none", "max_epochs": 3})
    payload = plan_sweep(spec, None, measure=None).to_dict()["forecast"]
    assert (payload["probed"], payload["measured_before"]) == (0, 1)
    assert not two_seconds
    monkeypatch.setattr(runner.plan.plan, "load_images", lambda config: run.images)
    payload = plan_sweep(spec, None, measure=True).to_dict()["forecast"]
    assert (payload["probed"], payload["measured_before"]) == (1, 0)
    assert len(two_seconds) == 7


def test_a_price_gives_the_money_with_its_range(tmp_path, images, two_seconds):
    plan = plan_sweep(make_random(tmp_path, 4, budget={"price": 3600.0}), None, measure=None, nodes=2)
    payload = plan.to_dict()["forecast"]
    assert payload["money"]["expected"] == pytest.approx(2 * payload["seconds"], abs=0.2)
    assert payload["money"]["low"] == pytest.approx(2 * payload["low_s"], abs=0.2)
    assert " in money" in show(plan)


def test_the_plan_says_which_cap_ends_the_run(tmp_path, images, two_seconds):
    payload = plan_sweep(make_random(tmp_path, 40, budget={"trials": 5}), None, measure=None).to_dict()["caps"]
    assert (payload["trials"], payload["reached"], payload["trials_begun"], payload["trials_ended"]) == (
        5,
        "budget.trials is 5",
        5,
        5,
    )
    plan = plan_sweep(make_random(tmp_path, 40, budget={"wall": "1m"}), None, measure=None)
    assert plan.to_dict()["caps"]["reached"] == "budget.wall is 1 m 0 s"
    assert plan.forecast.seconds == pytest.approx(45, abs=5)  # a quarter is kept for the report
    assert "ends it (budget.wall is 1 m 0 s)" in show(plan)
    assert "enough for all" in show(plan_sweep(make_random(tmp_path, 4, budget={"wall": "1h"}), None, measure=None))


def test_a_probe_that_fails_is_reported(tmp_path, images, monkeypatch):
    monkeypatch.setattr(runner.plan.plan, "probe", lambda *_: Probe({}, failure="no measurement ended within 60 s"))
    plan = plan_sweep(make_random(tmp_path, 4), None, measure=None)
    assert plan.to_dict()["forecast"]["failure"] == "no measurement ended within 60 s"
    assert "no forecast of the time on 2 slots: no measurement ended within 60 s" in show(plan)


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_every_ready_sweep_has_a_plan(path, tmp_path, monkeypatch):
    monkeypatch.setattr(runner.plan.plan, "load_images", lambda config: make_images())
    plan = plan_sweep(read_spec(str(path), [f"store={tmp_path}"]), None)
    payload = plan.to_dict()
    assert payload["forecast"]["epochs"] > 0
    assert payload["forecast"]["seconds"] is None
    assert all(stage["trials"] and stage["epochs"] for stage in payload["stages"])
    assert show(plan)


def test_a_stage_shows_what_is_known_of_it_before_the_one_it_depends_on(tmp_path):
    plan = plan_sweep(read_spec(str(ROOT / "sweeps" / "coarse_to_fine.yaml"), [f"store={tmp_path}"]), None)
    assert [stage["points"] for stage in plan.to_dict()["stages"]] == [10, 9, 9]
    title, _, coarse, fine, closer, *_ = [line.strip() for line in show(plan).splitlines()]
    assert "trials in 3 stages; 0 have ended" in title
    assert coarse.startswith("coarse: grid of 10 points, up to 3 epochs: about ")
    assert fine.startswith(
        "fine: grid of 9 points (lr x3 around coarse, weight_decay x10 around coarse), up to 9 epochs"
    )
    assert closer.startswith("closer: jittered of 9 points (lr x1.5 around fine), up to 18 epochs: about 9 trials, ")


def test_a_plan_without_a_probe_imports_neither_torch_nor_ray(tmp_path):
    code = (
        "import sys\nfrom runner.cli.main import app\n"
        "try:\n    app(sys.argv[1:])\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "print(sorted({'torch', 'torchvision', 'ray', 'boto3', 'botocore'} & set(sys.modules)))"
    )
    arguments = [
        "plan",
        str(ROOT / "sweeps" / "digits.yaml"),
        f"store={tmp_path}",
        "--no-probe",
        "--slots",
        "3",
        "--json",
    ]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)
    payload, imported = done.stdout.splitlines()
    assert imported == "[]", done.stderr
    assert json.loads(payload)["forecast"]["slots"] == 3


@pytest.mark.parametrize("mark", [b'{"format": 99, "written_by": "9.0"}', b"[1]", b"{"])
def test_a_store_that_this_version_cannot_read_is_not_planned_for(tmp_path, images, mark):
    Folder(tmp_path).put(layout.FORMAT_KEY, mark)
    with pytest.raises(StoreError, match=r"has format 99|caucus\.json (holds a list|is not readable)"):
        plan_sweep(make_random(tmp_path, 3), None)
    assert images == []
