"""The rule for keys, in the cases that the contract of stores cannot reach."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trainables.store.keys import LONGEST_KEY_BYTES, is_key


def test_lengths_are_counted_in_bytes() -> None:
    assert is_key("a" * 255)
    assert not is_key("a" * 256)
    assert is_key("ü" * 127)
    assert not is_key("ü" * 128)
    assert is_key("a/" * (LONGEST_KEY_BYTES // 2 - 1) + "ab")
    assert not is_key("a/" * (LONGEST_KEY_BYTES // 2 - 1) + "abc")


@given(st.text(alphabet=st.characters() | st.sampled_from("./\\\0")))
def test_a_key_stays_below_its_store(text: str) -> None:
    if is_key(text):
        names = text.split("/")
        assert not {"", ".", ".."} & set(names)
        assert text.isprintable()
        text.encode()
