"""Weights from elsewhere: named by their content, taken over whole, or but for the last layer."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from tests.trainables.training.tiny_trials import CPU, make_config, make_images, place
from trainables.config.model import ModelConfig
from trainables.config.trial import TrialConfig
from trainables.data.image_shape import ImageShape
from trainables.data.images import hash_labels
from trainables.errors import DamagedObject, ModelUnusable, ObjectMissing
from trainables.models.build import build_model
from trainables.models.pretrained import load_initial_weights, name_weights, read_weights, start_from, store_weights
from trainables.results.committer import Committer
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.training.training import Training
from trainables.training.trial import Trial

SHAPE = ImageShape(8, 8, 3, 3)


def build(seed: int, classes: int = 3, **keys: object) -> nn.Module:
    config = ModelConfig.model_validate({"width": 4, **keys})
    return build_model(config, ImageShape(8, 8, 3, classes), seed)


def as_file(net: nn.Module) -> bytes:
    return bytes(save({name: value.contiguous() for name, value in net.state_dict().items()}))


def test_a_net_starts_with_the_tensors_of_the_file_and_its_statistics() -> None:
    donor, net = build(1), build(2)
    nn.init.constant_(donor.get_buffer("1.running_mean"), 7.0)
    start_from(net, as_file(donor))
    assert as_file(net) == as_file(donor)


def test_a_last_layer_of_another_size_starts_afresh_as_a_whole() -> None:
    donor, net, fresh = build(1, classes=5), build(2), build(2)
    start_from(net, as_file(donor))
    stored, kept = donor.state_dict(), fresh.state_dict()
    for name, value in net.state_dict().items():
        assert torch.equal(value, kept[name] if name.startswith("9.") else stored[name]), name


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"width": 8}, r"0.weight is \(8, 3, 3, 3\) in the file and \(4, 3, 3, 3\) in this net; only the last layer \(9\)"),
        ({"batch_norm": False}, r"1.weight is missing in the file and \(4,\) in this net|0.bias is .* and missing"),
        ({"blocks": 1}, "in this net"),
        ({"blocks": 3}, "in this net"),
    ],
    ids=str,
)  # fmt: skip
def test_any_other_mismatch_is_refused_and_the_net_left_as_it_was(other: dict[str, object], said: str) -> None:
    net = build(2)
    with pytest.raises(ModelUnusable, match=said):
        start_from(net, as_file(build(1, **other)))
    assert as_file(net) == as_file(build(2))


@pytest.mark.parametrize("kind", ["zip", "old", "plain"])
def test_a_pickle_is_refused_with_how_to_convert_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "net.pth"
    if kind == "plain":
        path.write_bytes(pickle.dumps({"a": 1}))
    else:
        sink = io.BytesIO()
        torch.save(build(1).state_dict(), sink, _use_new_zipfile_serialization=kind == "zip")
        path.write_bytes(sink.getvalue())
    with pytest.raises(
        ModelUnusable, match=r"a pickle of torch: .* convert it with python -c .*net\.pth.*weights_only=True"
    ):
        read_weights(str(path), Folder(tmp_path / "store"))


@pytest.mark.parametrize("data", [b"", b"short", b"\x00" * 50, b"\xff" * 50, b"\x02\0\0\0\0\0\0\0[]"], ids=repr)
def test_what_is_no_safetensors_file_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelUnusable, match="no safetensors file"):
        read_weights(str(path), Folder(tmp_path / "store"))


def test_a_file_is_found_by_path_by_uri_by_key_and_by_hash(tmp_path: Path) -> None:
    store, data = Folder(tmp_path / "store"), as_file(build(1))
    (tmp_path / "x.safetensors").write_bytes(data)
    store.put("trials/0123/weights.safetensors", data)
    assert read_weights(str(tmp_path / "x.safetensors"), store) == data
    assert read_weights("trials/0123/weights.safetensors", store) == data
    store_weights(store, data)
    assert read_weights(name_weights(data), store) == data
    with pytest.raises(ModelUnusable, match=r"model.weights is nowhere.safetensors: .*name a safetensors file"):
        read_weights("nowhere.safetensors", store)


def test_the_stored_file_is_verified_by_its_name(tmp_path: Path) -> None:
    store, data = Folder(tmp_path), as_file(build(1))
    name = name_weights(data)
    with pytest.raises(ObjectMissing):
        load_initial_weights(store, name)
    store_weights(store, data)
    assert load_initial_weights(store, name) == data
    assert load_initial_weights(store, "") is None
    store.put(layout.initial_weights_key(name.removeprefix("sha256:")), data + b"!")
    with pytest.raises(DamagedObject, match="not what its name promises"):
        load_initial_weights(store, name)
    with pytest.raises(ObjectMissing, match="not in the store"):
        load_initial_weights(store, "some.safetensors")


def test_a_trial_starts_from_the_file_and_is_named_by_its_content(tmp_path: Path) -> None:
    images = make_images()
    store, data = Folder(tmp_path), as_file(build(1))
    store_weights(store, data)
    config = make_config(model={"weights": name_weights(data)})
    assert config.trial_id != make_config().trial_id
    assert config.trial_id != make_config(model={"weights": name_weights(as_file(build(5)))}).trial_id

    def train(trial_config: TrialConfig) -> bytes:
        committer = Committer(store)
        trial = Trial(trial_config, place(images), hash_labels(images), store, committer)
        step = trial.advance()
        committer.close()
        assert step.result, step.reason
        return store.get(layout.checkpoint_prefix(trial_config.trial_id, 1) + layout.WEIGHTS)

    by_hand = Training(config, place(images), initial=data)
    assert by_hand.weights() == data
    by_hand.train_epoch()
    assert train(config) == by_hand.weights() != train(make_config())
    assert place(images).pixels.device == CPU


def test_a_trial_whose_file_is_gone_is_stopped_with_its_reason(tmp_path: Path) -> None:
    images = make_images()
    store = Folder(tmp_path)
    committer = Committer(store)
    config = make_config(model={"weights": "sha256:" + "0" * 64})
    step = Trial(config, place(images), hash_labels(images), store, committer).advance()
    committer.close()
    assert (step.result, step.end) == (None, "stopped")
    assert "weights/000" in step.reason
