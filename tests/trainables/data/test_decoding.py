"""The record of how files become pixels."""

from __future__ import annotations

from typing import Any

import pytest

from trainables.data.decoding import Decoding


@pytest.mark.parametrize(
    "wrong",
    [
        {"height": 0},
        {"channels": 4},
        {"background": (0, 0)},
        {"background": (0, 0, 256)},
        {"fit": "stretch"},
        {"fit": "pad", "background": None},
        {"white": 254},
        {"white": 65536},
    ],
)
def test_a_decoding_is_valid_or_is_not_made(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"background|fit|white|channels"):
        Decoding(**{"height": 4, "width": 4, "channels": 3, **wrong})


@pytest.mark.parametrize("decoding", [Decoding(4, 6, 1), Decoding(1, 2, 3, (0, 9, 255), "pad", 4095)])
def test_a_decoding_survives_its_record(decoding: Decoding) -> None:
    assert Decoding.from_dict(decoding.to_dict()) == decoding


def test_a_record_of_an_older_version_drops_alpha() -> None:
    assert Decoding.from_dict({"height": 4, "width": 6, "channels": 3}) == Decoding(4, 6, 3, background=None)
