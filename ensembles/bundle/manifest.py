"""A bundle: a team ready to be deployed, as a folder (or an `s3://` prefix) whose manifest verifies every file.

members/<trial_id>-<epoch>.safetensors      weights of each member
program.pt2                                 images to calibrated probabilities, for torch alone
model_card.md                               what it is, for a person
manifest.json                               LAST: sizes and hashes, and all that it takes to predict
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from ensembles.config import VoteMethod
from trainables.config.base import Frozen
from trainables.config.trial import TrialConfig
from trainables.data.decoding import FULL_SCALE, Decoding, Fit
from trainables.errors import CaucusError, ObjectMissing, StoreError
from trainables.plugins.kind import is_plugin
from trainables.results.checkpoint import CheckpointId
from trainables.store.base import Store, sha256_of
from trainables.store.json_records import load_json, to_json

FORMAT = 1
"""Raised when an older Caucus could not read what a newer one writes."""

MANIFEST = "manifest.json"
PROGRAM = "program.pt2"
CARD = "model_card.md"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
JsonObject = dict[str, Any]
"""Parameters as `to_dict` of their class wrote them; the same class reads them."""


class BundleError(CaucusError, ValueError):
    """A folder that is no whole bundle, or one that this version cannot read or write."""


class BundleFile(Frozen):
    """Size and hash that verify a file."""

    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Sha256


class MemberNormalisation(Frozen):
    """The mean and standard deviation that a member's pixels are normalised by."""

    mean: tuple[float, ...] = Field(strict=False)
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(strict=False)


class BundleMember(Frozen):
    """One member and how it predicts."""

    trial_id: Annotated[str, Field(pattern=r"^[0-9a-f]+$")]
    epoch: Annotated[int, Field(ge=1)]
    weight: Annotated[float, Field(gt=0, le=1)]
    """Its share of the vote, for votes that are weighted."""
    precision: Literal["float32", "bfloat16"]
    """Precision in which its stored predictions were computed."""
    validation_accuracy: Annotated[float, Field(ge=0, le=1)]
    flops: int | None
    """FLOPs to predict one image; None if they were not measured."""
    parameters: int | None
    latency_s: float | None
    """Latency of predicting a single image, measured where the member was trained."""
    config: TrialConfig
    normalisation: MemberNormalisation | None = None
    """Where it is another one than that of `Preparation`: its pixels are equalised (`config.data.equalise`), or normalised as those
    that its pretrained weights were trained on."""

    @property
    def checkpoint(self) -> CheckpointId:
        """Its name in the store that it came from."""
        return CheckpointId(self.trial_id, self.epoch)

    @property
    def file(self) -> str:
        """Its weights, in the bundle."""
        return f"members/{self.trial_id}-{self.epoch}.safetensors"


class BundleData(Frozen):
    """The data set that the members were trained on."""

    id: str
    name: str
    images: dict[str, int]
    """Number of images by split."""


class Preparation(Frozen):
    """How an image becomes what the nets take: decoded upright, grey (`channels` 1) or RGB, 8 bits a channel, resized to
    height x width bilinearly with antialiasing (Pillow), for some members equalised, divided by 255, less `mean`, divided by `std`,
    or those of a member.

    `background`, `fit` and `white` as in `Decoding`; bundles of older versions lack them, which means their defaults here."""

    height: Annotated[int, Field(ge=1)]
    width: Annotated[int, Field(ge=1)]
    channels: Literal[1, 3]
    mean: tuple[float, ...] = Field(strict=False)
    std: tuple[float, ...] = Field(strict=False)
    background: tuple[int, int, int] | None = Field(None, strict=False)
    fit: Fit = "squash"
    white: int = FULL_SCALE

    @property
    def decoding(self) -> Decoding:
        """How images to be predicted are decoded: as those that the members were trained on."""
        return Decoding(self.height, self.width, self.channels, self.background, self.fit, self.white)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels or min(self.std) <= 0:
            raise ValueError(f"mean and std must be {self.channels} numbers each, std above zero")
        _ = self.decoding  # valid by construction: raises ValueError
        return self


class CascadeFound(Frozen):
    """Figures of the cascade on validation, where its order and threshold were fitted."""

    members_asked: Annotated[float, Field(ge=1)]
    """Mean number of members that predict an image."""
    cost_share: Annotated[float, Field(ge=0, le=1)]
    """Cost relative to asking all members."""
    accuracy: float
    whole_accuracy: float
    """Accuracy of the whole vote."""


