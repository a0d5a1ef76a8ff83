"""The keys of `data` that are a trial's own: what becomes of its pixels before its net sees them."""

from __future__ import annotations

from typing import Literal

from trainables.config.base import Frozen

Equalise = Literal["none", "histogram", "clahe"]
Normalise = Literal["data", "model"]


class PreparationConfig(Frozen):
    """The `data` section of a trial's configuration. All other keys of a sweep's `data` say which images there are, and
    `data_id` stands for them; these two change neither the images nor their `data_id`, so trials may differ in them."""

    equalise: Equalise = "none"
    normalise: Normalise = "data"
