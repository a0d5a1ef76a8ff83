import numpy as np
import pytest

from ensembles.selection_bias.resample import FOLDS, draw_rounds


def test_each_round_of_a_cross_fit_scores_every_image_once_and_by_what_the_others_select():
    rounds = draw_rounds(23, "cross-fit", 40, seed=3)
    assert [len(each) for each in rounds] == [FOLDS] * 4
    for each in rounds:
        assert sorted(np.concatenate([part.outside for part in each]).tolist()) == list(range(23))
        for part in each:
            assert sorted([*part.inside.tolist(), *part.outside.tolist()]) == list(range(23))
            assert len(part.outside) in (2, 3)
    first = [[part.outside.tolist() for part in each] for each in rounds]
    assert len({str(each) for each in first}) == 4  # no round cuts as another does


def test_a_bootstrap_draws_as_many_images_as_there_are_and_scores_those_it_did_not_draw():
    rounds = draw_rounds(1000, "bootstrap", 40, seed=3)
    assert [len(each) for each in rounds] == [1] * 40
    shares = []
    for (part,) in rounds:
        assert len(part.inside) == 1000
        assert set(part.inside.tolist()) | set(part.outside.tolist()) == set(range(1000))
        assert not set(part.inside.tolist()) & set(part.outside.tolist())
        assert part.inside.tolist() == sorted(part.inside.tolist())
        shares.append(len(part.outside) / 1000)
    assert np.mean(shares) == pytest.approx(np.exp(-1), abs=0.01)


@pytest.mark.parametrize("kind", ["cross-fit", "bootstrap"])
def test_the_same_seed_draws_the_same_and_another_one_others(kind):
    def drawn(seed):
        return [[part.outside.tolist() for part in each] for each in draw_rounds(50, kind, 20, seed)]

    assert drawn(0) == drawn(0) != drawn(1)


@pytest.mark.parametrize("kind", ["cross-fit", "bootstrap"])
def test_no_repetition_and_a_single_image_leave_nothing_to_score_on(kind):
    assert draw_rounds(50, kind, 0, seed=0) == []
    assert draw_rounds(1, kind, 40, seed=0) == []


def test_two_images_are_two_folds_and_a_bootstrap_that_drew_both_scores_nothing():
    for each in draw_rounds(2, "cross-fit", 40, seed=0):
        assert [part.inside.tolist() for part in each] == [part.outside.tolist() for part in reversed(each)]
    bootstraps = draw_rounds(2, "bootstrap", 40, seed=0)
    assert 0 < len(bootstraps) < 40
    assert all(len(part.outside) == 1 for (part,) in bootstraps)


def test_a_bootstrap_that_left_no_image_out_is_not_a_round():
    """Of two images half of the bootstraps draw both: those have nothing to score on, and none of the others is lost."""
    for (part,) in draw_rounds(2, "bootstrap", 40, seed=0):
        assert len(part.outside) == 1
        assert part.inside.tolist() == [1 - part.outside[0]] * 2
    drawn = np.random.default_rng(0).multinomial(2, [0.5, 0.5], size=400)
    assert len(draw_rounds(2, "bootstrap", 400, seed=0)) == pytest.approx(int((drawn == 0).any(1).sum()), abs=40)
