"""The memory that is free: that of the machine, and of each group that this process belongs to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainables.hardware import free_memory
from trainables.hardware.free_memory import free_memory_bytes


def test_free_memory_is_some_of_the_machine() -> None:
    assert 0 < free_memory_bytes() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_the_limit_of_a_container_counts_without_the_cache_that_can_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "memory.max").write_text("50000000\n")
    (tmp_path / "memory.current").write_text("40000000\n")
    (tmp_path / "memory.stat").write_text("anon 9\ninactive_file 15000000\nactive_file 7\n")
    monkeypatch.setattr(free_memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(free_memory, "_OWN", tmp_path / "own")
    assert free_memory_bytes() == 25_000_000
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory_bytes() > 25_000_000
    (tmp_path / "memory.max").write_text("10000000\n")
    assert free_memory_bytes() == 0


@pytest.mark.parametrize(
    ("own", "folder", "files"),
    [
        ("0::/a/b\n", "a", ("memory.max", "memory.current", "inactive_file")),
        (
            "4:cpu,memory:/a/b\n0::/\n",
            "memory/a/b",
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
    ids=["above our own group", "version 1"],
)
def test_the_limit_of_each_group_that_the_process_belongs_to_counts(
    own: str, folder: str, files: tuple[str, str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, used, cache = files
    (tmp_path / "own").write_text(own)
    monkeypatch.setattr(free_memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(free_memory, "_OWN", tmp_path / "own")
    group = tmp_path / folder
    group.mkdir(parents=True)
    (group / limit).write_text("50000000\n")
    (group / used).write_text("40000000\n")
    (group / "memory.stat").write_text(f"anon 9\n{cache} 15000000\n")
    assert free_memory_bytes() == 25_000_000
    (group / limit).write_text("9223372036854771712\n")
    assert free_memory_bytes() > 25_000_000
