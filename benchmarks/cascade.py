"""Measures what a cascade saves and costs: a team on Fashion-MNIST, whose members predict one after the other or all together.

    python -m benchmarks.cascade                some minutes on two cores, training included
    python -m benchmarks.cascade --bundle B     a bundle of Fashion-MNIST that is there already

The cascade's order and threshold were fitted on validation when the bundle was exported; these figures are of the 10,000 test
images. Times are processor times of one thread, each the median of several turns in which both run one after the other: wall
times would include other work of the machine. Decoding is left out.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.figures import at_least, at_most, write
from ensembles.bundle.cascade import Answers
from ensembles.bundle.manifest import read_bundle
from runner.deploy.loaded_bundle import ReadyTeam, make_ready
from trainables.config.data import DataConfig
from trainables.datasets.load import load_images
from trainables.store.open import open_store

ROOT = Path(__file__).parents[1]
TURNS = 5

SWEEP = [
    "sweeps/fashion_team.yaml",
    "data.train=15000",
    "scheduler.max_epochs=4",
    "model.width=8,16,32",
    "model.blocks=2,3",
    "ensemble.select=greedy",
]
"""Nets of different cost, so that there is something to order: from 1 to 30 million operations an image."""


def make_bundle(folder: str) -> str:
    """Train, select and export; returns the path of the bundle."""
    store, bundle = f"{folder}/runs", f"{folder}/bundle"
    for arguments in (["run", *SWEEP, f"store={store}"], ["export", "fashion-team", bundle, "--store", store]):
        subprocess.run([sys.executable, "-m", "runner.cli.main", *arguments], cwd=ROOT, check=True, stdout=sys.stderr)
    return bundle


def ask(team: ReadyTeam, pixels: npt.NDArray[np.uint8]) -> tuple[float, Answers]:
    """Seconds of the processor, and the answers."""
    start_s = time.process_time()
    answers = team.predict(pixels)
    return time.process_time() - start_s, answers


def measure(bundle_uri: str) -> None:
    torch.set_num_threads(1)
    bundle = read_bundle(open_store(bundle_uri))
    found = bundle.manifest.cascade_found
    images = load_images(DataConfig(name="fashion-mnist"))
    rows = images.rows("test")
    pixels, labels = images.pixels[rows], images.labels[rows]
    teams = {"whole": make_ready(bundle), "cascade": make_ready(bundle, cascade=True)}
    for team in teams.values():
        team.predict(pixels[:500])  # kernels are made on first use
    spent: dict[str, list[float]] = {name: [] for name in teams}
    answers_of: dict[str, Answers] = {}
    for _ in range(TURNS):
        for name, team in teams.items():
            seconds, answers_of[name] = ask(team, pixels)
            spent[name].append(seconds)
    rate = {name: len(pixels) / statistics.median(times) for name, times in spent.items()}
    right = {name: float((answers.predicted == labels).mean()) for name, answers in answers_of.items()}
    asked = float(answers_of["cascade"].asked.mean())
    members = len(bundle.manifest.members)
    counts = np.bincount(answers_of["cascade"].asked, minlength=members + 1)[1:]
    print(f"members {members}; asked {asked:.3f} an image; images by members asked {counts.tolist()}")
    print(f"validation: {found}")
    print(f"test accuracy: whole {right['whole']:.4f}, cascade {right['cascade']:.4f}")
    print(f"images/s, one thread: whole {rate['whole']:,.0f}, cascade {rate['cascade']:,.0f}")
    write(
        {
            "cascade/members_asked": at_most(asked, f"of {members}", members / 2),
            "cascade/speed_up": at_least(rate["cascade"] / rate["whole"], "times", 2),
            "cascade/accuracy_lost": at_most(100 * (right["whole"] - right["cascade"]), "points", 0.3),
        }
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bundle")
    bundle = parser.parse_args().bundle
    with tempfile.TemporaryDirectory() as folder:
        measure(bundle or make_bundle(folder))


if __name__ == "__main__":
    main()
