"""What the verbs of `caucus` share: arguments, exit codes, and the reporting of errors."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.fault_report import format_error, report_fault
from runner.cli.terminal import print_line
from runner.output.console import Output, outlive_readers
from trainables.errors import CaucusError, RunCutShort

if TYPE_CHECKING:
    from runner.runs.stored_run import StoredRun

DONE, WRONG_INPUT, NO_BETTER, PARTIAL, FAULT, INTERRUPTED = 0, 2, 3, 4, 70, 130

EXIT_CODES = {
    DONE: "done",
    WRONG_INPUT: "the arguments, the sweep file, the data, the cluster or the store is wrong: nothing was begun",
    NO_BETTER: "a night that is finished, and no better than the last accepted one (runner/nightly.py alone)",
    PARTIAL: "finished in part, cut short, every trial failed, or the answer could not be printed",
    FAULT: "a fault of Caucus: one line says what, and which file has the details",
    INTERRUPTED: "ended by Ctrl-C. A run under way ends with 4 instead: what is trained votes; a second Ctrl-C ends it with 130",
}
"""All exit codes of verbs, except for signals that end a process at once (SIGTERM: 143, SIGKILL: 137, as in a shell)."""

TERMINATED = 128 + signal.SIGTERM

PACKAGE_OF = {"PIL": "pillow", "sklearn": "scikit-learn", "ruamel": "ruamel.yaml"}
"""Modules whose packages have another name."""

OURS = ("runner", "ensembles", "trainables")

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
        help="A Ray cluster (auto: the one of this machine; any: that, or one of our own; own). Left out: RAY_ADDRESS, else own.",
    ),
]
CustomCode = Annotated[
    bool,
    typer.Option(
        "--custom-code", help="Run plug-ins (module:function, package/name) that the store, and not you, names."
    ),
]
RunId = Annotated[
    str | None,
    typer.Option("--run-id", help="Name of the run to start or continue; left out, it follows from the sweep."),
]


def load_for_code(run: str, store: str, endpoint_url: str | None, overrides: list[str], custom_code: bool) -> StoredRun:
    """The run; with `custom_code` its plug-ins may be imported."""
    from runner.runs.locate import locate
    from runner.runs.stored_run import load_run, trust_run

    stored = load_run(locate(run, store, endpoint_url), overrides, custom_code=custom_code)
    if custom_code:
        trust_run(stored)
    return stored


def describe_exit_codes() -> str:
    """The exit codes for `--help`, a paragraph each."""
    return "\n\n".join(["Exit codes:", *(f"{code}: {meaning}" for code, meaning in EXIT_CODES.items())])


def run_program(app: Callable[[], object]) -> None:
    """Run a program of verbs and exit with its code: every error becomes one sentence, never a traceback.

    Its output may go to a pipe or a terminal that closes, or to a full disk: that ends no verb.
    """
    outlive_readers()
    with reporting_threads() as reported:
        code = exit_code("--json" in sys.argv, lambda: _call(app))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    sys.exit(FAULT if reported and code == DONE else code)


def _call(app: Callable[[], object]) -> int:
    """The exit code with which typer ends."""
    try:
        app()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else DONE if ended.code is None else WRONG_INPUT
    return DONE


def exit_code(as_json: bool, answer: Callable[[], int], is_stored: bool = False) -> int:
    """The exit code of `answer`. Whatever it raises becomes one sentence, never a traceback: here and nowhere else.

    `is_stored` marks a verb whose answer is also in the store: then it does not matter whether it could be printed.
    """
    os.umask(
        os.umask(0o077) | stat.S_IWOTH
    )  # whatever the umask of the shell, no other user of this machine may write our files
    try:
        Path.cwd()
        code = answer()
    except CaucusError as error:
        return _refuse(error, str(error), PARTIAL if isinstance(error, RunCutShort) else WRONG_INPUT, as_json)
    except FileNotFoundError as error:
        if _has_folder():
            return _report(error, as_json)
        return _refuse(error, "the current folder was deleted: go to another one", WRONG_INPUT, as_json)
    except BrokenPipeError:
        if isinstance(sys.stdout, Output):  # `Output` raises none: this error has another source
            return _report(sys.exc_info()[1], as_json)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
        return DONE
    except KeyboardInterrupt as error:
        return _refuse(error, "interrupted (Ctrl-C)", INTERRUPTED, as_json)
    except ImportError as error:
        if (sentence := _describe_missing(error)) is None:
            return _report(error, as_json)
        return _refuse(error, sentence, WRONG_INPUT, as_json)
    except SystemExit as error:
        # From its start on Ray answers SIGTERM so in this process, but for the time in which `launch` does.
        if error.code == signal.SIGTERM:
            return _refuse(error, "ended (SIGTERM)", TERMINATED, as_json)
        return _report(error, as_json)
    except BaseException as error:  # as above: what ends a verb on purpose is raised outside of its answer
        return _report(error, as_json)
    return code if _is_printed() or is_stored or code != DONE else PARTIAL


def _has_folder() -> bool:
    """Whether the current folder still exists."""
    try:
        return bool(Path.cwd())
    except OSError:
        return False


def _is_printed() -> bool:
    """Whether the printed output was written, or its reader is gone; otherwise a message is printed, once."""
    stdout = sys.stdout
    if not isinstance(stdout, Output):
        return True
    stdout.flush()
    failure = stdout.failure
    if failure is None or failure.reader_gone or stdout.is_announced:
        return True
    stdout.is_announced = True
    print_line(f"caucus: the answer could not be written to {failure.stream} ({failure.reason})", file=sys.stderr)
    return False


def _refuse(error: BaseException, sentence: str, code: int, as_json: bool, **more: str | None) -> int:
    """Print `sentence` instead of an answer; returns `code`."""
    print_line(f"caucus: {sentence}", file=sys.stderr)
    if as_json:
        print_json({"error": sentence, "kind": type(error).__name__, **more})
    return code


def _report(error: BaseException | None, as_json: bool) -> int:
    """Report the unforeseen `error`; returns the exit code."""
    found = error or RuntimeError("nothing was raised")
    sentence, path = report_fault(found, sys.argv[1:])
    return _refuse(found, sentence, FAULT, as_json, details=path)


def _describe_missing(error: ImportError) -> str | None:
    """A sentence on a package that is not installed or cannot be loaded, None where the fault is ours."""
    module = (error.name or "").partition(".")[0]
    if not module or module in OURS:
        return None
    package = PACKAGE_OF.get(module, module)
    if not isinstance(error, ModuleNotFoundError):
        return (
            f"{package} cannot be loaded ({format_error(error, sys.argv[1:])}): install it again for {sys.executable}"
        )
    return f"{error.name} is not installed for {sys.executable}, and this needs it: python -m pip install {package}"


@contextlib.contextmanager
def reporting_threads() -> Iterator[list[str]]:
    """During the block a thread that raises leaves a report, not a traceback. Yields the sentences on failures of our own threads."""
    ours: list[str] = []

    def report(failure: threading.ExceptHookArgs) -> None:
        if failure.exc_value is None or isinstance(failure.exc_value, SystemExit):
            return
        sentence, _ = report_fault(failure.exc_value, sys.argv[1:])
        name = failure.thread.name if failure.thread else "?"
        if _passes_our_code(failure.exc_value):
            ours.append(sentence)
            print_line(f"caucus: {sentence} (in the thread {name}; the rest goes on)", file=sys.stderr)
        else:
            print_line(
                f"caucus: a thread of a library has failed ({name}): {sentence.partition(': ')[2]}", file=sys.stderr
            )

    before, threading.excepthook = threading.excepthook, report
    try:
        yield ours
    finally:
        threading.excepthook = before


def _passes_our_code(error: BaseException) -> bool:
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120 no surprise of pathlib here
    at = error.__traceback__
    while at is not None:
        if any(at.tb_frame.f_code.co_filename.startswith(os.path.join(folder, package, "")) for package in OURS):  # noqa: PTH118
            return True
        at = at.tb_next
    return False


def print_json(payload: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Print one object, or a list of them, on one line of standard output."""
    # `Output` writes characters without an encoding as escapes. An encoding other than UTF-8 gets JSON's own escapes for all others.
    plain = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "") not in ("utf8", "utf8sig")
    print(json.dumps(payload, ensure_ascii=plain, allow_nan=False))
