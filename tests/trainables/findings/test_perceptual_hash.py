"""Pairs that may be alike are found without comparing each with each, and the looks that they are found by."""

from __future__ import annotations

import numpy as np

from tests.trainables.findings.planted_faults import clean_set
from trainables.data.images import ImageSet
from trainables.findings.looks import look_at
from trainables.findings.near import find_pairs
from trainables.findings.perceptual_hash import NEIGHBOURS, find_alike, hash_looks


def test_pairs_that_differ_in_a_bit_or_two_are_found_among_thousands() -> None:
    rng = np.random.default_rng(0)
    bits = rng.random((4000, 64)) < 0.5
    for row in range(100):
        bits[2 * row + 1] = bits[2 * row]
        bits[2 * row + 1, rng.permutation(64)[:2]] ^= True
    pairs = {tuple(pair) for pair in find_alike(bits).tolist()}
    assert {(2 * row, 2 * row + 1) for row in range(100)} <= pairs
    assert len(pairs) < 150  # of eight million


def test_images_that_are_all_alike_take_no_more_pairs_than_others() -> None:
    pairs = find_alike(np.ones((3000, 64), np.bool_))
    assert len(pairs) <= 3000 * NEIGHBOURS * 8
    assert (pairs[:, 0] < pairs[:, 1]).all()


def test_a_hash_does_not_know_brightness_and_contrast() -> None:
    small = np.random.default_rng(0).normal(128, 20, (5, 16, 16)).astype(np.float32)
    assert np.array_equal(hash_looks(small), hash_looks(0.5 * small + 30))
    assert not hash_looks(np.full((2, 1, 1), 3.0, np.float32)).any()


def test_looks_are_means_and_shares_by_hand() -> None:
    pixels = np.zeros((2, 2, 4, 3), np.uint8)
    pixels[1, :, :2] = (255, 0, 0)
    pixels[1, :, 2:] = 255
    images = ImageSet("two", pixels, np.array([0, 1]), ("a", "b"), ("x", "y"), np.zeros(2, np.int8))
    looks = look_at(images)
    red = 0.299 * 255
    assert looks.small[1].tolist() == [[np.float16(red)] * 2 + [255.0] * 2] * 2
    assert np.allclose(looks.brightness, [0, (red + 255) / 2])
    assert np.allclose(looks.contrast, [0, (255 - red) / 2], atol=0.01)
    assert (looks.dark.tolist(), looks.light.tolist()) == ([1, 0], [0, 0.5])
    assert np.allclose(looks.colours[1], [255, 127.5, 127.5])
    assert looks.saturation.tolist() == [0, 127.5]
    assert looks.sharpness.tolist() == [0, 0]  # no pixel has four neighbours


def test_pairs_are_the_same_however_a_set_is_cut_into_blocks(monkeypatch) -> None:
    images = clean_set()
    pixels = images.pixels.copy()
    pixels[60:] = np.clip(pixels[:60].astype(np.int64) + 7, 0, 255)
    images = ImageSet("twice", pixels, images.labels, images.image_ids, images.class_names, images.splits)
    whole = find_pairs(images, look_at(images))
    for module in ("looks.BLOCK_BYTES", "near.BLOCK", "perceptual_hash.BLOCK"):
        monkeypatch.setattr(f"trainables.findings.{module}", 7)
    assert np.array_equal(find_pairs(images, look_at(images)), whole)
    assert [row + 60 == other for row, other in whole.tolist()] == [True] * 60
