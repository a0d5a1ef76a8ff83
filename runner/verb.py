"""What the verbs of `caucus` have in common: their words, their exit codes, and how they answer."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.terminal import say
from trainables.errors import CaucusError, RunCutShort

if TYPE_CHECKING:
    from runner.conclusion import StoredRun

DONE, WRONG_INPUT, PARTIAL = 0, 2, 4
"""Exit codes: done; the sweep file, the data or the store is wrong; finished in part, or every trial failed."""

SweepFile = Annotated[str, typer.Argument(metavar="SWEEP", help="A sweep file, such as sweeps/digits.yaml.")]
Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="digits, digits/3f2a90c1, s3://bucket/prefix/sweeps/digits, or a sweep file."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[OVERRIDES]...", help="search.trials=48 optimizer.lr=1e-4..1e-1:log model.width=16,32"),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, and nothing else there.")
]
StoreUri = Annotated[
    str, typer.Option("--store", help="Where RUN lies, if it does not say so: a folder or s3://bucket/prefix.")
]
EndpointUrl = Annotated[
    str | None, typer.Option("--endpoint-url", help="The S3 server, where it is not AWS; or AWS_ENDPOINT_URL_S3.")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="A Ray cluster (auto: the one on this machine; any: that, or one of our own). Left out: RAY_ADDRESS, else our own.",
    ),
]
OwnCode = Annotated[
    bool,
    typer.Option("--own-code", help="Run the code of own models (module:function) that the store, and not you, names."),
]
RunId = Annotated[
    str | None,
    typer.Option("--run-id", help="Name of the run to start or continue; left out, it follows from the sweep."),
]


def load_for_code(run: str, store: str, endpoint_url: str | None, overrides: list[str], own_code: bool) -> StoredRun:
    """The run, whose own models may be imported where a person says so."""
    from runner.conclusion import load_run
    from runner.locate import locate
    from runner.own_code import trust_run

    stored = load_run(locate(run, store, endpoint_url), overrides)
    if own_code:
        trust_run(stored)
    return stored


def exit_code(as_json: bool, answer: Callable[[], int]) -> int:
    """The exit code of `answer`. An error that is meant for a person is printed as such, never as a traceback."""
    os.umask(os.umask(0o077) | stat.S_IWOTH)  # whatever the shell says, nobody else on this machine may write our files
    try:
        return answer()
    except CaucusError as error:
        say(f"caucus: {error}", file=sys.stderr)
        if as_json:
            print_json({"error": str(error), "kind": type(error).__name__})
        return PARTIAL if isinstance(error, RunCutShort) else WRONG_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
        return DONE


def print_json(told: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Print one object, or a list of them, on one line of standard output."""
    print(json.dumps(told, ensure_ascii=False, allow_nan=False))
