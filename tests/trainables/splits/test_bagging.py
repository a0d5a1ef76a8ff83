"""Who is in a bag: by hand, and in training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.config.trial import BagConfig
from trainables.splits.bagging import choose_bag, choose_folds
from trainables.training.device_images import add_pseudo_labelled, choose_training_rows
from trainables.training.training import Training

LABELS = np.array([0] * 11 + [1] * 7 + [2] * 2 + [9] * 5)
ROWS = np.arange(20)  # the last five are of another split


def bag(kind, number=1, of=10, data_id="d", labels=LABELS, rows=ROWS):
    return choose_bag(labels, rows, BagConfig(kind=kind, number=number, of=of), data_id)


def test_no_bag_is_every_row_as_it_is():
    assert bag("none") is ROWS


def test_a_fold_is_left_out_and_every_image_is_left_out_once():
    left_out = [set(ROWS) - set(bag("fold", number, of=4)) for number in (1, 2, 3, 4)]
    assert [len(fold) for fold in left_out] == [5, 5, 5, 5]  # 20 images in 4 folds
    assert sorted(row for fold in left_out for row in fold) == list(ROWS)
    by_class = np.array([np.bincount(LABELS[list(fold)], minlength=3) for fold in left_out])
    # 11, 7 and 2 images of the classes, each class dealt on from where the one before ended: after fold 3, then after fold 2
    assert by_class.tolist() == [[3, 2, 0], [3, 2, 0], [3, 1, 1], [2, 2, 1]]


def test_folds_differ_by_one_image_at_most():
    folds = choose_folds(LABELS, ROWS, 3, "d")
    assert np.bincount(folds).tolist() == [0, 7, 7, 6]


def test_a_fold_keeps_the_other_rows_rising_and_each_once():
    kept = bag("fold", 2, of=4)
    assert (np.diff(kept) > 0).all()
    assert len(kept) == 15


def test_a_bootstrap_has_as_many_of_each_class_some_of_them_twice():
    drawn = bag("bootstrap")
    assert np.bincount(LABELS[drawn]).tolist() == [11, 7, 2]
    assert len(set(drawn)) < 20
    assert (np.diff(drawn) >= 0).all()


def test_a_bootstrap_leaves_out_as_many_as_chance_does():
    rows, labels = np.arange(3000), np.arange(3000) % 3
    left_out = [1 - len(set(bag("bootstrap", number, labels=labels, rows=rows))) / 3000 for number in range(1, 6)]
    # of 1,000 images 36.8 % on average, with a deviation of 1 % a class
    assert all(abs(share - (1 - 1 / 1000) ** 1000) < 0.03 for share in left_out)
    assert len(set(left_out)) > 1


@pytest.mark.parametrize("kind", ["bootstrap", "fold"])
def test_another_number_or_other_data_is_another_bag_and_the_same_words_are_the_same(kind):
    assert bag(kind).tolist() == bag(kind).tolist()
    assert bag(kind).tolist() != bag(kind, number=2).tolist()
    assert bag(kind).tolist() != bag(kind, data_id="e").tolist()


def test_a_bootstrap_does_not_depend_on_how_many_there_are():
    assert bag("bootstrap", 3, of=5).tolist() == bag("bootstrap", 3, of=10).tolist()


def test_the_images_of_a_bag_are_trained_on_and_no_others():
    images = place(make_images())
    config = make_config(bag={"kind": "fold", "of": 5, "number": 2}, batch_size=7)
    kept = choose_training_rows(images, 1.0, config.bag, config.data_id)
    assert len(kept) == 56  # four fifths of 70
    seen = Training(config, images).open_epoch(1)
    assert sorted(seen.flatten().tolist()) == kept.tolist()
    assert set(kept.tolist()) < set(images.rows["train"].tolist())
    twice = Training(make_config(bag={"kind": "bootstrap"}, batch_size=7), images).open_epoch(1).flatten()
    assert len(twice) == 70
    assert len(set(twice.tolist())) < 70


def test_the_bag_is_the_same_for_every_configuration_and_seed():
    images = place(make_images())
    one, other = (
        make_config(bag={"kind": "bootstrap"}, seed=seed, lr=rate, batch_size=7) for seed, rate in ((0, 0.1), (5, 0.01))
    )
    seen = [Training(config, images).open_epoch(1).flatten().sort().values for config in (one, other)]
    assert torch.equal(*seen)


def test_a_share_is_taken_first_and_pseudo_labelled_images_are_in_every_bag():
    images = place(make_images())
    share = choose_training_rows(images, 0.5)
    more = add_pseudo_labelled(images, np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int64))
    rows = choose_training_rows(more, 0.5, BagConfig(kind="fold", of=2), "d").tolist()
    assert rows[-4:] == more.rows["pseudo"].tolist()
    assert set(rows[:-4]) < set(share.tolist())


def test_validation_and_test_stay_as_they_are():
    images = place(make_images())
    trial = Training(make_config(bag={"kind": "fold"}), images)
    assert [len(trial.evaluate(split).probabilities) for split in ("validation", "test")] == [20, 20]


def test_a_fold_beyond_the_last_one_is_refused():
    with pytest.raises(ValueError, match="number is 4, but there are only 3 folds: lower it or raise of"):
        BagConfig(kind="fold", of=3, number=4)


def test_no_bag_renames_no_trial():
    assert make_config(bag={"kind": "none"}).trial_id == make_config().trial_id
    assert len({make_config(bag={"kind": kind}).trial_id for kind in ("none", "bootstrap", "fold")}) == 3


GROUPS = np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5, 6, 6, 6, 7, 8])


def test_a_fold_holds_whole_groups():
    folds = choose_folds(LABELS[:20], ROWS, 2, "d", GROUPS)
    assert all(len(set(folds[group == GROUPS])) == 1 for group in set(GROUPS.tolist()))
    assert set(folds.tolist()) == {1, 2}
    # Class 0 has groups of 3, 2, 2, 2 and 2 images: the fold with the group of three gets one of the pairs, the other three.
    assert sorted(np.bincount(folds[LABELS[:20] == 0], minlength=3)[1:]) == [5, 6]


def test_a_bootstrap_draws_whole_groups_as_many_of_each_class_as_there_are():
    drawn = choose_bag(LABELS[:20], ROWS, BagConfig(kind="bootstrap", number=1, of=10), "d", GROUPS)
    times = np.bincount(drawn, minlength=20)
    assert all(len(set(times[group == GROUPS].tolist())) == 1 for group in set(GROUPS.tolist()))
    of_class = {label: set(GROUPS[LABELS[:20] == label].tolist()) for label in (0, 1, 2)}
    for label, groups in of_class.items():
        held = [times[group == GROUPS][0] for group in groups]
        assert sum(held) == len(groups), label
