"""`python -m tests.mutants`: how many small faults in the code that decides are found by the tests of the room they lie in.

A mutant is a source with one fault. A seed draws the mutants, evenly over the rooms; each is tried in a copy of the tree, first by the
tests of its module, then by those of its room, the long ones left out. Mutant N of a seed is the same as long as the code is:
`--only N` tries that one and shows what pytest says.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.mutants.operators import Mutant
from tests.mutants.sample import EQUAL, ROOMS, draw, list_modules, list_names, list_tests, read_equal
from tests.mutants.trial import PATIENCE, START_S, TIMED_OUT, Outcome, Task, Tree, preload, run_tasks

ROOT = Path(__file__).parents[2]
GOAL = 0.95
"""Share of mutants that the tests are to kill."""

Drawn = list[tuple[int, str, Mutant]]


def main() -> int:
    """Try the sample; returns 1 where less than `GOAL` of it is killed, 2 where tests fail without a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=40.0, help="no further mutant is begun after so long")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time")
    parser.add_argument(
        "--room", action="append", choices=list(ROOMS), help="only mutants of this room; may be repeated"
    )
    parser.add_argument("--only", type=int, nargs="+", help="only the mutants of these numbers, with what pytest says")
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # either ends the tests that are running, and removes the copies
        signal.signal(number, signal.default_int_handler)
    until_s = time.monotonic() + 60 * options.minutes
    equal = read_equal(EQUAL.read_text(encoding="utf-8").splitlines())
    drawn = draw(ROOT, options.seed)
    wanted = (each for each in drawn if not options.room or each[1] in options.room)
    wanted = (each for each in wanted if each[0] in options.only) if options.only else wanted
    sample: Drawn = []
    passed = 0
    for each in wanted:
        if len(sample) == (len(options.only) if options.only else options.count):
            break
        if each[2].name in equal and not options.only:
            passed += 1
        else:
            sample.append(each)
    preload()
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        trees = [Tree(ROOT, Path(place) / str(job)) for job in range(options.jobs)]
        took_s = _time_rooms(sorted({room for _, room, _ in sample}), trees, until_s)
        if took_s is None:
            return 2
        killed, tried = _try_sample(sample, trees, took_s, until_s, verbose=bool(options.only))
    for room in took_s:
        print(f"{room:28} {killed[room]:4} of {tried[room]:4} killed")
    for name in sorted(equal.keys() - list_names(ROOT)):
        print(f"{EQUAL.name} lists what is no mutant any more: {name}")
    count, share = tried.total(), killed.total() / max(1, tried.total())
    minutes = (time.monotonic() - until_s) / 60 + options.minutes
    print(
        f"seed {options.seed}: {killed.total()} of {count} mutants killed, {share:.1%}, in {minutes:.0f} min; "
        f"{len(sample) - count} for which there was no time; {passed} passed over that are equal in effect ({EQUAL.name})"
    )
    return int(share < GOAL)


def _time_rooms(rooms: list[str], trees: list[Tree], until_s: float) -> dict[str, float] | None:
    """Seconds that the tests of each room take without a fault; None where one fails, which is printed."""
    took_s: dict[str, float] = {}
    for room in rooms:
        modules = list_modules(ROOT, room)
        task = Task(0, None, modules + list_tests(ROOT, modules[0])[1:], 600.0)
        for outcome in run_tasks([task], trees[:1], until_s):
            took_s[room] = outcome.seconds
            if outcome.code:
                print(f"the tests of {room} fail without a fault: {outcome.output[-3000:]}")
                return None
    return took_s


def _try_sample(
    sample: Drawn, trees: list[Tree], took_s: dict[str, float], until_s: float, verbose: bool
) -> tuple[Counter[str], Counter[str]]:
    """How many mutants of each room were killed, and tried. A line says of each survivor where it is and what the fault is."""
    room_of = {number: room for number, room, _ in sample}
    tasks = [
        Task(number, mutant, list_tests(ROOT, mutant.path), START_S + PATIENCE * took_s.get(room, 0.0))
        for number, room, mutant in sample
    ]
    killed, tried = Counter[str](), Counter[str]()
    for outcome in run_tasks(tasks, trees, until_s):
        room = room_of[outcome.task.number]
        tried[room] += 1
        killed[room] += outcome.is_killed
        if verbose or outcome.code in (0, TIMED_OUT):
            print(describe(outcome), flush=True)
        if verbose:
            print(outcome.output[-3000:], flush=True)
    return killed, tried


def describe(outcome: Outcome) -> str:
    """A line on what came of a mutant."""
    how = {0: "survived", TIMED_OUT: "killed by its time limit"}.get(outcome.code, "killed")
    return f"{how}, number {outcome.task.number}, {outcome.seconds:.0f} s: {outcome.task.mutant}"


if __name__ == "__main__":
    sys.exit(main())
