"""Measures decoding, the cache of decoded pixels, and training from a file in place of memory, side by side.

    python -m benchmarks.data                    5,000 JPEGs of 64 x 64, a minute
    python -m benchmarks.data --images 100000    what the goals are meant for; the figures of fewer have the number in their unit

Images are smooth noise: they are as large, and decode as fast, as photographs of that size. Decoding is compared with a loop over
Pillow in turns, in seconds of the processor. The second start is that of a new process, from the call to the images with their
split. Training takes its epochs in turns from memory and from the mapped file, which is in the page cache; the figure is the
median of the ratios. `data/doctor_over_decode` is in `benchmarks.doctor`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.figures import at_least, at_most, write
from trainables.config.data import DataConfig
from trainables.data.images import ImageSet, channel_statistics
from trainables.data.mapped import find_file
from trainables.datasets.load import load_images
from trainables.decoding.decode_listing import decode_listing
from trainables.decoding.decode_once import LIMIT_VARIABLE
from trainables.layouts.detect import list_images
from trainables.places.open import open_source

MEANT = 100_000
"""Images that the goals are meant for."""

ROUNDS = 5


def write_images(folder: Path, count: int, size: int) -> None:
    """JPEGs in ten class folders."""
    rng = np.random.default_rng(0)
    for label in range(10):
        (folder / f"class {label}").mkdir(parents=True)
    for at in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).resize((size, size))
        noisy = np.asarray(coarse).astype(np.int16) + rng.integers(-12, 13, (size, size, 3))
        image = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
        image.save(folder / f"class {at % 10}" / f"{at:06}.jpg", quality=90)


def compare_decoding(folder: Path, count: int) -> float:
    """Images a second of ours over Pillow's, the median over rounds."""
    config = DataConfig(path=str(folder))
    images = list_images(open_source(str(folder)), config).images[:count]
    files = [folder / image.image_id for image in images]
    ratios = []
    for _ in range(ROUNDS):
        start_s = time.process_time()
        for file in files:
            with Image.open(file) as image:
                np.asarray(image.convert("RGB"))
        pillow_s = time.process_time() - start_s
        start_s = time.process_time()
        decode_listing(images, config)
        ratios.append(pillow_s / (time.process_time() - start_s))
    return statistics.median(ratios)


def count_extra_bytes(images: ImageSet) -> int:
    """Bytes that statistics take at most beside the set."""
    tracemalloc.start()
    try:
        channel_statistics(images)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def start_again_s(folder: Path, cache: Path) -> float:
    """Seconds until a new process has a set that is in the cache."""
    code = (
        "import sys, time; from trainables.config.data import DataConfig; from trainables.datasets.load import load_images\n"
        "start_s = time.monotonic(); found = load_images(DataConfig(path=sys.argv[1], cache=sys.argv[2])); found.data_id\n"
        "assert 'from the cache' in found.reading.origin; print(time.monotonic() - start_s)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(cache)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def compare_training(mapped: npt.NDArray[np.uint8], images: ImageSet, rounds: int) -> float:
    """Images a second from `mapped` over those from `images`, the same ones in memory: the median over rounds."""
    import torch

    from trainables.config.model import ModelConfig
    from trainables.config.trial import TrialConfig
    from trainables.training.device_images import place_images
    from trainables.training.training import Training

    torch.set_num_threads(1)
    arrays = images.arrays
    ways = [
        place_images(type(arrays)(pixels, arrays.labels, arrays.splits, arrays.classes), torch.device("cpu"))
        for pixels in (images.pixels, mapped)
    ]
    config = TrialConfig(data_id="bench", seed=0, model=ModelConfig(width=8, blocks=1))
    training = [Training(config, way) for way in ways]
    ratios = []
    for number in range(1, rounds + 2):
        times = []
        for one in training:
            start_s = time.monotonic()
            for batch in one.open_epoch(number):
                one.train_batch(batch, 0.01)
            times.append(time.monotonic() - start_s)
        if number > 1:  # the first one warms up
            ratios.append(times[0] / times[1])
    return statistics.median(ratios)


def map_images(folder: Path, cache: Path) -> npt.NDArray[np.uint8]:
    """The pixels of the cache's entry, mapped: from now on this process keeps no image in memory."""
    os.environ[LIMIT_VARIABLE] = "0"
    found = load_images(DataConfig(path=str(folder), cache=str(cache))).pixels
    assert find_file(found) is not None
    return found


def measure(count: int, size: int, rounds: int) -> dict[str, Any]:
    of = "" if count == MEANT else f" ({count:,} images of {MEANT:,})"
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary, "images"), Path(temporary, "cache")
        write_images(folder, count, size)
        ratio = compare_decoding(folder, min(count, 2000))
        figures["data/decode_images_per_s_over_pillow"] = at_least(ratio, "ratio", 0.7)
        images = load_images(DataConfig(path=str(folder), cache=str(cache)))
        figures["data/statistics_extra_bytes"] = at_most(count_extra_bytes(images), f"bytes{of}", 16 * 2**20)
        figures["data/second_start_s"] = at_most(start_again_s(folder, cache), f"s{of}", 2.0)
        ratio = compare_training(map_images(folder, cache), images, rounds)
        figures["data/mapped_over_memory"] = at_least(ratio, f"ratio{of}", 0.7)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    write(measure(arguments.images, arguments.size, arguments.rounds))


if __name__ == "__main__":
    main()
