"""The program behind `runner/nightly.py`: a night of a sweep, on the cluster of this head, or on a private Ray where there is none."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from runner.cli.fault_report import format_error
from runner.cli.options import AsJson, Overrides, SweepFile, describe_exit_codes, exit_code, print_json, run_program
from runner.cli.terminal import Terminal, print_line
from runner.cluster.supervise import supervise
from runner.output.console import outliving_terminal
from trainables.distribution import CHECKOUT
from trainables.errors import CaucusError

if TYPE_CHECKING:
    from runner.nights.hook import HookResult

PROGRAM = "python runner/nightly.py"

NightAddress = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="A Ray cluster; auto: the one on this machine; own: one of our own. Left out: RAY_ADDRESS, else auto if there is one.",
    ),
]
NightId = Annotated[
    str | None,
    typer.Option("--run-id", help="Name of the night to start or continue; left out, today's date in nightly.zone."),
]
NoBetterIs = Annotated[
    int,
    typer.Option(
        "--no-better-is",
        min=0,
        max=255,
        metavar="CODE",
        help="Exit code of a night that finished, but is no better; 0 for schedulers that take all else for a failure.",
    ),
]


def nightly() -> None:
    """Parse the command line and run the night."""
    supervise()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(epilog=describe_exit_codes())(run_nightly)
    run_program(app)


def run_nightly(
    sweep: SweepFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
    address: NightAddress = None,
    run_id: NightId = None,
    no_better_is: NoBetterIs = 3,
) -> None:
    """Run a sweep for the night, compare it with the last accepted night, and call the hook.

    Ends with 0 where the night is accepted, 3 (or --no-better-is) where it is no better, 4 where it was cut short or failed, 2
    for wrong input.
    """
    where = os.environ.get("RAY_ADDRESS") or "any" if address is None else address
    with outliving_terminal():
        code = exit_code(
            as_json, lambda: _run(sweep, overrides or [], as_json, where, run_id, no_better_is), is_stored=True
        )
    raise typer.Exit(code)


def _run(
    sweep: str, overrides: list[str], as_json: bool, address: str | None, run_id: str | None, no_better_is: int
) -> int:
    from runner.cli.progress import Progress
    from runner.cli.tables.night import hook_to_json, night_to_json, show_night
    from runner.cli.tables.result import show_result
    from runner.config.checks import read_spec
    from runner.config.nightly import mask_arguments
    from runner.config.time_zone import find_zone
    from runner.nights.night import exit_code_of, name_night, run_night

    found = find_sweep(sweep)
    spec = read_spec(str(found), overrides)
    run = run_id or name_night(zone=find_zone(spec.nightly.zone, "nightly.zone"))
    command = shlex.join([*PROGRAM.split(), sweep, *mask_arguments(overrides), "--run-id", run])
    notify = partial(print_line, file=sys.stderr)
    console = Terminal(stderr=as_json)
    # Ray prints the death of a worker on standard output, which belongs to the JSON object.
    redirected = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    folder = found.absolute().parent
    try:
        with Progress(console, spec) as progress, redirected:
            night = run_night(spec, run, address, command, [progress], notify, str(found))
    except Exception as error:  # any error: the hook must get a result in every case
        sentence = str(error) if isinstance(error, CaucusError) else format_error(error, sys.argv[1:])
        failure = {"run": f"{spec.name}/{run}", "error": sentence, "kind": type(error).__name__}
        _call(spec.nightly.hook, failure, folder)
        raise
    payload = night_to_json(night)
    code = exit_code_of(night.summary, no_better_is)
    if not as_json:
        show_result(night.result, console)
        for line in show_night(night):
            console.print(line, highlight=False, soft_wrap=True)
    hook = _call(spec.nightly.hook, payload, folder)
    if as_json:
        print_json(payload | {"hook": hook_to_json(hook) if hook else None})
    return code


def find_sweep(name: str) -> Path:
    """The path of the sweep file: `ray submit` runs the script in the head's home folder, where `sweeps/…` refers to the checkout."""
    installed = CHECKOUT / name
    return installed if installed.is_file() and not Path(name).exists() else Path(name)


def _call(hook: str | None, payload: dict[str, Any], folder: Path) -> HookResult | None:
    """Call the hook, if there is one. A failure is printed and has no other effect."""
    if hook is None:
        return None
    from runner.nights.hook import call_hook
    from trainables.store.json_records import to_json

    result = call_hook(hook, to_json(payload), folder)
    if result.failure:
        print_line(f"caucus: nightly.hook did not work: {result.failure}", file=sys.stderr)
    return result
