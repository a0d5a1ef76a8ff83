"""The command `caucus`: each verb reads its words, calls one function, and prints a table or, with --json, one object."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console

from trainables.errors import CaucusError, RunCutShort

DONE, WRONG_INPUT, PARTIAL = 0, 2, 4
"""Exit codes: done; the sweep file, the data or the store is wrong; finished in part, or every trial failed."""

PIPE_WIDTH = 160

app = typer.Typer(
    help="Train many CNN variants on an image set, keep every checkpoint, and let the best ones vote.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

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
RunId = Annotated[
    str | None,
    typer.Option("--run-id", help="Name of the run to start or continue; left out, it follows from the sweep."),
]


@app.callback(invoke_without_command=True)
def caucus(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Train many CNN variants on an image set, keep every checkpoint, and let the best ones vote."""
    if version:
        from importlib.metadata import version as version_of

        print(f"caucus {version_of('caucus')}")
        raise typer.Exit


@app.command()
def run(
    sweep: SweepFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
    address: Address = None,
    run_id: RunId = None,
) -> None:
    """Run a sweep, or go on with it: train what is not trained yet, vote, report."""
    raise typer.Exit(
        execute(sweep, overrides or [], as_json, address or os.environ.get("RAY_ADDRESS"), run_id, "caucus run")
    )


def execute(
    sweep: str, overrides: list[str], as_json: bool, address: str | None, run_id: str | None, program: str
) -> int:
    """Run a sweep and print what came of it; returns the exit code. `program` is what the report says to type."""
    return _answer(as_json, lambda: _execute(sweep, overrides, as_json, address, run_id, program))


def _execute(
    sweep: str, overrides: list[str], as_json: bool, address: str | None, run_id: str | None, program: str
) -> int:
    from runner.pipeline import run_sweep
    from runner.progress import Progress
    from runner.result import show_result, tell_result
    from runner.spec import read_spec

    spec = read_spec(sweep, overrides)
    command = shlex.join([*program.split(), sweep, *overrides, *(["--run-id", run_id] if run_id else [])])
    console = _console(stderr=as_json)
    # Ray prints the death of a worker on standard output, which belongs to the JSON object.
    redirected = contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext()
    with Progress(console, spec) as progress, redirected:
        result = run_sweep(spec, run_id, address, command, [progress])
    if as_json:
        _print_json(tell_result(result))
    else:
        show_result(result, console)
    return DONE if result.outcome == "done" else PARTIAL


