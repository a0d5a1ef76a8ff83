"""Between probabilities and their logarithms."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ensembles.metrics.scores import LEAST_PROBABILITY


def log_floored(probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Natural logarithms, float64; probabilities below `LEAST_PROBABILITY` count as that, NaN stays NaN."""
    found = probabilities.astype(np.float64)
    np.maximum(found, LEAST_PROBABILITY, out=found)
    return np.log(found, out=found)


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Probabilities (images, classes), each row adding up to one. `logits` are left as they are."""
    shares: npt.NDArray[np.float64] = logits - logits.max(1, keepdims=True)
    np.exp(shares, out=shares)
    shares /= shares.sum(1, keepdims=True)
    return shares


def log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Logarithms of `softmax`, exact also where that rounds to zero or one."""
    lowered: npt.NDArray[np.float64] = logits - logits.max(1, keepdims=True)
    lowered -= np.log(np.exp(lowered).sum(1, keepdims=True))
    return lowered
