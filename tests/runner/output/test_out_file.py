"""What is asked for with --out is refused before any work, in one sentence."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from runner.output.out_file import check_out, write_out
from tests.sample_runs.sweeps import ROOT
from trainables.errors import SweepFileError


@pytest.mark.parametrize(
    ("out", "part"),
    [
        ("none/x.csv", "lies in none, which is no folder"),
        ("file/x.csv", "lies in file, which is no folder"),
        (".", "is a folder"),
        ("", "name a file"),
        (" ", "name a file"),
        ("a\0b", "name a file"),
        ("x" * 256, "File name too long"),
        ("~nobody-of-that-name/x", "~nobody-of-that-name"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_by_name(tmp_path, monkeypatch, out, part):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(SweepFileError) as refused:
        write_out(check_out(out), b"1")
    assert part in str(refused.value)
    assert str(refused.value).startswith("--out is ")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_an_ending_that_is_no_table_is_refused(tmp_path):
    with pytest.raises(SweepFileError, match=r"ends with \.csv or \.parquet"):
        check_out(str(tmp_path / "x.txt"), (".csv", ".parquet"))
    assert check_out(str(tmp_path / "x.CSV"), (".csv", ".parquet")) == tmp_path / "x.CSV"


@pytest.mark.parametrize(
    "out", ["runs/caucus.json", "runs/sweeps/t/latest", "link/new.csv", "runs/sweeps/../data/x.csv"]
)
def test_a_record_of_a_store_is_not_written_over_and_nothing_is_put_among_them(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    for name in ("caucus.json", "sweeps/t/latest", "data/x"):
        Path("runs", name).parent.mkdir(parents=True, exist_ok=True)
        Path("runs", name).touch()
    Path("link").symlink_to("runs/sweeps/t")
    with pytest.raises(
        SweepFileError, match=f"it lies among the records of the store {tmp_path}/runs: name a file elsewhere"
    ):
        check_out(out)
    assert check_out("runs/report.html") == Path("runs/report.html")
    Path("runs/caucus.json").unlink()
    assert check_out("runs/sweeps/t/latest") == Path("runs/sweeps/t/latest")  # of no store


SCRATCH = {"runner/plan/probe.py", "runner/preflight/model_check.py"}
"""Write into temporary folders that are gone afterwards."""


def test_no_file_is_written_but_by_the_functions_that_write_it_whole():
    found = set()
    for room in ("runner", "ensembles", "trainables"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute) and node.attr in ("write_text", "write_bytes"):
                    found.add(path.relative_to(ROOT).as_posix())
    assert found - SCRATCH == {"runner/output/console.py"}  # whose `write_bytes` is of a stream