@app.command()
def plan(
    sweep: SweepFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
    run_id: RunId = None,
    measure: Annotated[
        bool | None,
        typer.Option(
            "--probe/--no-probe",
            help="Measure all anew, or nothing. Left out: what earlier runs of the sweep in the store do not tell.",
        ),
    ] = None,
    slots: Annotated[
        int | None, typer.Option("--slots", min=1, help="Trials at a time on your cluster; left out, on this machine.")
    ] = None,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes of your cluster that are paid for.")] = 1,
) -> None:
    """Say what a sweep will take and cost: stages, trials, epochs, time; and what the store has of it. Changes nothing."""

    def answer() -> int:
        from runner.plan import plan_sweep
        from runner.show_plan import show_plan
        from runner.spec import read_spec

        planned = plan_sweep(read_spec(sweep, overrides or []), run_id, measure, slots, nodes)
        _print_json(planned.told()) if as_json else _console().print(show_plan(planned))
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command("lr-range")
def lr_range(
    sweep: SweepFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
    steps: Annotated[int, typer.Option("--steps", min=20, help="Training steps of each test.")] = 200,
) -> None:
    """Find the range of good learning rates for each architecture of a sweep, in some seconds each, on this machine."""

    def answer() -> int:
        from runner.lr_range import measure_ranges, show_ranges
        from runner.spec import read_spec

        tested = list(measure_ranges(read_spec(sweep, overrides or []), steps))
        _print_json({"tests": [one.told() for one in tested]}) if as_json else _console().print(show_ranges(tested))
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def preview(
    sweep: SweepFile,
    overrides: Overrides = None,
    out: Annotated[
        str | None, typer.Option("--out", help="The PNG file to write; left out, SWEEP-preview.png here.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw what a sweep's augmentation does to some training images: a row an operation, at its greatest value."""

    def answer() -> int:
        from runner import preview
        from runner.spec import read_spec

        spec = read_spec(sweep, overrides or [])
        rows = preview.preview(spec)
        path = preview.write_sheet(spec, rows, out)
        _print_json({"path": str(path), "rows": [row.told() for row in rows]}) if as_json else print(path)
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def status(run: Run, as_json: AsJson = False, store: StoreUri = "runs", endpoint_url: EndpointUrl = None) -> None:
    """Say how a run stands: state, trials, best so far, time left. Works from any machine that reads the store."""

    def answer() -> int:
        from runner.locate import locate
        from runner.status import read_status, show_status

        told = read_status(locate(run, store, endpoint_url))
        _print_json(told) if as_json else _console().print(show_status(told))
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def top(
    run: Run,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many trials.")] = 20,
) -> None:
    """Rank the trials of a run, best validation accuracy first."""

    def answer() -> int:
        from runner.journal import Journal
        from runner.locate import locate
        from runner.run_state import RunState
        from runner.show import show_trials, tell_trials

        found = locate(run, store, endpoint_url)
        state = RunState(Journal(found.store, found.name, found.run).events)
        if as_json:
            _print_json({"run": f"{found.name}/{found.run}", "trials": tell_trials(state, most)})
        else:
            _console().print(show_trials(state, most, f"{found.name}/{found.run}"))
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def diagnose(
    run: Run,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many trials; --json tells all.")] = 20,
) -> None:
    """Say of each trial what is wrong with it, what shows it, and what to try next, as words for `caucus run`."""

    def answer() -> int:
        from runner.diagnosis import diagnose_run
        from runner.journal import Journal
        from runner.locate import locate
        from runner.run_state import RunState
        from runner.show_diagnosis import show_diagnoses

        found = locate(run, store, endpoint_url)
        diagnoses = diagnose_run(found.store, RunState(Journal(found.store, found.name, found.run).events))
        if as_json:
            _print_json([one.told() for one in diagnoses])
        else:
            _console().print(show_diagnoses(diagnoses, most, f"{found.name}/{found.run}"))
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def ensemble(
    run: Run,
    overrides: Overrides = None,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every choice by every vote, not by the configured one alone.")
    ] = False,
) -> None:
    """Choose and vote again, from the stored predictions, such as with ensemble.size=4. Changes nothing in the store but the
    data set's ledger, which counts the look at test."""

    def answer() -> int:
        from runner.conclusion import load_run
        from runner.locate import locate
        from runner.revote import tell_revote, vote_again
        from runner.show_revote import show_revote

        revote = vote_again(load_run(locate(run, store, endpoint_url), overrides or []), everything)
        _print_json(tell_revote(revote)) if as_json else show_revote(revote, _console())
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def report(
    run: Run,
    overrides: Overrides = None,
    out: Annotated[
        str | None, typer.Option("--out", help="A file to write instead of the run's own report.html.")
    ] = None,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
) -> None:
    """Write the report of a run again, from the store."""

    def answer() -> int:
        from runner.conclusion import choose_and_judge, load_run, publish, write_report
        from runner.locate import locate

        stored = load_run(locate(run, store, endpoint_url), overrides or [])
        conclusion = choose_and_judge(stored)
        where = write_report(stored, conclusion, stored.note, out) if out else publish(stored, conclusion, stored.note)
        _print_json({"run": stored.run, "report": where}) if as_json else print(where)
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def sparsify(
    run: Run,
    trial: Annotated[
        str | None, typer.Option("--trial", help="Whose checkpoint; left out, the best trial's on validation.")
    ] = None,
    best: Annotated[bool, typer.Option("--best", help="The best trial's on validation, which is the default.")] = False,
    method: Annotated[
        str, typer.Option("--method", help="magnitude: single weights; channel: whole channels, for a smaller net.")
    ] = "magnitude",
    sparsity: Annotated[
        str, typer.Option("--sparsity", help="Shares of the weights, or of each layer's channels, to take out.")
    ] = "0.5,0.7,0.9,0.95",
    epochs: Annotated[int, typer.Option("--epochs", min=0, help="Epochs of fine-tuning after sparsifying.")] = 5,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
) -> None:
    """Take weights out of a trained net at several sparsities, train what is left, and say how much can go. Needs the data."""

    def answer() -> int:
        from runner.conclusion import load_run
        from runner.locate import locate
        from runner.sparsify import check_words, sparsify_run

        words = check_words(trial, best, method, sparsity)
        say = partial(print, file=sys.stderr if as_json else sys.stdout, flush=True)
        found = sparsify_run(load_run(locate(run, store, endpoint_url), []), trial, *words, epochs, say)
        if as_json:
            _print_json(found.told())
        else:
            print(" ".join(found.curve.sentences))
            print(f"chart: {found.chart}; `caucus report {run}` shows it")
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def export(
    run: Run,
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A new folder, or s3://bucket/prefix.")],
    overrides: Overrides = None,
    single: Annotated[bool, typer.Option("--single", help="The best single checkpoint instead of the team.")] = False,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
) -> None:
    """Bundle the team of a run for deployment: weights, manifest, model card, and one program that needs torch alone."""

    def answer() -> int:
        from runner.conclusion import load_run
        from runner.export import export_run, show_export
        from runner.locate import locate

        say = partial(print, file=sys.stderr, flush=True)
        found = export_run(
            load_run(locate(run, store, endpoint_url), overrides or []), bundle, single, endpoint_url, say
        )
        _print_json(found.told()) if as_json else print(show_export(found))
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def predict(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="What `caucus export` wrote.")],
    images: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES", help="A folder, an image, a .csv or .parquet with a column `image`, an .npz, or s3://…"
        ),
    ],
    out: Annotated[str, typer.Option("--out", help="The file to write: .csv or .parquet.")],
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Ask more members only while they disagree or are not sure: faster.")
    ] = False,
    own_code: Annotated[
        bool, typer.Option("--own-code", help="Run the bundle's own models (module:function) from the current folder.")
    ] = False,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
) -> None:
    """Say what a bundle's team makes of images: class, calibrated probability, agreement. On a GPU where there is one."""

    def answer() -> int:
        from runner.predict import predict_images, show_predicted

        say = partial(print, file=sys.stderr, flush=True)
        found = predict_images(bundle, images, out, cascade, own_code, endpoint_url, say)
        _print_json(found.told()) if as_json else print(show_predicted(found))
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def prune(
    store: Annotated[str, typer.Argument(metavar="STORE", help="A folder or s3://bucket/prefix, as in a sweep file.")],
    keep_size: Annotated[
        int, typer.Option("--keep-size", min=1, help="Choices of so many members, and of fewer, stay what they are.")
    ] = 20,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it. Without this nothing is changed.")] = False,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
) -> None:
    """Say which checkpoints no ensemble needs and no run goes on from, and with --delete delete them."""

    def answer() -> int:
        from runner.retention import carry_out, plan_retention
        from runner.show_retention import show_retention, tell_consequences
        from trainables.stores import open_store

        found = plan_retention(open_store(store, endpoint_url), keep_size)
        found = carry_out(found) if delete else found
        if as_json:
            _print_json(found.told())
        else:
            _console().print(show_retention(found))
            print(*tell_consequences(found), sep="\n")
        return DONE

    raise typer.Exit(_answer(as_json, answer))


