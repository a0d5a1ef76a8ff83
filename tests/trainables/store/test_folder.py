"""What is particular to a store in a folder: disks that are full or read-only, links, unfinished writes."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from trainables.errors import ObjectMissing, StoreError
from trainables.store.folder import Folder
from trainables.store.keys import RESERVED_PREFIX

Mount = Callable[[str], Path]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """`mount(options)` gives an empty file system in memory."""
    made: list[Path] = []

    def attach(options: str) -> Path:
        if sys.platform != "linux" or os.geteuid() != 0:
            pytest.skip("mounting a file system needs root on Linux")
        place = tmp_path / f"disk-{len(made)}"
        place.mkdir()
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True
        )
        if done.returncode != 0:
            pytest.skip(f"mounting is refused here: {done.stderr.strip()}")
        made.append(place)
        return place

    yield attach
    for place in made:
        subprocess.run(["umount", str(place)], check=True)


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_an_object_is_a_file_of_the_same_name(tmp_path: Path) -> None:
    Folder(tmp_path / "runs").put("trials/a/config.json", b"{}")
    assert everything_in(tmp_path) == ["runs", "runs/trials", "runs/trials/a", "runs/trials/a/config.json"]
    assert (tmp_path / "runs/trials/a/config.json").read_bytes() == b"{}"


def test_other_people_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        Folder(tmp_path).put("latest", b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "latest").stat().st_mode & 0o777 == 0o644


def test_a_full_disk_is_an_error_and_leaves_the_old_object_whole(mount: Mount) -> None:
    disk = mount("size=64k")
    store = Folder(disk, "runs")
    store.put("trials/a/weights", b"old")
    with pytest.raises(StoreError) as caught:
        store.put("trials/a/weights", b"x" * 1_000_000)
    assert str(caught.value) == (
        "store runs: no space left on device while writing trials/a/weights (1000000 bytes): "
        "free space or name another store"
    )
    assert store.get("trials/a/weights") == b"old"
    assert everything_in(disk) == ["trials", "trials/a", "trials/a/weights"]


def test_a_disk_with_little_room_is_refused_before_anything_is_written(mount: Mount) -> None:
    disk = mount("size=8m")
    with pytest.raises(StoreError, match=r"has 8\.0 MiB free, but 16\.0 MiB are needed: free space or name another"):
        Folder(disk / "runs").check_writable()
    assert everything_in(disk) == []


def test_what_a_run_needs_must_fit(mount: Mount) -> None:
    store = Folder(mount("size=40m") / "runs")
    store.check_writable(needed_bytes=39 * 2**20)
    with pytest.raises(StoreError, match=r"40\.0 MiB free, but 41\.0 MiB are needed"):
        store.check_writable(needed_bytes=41 * 2**20)


def test_a_read_only_disk_can_be_read_but_not_written(mount: Mount) -> None:
    disk = mount("size=1m")
    store = Folder(disk, "runs")
    store.put("latest", b"3")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    store.check()
    assert store.get("latest") == b"3"
    for act in (store.check_writable, lambda: store.put("latest", b"4"), lambda: store.delete("latest")):
        with pytest.raises(StoreError, match="store runs: the file system is read-only while"):
            act()
    with pytest.raises(StoreError, match="the file system is read-only while writing a probe"):
        Folder(disk / "new/runs").check_writable()


def as_nobody(root: Path, method: str) -> None:
    if os.geteuid() == 0:
        os.setuid(65534)
    getattr(Folder(root, "runs"), method)()


@pytest.mark.parametrize(
    ("mode", "method", "message"),
    [
        (0o555, "check_writable", "store runs: permission denied while writing a probe"),
        (0o000, "check", "may not be read: correct its permissions"),
    ],
)
def test_a_folder_of_another_user_is_an_error(mode: int, method: str, message: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # unlike tmp_path, everyone may pass through /tmp
        Path(place).chmod(0o755)
        root = Path(place, "runs")
        root.mkdir()
        root.chmod(mode)
        with (
            ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool,
            pytest.raises(StoreError, match=message),
        ):
            pool.submit(as_nobody, root, method).result(60)
        root.chmod(0o755)


def test_checking_a_store_that_is_still_to_be_made_makes_nothing(tmp_path: Path) -> None:
    store = Folder(tmp_path / "some/where/runs")
    store.check()
    store.check_writable()
    assert everything_in(tmp_path) == []
    store.put("latest", b"1")
    assert store.get("latest") == b"1"


def test_a_file_is_no_store_and_no_place_for_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("notes")
    for root in (tmp_path / "file", tmp_path / "file/runs"):
        for act in (Folder(root).check, Folder(root).check_writable):
            with pytest.raises(StoreError, match=r"file is no folder: remove it, or name another store"):
                act()
    with pytest.raises(StoreError, match="while writing latest"):
        Folder(tmp_path / "file").put("latest", b"1")
    assert (tmp_path / "file").read_text() == "notes"


def test_a_link_to_a_disk_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs").symlink_to(tmp_path / "unplugged")
    with pytest.raises(StoreError, match="runs is a link to nothing"):
        Folder(tmp_path / "runs").check()


def test_what_is_no_file_is_no_object_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
    store = Folder(tmp_path)
    for key in ("pipe", "zero", "folder", "socket"):
        assert store.stat(key) is None
        with pytest.raises(ObjectMissing, match=f"holds no {key}"):
            store.get(key)
    assert store.find("") == []


def test_the_store_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "big")
    store = Folder(tmp_path / "runs")
    store.check_writable()
    store.put("trials/a", b"1")
    store.delete("trials/a")
    store.put("trials/b", b"2")
    assert everything_in(tmp_path / "big") == ["trials", "trials/b"]


def test_nothing_is_written_or_deleted_through_a_link_that_leaves_the_store(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "a").mkdir(parents=True)
    (outside / "a/diary").write_text("dear diary")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/trials").symlink_to(outside)
    store = Folder(tmp_path / "runs")
    for key in ("trials/a/diary", "trials/new/thing"):
        with pytest.raises(StoreError, match="is a symbolic link that leads to "):
            store.put(key, b"pwned")
        with pytest.raises(StoreError, match="is a symbolic link"):
            store.delete(key)
    assert everything_in(outside) == ["a", "a/diary"]
    assert (outside / "a/diary").read_text() == "dear diary"
    assert store.find("") == []


def test_a_link_in_place_of_an_object_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "diary").write_text("dear diary")
    store = Folder(tmp_path / "runs")
    store.put("other", b"")
    (tmp_path / "runs/latest").symlink_to(tmp_path / "diary")
    store.put("latest", b"7")
    assert store.get("latest") == b"7"
    assert (tmp_path / "diary").read_text() == "dear diary"


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    store.put("trials/a/x", b"1")
    (tmp_path / "trials/a/up").symlink_to(tmp_path / "trials")
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert [found.key for found in store.find("")] == ["trials/a/x"]
    assert store.folders("trials/a/") == []
    with pytest.raises(StoreError):
        store.put("self/x", b"1")


def test_unfinished_writes_and_unspeakable_names_are_not_listed(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    store.put("trials/a", b"1")
    (tmp_path / f"trials/{RESERVED_PREFIX}0123").write_bytes(b"half of it")
    (tmp_path / f"{RESERVED_PREFIX}folder").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/trials/\xff")).write_bytes(b"")
    (tmp_path / "trials/new\nline").write_bytes(b"")
    os.mkfifo(tmp_path / "trials/pipe")
    assert [found.key for found in store.find("")] == ["trials/a"]
    assert store.folders("") == ["trials"]
    assert store.stat("trials/pipe") is None


def test_emptied_folders_go_up_to_the_store_and_no_further(tmp_path: Path) -> None:
    store = Folder(tmp_path / "runs")
    store.put("trials/a/epoch-0001/weights", b"1")
    store.put("trials/b", b"2")
    store.delete("trials/a/epoch-0001/weights")
    assert store.folders("trials/") == []
    store.delete("trials/b")
    assert everything_in(tmp_path) == ["runs"]


def test_a_folder_in_the_way_of_an_object_is_an_error(tmp_path: Path) -> None:
    store = Folder(tmp_path, "runs")
    store.put("trials/a/x", b"1")
    with pytest.raises(StoreError, match=r"store runs: .* while writing trials/a \(1 bytes\)"):
        store.put("trials/a", b"2")
    with pytest.raises(StoreError, match="while writing trials/a/x/y"):
        store.put("trials/a/x/y", b"2")
    assert everything_in(tmp_path) == ["trials", "trials/a", "trials/a/x"]


def test_a_relative_folder_stays_where_it_was_when_the_process_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = Folder(Path("runs"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.put("latest", b"1")
    assert (tmp_path / "runs/latest").read_bytes() == b"1"
    assert store.uri == "runs"
