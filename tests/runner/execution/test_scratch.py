import os
import subprocess
import sys
from pathlib import Path

import pytest

from runner.execution.scratch import PREFIX, scratch_folder, sweep_up


@pytest.fixture
def dead():
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_the_folder_is_gone_after_the_block(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder() as folder:
        Path(folder, "state.json").write_text("{}")
        assert Path(folder).parent == tmp_path
        assert Path(folder).stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_cleared_away_by_the_next_one(tmp_path, monkeypatch, dead):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = tmp_path / f"{PREFIX}{dead}-x7"
    left.mkdir()
    (left / "state.json").write_text("{}")
    with scratch_folder():
        assert not left.exists()


def test_what_is_in_use_or_no_scratch_folder_stays(tmp_path, dead):
    others = [
        tmp_path / f"{PREFIX}{os.getpid()}-x7",
        tmp_path / f"{PREFIX}older",
        tmp_path / f"other-{dead}-x7",
    ]
    for folder in others:
        folder.mkdir()
    target = tmp_path / "precious"
    target.mkdir()
    link = tmp_path / f"{PREFIX}{dead}-link"
    link.symlink_to(target)
    sweep_up(tmp_path)
    assert all(folder.exists() for folder in (*others, target, link))
