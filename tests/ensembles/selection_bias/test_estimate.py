import math

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import brier_score_loss, f1_score

from ensembles.metrics.scores import brier, log_loss
from ensembles.selection_bias.estimate import PerImage, Resampler, Voted, estimate_mean, estimate_share, of_each_image

LABELS = np.array([0, 1, 1, 0])
PROBABILITIES = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.5, 0.5]])


def test_each_image_counts_once_however_often_it_was_scored():
    each = PerImage(4)
    each.add(np.array([0, 1]), [1, 0])
    each.add(np.array([1, 3]), [1, 1])
    each.add(np.array([1]), [1])
    assert each.scored.tolist() == [True, True, False, True]
    assert each.means().tolist() == [1, pytest.approx(2 / 3), 1]
    selected = PerImage(4)
    selected.add(np.arange(4), [1, 0, 0, 0])
    assert each.blend(selected, 0.25).tolist() == [1, pytest.approx(0.5), 0.75]


def test_the_interval_of_a_share_is_exact_and_holds_any_share():
    found = estimate_share(30 / 40, 40)
    assert found.value == 0.75
    exact = binomtest(30, 40).proportion_ci(0.95, method="exact")
    assert found.ci95 == pytest.approx((exact.low, exact.high))
    for share in (0.0, 0.0125, 0.5, 0.999, 1.0):
        low, high = estimate_share(share, 40).ci95
        assert 0 <= low <= share <= high <= 1


def test_the_interval_of_a_mean_by_hand():
    found = estimate_mean(np.array([1.0, 2.0, 3.0, 2.0]), least=0)
    half = 1.959963984540054 * math.sqrt(2 / 3) / 2  # variance 2/3, four values
    assert found.value == 2
    assert found.ci95 == pytest.approx((2 - half, 2 + half))
    assert estimate_mean(np.array([0.0, 0.0, 0.0, 4.0]), least=0).ci95[0] == 0
    assert estimate_mean(np.array([0.3])).ci95 == (0.3, 0.3)


def test_what_a_metric_is_the_mean_of():
    assert of_each_image("accuracy", PROBABILITIES, LABELS).tolist() == [1, 0, 1, 1]  # the tie goes to class 0
    assert of_each_image("log_loss", PROBABILITIES, LABELS).mean() == pytest.approx(log_loss(PROBABILITIES, LABELS))
    assert of_each_image("brier", PROBABILITIES, LABELS).mean() == pytest.approx(brier(PROBABILITIES, LABELS))
    assert of_each_image("brier", PROBABILITIES, LABELS).mean() == pytest.approx(
        2 * brier_score_loss(LABELS, PROBABILITIES[:, 1])
    )


def test_rounds_are_averaged_image_by_image_and_the_selected_score_has_its_share():
    rounds = [Voted(np.array([0, 1]), PROBABILITIES[:2]), Voted(np.array([2, 3, 1]), PROBABILITIES[[2, 3, 3]])]
    # Image 1 is wrong in one round and, given .5 and .5, wrong in the other.
    assert Resampler("accuracy", LABELS, 0).estimate(rounds, 1.0, 0.0).value == pytest.approx(3 / 4)
    assert Resampler("accuracy", LABELS, 0).estimate(rounds, 1.0, 0.2).value == pytest.approx(0.8 * 3 / 4 + 0.2)


def test_a_metric_that_is_no_mean_over_images_is_measured_in_each_round():
    rounds = [Voted(np.arange(4), PROBABILITIES), Voted(np.arange(4)[::-1], PROBABILITIES[::-1] * [0.3, 0.7])]
    found = Resampler("macro_f1", LABELS, 0).estimate(rounds, 0.0, 0.0)
    first = f1_score(LABELS, PROBABILITIES.argmax(1), average="macro")
    second = f1_score(LABELS, (PROBABILITIES * [0.3, 0.7]).argmax(1), average="macro")
    assert found.value == pytest.approx((first + second) / 2)
    assert 0 <= found.ci95[0] < found.value < found.ci95[1] <= 1


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_band_is_as_wide_as_the_luck_of_the_images(metric):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 900)
    of_true_class = np.where(rng.random(900) < 0.9, 0.8, 0.3)
    probabilities = np.stack(
        [
            np.where(labels == 0, of_true_class, 1 - of_true_class),
            np.where(labels == 1, of_true_class, 1 - of_true_class),
        ],
        1,
    )
    rounds = [Voted(np.arange(900), probabilities)]
    low, middle, high = Resampler(metric, labels, 0).band(rounds, (10, 50, 90))
    values = of_each_image(metric, probabilities, labels)
    assert middle == pytest.approx(values.mean(), abs=0.2 * values.std() / 30)
    assert (high - low) / 2 == pytest.approx(1.2816 * values.std() / 30, rel=0.25)  # 80 % of a normal distribution
