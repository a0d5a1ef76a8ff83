"""Small pictures of images that findings name, for people who read a report where the images are not at hand."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image

from trainables.data.finding import DataFinding
from trainables.data.images import ImageSet

MOST = 24
MOST_OF_ONE = 4
"""Pictures in all, and of one finding."""

MOST_BYTES = 40_000
SIDE_PX = 40
COLOURS = 64


def draw_thumbnails(images: ImageSet, findings: Sequence[DataFinding]) -> dict[str, bytes]:
    """PNG files by image id: the first images of each finding, until there are `MOST` or `MOST_BYTES`."""
    wanted = list(dict.fromkeys(image_id for found in findings for image_id in found.images[:MOST_OF_ONE]))[:MOST]
    row_of = {image_id: row for row, image_id in enumerate(images.image_ids)} if wanted else {}
    drawn: dict[str, bytes] = {}
    left = MOST_BYTES
    for image_id in wanted:
        png = _draw(images, row_of[image_id])
        left -= len(png)
        if left < 0:
            break
        drawn[image_id] = png
    return drawn


def _draw(images: ImageSet, row: int) -> bytes:
    pixels = images.pixels[row]
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    picture.thumbnail((SIDE_PX, SIDE_PX))
    sink = io.BytesIO()
    picture.quantize(COLOURS).save(sink, "PNG", optimize=True)
    return sink.getvalue()
