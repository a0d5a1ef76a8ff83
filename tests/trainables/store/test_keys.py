"""The rule for keys, in the cases that the contract of stores cannot reach."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.testing.stores import NO_KEYS
from trainables.errors import ObjectMissing, StoreError
from trainables.store.keys import LONGEST_KEY_BYTES, check_key, check_prefix, is_key


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


@pytest.mark.parametrize("key", NO_KEYS, ids=repr)
def test_what_is_no_key_is_refused_by_name(key: str) -> None:
    with pytest.raises(StoreError, match="cannot name an object") as caught:
        check_key(key)
    assert not isinstance(caught.value, ObjectMissing)


@pytest.mark.parametrize("prefix", ["trials/a", "/", "trials//", "../"])
def test_a_prefix_that_is_no_folder_is_refused_by_name(prefix: str) -> None:
    with pytest.raises(StoreError, match=r"prefix .* names no folder"):
        check_prefix(prefix)
