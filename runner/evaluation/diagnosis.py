"""Reads a run from its store and diagnoses its trials; needs neither images nor torch."""

from __future__ import annotations

from collections.abc import Sequence

from ensembles.diagnosis.custom import find_rules
from ensembles.diagnosis.diagnose import Diagnosis, diagnose_all
from ensembles.diagnosis.signs import setting_of
from runner.journal.state import RunState
from trainables.data.data_table import read_data_table
from trainables.results.record import rank
from trainables.store.base import Store


def diagnose_run(store: Store, state: RunState, rules: Sequence[str] = ()) -> list[Diagnosis]:
    """One diagnosis a trial, the best trial first; nothing where the run has no trial. `rules` names custom ones.

    Raises `PluginUnusable`.
    """
    records = rank(list(state.trials.values()))
    if not records:
        return []
    return diagnose_all(records, setting_of(read_data_table(store, records[0].config.data_id)), find_rules(rules))