@app.command()
def soup(
    run: Run,
    trial: Annotated[
        list[str] | None,
        typer.Option("--trial", help="Whose epochs; left out, the best trial's on validation. Again for its siblings."),
    ] = None,
    kind: Annotated[
        str, typer.Option("--kind", help="uniform: all of them; greedy: each that does not lower validation.")
    ] = "greedy",
    epochs: Annotated[str, typer.Option("--epochs", help="'last 5', all, 3-9 or 3,5,9.")] = "last 5",
    metric: Annotated[
        str | None, typer.Option("--metric", help="What greedy looks at; left out, accuracy. As ensemble.metric.")
    ] = None,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
) -> None:
    """Average the weights of several epochs of a trial into one net, and say what it is worth. Needs the data."""

    def answer() -> int:
        from runner.conclusion import load_run
        from runner.locate import locate
        from runner.show_soup import show_soup
        from runner.soup import cook_run, parse_kind, parse_metric

        words = (trial or [], parse_kind(kind), epochs, parse_metric(metric))
        say = partial(print, file=sys.stderr if as_json else sys.stdout, flush=True)
        found = cook_run(load_run(locate(run, store, endpoint_url), []), *words, say)
        if as_json:
            _print_json(found.told())
        else:
            _console().print(show_soup(found.story))
            print(found.story.sentence)
        return DONE

    raise typer.Exit(_answer(as_json, answer))


def _answer(as_json: bool, answer: Callable[[], int]) -> int:
    """The exit code of `answer`. An error that is meant for a person is printed as such, never as a traceback."""
    try:
        return answer()
    except CaucusError as error:
        print(f"caucus: {error}", file=sys.stderr)
        if as_json:
            _print_json({"error": str(error), "kind": type(error).__name__})
        return PARTIAL if isinstance(error, RunCutShort) else WRONG_INPUT
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it flushes at exit
        return DONE


def _console(stderr: bool = False) -> Console:
    """A terminal's own width; for a file or a pipe, whose width nobody knows, enough for every table."""
    console = Console(stderr=stderr)
    return console if console.is_terminal else Console(stderr=stderr, width=PIPE_WIDTH)


def _print_json(told: dict[str, Any] | list[dict[str, Any]]) -> None:
    print(json.dumps(told, ensure_ascii=False, allow_nan=False))


def nightly() -> None:
    """What runner/nightly.py does: `caucus run` on the cluster whose head this is, or on a Ray of our own where there is none."""

    def run_nightly(
        sweep: SweepFile,
        overrides: Overrides = None,
        as_json: AsJson = False,
        address: Address = None,
        run_id: RunId = None,
    ) -> None:
        """Run a sweep on the Ray cluster of this machine."""
        where = address or os.environ.get("RAY_ADDRESS") or "any"
        raise typer.Exit(execute(sweep, overrides or [], as_json, where, run_id, "python runner/nightly.py"))

    typer.run(run_nightly)


def main() -> None:
    """The entry point of the command."""
    app()


if __name__ == "__main__":
    main()
