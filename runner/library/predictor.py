"""A bundle that answers: classes and calibrated probabilities of new images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ensembles.bundle.manifest import Bundle, read_bundle
from runner.deploy.loaded_bundle import ReadyTeam, make_ready
from trainables.datasets.arrays import to_pixels
from trainables.errors import DataError
from trainables.store.open import open_store


@dataclass(frozen=True, eq=False)
class Predictor:
    """A team that is loaded, on a GPU where there is one."""

    bundle: Bundle
    team: ReadyTeam

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes, in the order of the columns of `predict_proba`."""
        return self.team.class_names

    def predict_proba(self, images: Any) -> npt.NDArray[np.float64]:
        """Calibrated probabilities, float64 (images, classes).

        `images` are arrays as `images_from_arrays` takes them, of the size that the team was trained on. Raises `DataError`.
        """
        return self.team.predict(self._read(images)).probabilities

    def predict(self, images: Any) -> list[str]:
        """The name of the class of each image, by the rule of the team's vote."""
        return [self.class_names[place] for place in self.team.predict(self._read(images)).predicted.tolist()]

    def _read(self, images: Any) -> npt.NDArray[np.uint8]:
        pixels = to_pixels(images)
        wanted = (self.team.shape.height, self.team.shape.width, self.team.shape.channels)
        if pixels.shape[1:] != wanted:
            raise DataError(
                f"the images are {pixels.shape[1]} x {pixels.shape[2]} with {pixels.shape[3]} channel(s), but this team was "
                f"trained on {wanted[0]} x {wanted[1]} with {wanted[2]}: resize them, or use `caucus predict`, which does"
            )
        return pixels


def open_bundle(uri: str, *, custom_code: bool = False, endpoint_url: str | None = None) -> Predictor:
    """The bundle in a folder or prefix, loaded. Raises `BundleError`; `custom_code` allows user-defined models."""
    bundle = read_bundle(open_store(uri, endpoint_url))
    return Predictor(bundle, make_ready(bundle, custom_code=custom_code))
