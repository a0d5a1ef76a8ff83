"""A few inputs of every kind that is fuzzed: each is read or refused, and no reader dies of one."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutate_bytes, mutate_journal, mutate_record
from trainables.store.json_records import seal_json

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_record, mutate_journal])
def test_an_input_follows_from_its_number(mutate) -> None:  # type: ignore[no-untyped-def]
    data = b'{"kind":"x","n":[1,2]}\n' if mutate is mutate_journal else seal_json({"a": {"b": [1, 2]}, "c": "d"})
    made = [mutate(data, (data,), random.Random(f"1/{number}")) for number in range(50)]
    assert made == [mutate(data, (data,), random.Random(f"1/{number}")) for number in range(50)]
    assert len(set(made)) > 20


@pytest.mark.long
def test_two_hundred_inputs_are_read_or_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", "--inputs", "200", "--seed", "5", "--out", str(tmp_path / "found")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"seed 5: 200 inputs in \d+ s: 0 tracebacks, 0 deaths", done.stdout)
