"""Verbs for use before a run: its forecast, possible problems, and the effect of a sweep's keys."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

import typer

from runner.cli.options import DONE, WRONG_INPUT, AsJson, Overrides, RunId, SweepFile, exit_code, print_json
from runner.cli.terminal import Terminal, print_line


def plan(
    sweep: SweepFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
    run_id: RunId = None,
    measure: Annotated[
        bool | None,
        typer.Option(
            "--probe/--no-probe",
            help="Measure everything again, or nothing. Left out: what earlier runs of the sweep in the store have not measured.",
        ),
    ] = None,
    slots: Annotated[
        int | None, typer.Option("--slots", min=1, help="Trials at a time on your cluster; left out, on this machine.")
    ] = None,
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Nodes of your cluster that are paid for.")] = 1,
) -> None:
    """Say what a sweep will take and cost: stages, trials, epochs, time; and what the store has of it. Changes nothing."""

    def answer() -> int:
        from runner.cli.tables.plan import describe_slots, show_plan
        from runner.config.checks import read_spec
        from runner.plan.plan import plan_sweep

        planned = plan_sweep(read_spec(sweep, overrides or []), run_id, measure, slots, nodes, sweep)
        if as_json:
            print_json(planned.to_dict())
        else:
            print_line("\n".join([*planned.understood, *describe_slots(planned)]))
            Terminal().print(show_plan(planned))
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


def doctor(
    sweep: Annotated[
        str | None,
        typer.Argument(
            metavar="[SWEEP]",
            help="A sweep file whose data, nets and store are to be tried; or images: a folder, a table, an archive.",
        ),
    ] = None,
    overrides: Overrides = None,
    cluster_file: Annotated[
        str | None,
        typer.Option("--cluster-file", help="A file for `ray up`: checked offline, instead of this machine."),
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Ask each node of a Ray cluster that is up, instead of this machine.")
    ] = False,
    address: Annotated[
        str | None,
        typer.Option("--address", help="The Ray cluster to ask. Left out: RAY_ADDRESS, else the one of this machine."),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", help="Write the ids of images that are better left out, for you to edit: data.leave_out takes it."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong with this machine, a sweep's data, nets and store, a Ray cluster, or a cluster file, before anything starts."""

    def answer() -> int:
        if cluster_file:
            from runner.doctor.cluster_file import check_cluster_file

            checkup = check_cluster_file(cluster_file)
        elif cluster or address is not None:
            from runner.doctor.nodes import check_joined_cluster

            checkup = check_joined_cluster(address, sweep, overrides or [])
        else:
            from runner.doctor.machine import check_machine
            from runner.output.out_file import check_out, write_out

            path = check_out(out) if out else None
            checkup = check_machine(sweep, overrides or [])
            if path and checkup.data:
                write_out(path, checkup.data.list_to_leave_out().encode(errors="backslashreplace"))
        print_json(checkup.to_dict()) if as_json else print_line("\n".join(checkup.lines()))
        return WRONG_INPUT if checkup.is_wrong else DONE

    raise typer.Exit(exit_code(as_json, answer))


def evaluate(
    sweep: SweepFile,
    overrides: Overrides = None,
    leave_out: Annotated[
        Literal["source", "group"] | None,
        typer.Option(
            "--leave-out", help="What to leave out in turn. Left out: data.source and data.group, where they are set."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what sources and groups that were never seen cost, with a nearest neighbour: trains nothing. Needs data.source or data.group."""

    def answer() -> int:
        from runner.cli.tables.unseen import show_unseen
        from runner.config.checks import read_spec
        from trainables.data.unseen import measure_unseen
        from trainables.datasets.load import load_images

        found = measure_unseen(load_images(read_spec(sweep, overrides or []).data), leave_out)
        if as_json:
            print_json(asdict(found))
        else:
            Terminal().print(show_unseen(found))
            print_line("\n".join(["", *found.describe()]))
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


def plugins(as_json: AsJson = False) -> None:
    """List the parts that can be exchanged: the built-in ones of each kind, and those of installed packages."""

    def answer() -> int:
        from runner.cli.tables.plugins import plugins_to_json, show_plugins

        print_json({"kinds": plugins_to_json()}) if as_json else Terminal().print(show_plugins())
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


def lr_range(
    sweep: SweepFile,
    overrides: Overrides = None,
    as_json: AsJson = False,
    steps: Annotated[int, typer.Option("--steps", min=20, help="Training steps of each test.")] = 200,
) -> None:
    """Find the range of good learning rates for each architecture of a sweep, in some seconds each, on this machine."""

    def answer() -> int:
        from runner.config.checks import read_spec
        from runner.preflight.lr_range import measure_ranges, show_ranges

        tested = list(measure_ranges(read_spec(sweep, overrides or []), steps))
        print_json({"tests": [one.to_dict() for one in tested]}) if as_json else Terminal().print(show_ranges(tested))
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


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
        from runner.config.checks import read_spec
        from runner.output.out_file import check_out
        from runner.preflight import preview

        spec = read_spec(sweep, overrides or [])
        path = check_out(out or f"{spec.name}-preview.png")
        rows = preview.preview(spec)
        preview.write_sheet(spec, rows, path)
        print_json({"path": str(path), "rows": [row.to_dict() for row in rows]}) if as_json else print_line(str(path))
        return DONE

    raise typer.Exit(exit_code(as_json, answer))
