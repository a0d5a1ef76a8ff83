"""The hash of a plug-in's source: what changes it, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.plugins.source import hash_source

NET = '''
"""A net."""
from layers_here import block
def build(shape):
    """Build it."""
    # one block
    return block(shape, 3)
'''

LAYERS = "import numpy\nfrom deep_here.inner import LEAK\ndef block(shape, size):\n    return (shape, size, LEAK)\n"


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module that imports another one, which imports one of a package."""
    (tmp_path / "net_here.py").write_text(NET)
    (tmp_path / "layers_here.py").write_text(LAYERS)
    (tmp_path / "deep_here").mkdir()
    (tmp_path / "deep_here" / "__init__.py").write_text("")
    (tmp_path / "deep_here" / "inner.py").write_text("LEAK = 0.1\n")
    (tmp_path / "deep_here" / "other.py").write_text("OTHER = 1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def change(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("net_here.py", "3)", "4)"),
        ("layers_here.py", "size, LEAK", "LEAK, size"),
        ("deep_here/inner.py", "0.1", "0.2"),
        ("deep_here/__init__.py", "", "import math\n"),
        ("net_here.py", "def build(shape)", "def build(shape, width=1)"),
        ("net_here.py", "return block", "yield block"),
    ],
)
def test_what_the_code_does_changes_it(code: Path, file: str, before: str, after: str) -> None:
    was = hash_source("net_here")
    change(code / file, before, after)
    assert len(was) == 12
    assert hash_source("net_here") != was


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("net_here.py", "# one block", "# a block, and no more"),
        ("net_here.py", '"""Build it."""', '"""Build the net of this sweep."""'),
        ("net_here.py", '"""A net."""', ""),
        ("net_here.py", "block(shape, 3)", "block(\n        shape,\n        0x3,\n    )"),
        ("deep_here/other.py", "1", "2"),  # which nothing imports
    ],
)
def test_how_it_is_written_down_does_not(code: Path, file: str, before: str, after: str) -> None:
    was = hash_source("net_here")
    change(code / file, before, after)
    assert hash_source("net_here") == was


def test_it_is_the_same_in_every_version_of_python(code: Path) -> None:
    assert hash_source("net_here") == "b7db92b6fee8"  # by Python 3.11; `ast.dump` changed in 3.13


def test_a_module_of_a_package_counts_with_the_parents_that_python_runs(code: Path) -> None:
    was = hash_source("deep_here.inner")
    change(code / "deep_here" / "__init__.py", "", "LEAK = 0\n")
    assert hash_source("deep_here.inner") != was


def test_relative_imports_and_folders_without_a_face_are_followed(code: Path) -> None:
    (code / "spread_here").mkdir()
    (code / "spread_here" / "net.py").write_text("from . import parts\nfrom .parts import A\n")
    (code / "spread_here" / "parts.py").write_text("A = 1\n")
    was = hash_source("spread_here.net")
    change(code / "spread_here" / "parts.py", "1", "2")
    assert hash_source("spread_here.net") != was


def test_modules_that_import_each_other_come_to_an_end(code: Path) -> None:
    (code / "ring_a.py").write_text("import ring_b\n")
    (code / "ring_b.py").write_text("import ring_a\n")
    assert len(hash_source("ring_a")) == 12


@pytest.mark.parametrize("module", ["no_such_module_here", "math", "sys", "__main__", "", "not a name"])
def test_what_has_no_source_has_no_hash(code: Path, module: str) -> None:
    assert hash_source(module) == ""


def test_a_file_that_python_cannot_read_has_one_all_the_same(code: Path) -> None:
    (code / "broken_here.py").write_text("def (:\n")
    assert len(hash_source("broken_here")) == 12  # importing it says what is wrong
