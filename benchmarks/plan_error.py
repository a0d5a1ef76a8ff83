"""Measures how far the forecast of `caucus plan` is from what `caucus run` then takes.

    python -m benchmarks.plan_error            the sweeps on digits, and a little of Fashion-MNIST: about ten minutes
    python -m benchmarks.plan_error --fashion  the whole of sweeps/fashion_mnist.yaml too, ten minutes more

Each sweep is planned and then run in a store of its own, each by a command as a person types it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import at_most, write

ROOT = Path(__file__).parents[1]

GOAL = 0.3

LITTLE_FASHION = ("search.trials=6", "scheduler.max_epochs=3", "budget.wall=1h")
"""A run that its budget ends takes as long as the budget: with these overrides Fashion-MNIST ends before it."""

SWEEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("sweeps/digits.yaml", ()),
    ("sweeps/fashion_mnist.yaml", LITTLE_FASHION),
    ("sweeps/ablation.yaml", ()),
    ("sweeps/coarse_to_fine.yaml", ()),
    ("sweeps/pbt_digits.yaml", ()),
    ("sweeps/recipe.yaml", ()),
    ("sweeps/bohb.yaml", ()),
)


def measure_plan_error(sweeps: Sequence[tuple[str, Sequence[str]]]) -> dict[str, Any]:
    """For each sweep file with its overrides: the forecast, the truth, the relative error, and which epochs were trained.

    The truth is the wall time from the start of the command to its end. `worst` is the largest of the errors.
    """
    rows = []
    for sweep, overrides in sweeps:
        with tempfile.TemporaryDirectory() as store:
            arguments = [str(ROOT / sweep), *overrides, f"store={store}"]
            planned, plan_s = _caucus("plan", arguments)
            result, run_s = _caucus("run", arguments)
        forecast = planned["forecast"]
        rows.append(
            {
                "sweep": " ".join((Path(sweep).stem, *overrides)),
                "plan_s": round(plan_s, 1),
                "forecast_s": forecast["seconds"],
                "low_s": forecast["low_s"],
                "high_s": forecast["high_s"],
                "run_s": round(run_s, 1),
                "error": round(abs(forecast["seconds"] - run_s) / run_s, 3),
                "forecast_epochs": forecast["epochs"],
                "run_epochs": result["epochs_trained"],
            }
        )
    return {"rows": rows, "worst": max(row["error"] for row in rows)}


def _caucus(verb: str, arguments: Sequence[str]) -> tuple[dict[str, Any], float]:
    """The JSON object of a command, and how long it took."""
    start_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "runner.cli.main", verb, *arguments, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    payload: dict[str, Any] = json.loads(done.stdout)
    return payload, time.monotonic() - start_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fashion", action="store_true")
    parser.add_argument("--only", default="", help="sweeps whose file has this in its name")
    arguments = parser.parse_args()
    sweeps = [sweep for sweep in SWEEPS if arguments.only in sweep[0]]
    if arguments.fashion:
        sweeps.append(("sweeps/fashion_mnist.yaml", ()))
    found = measure_plan_error(sweeps)
    print(f"{'forecast':>10} {'range':>16} {'took':>8} {'error':>7} {'epochs':>11} {'plan':>6}  sweep")
    for row in found["rows"]:
        spread = f"{row['low_s']:g} to {row['high_s']:g}"
        epochs = f"{row['forecast_epochs']} / {row['run_epochs']}"
        print(
            f"{row['forecast_s']:>8g} s {spread:>14} s {row['run_s']:>6g} s {row['error']:>7.1%} {epochs:>11} "
            f"{row['plan_s']:>4g} s  {row['sweep']}"
        )
    if not arguments.only:
        write({"search/plan_error": at_most(found["worst"], "share", GOAL)})


if __name__ == "__main__":
    main()
