"""The names of trials, and what a configuration refuses."""

from typing import Any, get_args

import pytest
from pydantic import ValidationError

from trainables.config.base import flatten, short_hash
from trainables.config.conditions import CONDITIONS
from trainables.config.model import ModelConfig
from trainables.config.preparation import PreparationConfig
from trainables.config.training import OptimizerConfig, ScheduleConfig
from trainables.config.trial import ParentConfig, TrialConfig

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
    "4343b98e6f72": TrialConfig(
        data_id="0123456789abcdef",
        seed=1,
        optimizer=OptimizerConfig(name="adamw", beta1=0.95, beta2=0.99),
        parent=ParentConfig(trial_id="64b71c31e574", epoch=3),
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
    aloud = TrialConfig(
        data_id="d",
        seed=0,
        data=PreparationConfig(equalise="none"),
        model=ModelConfig(blocks=2),
        optimizer=OptimizerConfig(momentum=0.9),
    )
    assert aloud.trial_id == TrialConfig(data_id="d", seed=0).trial_id


def test_a_whole_number_names_the_same_trial_as_the_equal_float() -> None:
    whole, point = (TrialConfig(data_id="d", seed=0, optimizer=OptimizerConfig(lr=lr)) for lr in (1, 1.0))
    assert whole.trial_id == point.trial_id


@pytest.mark.parametrize(
    "change",
    [
        {"data_id": "e"},
        {"seed": 1},
        {"model": {"width": 17}},
        {"optimizer": {"lr": 0.051}},
        {"optimizer": {"beta1": 0.8}},
        {"optimizer": {"beta2": 0.99}},
        {"precision": "float32"},
        {"data": {"equalise": "clahe"}},
        {"data": {"normalise": "model"}},
        {"parent": {"trial_id": "0123456789ab", "epoch": 1}},
    ],
    ids=str,
)
def test_whatever_decides_the_result_is_part_of_the_id(change: dict[str, Any]) -> None:
    changed = TrialConfig.model_validate({"data_id": "d", "seed": 0} | change)
    assert changed.trial_id != TrialConfig(data_id="d", seed=0).trial_id


def test_another_parent_or_another_epoch_of_it_makes_another_trial() -> None:
    parents = [None, ParentConfig(trial_id="0" * 12, epoch=1), ParentConfig(trial_id="0" * 12, epoch=2)]
    parents.append(ParentConfig(trial_id="1" * 12, epoch=1))
    assert len({TrialConfig(data_id="d", seed=0, parent=parent).trial_id for parent in parents}) == len(parents)


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"colour": "red"}, "colour\n.*Extra inputs"),
        ({"optimizer": {"learning_rate": 0.1}}, r"optimizer.learning_rate\n.*Extra inputs"),
        ({"optimizer": {"lr": float("nan")}}, r"optimizer.lr\n.*finite number"),
        ({"optimizer": {"weight_decay": float("inf")}}, r"optimizer.weight_decay\n.*finite number"),
        ({"optimizer": {"lr": "0.1"}}, r"optimizer.lr\n.*valid number"),
        ({"optimizer": {"lr": 0.0}}, r"optimizer.lr\n.*greater than 0"),
        ({"optimizer": {"beta1": 1.0}}, r"optimizer.beta1\n.*less than 1"),
        ({"optimizer": {"beta2": -0.1}}, r"optimizer.beta2\n.*greater than or equal to 0"),
        ({"parent": {"trial_id": "0123456789AB", "epoch": 1}}, r"parent.trial_id\n.*match pattern"),
        ({"parent": {"trial_id": "0123456789ab\n", "epoch": 1}}, r"parent.trial_id\n.*match pattern"),
        ({"parent": {"trial_id": "0123456789ab", "epoch": 0}}, r"parent.epoch\n.*greater than or equal to 1"),
        ({"parent": {"trial_id": "0123456789ab"}}, r"parent.epoch\n.*required"),
        ({"model": {"blocks": 2.0}}, r"model.blocks\n.*valid integer"),
        ({"model": {"blocks": True}}, r"model.blocks\n.*valid integer"),
        ({"model": {"batch_norm": 1}}, r"model.batch_norm\n.*valid boolean"),
        ({"model": {"dropout": 1.0}}, r"model.dropout\n.*less than 1"),
        ({"schedule": {"name": "linear"}}, r"schedule.name\n.*'constant', 'step', .*'one-cycle' or 'plateau'"),
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


def test_a_changed_copy_has_its_own_name() -> None:
    trial = TrialConfig(data_id="d", seed=0)
    before = trial.trial_id
    changed = trial.model_copy(update={"seed": 1})
    assert changed.trial_id == TrialConfig(data_id="d", seed=1).trial_id != before


@pytest.mark.parametrize("key", CONDITIONS)
def test_a_condition_speaks_of_keys_and_values_that_there_are(key: str) -> None:
    known = flatten(TrialConfig(data_id="d", seed=0).model_dump())
    condition = CONDITIONS[key]
    assert {key, condition.key} <= known.keys()
    room, name = condition.key.split(".")
    field = TrialConfig.model_fields[room].annotation.model_fields[name]
    values = set(get_args(field.annotation))
    if field.annotation is bool:
        values = {False, True}
    elif bounds := {type(rule).__name__: rule for rule in field.metadata if type(rule).__name__ in ("Ge", "Le")}:
        values = set(range(bounds["Ge"].ge, bounds["Le"].le + 1))
    elif field.annotation is str:
        values = {"cnn", "torchvision/resnet18"}
    assert condition.values < values  # with all of them it would be no condition
