"""Measures the error of the corrected estimate, on simulated pools whose true accuracy is known.

    python -m benchmarks.corrected            100 pools each of 500 and 2,000 images: an hour on one core
    python -m benchmarks.corrected --pools 20

A pool has 200 models of nearly equal skill, whose errors are half shared; greedy takes 8 of them by accuracy. The truth is the
accuracy of the selected team on 40,000 new images. Beside every estimate stands a bound on what is possible without more images:
the same team, known beforehand, scored once on as many new images as validation has (`oracle`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from benchmarks.figures import at_least, at_most, write
from ensembles.config import Correction, EnsembleConfig
from ensembles.pool.pool import PredictionPool
from ensembles.selection.select import select
from ensembles.selection_bias.corrected import correct
from trainables.results.checkpoint import CheckpointId

MODELS, CLASSES, NEW_IMAGES = 200, 10, 40_000
SHARED, INDEPENDENT, SPREAD, SHARPNESS = 0.9, 1.0, 0.15, 2.0
"""Standard deviations of the noise that all models share, of each model's independent noise, and of their skill; and the
sharpness of their probabilities."""
SKILLS = {"92": 2.9, "98": 3.75, "99": 4.4}
"""Mean skill, by the approximate accuracy of the selected team in percent."""
WITHIN = {500: 0.01, 2000: 0.005}
"""Accepted error of an estimate, by number of validation images."""


@dataclass(frozen=True)
class Outcome:
    """One pool: accuracies, shares of 1."""

    selected: float
    """Accuracy that selection reports."""
    corrected: float
    ci95: tuple[float, float]
    truth: float
    oracle: float

    @property
    def is_covered(self) -> bool:
        """Whether the interval covers the true accuracy."""
        return self.ci95[0] <= self.truth <= self.ci95[1]


@dataclass(frozen=True)
class Summary:
    """Many pools of one kind. Errors are estimate less truth."""

    pools: int
    truth: float
    selected_bias: float
    bias: float
    rms: float
    oracle_rms: float
    within: float
    """Share of the pools in which the error of the estimate is at most `WITHIN`."""
    oracle_within: float
    covered: float
    """Share of the pools whose 95 % interval covers the true accuracy."""


def predict(
    rng: np.random.Generator, labels: npt.NDArray[np.int64], skills: Sequence[float]
) -> npt.NDArray[np.float32]:
    """float32 (models, images, classes)."""
    images = np.arange(len(labels))
    shared = SHARED * rng.standard_normal((len(labels), CLASSES), dtype=np.float32)
    found = np.empty((len(skills), len(labels), CLASSES), np.float32)
    for number, skill in enumerate(skills):
        logits = shared + INDEPENDENT * rng.standard_normal(shared.shape, dtype=np.float32)
        logits[images, labels] += skill
        logits = np.exp(SHARPNESS * (logits - logits.max(1, keepdims=True)))
        found[number] = logits / logits.sum(1, keepdims=True)
    return found


def simulate(seed: int, images: int, skill: float, how: Correction = "bootstrap", models: int = MODELS) -> Outcome:
    """One pool with `images` validation images, selected from and corrected as in a run."""
    rng = np.random.default_rng([seed, images])
    skills = rng.normal(skill, SPREAD, models)
    labels = rng.integers(0, CLASSES, images)
    members = tuple(CheckpointId(f"{number:012x}", 1) for number in range(models))
    names = tuple(f"class {number}" for number in range(CLASSES))
    pool = PredictionPool("simulated", "validation", members, predict(rng, labels, skills), labels, names)
    config = EnsembleConfig(metric="accuracy", vote="weighted", correct=how)
    team = select(pool, config)
    found = correct(pool, team, config)
    assert found is not None
    new_labels = rng.integers(0, CLASSES, NEW_IMAGES)
    probabilities = predict(rng, new_labels, [skills[pool.position(member)] for member in team.members])
    right = np.tensordot(team.weights, probabilities, 1).argmax(1) == new_labels
    return Outcome(
        selected=team.validation_score,
        corrected=found.accuracy,
        ci95=found.ci95,
        truth=float(right.mean()),
        oracle=float(right[:images].mean()),
    )


def summarise(outcomes: Sequence[Outcome], within: float) -> Summary:
    """The errors over all pools; `within` is the accepted error."""
    truth = np.array([one.truth for one in outcomes])
    selected, corrected, oracle = (
        np.array([getattr(one, key) for one in outcomes]) - truth for key in ("selected", "corrected", "oracle")
    )
    return Summary(
        pools=len(outcomes),
        truth=float(truth.mean()),
        selected_bias=float(selected.mean()),
        bias=float(corrected.mean()),
        rms=float(np.sqrt(np.mean(corrected**2))),
        oracle_rms=float(np.sqrt(np.mean(oracle**2))),
        within=float(np.mean(np.abs(corrected) <= within)),
        oracle_within=float(np.mean(np.abs(oracle) <= within)),
        covered=float(np.mean([one.is_covered for one in outcomes])),
    )


def figures_of(name: str, found: Summary) -> dict[str, Any]:
    """Figures for benchmarks/results/latest.json, in points of accuracy and shares of pools."""
    return {
        f"corrected/{name}/bias": at_most(100 * abs(found.bias), "points", 0.25),
        f"corrected/{name}/within": at_least(found.within, "share of pools", 0.95),
        f"corrected/{name}/within_oracle": at_least(found.oracle_within, "share of pools", 0.95),
        f"corrected/{name}/covered": at_least(found.covered, "share of pools", 0.93),
    }


def main() -> None:
    """Measure, print a table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pools", type=int, default=100)
    parser.add_argument("--how", choices=["bootstrap", "cross-fit"], default="bootstrap")
    parser.add_argument("--keep", action="store_true", help="write the figures to benchmarks/results/latest.json")
    arguments = parser.parse_args()
    table = Table(
        box=None, title=f"{arguments.how}, points of accuracy; {arguments.pools} pools each", title_justify="left"
    )
    headings = ("images", "truth", "selected", "corrected", "rms", "oracle rms", "within", "oracle within", "covered")
    for heading in headings:
        table.add_column(heading, justify="right")
    figures: dict[str, Any] = {}
    for images, within in WITHIN.items():
        for name, skill in SKILLS.items():
            found = summarise([simulate(seed, images, skill, arguments.how) for seed in range(arguments.pools)], within)
            cells = [found.truth, found.selected_bias, found.bias, found.rms, found.oracle_rms]
            shares = [found.within, found.oracle_within, found.covered]
            table.add_row(str(images), *(f"{100 * cell:+.2f}" for cell in cells), *(f"{share:.2f}" for share in shares))
            figures |= figures_of(f"{name}_{images}", found)
            print(images, name, found, flush=True)
    Console(width=120).print(table)
    if arguments.keep:
        write(figures)


if __name__ == "__main__":
    main()
