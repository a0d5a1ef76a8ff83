"""The whole way, from images to a report, as a person starts it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from ensembles.voting.vote import VOTES
from tests.sample_runs.sweeps import DIGITS, ROOT, SMALL, bucket_bits, caucus, events, outcome, run_sweep, trial_bits
from trainables.datasets.fashion_mnist import DEBIAN


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The small sweep in a folder, with early stopping, and its result."""
    store = tmp_path_factory.mktemp("pipeline") / "runs"
    return store, run_sweep(
        DIGITS,
        "search.trials=8",
        "scheduler.max_epochs=9",
        "scheduler.grace_epochs=1",
        "model.width=8,16",
        f"store={store}",
    )


def test_the_result_says_what_was_done_and_what_came_of_it(finished):
    store, result = finished
    assert result["outcome"] == "done"
    assert sum(result["trials"].values()) == 8
    assert result["trials"]["pruned"] >= 4
    assert result["best"]["test_accuracy"] > 0.85
    low, high = result["ensemble"]["ci95"]
    assert low < result["ensemble"]["test_accuracy"] < high
    assert set(result["votes"]) == set(VOTES)
    assert result["ensemble"]["test_accuracy"] == result["votes"]["soft"]
    assert 0 < result["busy_s"] <= result["wall_s"] * result["slots"]
    assert result["report"] == f"{store}/sweeps/{result['run']}/report.html"


def test_the_store_holds_what_was_promised(finished):
    store, result = finished
    run = store / "sweeps" / result["run"]
    assert {path.name for path in run.iterdir()} == {
        "sweep.json",
        "events",
        "drivers",
        "status.json",
        "ensemble.json",
        "trials.parquet",
        "epochs.parquet",
        "report.html",
        "report.json",
        "missed.csv",
    }
    table = pq.read_table(run / "trials.parquet").to_pydict()
    assert table["trial_id"][0] == result["best"]["trial_id"]
    assert sum(table["epochs"]) == result["epochs_trained"]
    assert sum(1 for _ in store.glob("trials/*/epoch-*/manifest.json")) == result["epochs_trained"]
    assert "<html" in (run / "report.html").read_text()


def test_nothing_measured_on_test_is_where_a_scheduler_or_a_selection_could_see_it(finished):
    store, result = finished
    seen = [
        *store.glob("trials/*/epoch-*/metrics.json"),
        *store.glob("sweeps/*/*/events/*"),
        store / "sweeps" / result["run"] / "status.json",
    ]
    assert seen
    assert not [path for path in seen if "test_" in path.read_text() or '"test"' in path.read_text()]


def test_the_verbs_answer_from_the_store_alone(finished, tmp_path):
    store, result = finished
    moved = tmp_path / "elsewhere"
    store.rename(moved)
    try:
        assert caucus("status", "digits", "--store", str(moved))["state"] == "done"
        best = caucus("top", str(moved / "sweeps" / "digits"))["trials"][0]
        assert (best["trial_id"], best["rank"]) == (result["best"]["trial_id"], 1)
        again = caucus("ensemble", f"{moved}/sweeps/{result['run']}")
        assert again["ensemble"] == result["ensemble"]
        assert caucus("ensemble", "digits", "size=1", "--store", str(moved))["ensemble"]["members"] == 1
        out = tmp_path / "report.html"
        assert caucus("report", "digits", "--store", str(moved), "--out", str(out))["report"] == str(out)
        assert out.read_text() == (moved / "sweeps" / result["run"] / "report.html").read_text()
    finally:
        moved.rename(store)


@pytest.mark.long
def test_a_plan_knows_what_is_there_and_writes_nothing(finished):
    store, result = finished
    before = sorted(store.rglob("*"))
    overrides = [DIGITS, "scheduler.max_epochs=9", "scheduler.grace_epochs=1", "model.width=8,16", f"store={store}"]
    plan = caucus("plan", *overrides, "search.trials=10")
    assert plan["trials"] == {"planned": 10, "ended": 8, "new": 2}
    assert plan["epochs"]["stored"] == result["epochs_trained"]
    assert sorted(store.rglob("*")) == before


@pytest.mark.long
@pytest.mark.extended  # as in tests/end_to_end/test_resume.py, where it is killed as well
def test_a_sweep_into_a_bucket_leaves_the_same_bits_and_resumes(weed_s3, tmp_path):
    bucket = weed_s3.new_bucket()
    overrides = [*SMALL, f"store=s3://{bucket}/deep/prefix", f"store.endpoint_url={weed_s3.endpoint_url}"]
    env = {name: value for name, value in weed_s3.env.items() if "ENDPOINT" not in name}
    first = run_sweep(*overrides, env=env)
    assert (first["epochs_trained"], first["outcome"]) == (30, "done")
    second = run_sweep(*overrides, env=env)
    assert second["epochs_trained"] == 0
    assert outcome(second) == outcome(first)
    folder = tmp_path / "runs"
    here = run_sweep(*SMALL, f"store={folder}")
    assert outcome(here) == outcome(first)
    assert bucket_bits(weed_s3.client(), bucket, "deep/prefix/trials/") == trial_bits(folder)
    status = caucus("status", f"s3://{bucket}/deep/prefix/sweeps/digits", env=weed_s3.env)
    assert status["state"] == "done"


