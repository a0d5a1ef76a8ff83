import numpy as np
import pytest
import torch

from tests.trainables.training.tiny_trials import CPU, make_config, make_images, place
from trainables.data.images import hash_labels
from trainables.errors import DamagedObject, ObjectMissing
from trainables.results.checkpoint import CheckpointId, read_predictions
from trainables.results.committer import Committer
from trainables.store.folder import Folder
from trainables.training.device_images import add_pseudo_labelled, choose_training_rows, place_images
from trainables.training.predict import predict_images
from trainables.training.training import Training
from trainables.training.trial import Trial

IMAGES = make_images()


def train(store, config, images, epochs=2):
    committer = Committer(store)
    trial = Trial(config, images, hash_labels(IMAGES), store, committer)
    for _ in range(epochs):
        assert trial.advance().trained
    committer.close()


@pytest.mark.parametrize(
    ("average", "equalise"), [("none", "none"), ("ema", "none"), ("swa", "none"), ("none", "clahe")]
)
def test_a_checkpoint_says_of_images_what_it_said_of_them_in_their_split(tmp_path, average, equalise):
    store = Folder(tmp_path, "runs")
    config = make_config(data={"equalise": equalise}, average={"name": average, "decay": 0.9})
    train(store, config, place(IMAGES))
    checkpoint = CheckpointId(config.trial_id, 2)
    pixels = IMAGES.pixels[IMAGES.rows("validation")]
    found = predict_images(store, checkpoint, config, place(IMAGES), pixels)
    assert np.array_equal(found, read_predictions(store, checkpoint, "validation").probabilities)
    assert found.dtype == np.float32


def test_a_checkpoint_that_is_missing_or_damaged_is_an_error(tmp_path):
    store, config = Folder(tmp_path, "runs"), make_config()
    train(store, config, place(IMAGES), epochs=1)
    pixels = IMAGES.pixels[:3]
    with pytest.raises(ObjectMissing):
        predict_images(store, CheckpointId(config.trial_id, 9), config, place(IMAGES), pixels)
    checkpoint = CheckpointId(config.trial_id, 1)
    store.put(checkpoint.key("weights.safetensors"), b"cut")
    with pytest.raises(DamagedObject):
        predict_images(store, checkpoint, config, place(IMAGES), pixels)


def test_pseudo_labelled_images_are_trained_on_and_nothing_else_changes():
    images = place(IMAGES)
    pixels, labels = IMAGES.pixels[:4] // 2, np.array([2, 1, 0, 2])
    more = add_pseudo_labelled(images, pixels, labels)
    rows = choose_training_rows(more, 1.0)
    assert rows.tolist() == [*images.rows["train"].tolist(), *range(110, 114)]
    assert torch.equal(more.pixels[rows[-4:]], torch.from_numpy(pixels))
    assert more.labels[rows[-4:]].tolist() == [2, 1, 0, 2]
    for split in ("train", "validation", "test"):
        assert torch.equal(more.rows[split], images.rows[split])
    assert torch.equal(more.mean, images.mean)
    assert torch.equal(more.std, images.std)
    assert torch.equal(choose_training_rows(images, 1.0), images.rows["train"])


def test_a_share_of_the_training_images_keeps_all_pseudo_labelled_ones():
    more = add_pseudo_labelled(place(IMAGES), IMAGES.pixels[:4] // 2, np.array([2, 1, 0, 2]))
    rows = choose_training_rows(more, 0.2).tolist()
    assert rows[-4:] == [110, 111, 112, 113]
    assert len(rows) - 4 == pytest.approx(0.2 * 70, abs=1.5)


def test_their_labels_move_the_weights():
    """The same images with other pseudo-labels train to other weights, with the same ones to the same."""

    def weights(labels):
        images = place_images(IMAGES.arrays, CPU)
        training = Training(make_config(), add_pseudo_labelled(images, IMAGES.pixels[:30] // 2, np.array(labels)))
        training.train_epoch()
        return training.weights()

    assert weights([0] * 30) == weights([0] * 30)
    assert weights([0] * 30) != weights([1] * 30)
