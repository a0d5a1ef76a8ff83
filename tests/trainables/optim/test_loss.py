"""The loss of a batch, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.augment.pipeline import Mixed
from trainables.config.training import OptimizerConfig
from trainables.optim.loss import Loss, balance

# Two images of three classes, of probabilities (1/2, 1/4, 1/4) and (1/8, 1/8, 3/4)
LOGITS = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]]).log()
LABELS = torch.tensor([0, 1])
OF_EACH = [math.log(2), math.log(8)]


def make_loss(labels: list[int] | None = None, **config: Any) -> Loss:
    return Loss(OptimizerConfig(**config), torch.tensor(labels or [0, 1, 2]), 3)


def mix(others: list[int], share: list[float]) -> Mixed:
    return Mixed(torch.zeros(2, 1, 1, 1), torch.tensor(others), torch.tensor(share))


def test_it_is_the_mean_of_what_the_true_class_costs() -> None:
    assert float(make_loss()(LOGITS, LABELS)) == pytest.approx(sum(OF_EACH) / 2)


def test_smoothed_labels_give_a_share_to_all_classes_alike() -> None:
    # 0.7 of the label and 0.1 of each class
    flat = [math.log(2) + 2 * math.log(4), 2 * math.log(8) + math.log(4 / 3)]
    expected = [0.7 * unsmoothed + 0.1 * rest for unsmoothed, rest in zip(OF_EACH, flat, strict=True)]
    assert float(make_loss(label_smoothing=0.3)(LOGITS, LABELS)) == pytest.approx(sum(expected) / 2)


def test_balanced_weights_let_classes_count_alike_and_an_image_one_on_average() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3)
    weights = balance(labels, 3)
    assert weights.tolist() == pytest.approx([9 / 12, 9 / 6, 0])  # no image of the third
    assert float(weights[labels].mean()) == pytest.approx(1)
    assert float(weights[labels][:6].sum()) == pytest.approx(float(weights[labels][6:].sum()))


def test_with_class_weights_each_image_counts_by_its_class_even_alone_in_a_batch() -> None:
    loss = make_loss([0] * 6 + [1] * 3, class_weights="balanced")
    assert float(loss(LOGITS, LABELS)) == pytest.approx((0.75 * OF_EACH[0] + 1.5 * OF_EACH[1]) / 2)
    assert float(loss(LOGITS[1:], LABELS[1:])) == pytest.approx(1.5 * OF_EACH[1])


def test_class_weights_of_a_balanced_set_change_nothing_but_rounding() -> None:
    assert float(make_loss(class_weights="balanced")(LOGITS, LABELS)) == pytest.approx(
        float(make_loss()(LOGITS, LABELS))
    )


def test_a_rare_class_has_the_larger_gradient() -> None:
    def gradients(**config: Any) -> Tensor:
        logits = torch.zeros(2, 3, requires_grad=True)
        make_loss([0] * 6 + [1] * 3, **config)(logits, LABELS).backward()  # type: ignore[no-untyped-call]
        assert logits.grad is not None
        return logits.grad.norm(dim=1)

    even, balanced = gradients(), gradients(class_weights="balanced")
    assert float(even[1] / even[0]) == pytest.approx(1)
    assert float(balanced[1] / balanced[0]) == pytest.approx(2)


def test_both_labels_of_mixed_images_count_by_their_share() -> None:
    mixed = mix(others=[2, 2], share=[0.75, 0.5])
    expected = [0.75 * math.log(2) + 0.25 * math.log(4), 0.5 * math.log(8) + 0.5 * math.log(4 / 3)]
    assert float(make_loss()(LOGITS, LABELS, mixed)) == pytest.approx(sum(expected) / 2)


def test_images_mixed_with_themselves_cost_what_they_cost_alone() -> None:
    for config in ({}, {"label_smoothing": 0.1}, {"class_weights": "balanced"}):
        loss = make_loss([0, 0, 1], **config)
        mixed_loss = loss(LOGITS, LABELS, mix(others=LABELS.tolist(), share=[0.3, 0.9]))
        assert float(mixed_loss) == pytest.approx(float(loss(LOGITS, LABELS)))


def test_each_label_of_a_mixed_image_has_the_weight_of_its_class() -> None:
    loss = make_loss([0] * 6 + [1] * 3, class_weights="balanced")
    mixed_loss = loss(LOGITS[:1], LABELS[:1], Mixed(torch.zeros(1, 1, 1, 1), torch.tensor([1]), torch.tensor([0.75])))
    assert float(mixed_loss) == pytest.approx(0.75 * 0.75 * math.log(2) + 0.25 * 1.5 * math.log(4))
