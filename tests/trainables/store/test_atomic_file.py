"""A file is written whole or not at all, whatever stops the writer, and nothing is left beside it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.sample_runs.sweeps import ROOT
from trainables.store import atomic_file as whole_file
from trainables.store.atomic_file import replace_whole, write_whole
from trainables.store.folder import Folder

KILLED = """
import os, sys
from pathlib import Path
from trainables.store.atomic_file import replace_whole

def stop(fd):
    print("half", flush=True)
    sys.stdin.read()

os.fsync = stop
replace_whole(Path(sys.argv[1]), b"new" * 1000)
"""


@pytest.fixture
def file_limit():
    """Files of at most 1000 bytes, as on a disk that is full after them."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("write", [write_whole, replace_whole])
@pytest.mark.parametrize("has_unnamed", [True, False])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, file_limit, write, has_unnamed):
    if not has_unnamed:
        monkeypatch.setattr(whole_file, "_open_unnamed", lambda folder: None)
    path = tmp_path / "report.html"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="too large"):
        write(path, bytes(2000))
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("report.html", b"old")]


def test_a_real_full_disk_says_so(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(tmp_path)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        with pytest.raises(OSError, match="No space left"):
            replace_whole(tmp_path / "x.csv", bytes(10**6))
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_writer_that_is_killed_leaves_the_old_file_and_nothing_else(tmp_path):
    if (fd := whole_file._open_unnamed(tmp_path)) is None:
        pytest.skip("this file system knows no file without a name")
    os.close(fd)
    path = tmp_path / "report.html"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", KILLED, str(path)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    writer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    assert writer.stdout.readline() == "half\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdin.close()
    writer.stdout.close()
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("report.html", b"old")]


@pytest.mark.parametrize("has_unnamed", [True, False])
def test_permissions_and_links_stay_what_they_were(tmp_path, monkeypatch, has_unnamed):
    if not has_unnamed:
        monkeypatch.setattr(whole_file, "_name", lambda fd, path: False)
    umask = os.umask(0o027)
    try:
        replace_whole(tmp_path / "new", b"1")
    finally:
        os.umask(umask)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640
    (tmp_path / "new").chmod(0o600)
    (tmp_path / "link").symlink_to("new")
    replace_whole(tmp_path / "link", b"2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "new").read_bytes() == b"2"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in tmp_path.iterdir()) == ["link", "new"]


def test_what_is_no_file_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    replace_whole(pipe, b"content")
    reader.join()
    assert heard == [b"content"]
    assert pipe.is_fifo()
    assert [one.name for one in tmp_path.iterdir()] == ["pipe"]


def test_a_name_may_be_as_long_as_names_can_be(tmp_path):
    for write in (write_whole, replace_whole):
        write(tmp_path / ("x" * 255), b"1")
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_to_be_new_takes_no_others_place_and_is_private_from_the_start(tmp_path):
    write_whole(tmp_path / "a" / "token", b"1", os.link, 0o600)
    with pytest.raises(FileExistsError):
        write_whole(tmp_path / "a" / "token", b"2", os.link, 0o600)
    assert [(one.name, one.read_bytes()) for one in (tmp_path / "a").iterdir()] == [("token", b"1")]
    assert (tmp_path / "a" / "token").stat().st_mode & 0o777 == 0o600


def test_a_store_writes_by_the_same_function(tmp_path, monkeypatch):
    seen: list[Path] = []
    monkeypatch.setattr("trainables.store.folder.write_whole", lambda path, data, *place: seen.append(path))
    Folder(tmp_path).put("a/b", b"1")
    assert seen == [tmp_path / "a" / "b"]
