"""A sheet that shows what a sweep's augmentation does to some of its training images."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from runner.config.sweep import SweepSpec
from runner.output.out_file import write_out
from runner.preflight.augment_keys import augment_values, check_augment, custom_augmentations
from trainables.config.augment import AugmentConfig
from trainables.config.preparation import Equalise
from trainables.config.seed import derive_seed
from trainables.data.images import ImageSet
from trainables.datasets.load import load_images
from trainables.errors import SweepFileError

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGES = 12
"""Images in a row."""

SIDE = 72
"""Pixels of the sheet that an image is made at least as high and wide as, by a whole factor."""

GAP, TITLE, MARGIN = 4, 22, 12
"""Pixels of the sheet: between images, for a row's title, around everything."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Row:
    """Some images, uint8 (images, height, width, channels), after the operations of `values`."""

    title: str
    values: Mapping[str, Any]
    pixels: Pixels

    def to_dict(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {"title": self.title, "values": {f"augment.{key}": value for key, value in self.values.items()}}


def preview(spec: SweepSpec) -> list[Row]:
    """Training images as they are, then after each operation alone that the sweep sets or searches, then after all.

    Where the sweep sets `data.equalise`, all of them equalised. An operation that is searched is at its greatest value. Where there is only one, the last row is left out. Raises
    `SweepFileError` where the sweep augments nothing, or asks for colours of grey images.
    """
    values: dict[str, Any] = dict(augment_values(spec))
    custom = custom_augmentations(spec)
    if not values and not custom:
        raise SweepFileError(
            f"{spec.name} augments nothing: set a key, such as augment.flip=0.5 augment.crop=2; "
            f"known are {', '.join(AugmentConfig.model_fields)}"
        )
    images = load_images(spec.data)
    check_augment(spec, images.pixels.shape[3])
    rows_shown = choose_images(images, IMAGES)
    pixels, labels = images.pixels[rows_shown], images.labels[rows_shown]
    title = "as they are"
    if spec.data.equalise != "none":  # all operations come after it
        title, pixels = f"equalised, {spec.data.equalise}", _equalise(pixels, spec.data.equalise)
    rows = [Row(title, {}, pixels)]
    shown = [(f"{key} {value:g}", {key: value}) for key, value in values.items()] + list(custom.items())
    if len(shown) > 1:
        shown += [("all of them", values | keys) for keys in custom.values() or ({},)]
    for title, some in shown:
        seed = derive_seed(spec.search.seed, title)  # of one seed, one image would have small draws in all rows
        rows.append(Row(title, some, augment_pixels(some, pixels, labels, len(images.class_names), seed)))
    return rows


def _equalise(pixels: Pixels, kind: Equalise) -> Pixels:
    import torch

    from trainables.data.equalise import equalise_pixels

    shown: Pixels = equalise_pixels(torch.from_numpy(pixels), kind).to(torch.uint8).numpy()
    return shown


def choose_images(images: ImageSet, count: int) -> npt.NDArray[np.int64]:
    """Positions of training images: the first one of each class, then the second one of each, and so on."""
    rows = np.flatnonzero(images.splits == 0)
    turn = np.zeros(len(rows), np.int64)
    for label in range(len(images.class_names)):
        mine = images.labels[rows] == label
        turn[mine] = np.arange(mine.sum())
    return rows[np.lexsort((images.labels[rows], turn))][:count]


def augment_pixels(
    values: Mapping[str, Any], pixels: Pixels, labels: npt.NDArray[np.int64], classes: int, seed: int
) -> Pixels:
    """The images as a trial would be shown them, with labels int64 (images,)."""
    import torch

    from trainables.augment.pipeline import Augment
    from trainables.data.image_shape import ImageShape

    _, height, width, channels = pixels.shape
    augment = Augment(
        AugmentConfig.model_validate(values), ImageShape(height, width, channels, classes), torch.device("cpu")
    )
    augment.begin(seed)
    batch = torch.from_numpy(pixels.astype(np.float32) / 255).permute(0, 3, 1, 2)
    if augment.varies:
        batch = augment.vary(batch)
    if augment.mixes:
        batch = augment.mix(batch, torch.from_numpy(labels)).images
    shown: Pixels = batch.permute(0, 2, 3, 1).mul(255).round().to(torch.uint8).numpy()
    return shown


def draw_sheet(name: str, rows: list[Row]) -> Image:
    """A picture of `rows`, each under its title; small images are enlarged, each pixel a square."""
    from PIL import Image, ImageDraw, ImageFont

    count, height, width, _ = rows[0].pixels.shape
    factor = max(1, -(-SIDE // min(height, width)))
    high, wide = factor * height, factor * width
    size = (2 * MARGIN + count * (wide + GAP) - GAP, 2 * MARGIN + len(rows) * (TITLE + high + GAP) + TITLE)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN), f"Augmentation of {name}", "black", font=ImageFont.load_default(16))
    top = MARGIN + TITLE
    for row in rows:
        draw.text((MARGIN, top + 5), row.title, "black", font=ImageFont.load_default(13))
        for number, pixels in enumerate(row.pixels):
            drawn = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).convert("RGB")
            drawn = drawn.resize((wide, high), Image.Resampling.NEAREST)
            sheet.paste(drawn, (MARGIN + number * (wide + GAP), top + TITLE))
        top += TITLE + high + GAP
    return sheet


def write_sheet(spec: SweepSpec, rows: list[Row], path: Path) -> None:
    """Write the sheet as a PNG file, whole or not at all. Raises `SweepFileError` if it cannot be written."""
    picture = io.BytesIO()
    draw_sheet(spec.name, rows).save(picture, "PNG")
    write_out(path, picture.getvalue())