@pytest.mark.long
@pytest.mark.skipif(not DEBIAN.is_dir(), reason=f"no {DEBIAN}: apt-get install dataset-fashion-mnist")
def test_the_real_fashion_mnist_is_trained_into_a_bucket(weed_s3):
    bucket = weed_s3.new_bucket()
    overrides = [
        "search.trials=2",
        "scheduler.max_epochs=1",
        "scheduler.grace_epochs=1",
        "model.width=8",
        f"store=s3://{bucket}",
    ]
    result = run_sweep(str(ROOT / "sweeps" / "fashion_mnist.yaml"), *overrides, f"data.root={DEBIAN}", env=weed_s3.env)
    assert (result["outcome"], result["epochs_trained"]) == ("done", 2)
    assert result["best"]["test_accuracy"] > 0.75
    status = caucus("status", f"s3://{bucket}", env=weed_s3.env)
    assert (status["run"], status["state"]) == (result["run"], "done")


def write_images(folder: Path) -> list[tuple[str, int]]:
    """A hundred and twenty digits as picture files; their names and classes."""
    digits = load_digits(n_class=3)
    listed = []
    for number, (image, label) in enumerate(zip(digits.images[:240], digits.target[:240], strict=True)):
        name = f"class {label}/{number:03d}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image * 255 / 16).astype(np.uint8)).save(folder / name)
        listed.append((name, int(label)))
    return listed


@pytest.mark.long
def test_user_defined_images_work_as_a_tree_and_as_a_table(tmp_path):
    listed = write_images(tmp_path / "images")
    table = tmp_path / "labels.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("file name", "kind"), *listed])
    overrides = [
        DIGITS,
        "search.trials=2",
        "scheduler.max_epochs=4",
        "scheduler.method=none",
        f"store={tmp_path / 'runs'}",
    ]
    tree = run_sweep(*overrides, "name=tree", f"data.path={tmp_path / 'images'}")
    assert tree["best"]["test_accuracy"] > 0.8
    table = run_sweep(
        *overrides,
        "name=table",
        f"data.csv={table}",
        f"data.root={tmp_path / 'images'}",
        "data.image_column=file name",
        "data.label_column=kind",
    )
    assert table["best"]["test_accuracy"] > 0.8


@pytest.mark.long
def test_trials_that_diverge_are_records_and_not_the_end(tmp_path):
    overrides = [
        "search.trials=6",
        "scheduler.max_epochs=3",
        "scheduler.grace_epochs=1",
        "model.batch_norm=false",
        f"store={tmp_path / 'runs'}",
    ]
    result = run_sweep(DIGITS, *overrides, "optimizer.lr=0.02,0.03,90.0")
    assert result["outcome"] == "done"
    assert result["trials"]["diverged"] >= 1
    assert result["trials"]["diverged"] + result["trials"]["pruned"] + result["trials"]["finished"] == 6
    diverged = [
        trial
        for trial in caucus("top", "digits", "--store", str(tmp_path / "runs"))["trials"]
        if trial["state"] == "diverged"
    ]
    assert all("epoch" in trial["reason"] for trial in diverged)


@pytest.mark.long
def test_a_sweep_whose_trials_all_fail_ends_with_code_4_and_the_first_reason(tmp_path):
    overrides = [
        "search.trials=2",
        "scheduler.max_epochs=3",
        "scheduler.grace_epochs=1",
        "model.batch_norm=false",
        f"store={tmp_path / 'runs'}",
    ]
    result = run_sweep(DIGITS, *overrides, "optimizer.lr=99", code=4)
    assert (result["outcome"], result["best"], result["ensemble"]) == ("failed", None, None)
    assert "loss" in result["reason"]
    assert result["trials"]["diverged"] == 2


@pytest.mark.long
@pytest.mark.extended  # tests/end_to_end/test_search_resume.py has a budget of epochs
def test_a_budget_ends_the_sweep_and_what_was_trained_votes(tmp_path):
    overrides = [
        *SMALL,
        "search.trials=400",
        "scheduler.max_epochs=27",
        "optimizer.weight_decay=1e-5..1e-2:log",
        f"store={tmp_path / 'runs'}",
    ]
    result = run_sweep(*overrides, "budget.wall=80s")  # far more than the first epochs take, far less than all
    assert (result["outcome"], result["reason"]) == ("done", "the budget ran out")
    assert result["best"] is not None
    assert result["trials"]["stopped"] >= 1
    again = run_sweep(*overrides, "budget.wall=80s")
    assert again["epochs_trained"] == 0
    assert outcome(again) == outcome(result)


@pytest.mark.long
def test_all_slots_stay_in_use_after_a_stage_that_needed_only_one(tmp_path):
    sweep = tmp_path / "sweep.yaml"
    stages = [
        {"name": "alone", "method": "grid", "epochs": 1, "space": {"optimizer.lr": {"choice": [0.03]}}},
        {"name": "many", "method": "random", "trials": 6, "epochs": 3, "space": {"optimizer.lr": {"log": [0.01, 0.1]}}},
    ]
    parts = {"data": {"name": "digits"}, "model": {"blocks": 1, "width": 4}, "search": {"stages": stages}}
    none = {"method": "none", "max_epochs": 3}
    sweep.write_text(json.dumps({"name": "stages", "store": str(tmp_path / "runs"), "scheduler": none, **parts}))
    run_sweep(str(sweep), "resources.slots=2")
    most, running = 0, set()
    for event in events(tmp_path / "runs", "stages"):
        if event["kind"] == "trial-started":
            running.add(event["trial_id"])
        elif event["kind"] == "trial-ended":
            running.discard(event["trial_id"])
        most = max(most, len(running))
    assert most == 2


def test_json_is_one_object_also_where_a_person_would_see_progress(finished):
    _, result = finished
    assert json.loads(json.dumps(result)) == result
