"""The training loss: cross-entropy, with label smoothing, class weights and mixed images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from trainables.augment.pipeline import Mixed
from trainables.config.training import OptimizerConfig


class Loss:
    """The mean loss of a batch, in nats."""

    def __init__(self, config: OptimizerConfig, labels: Tensor, classes: int) -> None:
        """The class weights follow from `labels`, int64 (images,), the labels of all training images."""
        self._smoothing = config.label_smoothing
        self._weights = balance(labels, classes) if config.class_weights == "balanced" else None

    def __call__(
        self, logits: Tensor, labels: Tensor, mixed: Mixed | None = None, weights: Tensor | None = None
    ) -> Tensor:
        """The mean loss of `logits` float32 (images, classes) and `labels` int64 (images,); `weights` float32 (images,), usually 1.

        For mixed images both labels count by their share (Zhang et al. 2018). With class weights an image is weighted by its
        label, and the sum is divided by the number of images, not by the sum of weights as in torch's loss: so the weights
        hold across batches, too, down to batches of one image.
        """
        if mixed is None and self._weights is None and weights is None:
            return functional.cross_entropy(logits, labels, label_smoothing=self._smoothing)
        losses = self._of_each(logits, labels)
        if mixed is not None:
            losses = mixed.share * losses + (1 - mixed.share) * self._of_each(logits, mixed.others)
        return (losses if weights is None else losses * weights).mean()

    def _of_each(self, logits: Tensor, labels: Tensor) -> Tensor:
        losses = functional.cross_entropy(logits, labels, label_smoothing=self._smoothing, reduction="none")
        return losses if self._weights is None else losses * self._weights[labels]


def balance(labels: Tensor, classes: int) -> Tensor:
    """Weights float32 (classes,) that balance the classes, with a mean of 1 over images: images / (classes x images of the class).

    This is scikit-learn's `balanced` (King and Zeng 2001), except that classes without an image are left out.

    >>> balance(torch.tensor([0, 0, 0, 1]), 3).tolist()  # 4 / (2 x 3) and 4 / (2 x 1)
    [0.6666666865348816, 2.0, 0.0]
    """
    counts = torch.bincount(labels.cpu(), minlength=classes)
    present = counts > 0
    weights = torch.where(present, len(labels) / (present.sum() * counts.clamp(min=1)), 0.0)
    return weights.to(labels.device, torch.float32)
