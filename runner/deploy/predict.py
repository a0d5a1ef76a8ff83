"""`caucus predict`: the predictions of a bundle for new images, as a table."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ensembles.bundle.cascade import Answers
from ensembles.bundle.manifest import read_bundle
from runner.deploy.loaded_bundle import make_ready
from runner.deploy.source_keys import read_source_keys
from runner.output.out_file import check_out, write_out
from trainables.datasets.new_images import BadImage, locate_images, read_chunks
from trainables.errors import DataError
from trainables.store.open import open_store

ENDINGS = (".csv", ".parquet")

Notify = Callable[[str], None]


@dataclass(frozen=True)
class Predicted:
    """The result of a prediction."""

    images: int
    """Rows of the table that was written."""
    bad: tuple[BadImage, ...]
    """Images that could not be predicted: they have no row."""
    passed_over: tuple[BadImage, ...]
    """Files beside the images whose names are not those of images, and hidden files."""
    out: str
    members: int
    asked: float
    """Members asked an image, on average."""
    device: str
    seconds: float
    """Seconds from the first image read to the last one predicted."""

    def to_dict(self) -> dict[str, Any]:
        """The result as one JSON object."""
        return {
            "images": self.images,
            "bad": [{"image": one.name, "reason": one.reason} for one in self.bad],
            "passed_over": [{"file": one.name, "reason": one.reason} for one in self.passed_over],
            "out": self.out,
            "members": self.members,
            "members_asked": round(self.asked, 4),
            "device": self.device,
            "seconds": round(self.seconds, 3),
            "images_per_second": round(self.images / self.seconds, 1),
        }


@dataclass(frozen=True, eq=False)
class Rows:
    """What a table says of some images. A million images in a thousand classes have 8 GB of probabilities: one each is kept."""

    predicted: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]
    """Of the predicted class."""
    agreement: npt.NDArray[np.float64]
    asked: npt.NDArray[np.int64]


def shorten(answers: Answers) -> Rows:
    """Those parts of `answers` that a table has."""
    probability = answers.probabilities[np.arange(len(answers.predicted)), answers.predicted]
    return Rows(answers.predicted, probability, answers.agreement, answers.asked)


def show_predicted(found: Predicted) -> str:
    """The result as a line of text."""
    bad = f", {len(found.bad):,} could not be read" if found.bad else ""
    bad += f", {len(found.passed_over):,} other files passed over" if found.passed_over else ""
    asked = f", {found.asked:.2f} of {found.members} members asked an image" if found.asked < found.members else ""
    rate = found.images / found.seconds
    return (
        f"{found.out}: {found.images:,} image{'s' * (found.images != 1)}{bad}; {found.seconds:.1f} s on {found.device}, "
        f"{rate:,.{0 if rate >= 10 else 1}f} images/s{asked}"
    )


def predict_images(
    bundle_uri: str,
    source: str,
    out: str,
    cascade: bool = False,
    custom_code: bool = False,
    endpoint_url: str | None = None,
    notify: Notify = lambda line: None,
    overrides: Sequence[str] = (),
) -> Predicted:
    """Predict the images that `source` names (see `locate_images`) and write one row each to `out`, a CSV or Parquet file.

    Columns: `image`, `class`, `probability` (calibrated), `agreement` (share of the asked members that name this class).
    `notify` gets a line for each image that cannot be predicted, for each file that is passed over, and for what a table was taken
    for. `overrides` say how the source is read, as `data.image_column=file` (see `read_source_keys`). Raises `BundleError`,
    `DataError`, `StoreError`, and `SweepFileError` for an override.
    """
    path = check_out(out, ENDINGS)
    config = read_source_keys(source, overrides, endpoint_url)
    bundle = read_bundle(open_store(bundle_uri, endpoint_url))
    named = locate_images(source, config)
    team = make_ready(bundle, cascade, custom_code)
    names: list[str] = []
    found: list[Rows] = []
    bad: list[BadImage] = list(named.unread)
    for note in named.notes:
        notify(show_name(note))
    for one in named.passed_over:
        notify(f"{show_name(one.name)}: passed over, {one.reason}")
    for one in named.unread:
        notify(f"{show_name(one.name)}: {one.reason}")
    start_s = time.perf_counter()
    for chunk in read_chunks(named.images, team.decoding):
        for one in chunk.bad:
            notify(f"{show_name(one.name)}: {one.reason}")
        bad += chunk.bad
        names += chunk.names
        if chunk.names:
            found.append(shorten(team.predict(chunk.pixels)))
    seconds = time.perf_counter() - start_s
    if not found:
        raise DataError(
            f"none of the {len(bad)} images of {source} can be read: {show_name(bad[0].name)}: {bad[0].reason}"
        )
    write_table(path, names, found, team.class_names)
    asked = np.concatenate([one.asked for one in found])
    device = str(team.device.type)
    return Predicted(
        len(names), tuple(bad), named.passed_over, out, len(team.net.nets), float(asked.mean()), device, seconds
    )


def write_table(path: Path, names: list[str], found: Sequence[Rows], class_names: tuple[str, ...]) -> None:
    """Write one row per image, whole or not at all. Raises `SweepFileError` if the file cannot be written."""
    predicted = np.concatenate([one.predicted for one in found])
    probability = np.concatenate([one.probability for one in found])
    agreement = np.concatenate([one.agreement for one in found])
    classes = [class_names[position] for position in predicted]
    if path.suffix.lower() == ".csv":
        data = _to_csv(names, classes, probability, agreement)
    else:
        data = _to_parquet(names, classes, probability, agreement)
    write_out(path, data)


def _to_csv(names: list[str], classes: list[str], probability: Any, agreement: Any) -> bytes:
    """The table as CSV: names with a delimiter, a quote or a line break are quoted; numbers have six decimals."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", "class", "probability", "agreement"])
    for name, class_name, share, agreeing in zip(names, classes, probability.tolist(), agreement.tolist(), strict=True):
        writer.writerow([name, class_name, f"{share:.6f}", f"{agreeing:.6f}"])
    return text.getvalue().encode()


def _to_parquet(names: list[str], classes: list[str], probability: Any, agreement: Any) -> bytes:
    table = pa.table(
        {
            "image": pa.array(names, pa.string()),
            "class": pa.array(classes, pa.string()),
            "probability": pa.array(probability),
            "agreement": pa.array(agreement),
        }
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def show_name(name: str) -> str:
    """A file's name for a terminal, without control characters that the terminal would obey.

    >>> show_name("cat.png"), show_name("a\\x1b[2Jb.png")
    ('cat.png', "'a\\\\x1b[2Jb.png'")
    """
    return name if name.isprintable() else ascii(name)