class Manifest(Frozen):
    """Everything about a bundle but its weights."""

    format: Literal[1] = 1
    team: bool
    """Whether it is the run's team, or its best single checkpoint."""
    run: str
    command: str
    """Command that reproduces the run."""
    data: BundleData
    class_names: Annotated[tuple[str, ...], Field(strict=False, min_length=2)]
    preparation: Preparation
    members: Annotated[tuple[BundleMember, ...], Field(strict=False, min_length=1)]
    vote: VoteMethod
    voter: JsonObject
    """Parameters of the vote, as `ensembles.voting.vote.read_voter` takes them."""
    calibrator: JsonObject
    """As `ensembles.calibration.calibrate.read_calibrator` takes them."""
    cascade: JsonObject | None
    """As `ensembles.bundle.cascade.read_cascade` takes it; None where there is one member."""
    cascade_found: CascadeFound | None
    scores: dict[str, Any]
    """`team` and `best`, each as `ensembles.evaluation.score.Score`; `verdict` in sentences, `ship`, and the team's `gain` on test."""
    versions: dict[str, str]
    files: dict[str, BundleFile]

    @property
    def plugins(self) -> tuple[str, ...]:
        """The plug-ins that `caucus predict` needs: models, vote and calibration."""
        names = {member.config.model.name for member in self.members}
        names |= {str(self.voter.get("method")), str(self.calibrator.get("kind"))}
        return tuple(sorted(filter(is_plugin, names)))

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not math.isclose(sum(member.weight for member in self.members), 1, rel_tol=1e-6):
            raise ValueError("weights of the members do not add up to one")
        channels = self.preparation.channels
        for one in (member.normalisation for member in self.members):
            if one is not None and not len(one.mean) == len(one.std) == channels:
                raise ValueError(f"mean and std of a member must be {channels} numbers each")
        if missing := [name for name in (*(member.file for member in self.members), CARD) if name not in self.files]:
            raise ValueError(f"{missing[0]} is not among the files")
        return self

    @property
    def checkpoints(self) -> tuple[CheckpointId, ...]:
        """The members' names, in the order of the vote."""
        return tuple(member.checkpoint for member in self.members)


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was read and verified; `weights` are those of the members, in their order."""

    uri: str
    manifest: Manifest
    weights: tuple[bytes, ...]


def check_empty(store: Store) -> None:
    """Raise `BundleError` if something is in the place of a new bundle: nothing is ever overwritten."""
    if found := store.find(""):
        half = all(one.key in (PROGRAM, CARD) or one.key.startswith("members/") for one in found)
        state = (
            "is a bundle already"
            if store.stat(MANIFEST)
            else "was begun and not ended, as by an export that was killed"
            if half
            else f"is not empty (it holds {found[0].key})"
        )
        raise BundleError(f"bundle {store.uri} {state}: name a new folder, or remove it first")


def make_manifest(payload: Mapping[str, Any], files: Mapping[str, bytes]) -> Manifest:
    """The manifest with the fields of `payload` and the sizes and hashes of `files`."""
    entries = {name: {"size_bytes": len(data), "sha256": sha256_of(data)} for name, data in files.items()}
    return Manifest.model_validate({**payload, "files": entries})


def write_bundle(store: Store, payload: Mapping[str, Any], files: Mapping[str, bytes]) -> Manifest:
    """Store `files`, then the manifest of `payload` with their sizes and hashes. Raises `StoreError` and leaves nothing behind."""
    manifest = make_manifest(payload, files)
    plain = json.loads(to_json(manifest.model_dump(mode="json")))
    begun: list[str] = []
    try:
        for name, data in {**files, MANIFEST: to_json({**plain, "sha256": sha256_of(to_json(plain))})}.items():
            begun.append(name)
            store.put(name, data)
    except BaseException:  # half a bundle would be in the way of the next attempt
        for name in reversed(begun):
            with contextlib.suppress(StoreError):
                store.delete(name)
        raise
    return manifest


def read_bundle(store: Store) -> Bundle:
    """The bundle in `store`, with every file verified against its manifest.

    Raises `BundleError` if there is none, if it was written only in part or by a newer version, or if a file is missing or does
    not match the manifest.
    """
    manifest = read_manifest(store)
    held = {name: _read_verified(store, name, promised) for name, promised in manifest.files.items()}
    return Bundle(store.uri, manifest, tuple(held[member.file] for member in manifest.members))


def read_manifest(store: Store) -> Manifest:
    """The manifest alone, verified by its own hash: a changed vote weight or class name would not be noticed otherwise.

    Raises `BundleError`.
    """
    try:
        raw = store.get(MANIFEST)
    except ObjectMissing:
        half = any(found.key.startswith("members/") for found in store.find(""))
        why = (
            f"has no {MANIFEST}: it was written half; remove it and export it again"
            if half
            else f"is no bundle: no {MANIFEST}"
        )
        raise BundleError(f"{store.uri} {why}; `caucus export RUN {store.uri}` writes one") from None
    try:
        payload = load_json(raw)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{store.uri}/{MANIFEST} is damaged ({error}): export the bundle again") from None
    found = payload.get("format") if isinstance(payload, dict) else None
    if not isinstance(found, int) or isinstance(found, bool):
        raise BundleError(f"{store.uri}/{MANIFEST} is of no bundle: it has no format; name a bundle")
    if found > FORMAT:
        by = payload.get("versions", {}).get("caucus", "?") if isinstance(payload.get("versions"), dict) else "?"
        raise BundleError(
            f"bundle {store.uri} has format {found}, written by Caucus {by}; this version reads up to {FORMAT}: "
            "upgrade caucus"
        )
    try:
        whole = to_json(payload) == raw and payload.pop("sha256", None) == sha256_of(to_json(payload))
    except ValueError:  # half of a surrogate pair is no text, and can be written as JSON
        whole = False
    if not whole:
        raise BundleError(f"{store.uri}/{MANIFEST} is damaged: its own hash does not hold; export the bundle again")
    try:
        return Manifest.model_validate(payload)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        if problem["type"] in ("extra_forbidden", "literal_error"):
            by = payload.get("versions", {}).get("caucus", "?") if isinstance(payload.get("versions"), dict) else "?"
            raise BundleError(
                f"bundle {store.uri} was written by a newer Caucus ({by}), with {where}, which this version does not know: upgrade caucus"
            ) from None
        raise BundleError(
            f"{store.uri}/{MANIFEST} cannot be read: {where}: {problem['msg']}; export the bundle again"
        ) from None


def _read_verified(store: Store, name: str, promised: BundleFile) -> bytes:
    try:
        data = store.get(name)
    except ObjectMissing:
        raise BundleError(f"bundle {store.uri} lacks {name}, which its manifest names: export it again") from None
    if len(data) != promised.size_bytes or sha256_of(data) != promised.sha256:
        raise BundleError(
            f"{store.uri}/{name} is not what the manifest promises ({len(data):,} bytes of {promised.size_bytes:,}, "
            "or other ones): copy or export the bundle again"
        )
    return data
