"""Figures of the search: how cheap it is to drive, and how near it comes to the best for the same budget.

    python -m benchmarks.search            all of it, some twenty minutes on two cores
    python -m benchmarks.search --quick    the cost of driving alone, a minute

Every run here is simulated (benchmarks/simulation.py); what `caucus plan` forecasts against what `caucus run` takes is
in benchmarks/plan_error.py.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from scipy import stats

from benchmarks.curves import Surrogate, load_curves
from benchmarks.figures import at_least, at_most, write
from benchmarks.simulation import MAX_EPOCHS, SPACE, Incumbent, Stage, make_spec, simulate_sweep, with_ray_asha
from runner.cli.progress import Progress
from runner.control.simulator import simulate
from runner.journal.journal import Journal
from runner.runs.status import StatusWriter
from runner.schedulers.choose import choose_scheduler
from runner.search.choose import choose_search, list_trials
from trainables.store.folder import Folder

SLOTS = 8
MANY, FEW = 10_000, 1_000
SEEDS = 10
BUDGETS = (8, 16, 32, 64)
"""In trainings of a mean trial to its last epoch, summed over slots."""

ASHA = {"method": "asha", "reduction": 3, "grace_epochs": 1}
ENOUGH = 4_000
"""More trials than any budget lets through."""

STAGES = [
    {
        "name": "coarse",
        "method": "grid",
        "epochs": 3,
        "space": {
            "optimizer.lr": {"log": [1e-4, 1], "factor": 10},
            "model.width": SPACE["model.width"],
            "model.dropout": {"uniform": [0.0, 0.4], "steps": 2},
        },
    },
    {
        "name": "fine",
        "method": "jittered",
        "epochs": 9,
        "space": {
            "optimizer.lr": {"around": "coarse", "factor": 3, "steps": 3},
            "model.blocks": SPACE["model.blocks"],
            "optimizer.weight_decay": {"log": [1e-6, 1e-2], "steps": 3},
        },
    },
    {
        "name": "closer",
        "trials": ENOUGH,
        "epochs": MAX_EPOCHS,
        "space": {
            "optimizer.lr": {"around": "fine", "factor": 1.7},
            "model.dropout": {"around": "coarse", "by": 0.1},
            "optimizer.weight_decay": {"around": "fine", "factor": 10},
        },
    },
]

METHODS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "random": ({"trials": ENOUGH}, {"method": "none"}),
    "random + asha": ({"trials": ENOUGH}, ASHA),
    "random + asha-promote": ({"trials": ENOUGH}, {**ASHA, "method": "asha-promote"}),
    "random + hyperband": ({"trials": ENOUGH}, {**ASHA, "method": "hyperband"}),
    "random + median": ({"trials": ENOUGH}, {"method": "median"}),
    "tpe": ({"method": "tpe", "trials": ENOUGH}, {"method": "none"}),
    "tpe + asha": ({"method": "tpe", "trials": ENOUGH}, ASHA),
    "bohb (with asha)": ({"method": "bohb", "trials": ENOUGH}, ASHA),
    "coarse to fine": ({"stages": STAGES}, {"method": "none"}),
}


def measure_throughput(surrogate: Surrogate) -> float:
    """Simulated trials a second, of 10,000 random ones under ASHA; what the surrogate itself takes is not counted."""
    spec = make_spec({"trials": MANY}, ASHA)
    stage = Stage(surrogate, seed=0)
    stage.prepare(list_trials(spec, "simulated"))
    start_s = time.perf_counter()
    done = simulate_sweep(spec, stage, SLOTS)
    taken_s = time.perf_counter() - start_s
    assert len(done.state.trials) == MANY
    assert not done.state.pending()
    return MANY / taken_s


def measure_event_cost(surrogate: Surrogate) -> dict[str, float]:
    """Driver seconds an event at 1,000 and at 10,000 trials, side by side: the median of three rounds.

    With all that a real run has beside Tune: the journal in a folder, status.json, the lines of the terminal.
    """
    costs: dict[int, list[float]] = {FEW: [], MANY: []}
    for _ in range(3):
        for trials, found in costs.items():
            found.append(_event_cost_s(surrogate, trials))
    return {f"{trials} trials": statistics.median(found) for trials, found in costs.items()}


def _event_cost_s(surrogate: Surrogate, trials: int) -> float:
    spec = make_spec({"trials": trials}, ASHA)
    stage = Stage(surrogate, seed=0)
    stage.prepare(list_trials(spec, "simulated"))
    with tempfile.TemporaryDirectory() as folder, Path("/dev/null").open("w") as nowhere:
        store = Folder(Path(folder), folder)
        journal = Journal(store, spec.name, "r")
        listeners = [StatusWriter(store, spec, "r"), Progress(Console(file=nowhere), spec)]
        start_s = time.process_time()
        simulate(spec, choose_search(spec, "simulated"), SLOTS, stage.epoch_result, journal, listeners=listeners)
        return (time.process_time() - start_s) / len(journal.events)


def mean_training_s(surrogate: Surrogate) -> float:
    """Seconds of a mean trial to its last epoch."""
    spec = make_spec({"trials": 300}, {"method": "none"})
    stage = Stage(surrogate, seed=0)
    curves = surrogate.curves([stage.configuration(trial) for trial in list_trials(spec, "simulated")], 0)
    return float(np.mean([curve.busy_s.sum() for curve in curves if curve.diverged_epoch is None]))


def measure_regret(surrogate: Surrogate, names: list[str], seeds: int) -> dict[str, dict[str, float]]:
    """Mean regret of each method at each budget, in points of accuracy, over `seeds` seeds of search and curves."""
    training_s = mean_training_s(surrogate)
    table: dict[str, dict[str, float]] = {}
    for name in names:
        search, scheduler = METHODS[name]
        found = np.array([_regrets(surrogate, search, scheduler, seed, training_s) for seed in range(seeds)])
        means = {
            str(budget): round(100 * float(value), 3) for budget, value in zip(BUDGETS, found.mean(0), strict=True)
        }
        error = 100 * found.std(0, ddof=1) / np.sqrt(seeds) if seeds > 1 else np.zeros(len(BUDGETS))
        table[name] = means | {
            f"{budget} ±": round(float(value), 3) for budget, value in zip(BUDGETS, error, strict=True)
        }
        print(f"{name:24}", "  ".join(f"{budget}: {means[str(budget)]:.2f}" for budget in BUDGETS), flush=True)
    return table


def _regrets(
    surrogate: Surrogate,
    search: Mapping[str, Any],
    scheduler: Mapping[str, Any],
    seed: int,
    training_s: float,
    **options: Any,
) -> list[float]:
    choose = options.pop("choose", choose_scheduler)
    stage, incumbent = Stage(surrogate, seed, **options), Incumbent()
    seconds = [budget * training_s / SLOTS for budget in BUDGETS]
    spec = make_spec({**search, "seed": seed}, scheduler)
    simulate_sweep(spec, stage, SLOTS, until_s=seconds[-1], listeners=[incumbent], choose=choose)
    return [incumbent.regret_at(surrogate, stage, until_s) for until_s in seconds]


def compare_with_ray(surrogate: Surrogate, nan_share: float, seeds: int) -> dict[str, Any]:
    """Our ASHA's regret less that of Ray's own, the same trials, curves, seeds and budget: paired, in points.

    A trial whose loss is NaN reports just that to Ray's; ours ends it, as a real run does.
    """
    training_s = mean_training_s(surrogate)
    search = {"trials": ENOUGH}
    pairs = []
    for seed in range(seeds):
        ours = _regrets(surrogate, search, ASHA, seed, training_s, nan_share=nan_share)
        rays = _regrets(
            surrogate, search, ASHA, seed, training_s, nan_share=nan_share, reports_nan=True, choose=with_ray_asha
        )
        pairs.append((ours, rays))
    ours, rays = (100 * np.array([pair[side] for pair in pairs]) for side in (0, 1))
    by_budget: dict[str, Any] = {}
    for place, budget in enumerate(BUDGETS):
        difference = ours[:, place] - rays[:, place]
        half = float(stats.t.ppf(0.975, seeds - 1) * difference.std(ddof=1) / np.sqrt(seeds))
        mean = float(difference.mean())
        by_budget[str(budget)] = {
            "ours": round(float(ours[:, place].mean()), 3),
            "ray": round(float(rays[:, place].mean()), 3),
            "difference": round(mean, 3),
            "ci95": [round(mean - half, 3), round(mean + half, 3)],
        }
    return by_budget


def measure(quick: bool, report: Callable[[str], None] = print) -> dict[str, Any]:
    """All figures by name."""
    surrogate = Surrogate(load_curves())
    figures: dict[str, Any] = {}
    figures["search/simulated_trials_per_s"] = at_least(measure_throughput(surrogate), "trials/s", MANY / 120)
    costs = measure_event_cost(surrogate)
    ratio = costs[f"{MANY} trials"] / costs[f"{FEW} trials"]
    figures["search/event_cost_10k_over_1k"] = at_most(ratio, "ratio", 1.5) | {
        "ms_an_event": {name: round(1000 * cost, 3) for name, cost in costs.items()}
    }
    if quick:
        return figures
    for name, nan_share in (("search/asha_minus_ray", 0.0), ("search/asha_minus_ray_with_nan", 0.2)):
        compared = compare_with_ray(surrogate, nan_share, seeds=4 * SEEDS)
        report(f"{name}: {compared}")
        worst = max(one["difference"] for one in compared.values())
        unit = "points of regret, the worst budget" + (
            "" if nan_share else "; met: no 95 % interval lies above the goal"
        )
        # Without NaN the two may differ by chance alone: met where no budget's interval lies above zero.
        met = all(one["ci95"][0] <= 0 for one in compared.values()) if not nan_share else bool(worst < 0)
        figures[name] = {"value": round(worst, 3), "unit": unit, "goal": 0, "met": met, "table": compared}
    regret = measure_regret(surrogate, list(METHODS), SEEDS)
    largest = str(BUDGETS[-1])
    best = min(regret, key=lambda name: regret[name][largest])
    figures["search/regret"] = {
        "value": regret[best][largest],
        "unit": f"points of accuracy at a budget of {largest} full trainings, by {best}",
        "goal": regret["random"][largest],
        "met": bool(regret[best][largest] < regret["random"][largest]),
        "table": regret,
        "seeds": SEEDS,
    }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    write(measure(parser.parse_args().quick))


if __name__ == "__main__":
    main()
