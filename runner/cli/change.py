"""Verbs that make new nets from a run's checkpoints, or delete checkpoints that are not needed."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from runner.cli.options import (
    DONE,
    AsJson,
    CustomCode,
    EndpointUrl,
    Run,
    StoreUri,
    exit_code,
    load_for_code,
    print_json,
)
from runner.cli.terminal import Terminal, print_line


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
    custom_code: CustomCode = False,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
) -> None:
    """Take weights out of a trained net at several sparsities, train what is left, and say how much can go. Needs the data."""

    def answer() -> int:
        from runner.compression.sparsify import parse_arguments, sparsify_run

        options = parse_arguments(trial, best, method, sparsity)
        notify = partial(print_line, file=sys.stderr if as_json else sys.stdout)
        stored = load_for_code(run, store, endpoint_url, [], custom_code)
        found = sparsify_run(stored, trial, *options, epochs, notify)
        if as_json:
            print_json(found.to_dict())
        else:
            print_line(" ".join(found.curve.sentences))
            print_line(f"chart: {found.chart}; `caucus report {run}` shows it")
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


def prune(
    store: Annotated[str, typer.Argument(metavar="STORE", help="A folder or s3://bucket/prefix, as in a sweep file.")],
    keep_size: Annotated[
        int, typer.Option("--keep-size", min=1, help="Choices of so many members, and of fewer, stay what they are.")
    ] = 20,
    delete: Annotated[bool, typer.Option("--delete", help="Delete it. Without this nothing is changed.")] = False,
    custom_code: CustomCode = False,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
) -> None:
    """Say which checkpoints no ensemble needs and no run goes on from, and with --delete delete them."""

    def answer() -> int:
        from runner.cli.tables.retention import describe_consequences, show_retention
        from runner.retention.retention import carry_out, plan_retention
        from trainables.store.open import open_store

        found = plan_retention(open_store(store, endpoint_url), keep_size, custom_code=custom_code)
        found = carry_out(found) if delete else found
        if as_json:
            print_json(found.to_dict())
        else:
            Terminal().print(show_retention(found))
            print_line("\n".join(describe_consequences(found)))
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


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
        str | None,
        typer.Option(
            "--metric", help="What greedy looks at, as ensemble.metric; left out, that of the sweep, else accuracy."
        ),
    ] = None,
    custom_code: CustomCode = False,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
) -> None:
    """Average the weights of several epochs of a trial into one net, and say what it is worth. Needs the data."""

    def answer() -> int:
        from runner.cli.tables.soup import show_soup
        from runner.compression.soup import parse_kind, parse_metric, soup_run

        asked = parse_metric(metric)
        notify = partial(print_line, file=sys.stderr if as_json else sys.stdout)
        stored = load_for_code(run, store, endpoint_url, [], custom_code)
        looks_at = asked if metric else stored.ensemble.deciding_metric
        found = soup_run(stored, trial or [], parse_kind(kind), epochs, looks_at, notify)
        if as_json:
            print_json(found.to_dict())
        else:
            Terminal().print(show_soup(found.summary))
            print_line(found.summary.sentence)
        return DONE

    raise typer.Exit(exit_code(as_json, answer))
