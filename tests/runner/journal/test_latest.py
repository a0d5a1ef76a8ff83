"""The name of a sweep's newest run, and a checksum beside it."""

from __future__ import annotations

import contextlib

import pytest

from runner.journal.latest import read_latest, write_latest
from tests.sample_runs.damage import flip
from trainables.errors import DamagedObject, ObjectMissing
from trainables.store.folder import Folder

KEY = "sweeps/digits/latest"


def test_the_newest_run_is_read(tmp_path):
    store = Folder(tmp_path)
    with pytest.raises(ObjectMissing):
        read_latest(store, "digits")
    write_latest(store, "digits", "2026-11-20")
    write_latest(store, "digits", "2026-11-21")
    assert read_latest(store, "digits") == "2026-11-21"


@pytest.mark.parametrize("data", [b"3f2a90c1", b"3f2a90c1\n"])
def test_a_name_alone_is_what_older_versions_wrote(tmp_path, data):
    Folder(tmp_path).put(KEY, data)
    assert read_latest(Folder(tmp_path), "digits") == "3f2a90c1"


def test_a_bit_that_flips_names_no_other_run(tmp_path):
    store = Folder(tmp_path)
    write_latest(store, "digits", "2026-11-21")
    whole = store.get(KEY)
    for at in range(8 * len(whole)):
        store.put(KEY, flip(whole, at))
        with contextlib.suppress(DamagedObject):
            result = read_latest(store, "digits")
            # The blank before the checksum or the end of the line: either nothing is wrong, or no run is called so.
            assert result == "2026-11-21" or len(result) > len("2026-11-21")
    store.put(KEY, whole.replace(b"2026", b"2025"))
    with pytest.raises(DamagedObject, match="run the sweep again"):
        read_latest(store, "digits")


@pytest.mark.parametrize("data", [b"", b"\n", b"a b c", b"../../x", b"a/b", b"\0", b"\x1b[31m", b"x" * 999, b"\xff"])
def test_a_record_that_is_no_name_is_refused(tmp_path, data):
    Folder(tmp_path).put(KEY, data)
    if data == b"\xff":
        assert read_latest(Folder(tmp_path), "digits") == "\ufffd"  # names no run either
        return
    with pytest.raises(DamagedObject):
        read_latest(Folder(tmp_path), "digits")
