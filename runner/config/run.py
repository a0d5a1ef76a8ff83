"""The `store`, `budget` and `resources` sections of a sweep file: where a run is stored, and what it may use."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from runner.config.duration import parse_duration
from trainables.config.base import Frozen

Seconds = Annotated[float, BeforeValidator(parse_duration)]


class StoreConfig(Frozen):
    """Where everything is stored."""

    uri: str = "runs"
    """A folder, or `s3://bucket/prefix`. `store: runs` is short for `store: {uri: runs}`."""
    endpoint_url: str | None = None
    """URL of an S3 server other than AWS; default: AWS_ENDPOINT_URL_S3 of the environment."""


class BudgetConfig(Frozen):
    """What the whole run may cost, over all its executions."""

    wall: Seconds | None = None
    """Time from start to report, such as `10m`. What was trained until then votes; a larger budget continues."""
    slot_hours: Annotated[float, Field(gt=0)] | None = None
    """Hours of training and evaluation, summed over slots: GPU hours on GPUs, core hours where a slot is a core."""
    trials: Annotated[int, Field(ge=1)] | None = None
    """Number of trials that are started."""
    epochs: Annotated[int, Field(ge=1)] | None = None
    """Number of epochs that are trained."""
    money: Annotated[float, Field(gt=0)] | None = None
    """In the currency of `price`: hours of the run times nodes times price."""
    price: Annotated[float, Field(gt=0)] | None = None
    """Price of a node for an hour. Default: `price_per_node_hour` in the `metadata` of `cluster.yaml` beside the sweep."""


LEAST_SHARE = 1e-4
"""Ray counts resources in ten-thousandths."""


def check_gpus(gpus: float) -> float:
    """A number of GPUs that Ray can allocate: none, a share of one, or whole ones. Raises `ValueError`."""
    if gpus > 1 and gpus != int(gpus):
        raise ValueError("a trial has a share of one GPU, or whole ones: 0.25, 0.5, 1, 2")
    if 0 < gpus < LEAST_SHARE:
        raise ValueError(f"a share of a GPU is at least {LEAST_SHARE:g}")
    return gpus


class ResourcesConfig(Frozen):
    """What one trial occupies: its slot."""

    cpus: Annotated[int, Field(ge=1)] | None = None
    """Cores, and as many threads. Default: one, and on nodes with GPUs a fair share: 12 of 48 cores where 4 GPUs hold 4 trials."""
    gpus: Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(check_gpus)] | None = None
    """GPUs, or a share of one. Default: one where the cluster has any, or is configured to have."""
    slots: Annotated[int, Field(ge=1)] | None = None
    """Trials at a time. Default: as many as fit."""
    hang: Annotated[float, BeforeValidator(parse_duration), Field(gt=0)] = 120.0
    """A trial that is silent for this long, and for ten of its epochs, hangs: it restarts from its newest checkpoint."""
    patience: Annotated[float, BeforeValidator(parse_duration), Field(gt=0)] = 1200.0
    """Where no trial can run for this long, because nodes do not come or are taken away, the run ends with exit code 4, and the next
    start resumes it: 20 minutes, since a spot market that is sold out often has machines again by then."""
