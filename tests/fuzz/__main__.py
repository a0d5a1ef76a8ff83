"""`python -m tests.fuzz`: inputs that are almost right, read by the program's readers in processes that may die of them.

Each of two servers imports the program once and forks: a fork reads many inputs, and another takes its place when it dies. Input
number N of a seed is always the same: `--only N` reads that one alone and shows the traceback.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fuzz.kinds import Kind

SERVERS = 2
LIMIT_S = 10.0
"""Of processor time for an input."""
SILENT_S = 90.0
"""A fork that says nothing for so long hangs; the machine may be busy with other things."""
LIMIT_BYTES = 2 * 10**9
BATCH = 250


def make_input(kinds: list[Kind], seed: int, number: int) -> tuple[Kind, bytes, random.Random]:
    """Input `number`, its kind, and the dice that its reader goes on with."""
    dice = random.Random(f"{seed}/{number}")
    (kind,) = dice.choices(kinds, [kind.weight for kind in kinds])
    data = kind.mutate(dice.choice(kind.seeds), kind.seeds, dice)
    return kind, data, dice


def read_one(kinds: list[Kind], seed: int, number: int, folder: Path) -> dict[str, Any]:
    """What the reader of an input came to: what it raised that it must not raise, "" where all is as it should be."""
    from trainables.errors import CaucusError

    kind, data, dice = make_input(kinds, seed, number)
    scratch = folder / ("record" if kind.is_record else "scratch")
    scratch.mkdir(exist_ok=True)
    start_s = _busy_s()
    said = ""
    refused = False
    try:
        kind.read(data, scratch, dice)
    except CaucusError:
        refused = True
    except BaseException:
        said = traceback.format_exc()
    if scratch.name == "scratch":
        shutil.rmtree(scratch, ignore_errors=True)
    seconds = _busy_s() - start_s
    if not said and seconds > LIMIT_S:
        said = f"takes more than {LIMIT_S:g} s"
    return {"n": number, "kind": kind.name, "said": said[-4000:], "refused": refused, "seconds": seconds}


def _busy_s() -> float:
    """Processor time of this process and of those that it has started."""
    own, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + theirs.ru_utime + theirs.ru_stime


def child(kinds: list[Kind], seed: int, numbers: range, out: int) -> None:
    """Read `numbers` one after the other, and say before each that it begins."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + LIMIT_BYTES, used + LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        for number in numbers:
            os.write(out, json.dumps({"begins": number, "folder": str(folder)}).encode() + b"\n")
            os.write(out, json.dumps(read_one(kinds, seed, number, folder)).encode() + b"\n")
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)


def serve(seed: int, numbers: range, out: int) -> None:
    """Read `numbers` in forks, and write what came of each as a line of JSON to `out`."""
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    from tests.fuzz.kinds import make_kinds

    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        kinds = make_kinds(Path(place))
        by_name = {kind.name: kind for kind in kinds}
        _warm_up(kinds, Path(place) / "warm")
        at = 0
        while at < len(numbers):
            part = numbers[at : at + BATCH]
            done = 0
            for report in _monitor(kinds, seed, part):
                report["may_die"] = bool(report.get("died")) and by_name[report["kind"]].may_die
                os.write(out, json.dumps(report).encode() + b"\n")
                done += 1
            at += max(1, done)


def _warm_up(kinds: list[Kind], folder: Path) -> None:
    """Read what is right once, so that forks have imported what that takes."""
    folder.mkdir()
    quiet, out, err = os.open(os.devnull, os.O_WRONLY), os.dup(1), os.dup(2)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    try:
        for kind in kinds:
            for number in range(12 if kind.name == "status.json" else 1):  # one has all the verbs
                read_right(kind, folder, random.Random(number))
    finally:
        os.chdir("/")
        os.dup2(out, 1)
        os.dup2(err, 2)


def read_right(kind: Kind, folder: Path, dice: random.Random) -> None:
    """Read an input of this kind that is right. Raises what its reader raises, but what is meant for a person."""
    from trainables.errors import CaucusError

    scratch = folder / ("record" if kind.is_record else "scratch")
    scratch.mkdir(exist_ok=True)
    with contextlib.suppress(CaucusError):  # a bundle as an image's table is none
        kind.read(kind.seeds[dice.randrange(len(kind.seeds))], scratch, dice)


