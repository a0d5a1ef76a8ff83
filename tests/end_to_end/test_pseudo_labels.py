"""Real sweeps with pseudo-labels: digits, a small part of which has labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.sample_runs.sweeps import ROOT, caucus, events, outcome, run_sweep, start_sweep, trial_bits
from trainables.data.images import hash_images
from trainables.data.pseudo_table import read_pseudo_table
from trainables.datasets.digits import load_digits
from trainables.store.folder import Folder

NAME = "pseudo-digits"

WORDS = [
    str(ROOT / "sweeps" / "pseudo_digits.yaml"),
    "search.trials=4",
    "scheduler.max_epochs=8",
    "train_share=0.2",
    "ensemble.size=3",
    "pseudo_labels.confidence=0.8",
    "pseudo_labels.agreement=2",
]
"""Four trials of eight epochs, of which three are trained again."""

EPOCHS = 7 * 8


def events_of(store: Path, kind: str) -> list[dict]:
    return [event for event in events(store, NAME) if event["kind"] == kind]


def tables(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.glob("data/*/pseudo/*.parquet")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    store = tmp_path_factory.mktemp("pseudo") / "runs"
    return store, run_sweep(*WORDS, f"store={store}")


@pytest.mark.long
def test_the_team_labels_and_is_trained_again(undisturbed):
    store, result = undisturbed
    assert (result["outcome"], result["epochs_trained"], result["trials"]["finished"]) == ("done", EPOCHS, 7)
    (decided,) = events_of(store, "decided")
    values = decided["values"]
    planned = [event for event in events_of(store, "trial-planned") if event["stage"] == "pseudo"]
    assert [event["config"]["pseudo_table"] for event in planned] == [values["table"]] * 3
    first = {event["trial_id"]: event["config"] for event in events_of(store, "trial-planned") if event not in planned}
    for event, one in zip(planned, values["trials"], strict=True):
        assert {**first[one["trial_id"]], "pseudo_table": values["table"]} == event["config"]
    found = result["pseudo_labels"]
    assert found["table"].endswith(f"/pseudo/{values['table']}.parquet")
    assert 100 < found["labelled"] < found["asked"]
    assert found["label_accuracy"] > 0.9
    assert set(found["gain"]) == {"best single checkpoint", "soft vote of the team"}


@pytest.mark.long
def test_the_table_holds_images_of_the_rest_alone(undisturbed):
    store, _ = undisturbed
    (path,) = store.glob("data/*/pseudo/*.parquet")
    data_id = path.parts[-3]
    table = read_pseudo_table(Folder(store, "runs"), data_id, path.stem)
    images = pq.read_table(store / "data" / data_id / "images.parquet").to_pydict()
    split_of = {digest.hex(): split for digest, split in zip(images["sha256"], images["split"], strict=True)}
    assert {split_of[digest] for digest in hash_images(table.pixels)} == {0}
    truth = dict(zip(images["image_id"], images["label"], strict=True))
    right = np.mean([truth[name] == label for name, label in zip(table.image_ids, table.labels, strict=True)])
    assert right == pytest.approx(undisturbed[1]["pseudo_labels"]["label_accuracy"])


@pytest.mark.long
def test_the_report_has_the_section_and_nothing_of_test_is_in_the_journal(undisturbed):
    store, result = undisturbed
    page = (store / "sweeps" / result["run"] / "report.html").read_text()
    assert '<h2 id="pseudo">Pseudo-labels</h2>' in page
    journal = "".join(path.read_text() for path in store.glob("sweeps/*/*/events/*"))
    assert "test_" not in journal
    assert '"test"' not in journal


@pytest.mark.long
def test_the_same_run_again_trains_and_labels_nothing(undisturbed):
    store, first = undisturbed
    before, tables_before = events(store, NAME), tables(store)
    second = run_sweep(*WORDS, f"store={store}")
    assert second["epochs_trained"] == 0
    assert outcome(second) == outcome(first)
    assert second["pseudo_labels"] == first["pseudo_labels"]
    assert (events(store, NAME), tables(store)) == (before, tables_before)


@pytest.mark.long
def test_a_plan_speaks_of_the_second_stage_until_it_is_on_record(undisturbed, tmp_path):
    new = caucus("plan", *WORDS, f"store={tmp_path}", "--no-probe")
    assert (new["trials"]["planned"], new["second_stage"]) == (4, {"trials": 3, "epochs": 24})
    done = caucus("plan", *WORDS, f"store={undisturbed[0]}")
    assert done["trials"] == {"planned": 7, "ended": 7, "new": 0}
    assert "second_stage" not in done
    assert done["forecast"]["epochs"] == 0


@pytest.mark.long
def test_a_run_killed_around_and_in_its_second_stage_and_without_its_table_comes_to_the_same_bits(
    undisturbed, tmp_path
):
    """Killed when the team is about to label, or does; when it has, and the table is damaged; and in the second stage."""
    reference, first = undisturbed
    store = tmp_path / "runs"

    def second_epochs() -> int:
        second = {event["trial_id"] for event in events_of(store, "trial-planned") if event["stage"] == "pseudo"}
        return sum(event["trial_id"] in second for event in events_of(store, "epoch-reported"))

    def kill_after(moment) -> None:
        sweep = start_sweep(*WORDS, f"store={store}")
        sweep.wait_for(moment)
        sweep.kill()

    kill_after(lambda: len(events_of(store, "trial-ended")) == 4)
    kill_after(lambda: bool(events_of(store, "decided")))
    (path,) = store.glob("data/*/pseudo/*.parquet")
    path.write_bytes(path.read_bytes()[:-9])
    kill_after(lambda: second_epochs() >= 9)
    assert tables(store) == tables(reference)
    last = run_sweep(*WORDS, f"store={store}")
    assert outcome(last) == outcome(first)
    assert last["pseudo_labels"] == first["pseudo_labels"]
    assert trial_bits(store) == trial_bits(reference)
    assert tables(store) == tables(reference)
    assert [one["values"] for one in events_of(store, "decided")] == [
        one["values"] for one in events_of(reference, "decided")
    ]


@pytest.mark.long
@pytest.mark.extended
def test_a_larger_sweep_labels_again(undisturbed, tmp_path):
    store = shutil.copytree(undisturbed[0], tmp_path / "runs")
    result = run_sweep(*WORDS, f"store={store}", "search.trials=5")
    assert result["run"] == undisturbed[1]["run"]
    assert [one["values"]["candidates"] for one in events_of(store, "decided")] == [4, 5]
    assert result["trials"]["finished"] >= 8


@pytest.mark.long
@pytest.mark.extended
def test_where_the_team_agrees_on_no_image_the_run_ends_well_and_says_so(tmp_path):
    words = [*WORDS, "search.trials=3", "scheduler.max_epochs=1", "pseudo_labels.confidence=1.0"]
    result = run_sweep(*words, f"store={tmp_path / 'runs'}")
    assert (result["outcome"], result["trials"]["finished"]) == ("done", 3)
    assert result["pseudo_labels"]["reason"].startswith("no second stage: of ")
    assert (result["pseudo_labels"]["table"], result["pseudo_labels"]["labelled"]) == (None, 0)
    again = run_sweep(*words, f"store={tmp_path / 'runs'}")
    assert again["epochs_trained"] == 0
    assert len(events_of(tmp_path / "runs", "decided")) == 1


@pytest.mark.long
@pytest.mark.extended
def test_a_plain_folder_of_images_is_labelled(tmp_path):
    images = load_digits()
    for row in range(900, 1700):
        folder = tmp_path / "more"
        folder.mkdir(exist_ok=True)
        Image.fromarray(images.pixels[row, :, :, 0]).save(folder / f"{row}.png")
    csv = tmp_path / "labelled"
    for row in range(900):
        place = csv / str(images.labels[row])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images.pixels[row, :, :, 0]).save(place / f"{row}.png")
    words = [*WORDS, "train_share=1.0", f"data={{path: {csv}, validation: 0.3, test: 0.3}}"]
    result = run_sweep(*words, f"pseudo_labels.data={{path: {tmp_path / 'more'}}}", f"store={tmp_path / 'runs'}")
    assert result["trials"]["finished"] == 7
    assert result["pseudo_labels"]["asked"] == 800
    assert result["pseudo_labels"]["label_accuracy"] is None


def test_a_wrong_source_is_refused_before_anything_is_trained(tmp_path):
    result = caucus(
        "run", *WORDS, f"pseudo_labels.data={{path: {tmp_path / 'none'}}}", f"store={tmp_path / 'runs'}", code=2
    )
    assert "does not exist" in result["error"]
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("trials/*"))
