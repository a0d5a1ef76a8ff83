import csv
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from tests.trainables.training.tiny_trials import make_images
from trainables.data.decoding import Decoding
from trainables.data.images import hash_images
from trainables.datasets.unlabelled import UNKNOWN, UnlabelledConfig, load_unlabelled
from trainables.errors import DataError
from trainables.splits.train_share import choose_share

IMAGES = make_images(channels=1)


def save(folder, name, pixels):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)


def fresh(number, height=8, width=8):
    return np.random.default_rng(1000 + number).integers(0, 256, (height, width), dtype=np.uint8)


def load(folder, images=IMAGES):
    return load_unlabelled(UnlabelledConfig(path=str(folder)), images, 1.0)


def test_the_rest_is_what_the_share_leaves_out_with_its_true_classes():
    found = load_unlabelled(UnlabelledConfig(name="rest"), IMAGES, 0.3)
    trained = choose_share(IMAGES.labels, IMAGES.rows("train"), 0.3)
    rest = sorted(set(IMAGES.rows("train").tolist()) - set(trained.tolist()))
    assert found.image_ids == tuple(IMAGES.image_ids[row] for row in rest)
    assert np.array_equal(found.pixels, IMAGES.pixels[rest])
    assert np.array_equal(found.true_class, IMAGES.labels[rest])
    assert (found.found, found.held_out, found.trained, found.twice) == (len(rest), 0, 0, 0)


def test_a_share_that_leaves_nothing_out_has_no_rest():
    with pytest.raises(DataError, match="train_share 1 leaves out no training image: lower it"):
        load_unlabelled(UnlabelledConfig(name="rest"), IMAGES, 1.0)


def test_a_plain_folder_has_no_labels_and_class_folders_give_true_labels(tmp_path):
    save(tmp_path, "0.png", fresh(0))
    save(tmp_path, "b/1.png", fresh(1))
    save(tmp_path, "night/2.png", fresh(2))
    save(tmp_path, "b/.hidden.png", fresh(3))
    save(tmp_path, ".thumbs/4.png", fresh(4))
    (tmp_path / "notes.txt").write_text("no image")
    found = load(tmp_path)
    assert found.image_ids == ("0.png", "b/1.png", "night/2.png")
    assert found.true_class.tolist() == [UNKNOWN, 1, UNKNOWN]
    assert np.array_equal(found.pixels[1, :, :, 0], fresh(1))


