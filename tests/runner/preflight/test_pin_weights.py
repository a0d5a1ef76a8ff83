"""Files of weights become names of their content, wherever a sweep has them."""

import numpy as np
import pytest
from safetensors.numpy import save

from runner.config.checks import parse_spec
from runner.preflight.pin_weights import pin_pretrained_weights
from trainables.errors import ModelUnusable
from trainables.models.pretrained import name_weights
from trainables.store.folder import Folder


def make(tmp_path, name, value):
    data = save({"weight": np.full(3, value, np.float32)})
    (tmp_path / name).write_bytes(data)
    return str(tmp_path / name), data


def parse(**parts):
    return parse_spec({"name": "s", "data": {"name": "digits"}, **parts}, "s.yaml")


def test_a_sweep_without_weights_is_left_alone(tmp_path):
    spec = parse(search={"space": {"model.width": {"choice": [4, 8]}}})
    assert pin_pretrained_weights(spec, Folder(tmp_path)) == (spec, {})
    assert pin_pretrained_weights(spec, Folder(tmp_path))[0] is spec


def test_set_searched_and_changed_weights_are_named_by_their_content(tmp_path):
    first, one = make(tmp_path, "a.safetensors", 1)
    second, two = make(tmp_path, "b.safetensors", 2)
    store = Folder(tmp_path / "store")
    spec, files = pin_pretrained_weights(parse(model={"weights": first}), store)
    assert (spec.model.weights, files) == (name_weights(one), {name_weights(one): one})
    space = {"model.weights": {"choice": ["", first, second]}, "model.width": {"choice": [4, 8]}}
    spec, files = pin_pretrained_weights(parse(search={"space": space}), store)
    assert spec.search.space["model.weights"].values == ("", name_weights(one), name_weights(two))
    assert files == {name_weights(one): one, name_weights(two): two}
    changed = parse(
        scheduler={"method": "none"},
        search={"method": "ablation", "changes": {"warm": {"model.weights": second}}},
    )
    assert pin_pretrained_weights(changed, store)[0].search.changes["warm"] == {"model.weights": name_weights(two)}
    assert not store.find("")  # nothing is written


def test_the_run_and_its_trials_are_named_by_content_and_not_by_path(tmp_path):
    first, data = make(tmp_path, "a.safetensors", 1)
    (tmp_path / "copy.safetensors").write_bytes(data)
    other, _ = make(tmp_path, "b.safetensors", 2)
    specs = [
        pin_pretrained_weights(parse(model={"weights": str(path)}), Folder(tmp_path / "store"))[0]
        for path in (first, tmp_path / "copy.safetensors", other)
    ]
    runs = [spec.run_id("d") for spec in specs]
    trials = [spec.trial("d", {}).trial_id for spec in specs]
    assert runs[0] == runs[1] != runs[2]
    assert trials[0] == trials[1] != trials[2]


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ModelUnusable, match=r"model.weights is gone.safetensors: .*name a safetensors file"):
        pin_pretrained_weights(parse(model={"weights": "gone.safetensors"}), Folder(tmp_path))
