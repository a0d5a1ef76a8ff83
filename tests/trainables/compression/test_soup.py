"""Soups of tiny nets: the mean by hand, statistics computed again, greedy's rule, and what does not belong together."""

from __future__ import annotations

import itertools
import json

import pytest
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor

from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.compression.soup import Ingredient, SoupTask, check_ingredients, make_soup, mean_tensors
from trainables.config.seed import derive_seed
from trainables.config.trial import ParentConfig, TrialConfig
from trainables.data.images import hash_labels
from trainables.errors import CheckpointMismatch
from trainables.models.load import load_net
from trainables.results.checkpoint import CheckpointId
from trainables.results.predictions import from_arrow
from trainables.results.soup_id import SoupId, SoupKind, name_soup
from trainables.store import layout
from trainables.training.average import measure_statistics
from trainables.training.memory import PredictionBatch
from trainables.training.training import Evaluation, Training

EPOCHS = 5
IMAGES = make_images(seed=3)


def train(config: TrialConfig, epochs: int = EPOCHS) -> list[Ingredient]:
    training = Training(config, place(IMAGES))
    found = []
    for epoch in range(1, epochs + 1):
        training.train_epoch()
        found.append(Ingredient(CheckpointId(config.trial_id, epoch), config, training.weights()))
    return found


@pytest.fixture(scope="module")
def trained() -> list[Ingredient]:
    torch.set_num_threads(1)
    return train(make_config(lr=0.05))


def task_of(config: TrialConfig) -> SoupTask:
    return SoupTask(config, place(IMAGES), hash_labels(IMAGES))


def name(kind: SoupKind, ordered: list[Ingredient]) -> SoupId:
    return name_soup(kind, [each.checkpoint for each in ordered], "accuracy")


def accuracy(found: Evaluation) -> float:
    return found.accuracy


def alone(each: Ingredient) -> Evaluation:
    placed = place(IMAGES)
    return Training(each.config, placed, net=load_net(each.config, placed.shape, each.weights)).evaluate("validation")


def test_the_mean_of_two_nets_by_hand() -> None:
    one = {"layer.weight": torch.tensor([1.0, 2.0]), "norm.num_batches_tracked": torch.tensor(4)}
    other = {"layer.weight": torch.tensor([3.0, -2.0]), "norm.num_batches_tracked": torch.tensor(12)}
    found = mean_tensors([one, other])
    assert found["layer.weight"].tolist() == [2.0, 0.0]
    assert found["norm.num_batches_tracked"].item() == 12
    assert found["norm.num_batches_tracked"].dtype == torch.int64
    assert one["layer.weight"].tolist() == [1.0, 2.0]


def test_a_mean_of_equals_is_the_same_to_the_bit() -> None:
    value = {"weight": torch.rand(1000, generator=torch.Generator().manual_seed(0))}
    assert torch.equal(mean_tensors([value] * 3)["weight"], value["weight"])


@pytest.mark.parametrize(
    "other",
    [{"weight": torch.zeros(3)}, {"bias": torch.zeros(2)}, {"weight": torch.zeros(2).double()}],
    ids=["shape", "name", "type"],
)
def test_tensors_of_other_nets_are_named(other: dict[str, Tensor]) -> None:
    with pytest.raises(CheckpointMismatch, match=r"different architectures: (weight|bias) is "):
        mean_tensors([{"weight": torch.zeros(2)}, other])


def test_a_uniform_soup_is_the_mean_with_statistics_of_its_own(trained: list[Ingredient]) -> None:
    ordered = trained[::-1][:3]
    wanted = name("uniform", ordered)
    soup = make_soup(task_of(ordered[0].config), wanted, ordered, accuracy)
    assert soup.ingredients == tuple(each.checkpoint for each in ordered)
    found = load_tensors(soup.parts[layout.WEIGHTS])
    plain = mean_tensors([load_tensors(each.weights) for each in ordered])
    statistics = {key for key in found if "running_" in key}
    assert statistics
    for key, value in found.items():
        if key not in statistics and value.is_floating_point():
            assert torch.equal(value, plain[key]), key
    assert all(not torch.allclose(found[key], plain[key], rtol=1e-3) for key in statistics if "var" in key)

    training = Training(ordered[0].config, place(IMAGES))
    training._net.load_state_dict(plain)
    seed = derive_seed(ordered[0].config.seed, "soup", wanted.digest)
    measure_statistics(training._net, training._rows, seed, PredictionBatch(125), training._logits)
    again = training._net.state_dict()
    assert all(torch.equal(found[key], again[key]) for key in statistics)


