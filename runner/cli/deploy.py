"""Verbs that export a team as a bundle, and predict with it."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from runner.cli.options import (
    DONE,
    PARTIAL,
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
from runner.cli.terminal import print_line

SourceKeys = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEYS]...",
        help="How IMAGES is read: data.image_column=file data.root=pictures data.ending=.jpg data.delimiter=; data.header=false",
    ),
]


def export(
    run: Run,
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="A new folder, or s3://bucket/prefix.")],
    overrides: Overrides = None,
    single: Annotated[bool, typer.Option("--single", help="The best single checkpoint instead of the team.")] = False,
    custom_code: CustomCode = False,
    as_json: AsJson = False,
    store: StoreUri = "runs",
    endpoint_url: EndpointUrl = None,
) -> None:
    """Bundle the team of a run for deployment: weights, manifest, model card, and one program that needs torch alone."""

    def answer() -> int:
        from runner.deploy.export import export_run, show_export

        notify = partial(print_line, file=sys.stderr)
        stored = load_for_code(run, store, endpoint_url, overrides or [], custom_code)
        found = export_run(stored, bundle, single, endpoint_url, notify)
        print_json(found.to_dict()) if as_json else print_line(show_export(found))
        return DONE

    raise typer.Exit(exit_code(as_json, answer))


def predict(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="What `caucus export` wrote.")],
    images: Annotated[
        str,
        typer.Argument(
            metavar="IMAGES",
            help="What data.path takes, labels or not: a folder, an image, an archive, a table, an .npz, or s3://…",
        ),
    ],
    out: Annotated[str, typer.Option("--out", help="The file to write: .csv or .parquet.")],
    keys: SourceKeys = None,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Ask more members only while they disagree or are not sure: faster.")
    ] = False,
    custom_code: Annotated[
        bool,
        typer.Option(
            "--custom-code", help="Run the bundle's plug-ins (module:function from the current folder, package/name)."
        ),
    ] = False,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
) -> None:
    """Say what a bundle's team makes of images: class, calibrated probability, agreement. On a GPU where there is one.

    Every file without a row in the table is named with the reason. Ends with 4 where an image is among them, with 0 where all
    of them are no images by their names, or hidden.
    """

    def answer() -> int:
        from runner.deploy.predict import predict_images, show_predicted

        notify = partial(print_line, file=sys.stderr)
        found = predict_images(bundle, images, out, cascade, custom_code, endpoint_url, notify, keys or [])
        print_json(found.to_dict()) if as_json else print_line(show_predicted(found))
        return PARTIAL if found.bad else DONE

    raise typer.Exit(exit_code(as_json, answer))
