"""config.json of a trial: what it is, for those who know no more than its name."""

from __future__ import annotations

import contextlib

from pydantic import ValidationError

from trainables import layout
from trainables.config import TrialConfig
from trainables.errors import DamagedObject, ObjectMissing
from trainables.store import Store, get_json, seal_json


def write_config(store: Store, config: TrialConfig) -> None:
    """Record `config`, once: nothing is written where its record is there already, and whole. Raises `StoreError`."""
    with contextlib.suppress(ObjectMissing, DamagedObject):
        read_config(store, config.trial_id)
        return
    store.put(layout.config_key(config.trial_id), seal_json(config.model_dump(mode="json")))


def read_config(store: Store, trial_id: str) -> TrialConfig:
    """The record of a trial, which its name proves. Raises `ObjectMissing` and `DamagedObject`."""
    key = layout.config_key(trial_id)
    told = get_json(store, key)
    try:
        config = TrialConfig.model_validate(told)
    except ValidationError:
        config = None
    if config is None or config.trial_id != trial_id:
        raise DamagedObject(
            f"{store.uri}/{key} is not the configuration of {trial_id}: delete it, a run that trains this trial writes it again"
        )
    return config
