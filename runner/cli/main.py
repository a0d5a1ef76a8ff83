"""The command `caucus`: each verb reads its arguments, calls one function, and prints a table or, with --json, one object."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.change import prune, soup, sparsify
from runner.cli.deploy import export, predict
from runner.cli.options import (
    DONE,
    PARTIAL,
    Address,
    AsJson,
    Overrides,
    RunId,
    SweepFile,
    describe_exit_codes,
    exit_code,
    print_json,
    run_program,
)
from runner.cli.prepare import doctor, evaluate, lr_range, plan, plugins, preview
from runner.cli.results import diagnose, ensemble, report, status, top
from runner.cli.terminal import Terminal, print_line
from runner.cluster.supervise import supervise
from runner.output.console import outliving_terminal

if TYPE_CHECKING:
    from ensembles.evaluation.over_folds import FoldsSummary
    from runner.config.sweep import SweepSpec
    from runner.pipeline import RunResult

app = typer.Typer(
    help="Train many CNN variants on an image set, keep every checkpoint, and let the best ones vote.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=describe_exit_codes(),
)


@app.callback(invoke_without_command=True)
def caucus(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Train many CNN variants on an image set, keep every checkpoint, and let the best ones vote."""
    if version:
        from trainables.distribution import installed_version

        print(f"caucus {installed_version()}")
        raise typer.Exit


def run(
    sweep: SweepFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
    address: Address = None,
    run_id: RunId = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read all checkpoints back, those that were found whole before, too.")
    ] = False,
) -> None:
    """Run a sweep, or go on with it: train what is not trained yet, vote, report."""
    raise typer.Exit(
        execute(
            sweep,
            overrides or [],
            as_json,
            os.environ.get("RAY_ADDRESS") or None if address is None else address,
            run_id,
            "caucus run",
            verify,
        )
    )


def execute(
    sweep: str,
    overrides: list[str],
    as_json: bool,
    address: str | None,
    run_id: str | None,
    program: str,
    verify: bool = False,
) -> int:
    """Run a sweep and print its result; returns the exit code. `program` begins the command line in the report."""
    with outliving_terminal():
        return exit_code(
            as_json, lambda: _execute(sweep, overrides, as_json, address, run_id, program, verify), is_stored=True
        )


def _execute(
    sweep: str,
    overrides: list[str],
    as_json: bool,
    address: str | None,
    run_id: str | None,
    program: str,
    verify: bool,
) -> int:
    from runner.cli.progress import Progress
    from runner.cli.tables.folds import folds_to_json, show_folds
    from runner.cli.tables.result import result_to_json, show_result
    from runner.config.checks import read_spec
    from runner.config.nightly import mask_arguments
    from runner.pipeline import run_sweep

    spec = read_spec(sweep, overrides)
    console = Terminal(stderr=as_json)

    def run_one(one: SweepSpec, run: str | None, *more: str) -> RunResult:
        """Run the sweep, or one fold of it, whose command line has the overrides `more`; show what came of it."""
        words = [*program.split(), sweep, *mask_arguments(overrides), *more, *(["--run-id", run] if run else [])]
        # Ray prints the death of a worker on standard output, which belongs to the JSON object.
        redirected = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
        notify = partial(print_line, file=sys.stderr)
        with Progress(console, one) as progress, redirected:
            result = run_sweep(one, run, address, shlex.join(words), [progress], notify, sweep, verify)
        if not as_json:
            show_result(result, console)
        return result

    if spec.data.folds is None or spec.data.fold is not None:
        result = run_one(spec, run_id)
        if as_json:
            print_json(result_to_json(result))
        return DONE if result.outcome == "done" else PARTIAL
    results: list[RunResult] = []
    for fold in range(1, spec.data.folds + 1):
        one = spec.model_copy(update={"data": spec.data.model_copy(update={"fold": fold})})
        results.append(run_one(one, f"{run_id}-fold-{fold}" if run_id else None, f"data.fold={fold}"))
        if results[-1].outcome != "done":
            break
    is_done = results[-1].outcome == "done"
    summary = _summarise(spec, results) if is_done else None
    if as_json:
        print_json(folds_to_json(results, summary))
    elif summary:
        show_folds(summary, console)
    return DONE if is_done else PARTIAL


def _summarise(spec: SweepSpec, results: list[RunResult]) -> FoldsSummary:
    from ensembles.evaluation.over_folds import summarise_folds
    from runner.evaluation.folds import read_fold

    keys = spec.ensemble.custom_keys
    return summarise_folds([read_fold(result.conclusion, keys) for result in results if result.conclusion])


VERBS: dict[str, Callable[..., None]] = {
    "run": run,
    "plan": plan,
    "doctor": doctor,
    "evaluate": evaluate,
    "plugins": plugins,
    "lr-range": lr_range,
    "preview": preview,
    "status": status,
    "top": top,
    "diagnose": diagnose,
    "ensemble": ensemble,
    "report": report,
    "sparsify": sparsify,
    "export": export,
    "predict": predict,
    "prune": prune,
    "soup": soup,
}
"""All verbs, in the order of `caucus --help`."""

for _name, _verb in VERBS.items():
    app.command(_name)(_verb)


def main() -> None:
    """The entry point of the command."""
    if sys.argv[1:2] == ["run"]:
        supervise()
    run_program(app)


if __name__ == "__main__":
    main()
