"""config.json of a trial: its configuration, for readers that know only the trial's id."""

from __future__ import annotations

import contextlib

from trainables.config.trial import TrialConfig
from trainables.errors import DamagedObject, ObjectMissing, StoreTooNew
from trainables.results.newer_trial import NewerTrial, read_trial
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json, seal_json


def write_config(store: Store, config: TrialConfig) -> bool:
    """Write the record of `config`, unless it exists undamaged or was written by a newer version. Returns whether it was
    written. Raises `StoreError`.
    """
    if isinstance(config, NewerTrial):
        return False
    with contextlib.suppress(ObjectMissing, DamagedObject):
        with contextlib.suppress(StoreTooNew):
            read_config(store, config.trial_id)
        return False
    store.put(layout.config_key(config.trial_id), seal_json(config.model_dump(mode="json")))
    return True


def read_config(store: Store, trial_id: str) -> TrialConfig:
    """The configuration of a trial, verified by its id. Unknown keys of a newer version are accepted at their defaults.

    Raises `ObjectMissing`, `DamagedObject`, and `StoreTooNew` where the record has keys or values that this version does not know.
    """
    key = layout.config_key(trial_id)
    where = f"{store.uri}/{key}"
    payload = get_json(store, key)
    remedy = "delete it, a run that trains this trial writes it again"
    try:
        config = read_trial(trial_id, payload)
    except ValueError as error:
        raise DamagedObject(f"{where} is not the configuration of {trial_id} ({error}): {remedy}") from None
    if not isinstance(config, NewerTrial):
        return config
    if config.known.trial_id == trial_id:  # the unknown keys are at their defaults, else the id would differ
        return config.known
    if not config.unknown:
        raise DamagedObject(f"{where} is not the configuration of {trial_id}: {remedy}")
    raise StoreTooNew(f"{where} was written by a newer Caucus ({config.why}): use that version")
