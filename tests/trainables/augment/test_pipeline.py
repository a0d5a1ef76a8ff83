"""Every key of augmentation does what it says, to each image by its own draw, and the same again from the same seed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.training.tiny_trials import CPU, make_config, make_images, place
from trainables.augment.draws import POOL, Draws
from trainables.augment.pipeline import Augment, check_channels
from trainables.config.augment import AugmentConfig
from trainables.data.image_shape import ImageShape
from trainables.errors import CaucusError, DataError
from trainables.plugins.kinds import AUGMENTATION
from trainables.training.device_images import DeviceImages
from trainables.training.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")

GREY: dict[str, Any] = {
    "flip": 0.5,
    "rotation": 20.0,
    "shear": 15.0,
    "shift": 0.3,
    "scale": 0.4,
    "crop": 2,
    "exposure": 0.5,
    "contrast": 0.5,
    "noise": 0.2,
    "erasing": 0.7,
    "strength": 0.8,
}
COLOUR: dict[str, Any] = {"hue": 0.4, "saturation": 0.8}
MIXING: dict[str, Any] = {"mixup": 1.0, "cutmix": 1.0}


@pytest.fixture(scope="module")
def tiny() -> DeviceImages:
    return place(make_images())


def make(shape: tuple[int, int, int] = (6, 8, 3), seed: int = 1, **keys: Any) -> Augment:
    """Of images of `shape`: height, width, channels."""
    augment = Augment(AugmentConfig(**keys), ImageShape(*shape, classes=10), CPU)
    augment.begin(seed)
    return augment


def noise_images(count: int, shape: tuple[int, int, int] = (6, 8, 3)) -> Tensor:
    """In channels_last, as training has them."""
    height, width, channels = shape
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, height, width, channels, generator=generator).permute(0, 3, 1, 2)


def alike(count: int, shape: tuple[int, int, int] = (6, 8, 3)) -> Tensor:
    """The same image `count` times."""
    return noise_images(1, shape).expand(count, -1, -1, -1).contiguous(memory_format=torch.channels_last)


def test_every_key_is_tested_here() -> None:
    assert {*GREY, *COLOUR, *MIXING, "function"} == set(AugmentConfig.model_fields)


@pytest.mark.parametrize("key", [*GREY, *COLOUR])
def test_each_key_changes_each_image_by_its_own_draw_and_stays_between_0_and_1(key: str) -> None:
    images = alike(64)
    before = images.clone()
    varied = make(**{key: (GREY | COLOUR)[key]}).vary(images)

    assert torch.equal(images, before)  # the batch itself is left alone
    assert varied.shape == images.shape
    assert varied.dtype == torch.float32
    assert varied.is_contiguous(memory_format=torch.channels_last)
    assert varied.min() >= 0
    assert varied.max() <= 1
    assert not torch.equal(varied, images)
    kinds = {tuple(image.flatten().tolist()) for image in varied}
    assert len(kinds) == 2 if key == "flip" else len(kinds) > 15


@pytest.mark.parametrize("shape", [(6, 8, 1), (6, 8, 3), (1, 8, 1), (5, 1, 3), (6, 8, 2)])
def test_all_keys_together_keep_shape_range_and_layout_for_any_images(shape: tuple[int, int, int]) -> None:
    augment = make(shape, **GREY, **(COLOUR if shape[2] == 3 else {}), **MIXING)
    images = noise_images(7, shape)

    varied = augment.vary(images)
    mixed = augment.mix(varied, torch.arange(7))

    for batch in (varied, mixed.images):
        assert batch.shape == images.shape
        assert batch.permute(0, 2, 3, 1).is_contiguous()
        assert 0 <= batch.min() <= batch.max() <= 1


def test_without_any_key_nothing_varies_and_nothing_mixes() -> None:
    augment = make()
    assert not augment.varies
    assert not augment.mixes


@pytest.mark.parametrize("key", [*GREY, *COLOUR])
def test_keys_that_vary_do_not_mix(key: str) -> None:
    augment = make(**{key: (GREY | COLOUR)[key]})
    assert augment.varies
    assert not augment.mixes


@pytest.mark.parametrize("key", MIXING)
def test_keys_that_mix_do_not_vary(key: str) -> None:
    augment = make(**{key: 1.0})
    assert augment.mixes
    assert not augment.varies


def test_an_epoch_follows_from_its_seed_whatever_was_before() -> None:
    def epoch(augment: Augment, seed: int) -> list[Tensor]:
        augment.begin(seed)
        tensors = []
        for _ in range(3):
            varied = augment.vary(images)
            mixed = augment.mix(varied, torch.arange(len(images)))
            tensors += [varied, mixed.images, mixed.others, mixed.share]
        return tensors

    keys = {**GREY, **COLOUR, **MIXING}
    images = noise_images(9)
    used, fresh = make(**keys), make(seed=77, **keys)
    epoch(used, 2)
    torch.rand(13)  # another's stream

    for one, other in zip(epoch(used, 3), epoch(fresh, 3), strict=True):
        assert torch.equal(one, other)
    assert not torch.equal(epoch(fresh, 3)[0], epoch(fresh, 4)[0])


def test_the_stream_of_dropout_is_not_touched() -> None:
    torch.manual_seed(3)
    expected = torch.rand(5)
    torch.manual_seed(3)
    augment = make(**GREY, **COLOUR, **MIXING)
    augment.mix(augment.vary(noise_images(4)), torch.arange(4))

    assert torch.equal(torch.rand(5), expected)


def test_values_are_handed_out_in_their_order_and_none_twice() -> None:
    drawn = iter([torch.arange(POOL), torch.arange(POOL, 2 * POOL), torch.arange(3 * POOL)])
    draws = Draws(lambda count: {"value": next(drawn)[:count]})

    assert draws.take(3)["value"].tolist() == [0, 1, 2]
    assert draws.take(POOL - 4)["value"][0] == 3
    assert draws.take(2)["value"].tolist() == [POOL, POOL + 1]  # one was left, and two were asked for
    draws.begin()
    assert len(draws.take(2 * POOL)["value"]) == 2 * POOL  # more than a pool has


def test_successive_batches_of_an_epoch_have_other_draws() -> None:
    augment, images = make(rotation=30.0), noise_images(4)
    assert not torch.equal(augment.vary(images), augment.vary(images))


@pytest.mark.parametrize("key", COLOUR)
def test_hue_and_saturation_of_grey_images_are_refused_by_name(key: str) -> None:
    with pytest.raises(DataError, match=rf"augment\.{key} needs images with three channels, and these have 1"):
        make((6, 8, 1), **{key: 0.2})
    check_channels([key], 3)
    check_channels(["flip"], 1)


# In training


def train(images: DeviceImages, epochs: int, **augment: Any) -> Training:
    training = Training(make_config(augment=augment, model={"width": 4, "dropout": 0.2}), images)
    for _ in range(epochs):
        training.train_epoch()
    return training


@pytest.mark.parametrize("key", [*GREY, *COLOUR, *MIXING])
def test_each_key_changes_the_weights_that_training_ends_with(tiny: DeviceImages, key: str) -> None:
    varied = train(tiny, 1, **{key: (GREY | COLOUR | MIXING)[key]})
    assert varied.weights() != train(tiny, 1).weights()


def test_switched_off_it_draws_nothing_and_training_is_as_without_it(
    tiny: DeviceImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = train(tiny, 2).weights()

    class Absent:
        varies = mixes = False

        def __init__(self, *_: object) -> None:
            pass

        def begin(self, seed: int) -> None:
            pass

    monkeypatch.setattr("trainables.training.training.Augment", Absent)
    assert train(tiny, 2).weights() == expected


@pytest.mark.parametrize("at", [1, 2])
def test_resumed_after_any_epoch_an_augmented_trial_is_the_undisturbed_one_to_the_bit(
    tiny: DeviceImages, at: int
) -> None:
    keys = {**GREY, **COLOUR, **MIXING}
    whole = train(tiny, 3, **keys)
    before = train(tiny, at, **keys)

    resumed = Training(before.config, tiny)
    resumed.restore(at, before.weights(), before.optimizer_state())
    for _ in range(3 - at):
        resumed.train_epoch()

    assert resumed.weights() == whole.weights()
    assert resumed.optimizer_state() == whole.optimizer_state()
    assert train(tiny, 3, **keys).weights() == whole.weights()


@AUGMENTATION.register("mine/darken")
def darken(images: Tensor, generator: torch.Generator, *, by: float = 0.5, how: str = "darken") -> Any:
    shares = torch.rand(len(images), 1, 1, 1, generator=generator)
    answers: dict[str, Any] = {"darken": images * (1 - by * shares), "few": images[:1], "text": "dark"}
    return 1 / 0 if how == "raises" else answers[how]


def make_custom(**keys: object) -> Augment:
    config = AugmentConfig.model_validate({"function": "mine/darken", **keys})
    augment = Augment(config, ImageShape(6, 8, 3, 2), torch.device("cpu"))
    augment.begin(3)
    return augment


def test_a_custom_augmentation_comes_last_and_draws_from_the_epochs_generator() -> None:
    images = alike(5)
    assert make_custom().varies
    first = make_custom(by=0.9).vary(images)
    assert torch.equal(make_custom(by=0.9).vary(images), first)  # an epoch that is trained again
    shares = first / images
    assert torch.allclose(shares, shares[:, :1, :1, :1].expand_as(shares), atol=1e-5)
    assert len(shares[:, 0, 0, 0].unique()) == 5  # a draw for each image
    both = make_custom(by=1.0, exposure=0.9).vary(images)
    assert both.max() <= 1  # darkened after the values were clamped


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"how": "few"}, r"of images of shape \(5, 3, 6, 8\) it returned a tensor of shape \(1, 3, 6, 8\)"),
        ({"how": "text"}, "it returned str: return as many images"),
        ({"how": "raises"}, "it raised ZeroDivisionError: division by zero"),
        ({"yb": 0.1}, "augment.yb is 0.1, but mine/darken takes no yb: it takes by, generator, how"),
    ],
)
def test_what_is_no_augmentation_is_refused_with_its_name(keys: dict[str, object], said: str) -> None:
    with pytest.raises(CaucusError, match=said):
        make_custom(**keys).vary(alike(5))
