"""What a sweep would do: its trials, and which of their epochs the store holds already. Trains nothing, writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ensembles.hyperparameters import keys_that_vary, show_value
from runner.forecast import expected_epochs
from runner.journal import Journal
from runner.run_state import RunState
from runner.search.listed import list_trials
from runner.spec import SweepSpec
from trainables import layout
from trainables.checkpoint import committed_epochs
from trainables.config import TrialConfig, flatten
from trainables.data import load_images
from trainables.errors import ObjectMissing, StoreError
from trainables.record import ENDED, TrialRecord
from trainables.store import Store, check_format, get_json
from trainables.stores import open_store


@dataclass(frozen=True)
class PlannedTrial:
    """One trial of a plan."""

    config: TrialConfig
    stored_epochs: int
    """Epochs that the store has and that will not be trained again."""
    ended: bool
    """Whether the run has it on record as ended."""


@dataclass(frozen=True)
class Plan:
    """What `caucus run` would do with a sweep."""

    run: str
    data_id: str
    method: str
    scheduler: str
    max_epochs: int
    trials: list[PlannedTrial]
    expected_epochs: float
    """Epochs to train, if early stopping lets through what it is meant to."""

    def told(self) -> dict[str, Any]:
        """The plan as a JSON object."""
        return {
            "run": self.run,
            "data_id": self.data_id,
            "search": self.method,
            "scheduler": self.scheduler,
            "max_epochs": self.max_epochs,
            "trials": {
                "planned": len(self.trials),
                "ended": sum(trial.ended for trial in self.trials),
                "new": sum(not trial.ended and not trial.stored_epochs for trial in self.trials),
            },
            "epochs": {
                "stored": sum(trial.stored_epochs for trial in self.trials),
                "expected": round(self.expected_epochs, 1),
            },
            "list": [
                {
                    "trial_id": trial.config.trial_id,
                    "stored_epochs": trial.stored_epochs,
                    "ended": trial.ended,
                    "config": flatten(trial.config.model_dump(mode="json")),
                }
                for trial in self.trials
            ],
        }


def plan_sweep(spec: SweepSpec, run: str | None) -> Plan:
    """The plan of a sweep. Reads the images only where the store does not know their fingerprint from an earlier run."""
    store = open_store(spec.store.uri, spec.store.endpoint_url)
    store.check()
    data_id = _known_data_id(store, spec) or load_images(spec.data).data_id
    run = run or spec.run_id(data_id)
    configs = list_trials(spec, data_id)
    state = RunState(Journal(store, spec.name, run).events)
    trials = []
    for config in configs:
        record = state.trials.get(config.trial_id)
        stored = len(committed_epochs(store, config.trial_id))
        trials.append(PlannedTrial(config, stored, record is not None and record.state in ENDED))
    each = expected_epochs(spec.scheduler)
    expected = sum(max(0.0, each - trial.stored_epochs) for trial in trials if not trial.ended)
    return Plan(
        f"{spec.name}/{run}",
        data_id,
        spec.search.method,
        spec.scheduler.method,
        spec.scheduler.max_epochs,
        trials,
        expected,
    )


def _known_data_id(store: Store, spec: SweepSpec) -> str | None:
    """The fingerprint that the sweep's latest run found for the same `data`, so that a plan needs no images."""
    try:
        if not check_format(store):
            return None
        latest = store.get(layout.latest_key(spec.name)).decode().strip()
        head = get_json(store, layout.run_key(spec.name, latest, layout.SWEEP))
    except (ObjectMissing, StoreError):
        return None
    told = head.get("spec")
    same = isinstance(told, dict) and told.get("data") == spec.data.model_dump(mode="json")
    return str(head["data_id"]) if same and "data_id" in head else None


def show_plan(plan: Plan) -> Group:
    """The plan for a person: what it comes to, and a table of its trials."""
    told = plan.told()
    varying = keys_that_vary([TrialRecord(trial.config) for trial in plan.trials])
    title = (
        f"{plan.run}: {told['trials']['planned']} trials ({plan.method}), {plan.scheduler} up to {plan.max_epochs} epochs; "
        f"{told['trials']['ended']} have ended, about {told['epochs']['expected']:g} epochs to train"
    )
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("trial", "in the store", *(key.rpartition(".")[2] for key in varying)):
        table.add_column(heading, justify="left" if heading == "trial" else "right", no_wrap=True)
    for trial in plan.trials:
        flat = flatten(trial.config.model_dump(mode="json"))
        held = [f"{trial.stored_epochs} epochs"] * bool(trial.stored_epochs) + ["ended"] * trial.ended
        table.add_row(trial.config.trial_id, ", ".join(held) or "-", *(Text(show_value(flat[key])) for key in varying))
    # Beside the table, not its title: that would be as narrow as the table.
    return Group(Text(title, style="bold"), table)
