"""Verbs that inspect a run: its state, its trials, their diagnoses, and its vote and report once more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from runner.cli.options import (
    DONE,
    AsJson,
    CustomCode,
    EndpointUrl,
    Overrides,
    Run,
    StoreUri,
    exit_code,
    load_for_code,
    print_json,
)
from runner.cli.terminal import Terminal, print_line

if TYPE_CHECKING:
    from runner.journal.state import RunState


def _unread(state: RunState) -> dict[str, list[str]]:
    """The JSON key with what this version does not understand of a run; empty where it understands everything."""
    from runner.runs.compatibility import find_unread

    return {"not_understood": list(find_unread(state.unread))} if state.unread else {}


def _print_unread(state: RunState) -> None:
    from runner.runs.compatibility import describe_unread

    if line := describe_unread(state.unread):
        print_line(f"caucus: {line}", file=sys.stderr)


def status(run: Run, as_json: AsJson = False, store: StoreUri = "runs", endpoint_url: EndpointUrl = None) -> None:
    """Say how a run stands: state, trials, best so far, time left. Works from any machine that reads the store."""

    def answer() -> int:
        from runner.runs.locate import locate
        from runner.runs.status import read_status, show_status

        status_record = read_status(locate(run, store, endpoint_url))
        print_json(status_record) if as_json else Terminal().print(show_status(status_record))
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


def top(
    run: Run,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many trials.")] = 20,
) -> None:
    """Rank the trials of a run, the best on validation first: by accuracy, or by the metric that the sweep asks for."""

    def answer() -> int:
        from runner.cli.tables.trials import show_trials
        from runner.journal.journal import read_state
        from runner.runs.locate import locate
        from runner.runs.trial_table import trials_to_json

        found = locate(run, store, endpoint_url)
        state = read_state(found.store, found.name, found.run)
        if as_json:
            print_json({"run": f"{found.name}/{found.run}", "trials": trials_to_json(state, most), **_unread(state)})
        else:
            Terminal().print(show_trials(state, most, f"{found.name}/{found.run}"))
            _print_unread(state)
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


def diagnose(
    run: Run,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
    custom_code: CustomCode = False,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many trials; --json tells all.")] = 20,
) -> None:
    """Say of each trial what is wrong with it, what shows it, and what to try next, as overrides for `caucus run`."""

    def answer() -> int:
        from runner.cli.tables.diagnosis import show_diagnoses
        from runner.evaluation.diagnosis import diagnose_run

        found = load_for_code(run, store, endpoint_url, [], custom_code)
        state = found.state
        diagnoses = diagnose_run(found.store, state, found.spec.diagnosis.rules if found.spec else ())
        if as_json:
            print_json([one.to_dict() for one in diagnoses])
        else:
            Terminal().print(show_diagnoses(diagnoses, most, found.run))
            _print_unread(state)
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


def ensemble(
    run: Run,
    overrides: Overrides = None,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
    custom_code: CustomCode = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Every choice by every vote, not by the configured one alone.")
    ] = False,
) -> None:
    """Choose and vote again, from the stored predictions, such as with ensemble.size=4. Changes nothing in the store but the
    data set's ledger, which counts the look at test."""

    def answer() -> int:
        from runner.cli.tables.revote import show_revote
        from runner.evaluation.revote import revote_to_json, vote_again

        stored = load_for_code(run, store, endpoint_url, overrides or [], custom_code)
        revote = vote_again(stored, everything)
        _print_unread(stored.state)
        print_json(revote_to_json(revote)) if as_json else show_revote(revote, Terminal())
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


def report(
    run: Run,
    overrides: Overrides = None,
    out: Annotated[
        str | None, typer.Option("--out", help="A file to write instead of the run's own report.html.")
    ] = None,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
    custom_code: CustomCode = False,
) -> None:
    """Write the report of a run again, from the store."""

    def answer() -> int:
        from runner.evaluation.conclusion import check_published, choose_and_evaluate, publish, write_report
        from runner.output.out_file import check_out

        path = check_out(out) if out is not None else None
        stored = load_for_code(run, store, endpoint_url, overrides or [], custom_code)
        if not out:
            check_published(stored)
        conclusion = choose_and_evaluate(stored)
        _print_unread(stored.state)
        where = (
            write_report(stored, conclusion, stored.note, path) if path else publish(stored, conclusion, stored.note)
        )
        print_json({"run": stored.run, "report": where}) if as_json else print_line(where)
        return DONE

    raise typer.Exit(exit_code(as_json, answer))
