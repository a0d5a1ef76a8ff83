"""The images of a listing, decoded: what is found from all of them, and all that cannot be read, told at once."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainables.config.data import DataConfig
from trainables.data.decoding import Decoding
from trainables.decoding import decode_listing as module
from trainables.decoding.decode_listing import BadFile, Decoded, decode_listing
from trainables.errors import DataError, ObjectMissing, StoreError
from trainables.layouts.base.listing import Content, ListedImage


def encode(pixels: np.ndarray, format: str = "PNG") -> bytes:
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format)
    return data.getvalue()


def flat(level: int, height: int = 4, width: int = 6) -> np.ndarray:
    return np.full((height, width), level, np.uint8)


def deep(*values: int) -> bytes:
    return encode(np.array([values], np.uint16))


def listed(*contents: bytes | np.ndarray | Exception) -> list[ListedImage]:
    """Images `0`, `1`, … that open as bytes of a file, as an array, or not at all."""

    def opener(content: bytes | np.ndarray | Exception) -> Callable[[], Content]:
        def open_it() -> Content:
            if isinstance(content, Exception):
                raise content
            return io.BytesIO(content) if isinstance(content, bytes) else content

        return open_it

    return [ListedImage(str(at), opener(content), "x") for at, content in enumerate(contents)]


def decode(*contents: bytes | np.ndarray | Exception, **keys: Any) -> Decoded:
    return decode_listing(listed(*contents), DataConfig.model_validate({"path": "p", **keys}))


def test_equal_sizes_and_grey_are_kept_of_files_and_arrays_alike() -> None:
    found = decode(encode(flat(1)), flat(2), flat(3)[..., None])
    assert found.pixels[:, 0, 0, 0].tolist() == [1, 2, 3]
    assert found.decoding == Decoding(4, 6, 1)
    assert (found.rows.tolist(), found.bad, found.notes) == ([0, 1, 2], (), ())


@pytest.mark.parametrize("colour", [np.zeros((4, 6, 3), np.uint8), encode(np.zeros((4, 6, 3), np.uint8))])
def test_one_image_in_colour_makes_all_images_colour(colour: np.ndarray | bytes) -> None:
    assert decode(encode(flat(7)), colour).pixels[0, 0, 0].tolist() == [7, 7, 7]


def test_sizes_that_differ_become_64_with_a_word() -> None:
    found = decode(encode(flat(1)), flat(2, 5, 5))
    assert found.pixels.shape == (2, 64, 64, 1)
    assert found.notes == (
        "images of 2 sizes become 64 x 64 pixels: data.size names another size, data.fit another way",
    )


def test_the_keys_of_the_sweep_are_the_decoding() -> None:
    found = decode(flat(1, 2, 4), size=[4, 8], channels=3, fit="pad", background="#ff8000", bits=12)
    assert found.decoding == Decoding(4, 8, 3, (255, 128, 0), "pad", 4095)
    assert found.pixels.shape == (1, 4, 8, 3)


def test_size_and_channels_that_are_named_need_no_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "read_head", None)
    assert decode(flat(1), size=2, channels=1).pixels.shape == (1, 2, 2, 1)


COLOUR = np.dstack([flat(5), flat(6), flat(7)])


@pytest.mark.parametrize(
    "contents",
    [
        [encode(flat(at)) for at in range(6)],
        [encode(COLOUR)] * 3 + [encode(flat(4))],
        [encode(flat(1)), encode(flat(2)), encode(flat(3)), encode(COLOUR), encode(flat(4))],
        [flat(1), flat(2), flat(3), COLOUR],
        [encode(flat(1)), encode(flat(2)), encode(flat(3)), encode(flat(4, 5, 5)), encode(flat(5))],
        [encode(flat(1)), encode(flat(2, 9, 9)), encode(flat(3)), encode(COLOUR)],
        [encode(flat(1)), encode(flat(2)), b"no image", encode(flat(3))[:40], encode(flat(4))],
        [b"no image", b"", encode(flat(3)), encode(COLOUR)],
        [deep(0, 900), deep(1, 800), deep(2, 700), deep(3, 4095), deep(5, 6)],
        [deep(0, 900), deep(1, 800), deep(2, 700), deep(3, 4, 5), encode(flat(1, 1, 2))],
    ],
    ids=["alike", "colour", "one in colour", "arrays", "another size", "mixed", "bad", "bad first", "deep", "deep odd"],
)
@pytest.mark.parametrize("keys", [{}, {"size": [3, 4]}, {"channels": 1}, {"channels": 3}], ids=str)
def test_what_is_decoded_while_heads_are_read_is_the_same_as_afterwards(
    keys: dict[str, Any], contents: list[bytes | np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_SKIPPED", 1.0)
    found = []
    for looked_at in (2, 64):  # with 64 all heads are read first
        monkeypatch.setattr(module, "LIKE_THE_FIRST", looked_at)
        found.append(decode(*contents, unreadable="skip", **keys))
    ours, plain = found
    assert np.array_equal(ours.pixels, plain.pixels)
    assert ours.rows.tolist() == plain.rows.tolist()
    assert (ours.decoding, ours.bad, ours.notes) == (plain.decoding, plain.bad, plain.notes)


def test_files_that_are_alike_are_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIKE_THE_FIRST", 2)
    monkeypatch.setattr(module, "decode_content", None)  # which opens a file after its head was read
    opened = []
    images = listed(*[flat(at) for at in range(9)])
    counted = [
        replace(image, open=lambda image=image: (opened.append(image.image_id), image.open())[1]) for image in images
    ]
    with pytest.raises(DataError, match=r"2 of 9 images cannot be decoded: 0 .*, 1 "):
        decode_listing(counted, DataConfig(path="p"))
    assert sorted(opened) == sorted([*"012345678", "0", "1"])


def test_bits_are_the_fewest_that_hold_the_set() -> None:
    found = decode(deep(0, 4095), deep(2048, 100), encode(flat(9, 1, 2)))
    assert found.decoding.white == 4095
    assert found.pixels[:, 0, :, 0].tolist() == [[0, 255], [128, 6], [9, 9]]  # 100 * 255 / 4095 is 6.2
    assert found.notes == (
        "files of 16 bits hold 12: 4095 is white (data.bits=12 says so, data.bits=16 keeps full scale)",
    )


@pytest.mark.parametrize(
    ("highest", "white"), [(4096, 16383), (1023, 1023), (1024, 4095), (255, 255), (1, 255), (16384, 65535)]
)
def test_bits_are_8_to_16(highest: int, white: int) -> None:
    assert decode(deep(0, highest)).decoding.white == white


def test_bits_that_are_named_are_taken_and_what_they_cut_is_told() -> None:
    found = decode(deep(0, 4095, 5000), bits=12)
    assert found.pixels[0, 0, :, 0].tolist() == [0, 255, 255]
    assert found.notes == ("16-bit values reach 5000: all above 4095 is white, as data.bits=12 says",)
    full = decode(deep(0, 4095), bits=16)
    assert full.pixels[0, 0, :, 0].tolist() == [0, 16]
    assert full.notes == (
        "99 % of the 16-bit values use 4096 of 65536 levels (0 to 4095): of 256 grey levels the decoded images hold 17; stretch "
        "the files themselves where that is too few",
    )


def test_files_that_say_their_white_do_not_count_for_the_bits() -> None:
    assert decode(b"P5 2 1 1023\n\x00\x00\x03\xff").pixels[0, 0, :, 0].tolist() == [0, 255]
    assert decode(b"P5 2 1 1023\n\x00\x00\x03\xff").decoding.white == 65535


def test_values_that_fill_little_of_their_bits_are_told_and_not_stretched() -> None:
    narrow = np.linspace(1000, 1059, 600).round().astype(np.uint16).reshape(20, 30)
    narrow[0, :2] = 0, 4095  # a burnt-in scale
    found = decode(encode(narrow), bits=12)
    assert found.notes == (
        "99 % of the 16-bit values use 60 of 4096 levels (1000 to 1059): of 256 grey levels the decoded images hold 5; stretch "
        "the files themselves where that is too few",
    )
    assert np.unique(found.pixels).tolist() == [0, 62, 63, 64, 65, 66, 255]


NOISE = np.random.default_rng(0).integers(0, 256, (40, 40)).astype(np.uint8)
BAD = (b"<html>404</html>", encode(NOISE)[:900], b"", FileNotFoundError(2, "no such file", "x/y.png"))


@pytest.mark.parametrize("keys", [{}, {"size": 4}, {"size": 4, "channels": 1}])
def test_all_unreadable_images_are_named_at_once(keys: dict[str, Any]) -> None:
    with pytest.raises(DataError) as refused:
        decode(flat(1), *BAD, flat(2), **keys)
    said = str(refused.value)
    assert said.startswith("4 of 6 images cannot be decoded: 1 (none of PNG, ")
    for part in (
        "2 (",
        "truncated",
        "3 (an empty file)",
        "4 (no such file)",
        "data.unreadable=skip",
        "data.leave_out=FILE",
    ):
        assert part in said


def test_of_many_unreadable_images_five_are_named() -> None:
    with pytest.raises(DataError, match=r"9 of 10 images .*, 5 \(an empty file\) and 4 more: repair them"):
        decode(flat(1), *[b""] * 9)


def test_up_to_one_in_twenty_may_be_left_out() -> None:
    contents: list[bytes | np.ndarray | Exception] = [flat(at) for at in range(40)]
    contents[3], contents[20] = b"", b"<html>"
    found = decode(*contents, unreadable="skip")
    kept = [at for at in range(40) if at not in (3, 20)]
    assert found.rows.tolist() == found.pixels[:, 0, 0, 0].tolist() == kept
    assert found.bad[0] == BadFile("3", "an empty file")
    assert found.notes[0].startswith("2 of 40 images cannot be decoded: 3 (an empty file), 20 (none of PNG")
    assert found.notes[0].endswith("left out, as data.unreadable=skip says")
    contents[21] = b""
    with pytest.raises(DataError, match=r"3 of 40 images .* leaves out 1 in 20 at most"):
        decode(*contents, unreadable="skip")


def test_a_16_bit_image_that_breaks_off_does_not_stop_the_others() -> None:
    whole = deep(*range(4000))
    contents = [deep(0, 1023)] * 20 + [whole[:-30]]
    found = decode(*contents, unreadable="skip", size=[1, 2])
    assert (len(found.pixels), found.decoding.white) == (20, 1023)


def test_a_bucket_that_stops_answering_says_nothing_of_its_images() -> None:
    with pytest.raises(DataError, match="data cannot be read: no answer"):
        decode(flat(1), StoreError("no answer"), unreadable="skip")
    with pytest.raises(DataError, match="1 of 2 images cannot be decoded"):
        decode(flat(1), ObjectMissing("no such object"))


def test_no_image_at_all_is_refused() -> None:
    with pytest.raises(DataError, match="no image is left"):
        decode()


def test_more_than_the_memory_holds_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(np, "empty", fail)
    with pytest.raises(DataError, match=r"1 images of 1024 x 1024 pixels in 1 channel.* take 0\.0 GiB, more memory"):
        decode(flat(1), size=1024)


def test_what_is_known_of_the_files_is_kept_where_their_heads_are_read() -> None:
    file = encode(flat(1))
    found = decode(file, flat(2, 3, 5), b"", *[encode(flat(at)) for at in range(30)], size=4, unreadable="skip")
    assert found.originals is not None
    assert found.originals[:2].tolist() == [[4, 6, len(file)], [3, 5, 0]]
    assert len(found.originals) == len(found.pixels) == 32
    assert decode(file, size=4, channels=1).originals is None
