"""The digits that scikit-learn carries."""

import subprocess
import sys

import numpy as np

from trainables.datasets import digits
from trainables.datasets.digits import load_digits


def test_digits_are_1797_grey_images_of_8_pixels_in_ten_classes() -> None:
    images = load_digits()
    assert images.pixels.shape == (1797, 8, 8, 1)
    assert images.class_names == tuple("0123456789")
    assert np.bincount(images.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (images.image_ids[0], images.image_ids[-1]) == ("digits/0000", "digits/1796")
    assert len(images.rows("train")) == 1797


def test_the_sixteen_steps_of_grey_span_0_to_255() -> None:
    first_row = load_digits().pixels[0, 0, :, 0]  # 0 0 5 13 9 1 0 0 of 16
    assert first_row.tolist() == [0, 0, 80, 207, 143, 16, 0, 0]
    assert load_digits().pixels.max() == 255


def test_digits_can_be_had_larger_and_in_three_channels() -> None:
    assert load_digits(size=16, channels=3).pixels.shape == (1797, 16, 16, 3)


def test_they_are_those_of_scikit_learn_whether_read_from_its_file_or_through_its_api(monkeypatch) -> None:
    read, asked = digits._read_file(), digits._ask_library()
    for ours, theirs in zip(read, asked, strict=True):
        assert ours.dtype == theirs.dtype
        assert (ours == theirs).all()
    images = load_digits()
    monkeypatch.setattr(digits, "find_spec", lambda _: None)
    assert digits._read_file() is None
    assert load_digits().data_id == images.data_id


def test_scikit_learn_itself_is_not_imported_for_them() -> None:
    script = (
        "import sys; from trainables.datasets.digits import load_digits; load_digits(); print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
