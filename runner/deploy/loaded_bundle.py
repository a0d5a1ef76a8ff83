"""A bundle in memory: its nets on a device, ready to predict images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ensembles.bundle.cascade import Answers, Cascade, ask_in_turn, read_cascade
from ensembles.bundle.decision import vote_as_one
from ensembles.bundle.manifest import Bundle, BundleError
from ensembles.calibration.calibrate import Calibrator, read_calibrator
from ensembles.voting.vote import Voter, read_voter
from trainables.data.decoding import Decoding
from trainables.data.image_shape import ImageShape
from trainables.errors import PluginUnusable
from trainables.models.normalisation import Normalisation
from trainables.plugins.trust import trust, trusted

if TYPE_CHECKING:
    import torch

    from trainables.export.team_net import TeamNet
    from trainables.training.memory import PredictionBatch


@dataclass(frozen=True, eq=False)
class ReadyTeam:
    """A bundle in memory: its nets on a device, its vote, its calibration, and optionally its cascade."""

    net: TeamNet
    device: torch.device
    batch: PredictionBatch
    shape: ImageShape
    decoding: Decoding
    class_names: tuple[str, ...]
    voter: Voter
    calibrator: Calibrator
    cascade: Cascade | None

    def predict(self, pixels: npt.NDArray[np.uint8]) -> Answers:
        """Predictions for pixels uint8 (images, height, width, channels), at least one image."""
        import torch

        with torch.inference_mode():
            images = torch.from_numpy(pixels).to(self.device)

            def ask(position: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
                selected = images if len(rows) == len(images) else images[torch.from_numpy(rows).to(self.device)]

                def answer(size: int) -> torch.Tensor:
                    return torch.cat(
                        [
                            self.net.ask(position, self.net.prepare(part, position))
                            for part in torch.split(selected, size)
                        ]
                    )

                answers: npt.NDArray[np.float32] = self.batch.fit(answer).cpu().numpy()
                return answers

            if self.cascade:
                return ask_in_turn(self.cascade, ask, len(pixels), len(self.class_names), self.vote)
            rows = np.arange(len(pixels))
            by_member = np.stack([ask(position, rows) for position in range(len(self.net.nets))])
        probabilities, predicted = self.vote(by_member)
        agreement = (by_member.argmax(2) == predicted).mean(0)
        return Answers(probabilities, predicted, agreement, np.full(len(pixels), len(self.net.nets)))

    def vote(self, by_member: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Calibrated probabilities and classes of the whole team, from float32 (members, images, classes)."""
        return vote_as_one(self.voter, self.calibrator, by_member, self.class_names)


def make_ready(bundle: Bundle, cascade: bool = False, custom_code: bool = False) -> ReadyTeam:
    """The bundle on a GPU where there is one, else on the CPU.

    Raises `BundleError` if it needs plug-ins that no person has named in this process and `custom_code` is False, and if parameters
    cannot be read, and `PluginUnusable`.
    """
    manifest = bundle.manifest
    if set(manifest.plugins) - set(trusted()) and not custom_code:
        raise BundleError(
            f"bundle {bundle.uri} needs plug-ins, {', '.join(manifest.plugins)}: predicting runs that code, modules from the "
            "current folder; add --custom-code where you trust it, or run its program.pt2, which needs none of it"
        )
    trust(manifest.plugins)
    try:
        voter, calibrator = read_voter(manifest.voter), read_calibrator(manifest.calibrator)
        steps = read_cascade(manifest.cascade) if cascade and manifest.cascade else None
    except PluginUnusable:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"bundle {bundle.uri} has a vote that cannot be read ({type(error).__name__}: {error}): export it again"
        ) from None
    from trainables.export.team_net import MemberWeights, TeamNet
    from trainables.hardware.device import open_device
    from trainables.training.training import prediction_batch

    device = open_device()
    prepared = manifest.preparation
    shape = ImageShape(prepared.height, prepared.width, prepared.channels, len(manifest.class_names))
    members = [
        MemberWeights(
            member.config,
            weights,
            member.precision,
            Normalisation(one.mean, one.std) if (one := member.normalisation) else None,
        )
        for member, weights in zip(manifest.members, bundle.weights, strict=True)
    ]
    net = TeamNet(members, shape, prepared.mean, prepared.std).to(device)
    batch = prediction_batch(device)
    return ReadyTeam(net, device, batch, shape, prepared.decoding, manifest.class_names, voter, calibrator, steps)
