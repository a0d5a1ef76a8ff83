"""The `data` section of a sweep: the source of the images, and their split."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from trainables.config.base import OpenSection
from trainables.plugins.kinds import DATA

Share = Annotated[float, Field(gt=0, lt=0.9)]


def _split_list(raw: object) -> object:
    """Splits a comma-separated list of the command line, where a shell would interpret brackets."""
    if not isinstance(raw, str):
        return raw
    return [int(item) if item.isdecimal() else item for item in (part.strip() for part in raw.split(","))]


class DataConfig(OpenSection):
    """Where images come from (exactly one of `name`, `path` and `csv`), their size, and how they are split."""

    PLUGIN_KEYS = ("name",)

    name: Annotated[str, AfterValidator(DATA.check)] | None = None
    """A well-known set. `digits` comes with scikit-learn; `fashion-mnist` is read from `root`, or downloaded;
    `arrays` are images that a program hands over (`Sweep(data=(images, labels))`). Or a plug-in: a function `module:function`, or
    `package/name` of an installed package, that is called with those of `size`, `channels`, `root` and its own keys that its
    signature names."""
    path: str | None = None
    """A local folder with one folder of images for each class."""
    csv: str | None = None
    """A local table of file names and labels, with a header."""
    image_column: str = "image"
    """Column of `csv` with file names relative to `root`."""
    label_column: str = "label"
    """Column of `csv` with the labels."""
    root: str | None = None
    """With `csv`: the folder that file names are relative to; default: the table's folder. With `fashion-mnist`: the folder of
    its four `*-ubyte.gz` files; default: `data/` or the Debian package's folder, else a download to `data/`."""
    size: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Height and width in pixels, to which images are resized. Left out: their own size if all are equal, else 64."""
    channels: Literal[1, 3] | None = None
    """1 for grey, 3 for colour. Left out: 1 if all images are stored as grey, else 3."""
    classes: Annotated[Annotated[list[str | int], Field(min_length=2)] | None, BeforeValidator(_split_list)] = None
    """Only these classes, by name (case-insensitive) or by number from 0: `[shirt, pullover]`, on the command line
    `data.classes=shirt,pullover`. Left out: all."""
    train: Annotated[int, Field(ge=1)] | None = None
    """Number of training images, stratified and drawn with `split_seed`; the others are left out. They are drawn after the split:
    the sizes of validation and test do not change. Left out: all."""
    validation: Share = 0.15
    """Share of the images that steers the search and selects the team; of all images, or, where a set has a test split, of the
    images outside it."""
    test: Share = 0.15
    """Share of the images that only the final evaluation uses. Ignored where a set has a test split."""
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the split."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        named = [f"`{key}`" for key in ("name", "path", "csv") if getattr(self, key) is not None]
        if not named:
            raise ValueError("data names no images: give `name`, `path` or `csv`")
        if len(named) > 1:
            both = "both " if len(named) == 2 else ""
            raise ValueError(f"data names {both}{' and '.join(named)}: keep one")
        for key in ("path", "csv", "root"):
            if "://" in (place := getattr(self, key) or ""):
                raise ValueError(
                    f"data.{key} is {place}: images are read from local folders only: copy them here first"
                )
            if getattr(self, key) == "":
                raise ValueError(f"data.{key} is empty: name a place, or leave the key out")
        if self.root is not None and self.csv is None and self.name != "fashion-mnist" and not self.has_plugin:
            raise ValueError(f"data.root means nothing to {named[0]} here: remove it")
        for key in ("image_column", "label_column"):
            if self.csv is None and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"data.{key} means nothing without `csv`: remove it")
        if self.validation + self.test >= 0.95:
            raise ValueError(
                f"data.validation {self.validation} and data.test {self.test} leave less than 5 % for training: lower one"
            )
        return self
