"""A trial's configuration in the store: written once, verified by its id."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sample_runs.damage import flip
from trainables.config.trial import TrialConfig
from trainables.errors import DamagedObject, ObjectMissing
from trainables.results.config_file import read_config, write_config
from trainables.store.folder import Folder
from trainables.store.json_records import to_json

CONFIG = TrialConfig(data_id="d", seed=3)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    with pytest.raises(ObjectMissing):
        read_config(store, CONFIG.trial_id)
    write_config(store, CONFIG)
    assert read_config(store, CONFIG.trial_id) == CONFIG


def test_a_record_of_an_older_version_is_left_as_it_is(tmp_path: Path) -> None:
    store, key = Folder(tmp_path), f"trials/{CONFIG.trial_id}/config.json"
    store.put(key, to_json(CONFIG.model_dump(mode="json")))
    before = store.get(key)
    write_config(store, CONFIG)
    assert store.get(key) == before
    assert read_config(store, CONFIG.trial_id) == CONFIG


def test_every_bit_that_flips_is_noticed_and_the_record_written_again(tmp_path: Path) -> None:
    store, path = Folder(tmp_path), tmp_path / "trials" / CONFIG.trial_id / "config.json"
    write_config(store, CONFIG)
    whole = path.read_bytes()
    for at in range(0, 8 * len(whole), 7):
        path.write_bytes(flip(whole, at))
        with pytest.raises(DamagedObject):
            read_config(store, CONFIG.trial_id)
    write_config(store, CONFIG)
    assert path.read_bytes() == whole


def test_the_configuration_of_another_trial_is_refused(tmp_path: Path) -> None:
    store = Folder(tmp_path)
    store.put(
        f"trials/{CONFIG.trial_id}/config.json", to_json(TrialConfig(data_id="d", seed=4).model_dump(mode="json"))
    )
    with pytest.raises(DamagedObject, match=f"is not the configuration of {CONFIG.trial_id}: delete it"):
        read_config(store, CONFIG.trial_id)