def _monitor(kinds: list[Kind], seed: int, part: range) -> Any:
    """What a fork said of each number of `part`, up to the one that it died of."""
    here, there = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(here)
        code = 0
        try:
            child(kinds, seed, part, there)
        except BaseException:
            code = 1
        os._exit(code)
    os.close(there)
    begun: dict[str, Any] | None = None
    buffer, late = b"", False
    since_s = time.monotonic()
    while True:
        ready, _, _ = select.select([here], [], [], max(0.0, since_s + SILENT_S - time.monotonic()))
        if not ready:
            late = True
            os.kill(pid, signal.SIGKILL)
            break
        chunk = os.read(here, 65536)
        if not chunk:
            break
        buffer += chunk
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            report = json.loads(line)
            since_s = time.monotonic()
            if "begins" in report:
                begun = report
            else:
                begun = None
                yield report
    os.close(here)
    _, status = os.waitpid(pid, 0)
    if begun is not None:
        number = begun["begins"]
        kind, _, _ = make_input(kinds, seed, number)
        why = f"says nothing for {SILENT_S:g} s" if late else f"dies of it (status {status})"
        shutil.rmtree(begun["folder"], ignore_errors=True)
        yield {"n": number, "kind": kind.name, "said": why, "refused": False, "died": True, "seconds": LIMIT_S}


def main() -> int:
    """Read all inputs; returns 1 where one was answered as it must not be."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1800.0, help="no further input is begun after so long")
    parser.add_argument("--only", type=int, help="read this input alone, here, and show what is raised")
    parser.add_argument("--out", type=Path, default=Path("fuzz-found"), help="a folder for the inputs that were found")
    options = parser.parse_args()
    if options.only is not None:
        return _show(options.seed, options.only)
    start_s = time.monotonic()
    pipes = []
    for server in range(SERVERS):
        here, there = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(here)
            serve(options.seed, range(server, options.inputs, SERVERS), there)
            os._exit(0)
        os.close(there)
        pipes.append((pid, here))
    counts: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    found: dict[str, dict[str, Any]] = {}
    slowest: dict[str, Any] = {"seconds": 0.0}
    buffers = {here: b"" for _, here in pipes}
    open_ends = set(buffers)
    while open_ends:
        if time.monotonic() - start_s > options.seconds:
            for pid, _ in pipes:
                os.kill(pid, signal.SIGTERM)
            break
        ready, _, _ = select.select(list(open_ends), [], [], 1.0)
        for here in ready:
            chunk = os.read(here, 65536)
            if not chunk:
                open_ends.discard(here)
                continue
            *lines, buffers[here] = (buffers[here] + chunk).split(b"\n")
            for line in lines:
                one = json.loads(line)
                counts["inputs"] += 1
                kinds[one["kind"]] += 1
                refused[one["kind"]] += one["refused"]
                if one["seconds"] > slowest["seconds"]:
                    slowest = one
                if one.get("may_die"):
                    counts["deaths of the process that may die"] += 1
                elif one["said"]:
                    counts["deaths" if one.get("died") else "tracebacks"] += 1
                    found.setdefault(_mark(one), {**one, "times": 0})["times"] += 1
    for pid, _ in pipes:
        _, status = os.waitpid(pid, 0)
        counts["servers lost"] += status not in (0, signal.SIGTERM)
    for mark, one in found.items():
        print(f"--- {one['kind']}, input {one['n']}, {one['times']} times: {mark}")
    if found:
        _keep(options.seed, found, options.out)
    for kind in sorted(kinds):
        print(f"{kind:40} {kinds[kind]:6} inputs, {refused[kind]:6} refused")
    seconds = time.monotonic() - start_s
    print(
        f"seed {options.seed}: {counts['inputs']} inputs in {seconds:.0f} s: {counts['tracebacks']} tracebacks, {counts['deaths']} deaths, "
        f"{counts['deaths of the process that may die']} deaths of the process that reads strangers' tables, "
        f"slowest {slowest['seconds']:.1f} s (input {slowest.get('n')}, {slowest.get('kind')})"
    )
    return 1 if found or counts["servers lost"] else 0


def _mark(one: dict[str, Any]) -> str:
    """What tells one fault from another: what is raised, and the last lines of ours that it came through."""
    lines = one["said"].strip().splitlines()
    ours = [line.strip() for line in lines if line.strip().startswith("File") and "/site-packages/" not in line]
    place = ours[-1].rpartition("/")[2] if ours else ""
    return f"{one['kind']}: {lines[-1][:160]} | {place}"


def _keep(seed: int, found: dict[str, dict[str, Any]], out: Path) -> None:
    from tests.fuzz.kinds import make_kinds

    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        kinds = make_kinds(Path(place))
        for one in found.values():
            kind, data, _ = make_input(kinds, seed, one["n"])
            name = f"{seed}-{one['n']}-{kind.name.partition(',')[0].replace(' ', '-')}"
            (out / name).write_bytes(data)
            (out / f"{name}.txt").write_text(one["said"], encoding="utf-8")


def _show(seed: int, number: int) -> int:
    from tests.fuzz.kinds import make_kinds

    with tempfile.TemporaryDirectory(prefix="fuzz-") as place:
        kinds = make_kinds(Path(place) / "made")
        result = read_one(kinds, seed, number, Path(place))
        _, data, _ = make_input(kinds, seed, number)
        print(data[:3000])
        print(result["said"] or f"{result['kind']}: {'refused' if result['refused'] else 'read'}")
    return int(bool(result["said"]))


if __name__ == "__main__":
    sys.exit(main())
