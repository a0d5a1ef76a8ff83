"""Measures what it costs to look at images before a run, beside decoding them: CPU seconds, all threads of this process.

    python -m benchmarks.doctor

`data/doctor_over_decode` is for 4,000 JPEGs of 64 x 64 in colour, as they lie on a disk; `data/doctor_digits_s` for the digits.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.figures import at_most, write
from trainables.config.data import DataConfig
from trainables.datasets.load import load_images
from trainables.findings.find import look_through

IMAGES = 4000
SIDE_PX = 64


def write_jpegs(folder: Path) -> None:
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        blobs = Image.fromarray(rng.integers(20, 235, (8, 8, 3)).astype(np.uint8)).resize((SIDE_PX, SIDE_PX))
        grain = rng.normal(0, 8, (SIDE_PX, SIDE_PX, 1))
        picture = Image.fromarray(np.clip(np.asarray(blobs) + grain, 0, 255).astype(np.uint8))
        path = folder / f"class{number % 4}" / f"{number:05d}.jpg"
        path.parent.mkdir(exist_ok=True)
        picture.save(path, quality=90)


def cpu_s(work: Callable[[], Any]) -> tuple[float, Any]:
    start_s = time.process_time()
    done = work()
    return time.process_time() - start_s, done


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(Path(folder))
        decode_s, images = cpu_s(lambda: load_images(DataConfig(path=folder, size=SIDE_PX)))
    look_s, found = cpu_s(lambda: look_through(images))
    if found.findings:
        raise AssertionError(f"a clean set has findings: {found.findings[0].detail}")
    digits = load_images(DataConfig(name="digits"))
    digits_s, _ = cpu_s(lambda: look_through(digits))
    return {
        "data/doctor_over_decode": at_most(look_s / decode_s, "share", 0.2) | {"decode_s": round(decode_s, 2)},
        "data/doctor_digits_s": at_most(digits_s, "s", 0.3),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    write(measure())


if __name__ == "__main__":
    main()
