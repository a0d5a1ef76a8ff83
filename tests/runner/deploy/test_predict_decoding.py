"""Images to be predicted are decoded as those that the nets were trained on, which the bundle records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ensembles.bundle.manifest import read_bundle
from runner.deploy.export import export_run
from runner.deploy.loaded_bundle import make_ready
from runner.deploy.predict import predict_images
from tests.runner.deploy.test_export import vote_of_stored
from tests.runner.deploy.test_predict import read_csv
from tests.sample_runs.trained_digits import TrainedRun, write_trained_run
from trainables.data.decoding import Decoding
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, to_json

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES = range(3)
EACH = 40


@pytest.fixture(scope="module")
def icons(digits_run: TrainedRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of digits whose ink is in the alpha channel alone: the colour is black everywhere."""
    folder = tmp_path_factory.mktemp("icons")
    for label in CLASSES:
        (folder / str(label)).mkdir()
        for at, row in enumerate(np.flatnonzero(digits_run.images.labels == label)[:EACH]):
            ink = digits_run.images.pixels[row, :, :, 0]
            icon = np.dstack([np.zeros((*ink.shape, 3), np.uint8), ink])
            Image.fromarray(icon).save(folder / str(label) / f"{at:02d}.png")
    return folder


@pytest.fixture(scope="module")
def icon_run(icons: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    data = {"path": str(icons), "channels": 1, "background": "#ff8000", "validation": 0.25, "test": 0.25}
    return write_trained_run(tmp_path_factory.mktemp("icon_run"), data=data)


def test_transparent_images_are_predicted_on_the_background_of_the_training(
    icon_run: TrainedRun, icons: Path, tmp_path: Path
) -> None:
    export_run(icon_run.stored(), str(tmp_path / "bundle"))
    manifest = read_bundle(Folder(tmp_path / "bundle")).manifest
    assert manifest.preparation.decoding == Decoding(8, 8, 1, (255, 128, 0))
    card = (tmp_path / "bundle" / "model_card.md").read_text(encoding="utf-8")
    assert "8 x 8 pixels in grey, transparent ones laid on #ff8000. " in card
    predict_images(str(tmp_path / "bundle"), str(icons), str(tmp_path / "out.csv"))
    rows = {row["image"]: row for row in read_csv(tmp_path / "out.csv")}
    assert len(rows) == len(CLASSES) * EACH
    probabilities, predicted = vote_of_stored(icon_run, manifest)
    for position, row in enumerate(icon_run.images.rows("test")):
        answer = rows[icon_run.images.image_ids[row]]
        assert answer["class"] == icon_run.images.class_names[predicted[position]]
        assert float(answer["probability"]) == pytest.approx(probabilities[position].max(), abs=2e-5)
    assert len({row["probability"] for row in rows.values()}) > 1


def test_a_run_of_an_older_version_whose_images_came_without_alpha_is_bundled_so(
    icon_run: TrainedRun, tmp_path: Path
) -> None:
    key = layout.data_key(icon_run.images.data_id, "data.json")
    whole = icon_run.store.get(key)
    record = get_json(icon_run.store, key)
    assert record.pop("decoding") == Decoding(8, 8, 1, (255, 128, 0)).to_dict()
    try:
        icon_run.store.put(key, to_json(record))
        export_run(icon_run.stored(), str(tmp_path / "old"))
    finally:
        icon_run.store.put(key, whole)
    bundle = read_bundle(Folder(tmp_path / "old"))
    assert bundle.manifest.preparation.decoding == Decoding(8, 8, 1, background=None)
    assert make_ready(bundle).decoding == bundle.manifest.preparation.decoding
