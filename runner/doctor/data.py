"""A sweep's images and nets, looked at before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runner.config.checks import parse_spec, read_spec
from runner.config.overrides import apply_overrides
from runner.config.rules import trial_keys
from runner.config.sweep import SweepSpec
from runner.doctor.finding import DataCheckup, Fact, Finding
from trainables.data.finding import LEAVE_OUT
from trainables.data.images import ImageSet
from trainables.errors import CaucusError, ModelUnusable
from trainables.store.open import open_store

SWEEP_ENDINGS = ("", ".yaml", ".yml", ".json")
"""Endings of files that are taken for sweeps; whatever else exists holds images."""

OWN_IMAGES: dict[str, Any] = {
    "name": "own-images",
    "data": {"size": 64, "validation": 0.2, "test": 0.2},
    "store": "runs",
    "search": {"trials": 1},
}
"""What `sweeps/own_images.yaml` says of data and store, which an installed Caucus does not have; nothing is searched."""


def holds_images(named: str) -> bool:
    """Whether the argument of `caucus doctor` names images, not a sweep: a folder, a bucket, an archive or a table."""
    path = Path(named)
    try:
        return (
            named.startswith("s3://") or path.is_dir() or (path.suffix.lower() not in SWEEP_ENDINGS and path.is_file())
        )
    except OSError:  # a name that is too long
        return False


def read_named(named: str, overrides: Sequence[str]) -> SweepSpec:
    """The sweep in the file `named`, or one over the images that `named` holds. Raises `SweepFileError`."""
    if not holds_images(named):
        return read_spec(named, list(overrides))
    own = {**OWN_IMAGES, "data": {**OWN_IMAGES["data"], "path": named}}
    return parse_spec(apply_overrides(own, overrides, trial_keys()), named)


def check_data(spec: SweepSpec) -> Iterator[Fact | Finding | DataCheckup]:
    """How the images were understood, and what was found in them; or why they cannot be read. Then whether the nets can be built."""
    from runner.preflight.pixel_keys import check_pixels
    from trainables.data.describe import describe_images, describe_origin
    from trainables.datasets.load import load_images
    from trainables.findings.find import find_all

    try:
        images = load_images(spec.data)
    except CaucusError as error:
        yield Finding("data", str(error))
        return
    for line in (*describe_images(images), *describe_origin(images)):
        yield Fact("data", line)
    count, *shape = images.pixels.shape
    try:
        check_pixels(spec, images.pixels)
    except CaucusError as error:
        yield Finding("data", str(error))
    yield Fact(
        "data",
        f"{count:,} images of {' x '.join(map(str, shape))}, {len(images.class_names)} classes, {images.data_id}",
    )
    sizes = np.bincount(images.labels, minlength=len(images.class_names)).tolist()
    yield DataCheckup(
        count, dict(zip(images.class_names, sizes, strict=True)), images.data_id, find_all(images), _left_out(images)
    )
    yield _check_nets(spec, images)


def _left_out(images: ImageSet) -> tuple[str, ...]:
    return tuple(one.name for one in images.reading.passed_over if one.reason.startswith(LEAVE_OUT.partition("=")[0]))


def _check_nets(spec: SweepSpec, images: ImageSet) -> Fact | Finding:
    """Whether the nets that the sweep names exist, and take a batch of these images; the plain `cnn` always does."""
    from runner.preflight.model_check import check_models
    from runner.preflight.pin_weights import pin_pretrained_weights
    from runner.search.choose import list_trials

    try:
        pinned, weights = pin_pretrained_weights(spec, open_store(spec.store.uri, spec.store.endpoint_url))
        checked = check_models(pinned, images, list_trials(pinned, images.data_id), weights)
    except CaucusError as error:
        return Finding("model" if isinstance(error, ModelUnusable) else "sweep", str(error))
    if not checked:
        return Fact("model", "cnn, which takes images of any size")
    named = dict.fromkeys(f"{one['name']} ({one['parameters']:,} parameters)" for one in checked)
    return Fact("model", f"{', '.join(named)}: built, and one batch passed through")
