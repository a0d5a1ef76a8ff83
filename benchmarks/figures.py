"""Writes figures to benchmarks/results/latest.json, each as {"value", "unit", "goal", "met"}."""

from __future__ import annotations

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

LATEST = Path(__file__).parent / "results" / "latest.json"


def at_most(value: float, unit: str, goal: float) -> dict[str, Any]:
    """A figure that should be low."""
    return {"value": round(value, 4), "unit": unit, "goal": round(goal, 4), "met": bool(value <= goal)}


def at_least(value: float, unit: str, goal: float) -> dict[str, Any]:
    """A figure that should be high."""
    return {"value": round(value, 4), "unit": unit, "goal": round(goal, 4), "met": bool(value >= goal)}


def write(figures: dict[str, Any]) -> None:
    """Add `figures` to the file, and print them."""
    before = json.loads(LATEST.read_text()) if LATEST.exists() else {}
    machine = {
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "date": time.strftime("%Y-%m-%d"),
        **{name: version(name) for name in ("torch", "ray", "numpy")},
    }
    LATEST.parent.mkdir(parents=True, exist_ok=True)
    LATEST.write_text(json.dumps({**before, **figures, "machine": machine}, indent=1, sort_keys=True) + "\n")
    for name, figure in figures.items():
        met = "met" if figure["met"] else "NOT met"
        print(f"{name}: {figure['value']} {figure['unit']} (goal {figure['goal']}, {met})")