def test_a_table_gives_true_classes_by_name(tmp_path):
    for number in range(3):
        save(tmp_path, f"{number}.png", fresh(number))
    with (tmp_path / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label"), ("0.png", "c"), ("1.png", "a"), ("2.png", "z")])
    config = UnlabelledConfig(csv=str(tmp_path / "table.csv"))
    assert load_unlabelled(config, IMAGES, 1.0).true_class.tolist() == [2, 0, UNKNOWN]


def test_images_that_the_sweep_knows_and_copies_are_left_out_and_counted(tmp_path):
    for split, count in (("train", 3), ("validation", 2), ("test", 4)):
        for number, row in enumerate(IMAGES.rows(split)[:count]):
            save(tmp_path, f"{split}-{number}.png", IMAGES.pixels[row, :, :, 0])
    for number in range(5):
        save(tmp_path, f"new-{number}.png", fresh(number))
    shutil.copy(tmp_path / "new-1.png", tmp_path / "new-9.png")
    found = load(tmp_path)
    assert found.image_ids == tuple(f"new-{number}.png" for number in range(5))
    assert (found.found, found.held_out, found.trained, found.twice) == (15, 6, 3, 1)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 10**6),
    share=st.floats(0.05, 0.8),
    levels=st.integers(2, 3),
)
def test_no_image_of_validation_or_test_is_ever_labelled(seed, share, levels):
    """Images of so few grey levels and pixels that many of them are equal, across all splits."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, levels, (len(IMAGES.labels), 2, 2, 1)).astype(np.uint8)
    images = replace(IMAGES, pixels=pixels)
    digests = images.image_sha256
    evaluated = {digests[row] for split in ("validation", "test") for row in images.rows(split)}
    trained = {digests[row] for row in choose_share(images.labels, images.rows("train"), share)}
    rest = set(images.rows("train")) - set(choose_share(images.labels, images.rows("train"), share))
    if {digests[row] for row in rest} <= evaluated | trained:
        with pytest.raises(DataError, match="all of them are among the labelled ones"):
            load_unlabelled(UnlabelledConfig(name="rest"), images, share)
        return
    found = load_unlabelled(UnlabelledConfig(name="rest"), images, share)
    kept = hash_images(found.pixels)
    assert not set(kept) & (evaluated | trained)
    assert len(set(kept)) == len(kept)
    assert found.found == len(kept) + found.held_out + found.trained + found.twice


def test_the_test_images_themselves_cannot_be_labelled(tmp_path):
    for split in ("validation", "test"):
        for row in IMAGES.rows(split):
            save(tmp_path, f"{IMAGES.image_ids[row]}.png", IMAGES.pixels[row, :, :, 0])
    with pytest.raises(DataError, match="40 images, and all of them are among the labelled ones"):
        load(tmp_path)


def test_images_of_another_size_and_colour_are_decoded_as_the_labelled_ones(tmp_path):
    save(tmp_path, "0.png", fresh(0, 12, 9))
    save(tmp_path, "1.png", np.repeat(fresh(1)[:, :, None], 3, axis=2))
    found = load(tmp_path)
    assert found.pixels.shape == (2, 8, 8, 1)
    assert np.array_equal(found.pixels[1, :, :, 0], fresh(1))


def test_transparent_images_lie_on_the_background_of_the_labelled_ones(tmp_path):
    icon = np.zeros((8, 8, 4), np.uint8)
    icon[:4, :, 3] = 255
    save(tmp_path, "0.png", icon)
    found = load(tmp_path, replace(IMAGES, decoding=Decoding(8, 8, 1, (255, 255, 255))))
    assert found.pixels[0, :, 0, 0].tolist() == [0] * 4 + [255] * 4


def test_an_archive_is_read_as_the_folder_that_it_holds(tmp_path):
    save(tmp_path / "more", "b/1.png", fresh(1))
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(tmp_path / "more" / "b" / "1.png", "b/1.png")
    found = load(tmp_path / "more.zip")
    assert (found.image_ids, found.true_class.tolist()) == (("b/1.png",), [1])


def test_a_missing_or_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no image"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "names no images"),
        ({"name": "digits", "path": "x"}, "names `name` and `path`"),
        ({"name": "digits", "root": "y"}, "root means nothing"),
        ({"name": "mnist"}, "'rest', 'digits' or 'fashion-mnist'"),
    ],
)
def test_a_source_that_says_nothing_or_too_much_is_refused(config, message):
    with pytest.raises(ValidationError, match=message):
        UnlabelledConfig(**config)


def write_table(folder, **columns):
    """Images in `folder`, and a table that names them and has more columns."""
    for number in range(3):
        save(folder, f"{number}.png", fresh(number))
    rows = [("image", *columns), *zip(("0.png", "1.png", "2.png"), *columns.values(), strict=True)]
    with (folder / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "table.csv"


@pytest.mark.parametrize(
    ("columns", "true_class"),
    [({}, [UNKNOWN] * 3), ({"label": ["a"] * 3}, [UNKNOWN] * 3), ({"label": ["a", "b", "a"]}, [0, 1, 0])],
)
def test_a_table_needs_no_labels(tmp_path, columns, true_class):
    found = load(write_table(tmp_path, **columns))
    assert (found.image_ids, found.true_class.tolist()) == (("0.png", "1.png", "2.png"), true_class)
    assert np.array_equal(found.pixels[2, :, :, 0], fresh(2))


def test_a_label_column_that_is_named_must_be_there(tmp_path):
    config = UnlabelledConfig(path=str(write_table(tmp_path)), label_column="truth")
    with pytest.raises(DataError, match="has no column 'truth'"):
        load_unlabelled(config, IMAGES, 1.0)


def test_a_table_that_names_a_missing_file_is_refused(tmp_path):
    table = write_table(tmp_path)
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"1\.png"):
        load(table)


def test_arrays_need_no_labels_and_give_true_classes_where_they_have_some(tmp_path):
    pixels = np.stack([fresh(number) for number in range(3)])
    np.savez(tmp_path / "plain.npz", images=pixels)
    np.savez(tmp_path / "labelled.npz", images=pixels, labels=np.array(["c", "a", "c"]))
    plain, labelled = load(tmp_path / "plain.npz"), load(tmp_path / "labelled.npz")
    assert plain.true_class.tolist() == [UNKNOWN] * 3
    assert labelled.true_class.tolist() == [2, 0, 2]
    assert np.array_equal(plain.pixels, labelled.pixels)
