import pytest

from runner.space.conditions import active_values, activity, conditions_of, in_order
from runner.space.parse import parse_distribution
from tests.runner.search.sample_searches import make_sweep
from trainables.errors import SweepFileError

SPACE = {
    "optimizer.beta1": parse_distribution({"uniform": [0.8, 0.95]}),
    "optimizer.momentum": parse_distribution({"uniform": [0.5, 0.9], "when": {"model.width": [8, 16]}}),
    "optimizer.name": parse_distribution({"choice": ["sgd", "adamw"]}),
    "model.width": parse_distribution({"choice": [8, 16, 32]}),
}


def test_a_key_has_its_own_conditions_and_those_of_the_sweep():
    def allowed(key):
        return {other: condition.values for other, condition in conditions_of(key, SPACE).items()}

    assert allowed("optimizer.momentum") == {"optimizer.name": {"sgd"}, "model.width": {8, 16}}
    assert allowed("optimizer.beta1") == {"optimizer.name": {"adam", "adamw"}}
    assert allowed("optimizer.lr") == {}


def test_a_condition_of_a_condition_counts_too():
    conditions = conditions_of("model.neurons", SPACE)
    assert list(conditions) == ["model.dense", "model.name"]
    assert conditions["model.dense"].holds(1)
    assert not conditions["model.dense"].holds(0)
    assert conditions["model.name"].holds("cnn")
    assert conditions["model.name"].holds("mine:build")  # which may ask for any key of `cnn`
    assert not conditions["model.name"].holds("torchvision/resnet18")


def test_an_unknown_key_belongs_to_a_custom_model():
    [condition] = conditions_of("model.depth", SPACE).values()
    assert (condition.holds("mine:build"), condition.holds("cnn")) == (True, False)


def test_conditions_come_before_what_depends_on_them():
    keys = list(in_order(SPACE))
    assert sorted(keys) == sorted(SPACE)
    assert keys.index("optimizer.name") < keys.index("optimizer.momentum")
    assert keys.index("model.width") < keys.index("optimizer.momentum")
    assert keys.index("optimizer.name") < keys.index("optimizer.beta1")


@pytest.mark.parametrize(
    ("name", "width", "others"),
    [
        ("sgd", 8, {"optimizer.momentum"}),
        ("sgd", 32, set()),
        ("adamw", 8, {"optimizer.beta1"}),
    ],
)
def test_only_values_that_have_an_effect_remain(name, width, others):
    values = {"optimizer.name": name, "model.width": width, "optimizer.momentum": 0.6, "optimizer.beta1": 0.85}
    ordered = in_order(SPACE)
    active = active_values(ordered, activity(SPACE, {"model.name": "cnn"}.__getitem__), values)
    assert set(active) == {"optimizer.name", "model.width"} | others


def test_a_condition_outside_the_space_is_looked_up_in_the_sweep():
    space = {"optimizer.momentum": SPACE["optimizer.momentum"]}
    is_active = activity(space, {"optimizer.name": "sgd", "model.width": 16}.__getitem__)
    assert is_active("optimizer.momentum", {})


def test_conditions_that_form_a_cycle_are_refused():
    space = {
        "model.width": parse_distribution({"choice": [8, 16], "when": {"model.blocks": 2}}),
        "model.blocks": parse_distribution({"choice": [1, 2], "when": {"model.width": 8}}),
    }
    with pytest.raises(ValueError, match=r"model\.width and model\.blocks go in a circle"):
        in_order(space)
    written = {key: how.to_dict() for key, how in space.items()}
    with pytest.raises(SweepFileError, match="go in a circle"):
        make_sweep({"space": written})


@pytest.mark.parametrize(
    ("space", "parts", "message"),
    [
        (
            {"optimizer.momentum": {"uniform": [0.5, 0.9]}},
            {"optimizer": {"name": "adamw"}},
            "optimizer.momentum has no effect, since it matters only where optimizer.name is 'sgd', which is 'adamw'",
        ),
        (
            {"optimizer.beta1": {"uniform": [0.5, 0.9]}, "optimizer.name": {"choice": ["sgd"]}},
            {},
            "optimizer.beta1 has no effect, .*, which is never so",
        ),
        (
            {"model.width": {"choice": [8, 16], "when": {"model.block": 2}}},
            {},
            "when: no such key|when.model.block|no such key",
        ),
    ],
)
def test_a_key_that_can_never_have_an_effect_is_refused(space, parts, message):
    with pytest.raises(SweepFileError, match=message):
        make_sweep({"space": space}, **parts)
