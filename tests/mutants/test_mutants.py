"""Each operator makes the fault that it says, a mutant counts as killed when a test notices it, and the tree is as it was afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest

from tests.mutants.operators import is_another_program, make_mutants
from tests.mutants.sample import EQUAL, ROOMS, draw, list_modules, list_tests, read_equal
from tests.mutants.trial import TIMED_OUT

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("line", "faults"),
    [
        ("a < b", {"a <= b", "a > b"}),
        ("a >= b", {"a > b", "a <= b"}),
        ("a == b != c", {"a != b != c", "a == b == c"}),
        ("a in b", {"a not in b"}),
        ("a is not b", {"a is b"}),
        ("a + (b - c)", {"a - (b - c)", "a + (b + c)"}),
        ("a * b / c", {"a / b / c", "a * b * c"}),
        ("a // b % c", {"a * b % c", "a // b // c"}),
        ("a += b", {"a -= b"}),
        ("a and b or c", {"a or b or c", "a and b and c"}),
        ("not a", {"a"}),
        ("a & ~b", {"a | ~b", "a & b"}),
        ("f(3)", {"f(4)", "f(2)"}),
        ("f(a=True)", {"f(a=False)"}),
        ("zip(a, b, strict=True)", set()),
        ("min(a, b.max())", {"max(a, b.max())", "min(a, b.min())"}),
        ("a[b:]", {"a[(b) + 1:]", "a[(b) - 1:]"}),
        ("a[:-1]", {"a[:-2]", "a[:-0]"}),
        ("a[0].shape + len(b[0])", {"a[0].shape - len(b[0])"}),
        ('"ä" + a  # + b', {'"ä" - a  # + b'}),
        ('f"{a + 1}"', set()),
        ("raise A(b + 1)", set()),
        ("a: B | C = d", set()),
    ],
)
def test_an_operator_makes_the_fault_that_it_says(line: str, faults: set[str]) -> None:
    source = f"def g():\n    {line}\n".encode()
    made = {mutant.after: is_another_program(source, mutant.source) for mutant in make_mutants("a.py", source)}
    assert made == dict.fromkeys(faults, True)


def test_named_numbers_and_types_at_the_top_of_a_module_have_no_faults() -> None:
    source = b"MOST, SHARE = 100, 0.5\nTable = A[int] | None\nHALF = MOST // 2\n"
    assert [mutant.after for mutant in make_mutants("a.py", source)] == ["HALF = MOST * 2"]


def test_a_fault_in_a_comment_and_one_that_python_cannot_read_are_none() -> None:
    assert not is_another_program(b"a + b  # 1", b"a + b  # 2")
    assert not is_another_program(b"[a][0]", b"[a[0]")


def test_a_mutant_says_where_it_is() -> None:
    source = b"class A:\n    def b(self, c: int = 1) -> int:\n        return c\n"
    default, less, gone = make_mutants("room/a.py", source)
    assert default.name == "room/a.py A.b: def b(self, c: int = 1) -> int:  =>  def b(self, c: int = 0) -> int:"
    assert less.line == 2
    assert str(gone) == "room/a.py:3 A.b: return c  =>  return None"
    assert gone.source == source.replace(b"return c", b"return None")


def test_a_sample_follows_from_its_seed_and_has_all_rooms() -> None:
    first = list(islice(draw(ROOT, 5), 2 * len(ROOMS)))
    assert [(number, mutant.name) for number, _, mutant in first] == [
        (number, mutant.name) for number, _, mutant in islice(draw(ROOT, 5), len(first))
    ]
    assert [mutant.name for *_, mutant in first] != [mutant.name for *_, mutant in islice(draw(ROOT, 6), len(first))]
    assert [room for _, room, _ in first] == 2 * list(ROOMS)


def test_every_module_of_a_room_has_tests() -> None:
    for room in ROOMS:
        for module in list_modules(ROOT, room):
            assert len(list_tests(ROOT, module)) > 1, module


def test_the_list_tests_a_module_come_before_those_of_its_room() -> None:
    found = list_tests(ROOT, "trainables/splits/split.py")
    assert found[:2] == ["trainables/splits/split.py", "tests/trainables/splits/test_split.py"]
    assert "tests/trainables/splits/test_bagging.py" in found[2:]


def test_each_mutant_that_is_equal_in_effect_has_a_reason() -> None:
    assert read_equal(["# head", "a.py f: b  =>  c", "    for", "    a reason", ""]) == {
        "a.py f: b  =>  c": "for a reason"
    }
    with pytest.raises(ValueError, match="not why it is equal"):
        read_equal(["a.py f: b  =>  c", "d.py g: e  =>  f", "    a reason"])
    read_equal(EQUAL.read_text(encoding="utf-8").splitlines())


TRY_ALL = """
import sys, json, time, pytest, pytest_timeout
from pathlib import Path
from tests.mutants.operators import make_mutants
from tests.mutants.trial import Task, Tree, run_tasks
checkout, place = Path(sys.argv[1]), Path(sys.argv[2])
path = "votes/count.py"
mutants = [None, *make_mutants(path, (checkout / path).read_bytes())]
tree = Tree(checkout, place)
endless = ("count += 1", "count -= 0")
tasks = [
    Task(number, mutant, ["tests/votes/test_count.py"], 2.0 if mutant and mutant.after in endless else 200.0)
    for number, mutant in enumerate(mutants)
]
ended = {
    each.task.mutant.after if each.task.mutant else "": each.code
    for each in run_tasks(tasks, [tree], time.monotonic() + 250)
}
late = list(run_tasks(tasks, [tree], time.monotonic()))
print(json.dumps([ended, len(late), (tree.root / path).read_text()]))
"""


def test_a_mutant_is_killed_when_a_test_fails_or_does_not_end(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    source = "def down(count):\n    while count:\n        count -= 1\n    return count\n"
    test = "from votes.count import down\n\n\ndef test_down():\n    assert down(2) == 0\n"
    for name, text in {"votes/count.py": source, "tests/votes/test_count.py": test, "pytest.ini": "[pytest]"}.items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", str(checkout)], check=True)
    command = [sys.executable, "-c", TRY_ALL, str(checkout), str(tmp_path / "place")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ended, late, left = json.loads(done.stdout)
    assert ended == {
        "": 0,
        "count += 1": TIMED_OUT,
        "count -= 2": 0,  # down(2) is 0 by this one, too: it survives
        "count -= 0": TIMED_OUT,
        "return None": 1,
    }
    assert late == 0
    assert left == source
    assert (checkout / "votes/count.py").read_text() == source
