"""The head of a run says what is wrong with its images, once."""

from __future__ import annotations

from pathlib import Path

from runner.config.checks import read_spec
from runner.execution.head import write_head
from tests.sample_runs.sweeps import DIGITS
from tests.trainables.findings.planted_faults import change, clean_set, rows_of, save_again
from trainables.data.data_table import read_data_table
from trainables.store.folder import Folder


def test_what_is_wrong_with_the_images_is_said_once_and_is_on_record(tmp_path: Path) -> None:
    clean, store, spec = clean_set(), Folder(tmp_path), read_spec(DIGITS, [])
    cat, fox = rows_of(clean, 0, 0)[0], rows_of(clean, 2, 0)[0]
    made = {rows_of(clean, 1, 0)[0]: clean.pixels[cat], rows_of(clean, 2, 2)[0]: save_again(clean.pixels[fox])}
    images = change(clean, made)
    wrong, others = write_head(store, spec, "r1", images, "caucus run x.yaml")
    assert wrong.startswith("data: 1 picture is there more than once (2 images) under several labels, as cat/")
    assert others.startswith("data: worth a look (near-duplicates-across-splits): ")
    found = read_data_table(store, images.data_id).found
    assert [one.is_wrong for one in found.findings] == [True, False]
    assert set(found.thumbnails) == {image_id for one in found.findings for image_id in one.images}
    assert write_head(store, spec, "r2", images, "caucus run x.yaml") == []
    assert write_head(store, spec, "r1", clean, "caucus run x.yaml") == []