def test_the_parts_are_predictions_of_the_soup_and_figures_of_validation_alone(trained: list[Ingredient]) -> None:
    ordered = trained[::-1]
    soup = make_soup(task_of(ordered[0].config), name("uniform", ordered), ordered, accuracy)
    measured = json.loads(soup.parts[layout.METRICS])
    assert measured["ingredients"] == measured["tried"] == [str(each.checkpoint) for each in ordered]
    assert not [key for key in measured if "test" in key]
    predictions = from_arrow(soup.parts[layout.predictions_part("validation")])
    labels = IMAGES.labels[IMAGES.rows("validation")]
    assert (predictions.probabilities.argmax(1) == labels).mean() == measured["validation_accuracy"]
    net = Ingredient(ordered[0].checkpoint, ordered[0].config, soup.parts[layout.WEIGHTS])
    assert (alone(net).probabilities == predictions.probabilities).all()
    assert from_arrow(soup.parts[layout.predictions_part("test")]).split == "test"


def test_greedy_takes_who_does_not_lower_validation_and_none_else(trained: list[Ingredient]) -> None:
    ordered = sorted(trained, key=lambda each: (-alone(each).accuracy, alone(each).loss))

    def loss(found: Evaluation) -> float:
        return -found.loss

    for score in (accuracy, loss):
        soup = make_soup(task_of(ordered[0].config), name("greedy", ordered), ordered, score)
        measured = json.loads(soup.parts[layout.METRICS])
        best = score(alone(ordered[0]))
        assert (measured["validation_accuracy"] if score is accuracy else -measured["validation_loss"]) >= best
        assert soup.ingredients[0] == ordered[0].checkpoint
    falling = itertools.count(0, -1)
    never = make_soup(task_of(ordered[0].config), name("greedy", ordered), ordered, lambda _: float(next(falling)))
    assert never.ingredients == (ordered[0].checkpoint,)
    always = make_soup(task_of(ordered[0].config), name("greedy", ordered), ordered, lambda _: 0.0)
    assert always.ingredients == tuple(each.checkpoint for each in ordered)


def test_a_soup_of_one_is_that_checkpoint(trained: list[Ingredient]) -> None:
    soup = make_soup(task_of(trained[2].config), name("greedy", trained[2:3]), trained[2:3], accuracy)
    assert soup.parts[layout.WEIGHTS] == trained[2].weights


def test_the_same_again_gives_the_same_bits(trained: list[Ingredient]) -> None:
    ordered = trained[::-1]
    first, again = (make_soup(task_of(ordered[0].config), name("greedy", ordered), ordered, accuracy) for _ in range(2))
    assert first.parts == again.parts


def test_a_net_without_batch_norm_is_averaged_as_it_is() -> None:
    ordered = train(make_config(model={"batch_norm": False}), epochs=2)
    soup = make_soup(task_of(ordered[0].config), name("uniform", ordered), ordered, accuracy)
    plain = mean_tensors([load_tensors(each.weights) for each in ordered])
    found = load_tensors(soup.parts[layout.WEIGHTS])
    assert all(torch.equal(found[key], value) for key, value in plain.items())


def test_what_does_not_belong_together_is_refused(trained: list[Ingredient]) -> None:
    first = trained[0]

    def other(config: TrialConfig) -> Ingredient:
        return Ingredient(CheckpointId(config.trial_id, 1), config, first.weights)

    with pytest.raises(CheckpointMismatch, match=r"different architectures \(model.width\)"):
        check_ingredients([first, other(make_config(lr=0.05, model={"width": 8}))])
    with pytest.raises(CheckpointMismatch, match="began from different weights"):
        check_ingredients([first, other(make_config(lr=0.05, seed=1))])
    with pytest.raises(CheckpointMismatch, match="different data"):
        check_ingredients([first, other(make_config(data_id="others", lr=0.05))])
    parent = ParentConfig(trial_id=first.config.trial_id, epoch=1)
    children = [other(make_config(lr=rate, parent=parent)) for rate in (0.01, 0.02)]
    check_ingredients(children)
    check_ingredients([first, *children])
    with pytest.raises(CheckpointMismatch, match=r"see other pixels \(data.equalise or data.normalise differs\)"):
        check_ingredients([*children, other(make_config(lr=0.03, parent=parent, data={"equalise": "clahe"}))])
    with pytest.raises(CheckpointMismatch, match="began from different weights"):
        check_ingredients([*children, other(make_config(lr=0.01, parent=ParentConfig(trial_id="0" * 12, epoch=1)))])


def test_a_soup_is_named_by_its_kind_and_what_it_is_made_of() -> None:
    first, second = CheckpointId("0f3a", 3), CheckpointId("0f3a", 7)
    soup = name_soup("uniform", [first, second], "accuracy")
    assert (soup.trial_id, soup.epoch) == ("0f3a", 7)
    assert soup == name_soup("uniform", [first, second], "log_loss")
    others = {
        name_soup("uniform", [second, first], "accuracy"),
        name_soup("greedy", [first, second], "accuracy"),
        name_soup("greedy", [first, second], "log_loss"),
    }
    assert len({soup, *others}) == 4
    assert soup.key("weights.safetensors") == f"trials/0f3a/soups/uniform-{soup.digest}/weights.safetensors"
