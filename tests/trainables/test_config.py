"""The names of trials, and what a configuration refuses."""

from typing import Any

import pytest
from pydantic import ValidationError

from trainables.config import ModelConfig, OptimizerConfig, ScheduleConfig, TrialConfig, flatten, short_hash

# A trial's id is the folder that its checkpoints lie in, in every store that was ever written. If one of these ids
# changes, all stores of the past are orphaned: every sweep trains everything again and no ensemble finds its members.
# So a change that breaks this test is wrong, unless it is meant to do just that (then raise RECIPE).
KNOWN = {
    "64b71c31e574": TrialConfig(data_id="0123456789abcdef", seed=0),
    "0ab9e3214bd3": TrialConfig(
        data_id="0123456789abcdef",
        seed=7,
        model=ModelConfig(blocks=3, width=32, batch_norm=False, dropout=0.25),
        optimizer=OptimizerConfig(lr=0.0123, momentum=0.0, weight_decay=5e-4, batch_size=128, label_smoothing=0.1),
    ),
    "9495536ba188": TrialConfig(
        data_id="eb550d68550c4199",
        seed=2**63 - 1,
        optimizer=OptimizerConfig(name="adamw", lr=1e-3),
        schedule=ScheduleConfig(name="one-cycle", epochs=27),
        precision="float32",
    ),
}


@pytest.mark.parametrize("trial_id", KNOWN)
def test_the_ids_of_known_trials_never_change(trial_id: str) -> None:
    assert KNOWN[trial_id].trial_id == trial_id


@pytest.mark.parametrize("trial_id", KNOWN)
def test_a_configuration_read_back_from_json_has_the_same_id(trial_id: str) -> None:
    again = TrialConfig.model_validate_json(KNOWN[trial_id].model_dump_json())
    assert again == KNOWN[trial_id]
    assert again.trial_id == trial_id


def test_saying_a_default_aloud_does_not_rename_a_trial() -> None:
    aloud = TrialConfig(data_id="d", seed=0, model=ModelConfig(blocks=2), optimizer=OptimizerConfig(momentum=0.9))
    assert aloud.trial_id == TrialConfig(data_id="d", seed=0).trial_id


def test_a_whole_number_names_the_same_trial_as_the_equal_float() -> None:
    whole, point = (TrialConfig(data_id="d", seed=0, optimizer=OptimizerConfig(lr=lr)) for lr in (1, 1.0))
    assert whole.trial_id == point.trial_id


@pytest.mark.parametrize(
    "change",
    [{"data_id": "e"}, {"seed": 1}, {"model": {"width": 17}}, {"optimizer": {"lr": 0.051}}, {"precision": "float32"}],
    ids=str,
)
def test_whatever_decides_the_result_is_part_of_the_id(change: dict[str, Any]) -> None:
    changed = TrialConfig.model_validate({"data_id": "d", "seed": 0} | change)
    assert changed.trial_id != TrialConfig(data_id="d", seed=0).trial_id


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"colour": "red"}, "colour\n.*Extra inputs"),
        ({"optimizer": {"learning_rate": 0.1}}, r"optimizer.learning_rate\n.*Extra inputs"),
        ({"optimizer": {"lr": float("nan")}}, r"optimizer.lr\n.*finite number"),
        ({"optimizer": {"weight_decay": float("inf")}}, r"optimizer.weight_decay\n.*finite number"),
        ({"optimizer": {"lr": "0.1"}}, r"optimizer.lr\n.*valid number"),
        ({"optimizer": {"lr": 0.0}}, r"optimizer.lr\n.*greater than 0"),
        ({"model": {"blocks": 2.0}}, r"model.blocks\n.*valid integer"),
        ({"model": {"blocks": True}}, r"model.blocks\n.*valid integer"),
        ({"model": {"batch_norm": 1}}, r"model.batch_norm\n.*valid boolean"),
        ({"model": {"dropout": 1.0}}, r"model.dropout\n.*less than 1"),
        ({"schedule": {"name": "linear"}}, r"schedule.name\n.*'constant', 'cosine' or 'one-cycle'"),
        ({"seed": -1}, "seed\n.*greater than or equal to 0"),
        ({"seed": 2**63}, "seed\n.*less than"),
        ({"data_id": 7}, "data_id\n.*valid string"),
    ],
    ids=str,
)
def test_unknown_keys_nan_and_wrong_types_are_refused(wrong: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        TrialConfig.model_validate({"data_id": "d", "seed": 0} | wrong)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrialConfig(data_id="d", seed=0).seed = 1  # type: ignore[misc]


def test_a_short_hash_does_not_depend_on_the_order_of_keys() -> None:
    assert short_hash({"a": 1, "b": 2.5}, 12) == short_hash({"b": 2.5, "a": 1}, 12)
    # printf '%s' '{"a":1,"b":2.5}' | sha256sum
    assert short_hash({"a": 1, "b": 2.5}, 12) == "85f690f66555"


def test_a_short_hash_refuses_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        short_hash({"a": float("nan")}, 12)


def test_flatten_leaves_lists_and_flat_keys_alone() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": [2]}, "e": None}) == {"a.b.c": 1, "a.d": [2], "e": None}
