"""The `data` section of a sweep: the source of the images, and their split."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from trainables.config.base import OpenSection
from trainables.config.preparation import Equalise, Normalise, PreparationConfig
from trainables.plugins.kinds import DATA

Share = Annotated[float, Field(gt=0, lt=0.9)]
Pixels = Annotated[int, Field(ge=1, le=1024)]

_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "grey": (128, 128, 128), "gray": (128, 128, 128)}


def _split_list(raw: object) -> object:
    """Splits a comma-separated list of the command line, where a shell would interpret brackets."""
    if not isinstance(raw, str):
        return raw
    return [int(item) if item.isdecimal() else item for item in (part.strip() for part in raw.split(","))]


def _split_names(raw: object) -> object:
    """A name, or a comma-separated list of names on the command line; YAML reads a name of digits as a number."""
    if isinstance(raw, str):
        return [name.strip() for name in raw.split(",")]
    if isinstance(raw, int) and not isinstance(raw, bool):
        return [str(raw)]
    if isinstance(raw, list):
        return [str(name) if isinstance(name, int) and not isinstance(name, bool) else name for name in raw]
    return raw


def _check_colour(colour: str) -> str:
    if colour not in _COLOURS and not re.fullmatch("#[0-9a-fA-F]{6}", colour):
        raise ValueError(f"{colour!r} is no colour: name {', '.join(list(_COLOURS)[:3])} or #rrggbb")
    return colour


def to_rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of a `background`, from 0 to 255.

    >>> to_rgb("white"), to_rgb("#ff8000")
    ((255, 255, 255), (255, 128, 0))
    """
    if colour in _COLOURS:
        return _COLOURS[colour]
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def _name_column(raw: object) -> object:
    """A column without a name has its number, which YAML reads as one."""
    return str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw


Column = Annotated[str | None, BeforeValidator(_name_column)]

_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "blank": " "}


def _name_delimiter(raw: object) -> object:
    if not isinstance(raw, str):
        return raw
    found = _DELIMITERS.get(raw, raw)
    if len(found) != 1:
        raise ValueError(f"{raw!r} is no delimiter: give one character in quotes, or name {', '.join(_DELIMITERS)}")
    return found


def _name_cache(raw: object) -> object:
    """YAML 1.1 reads `off` as false."""
    found = {False: "off", True: "auto"}.get(raw, raw) if isinstance(raw, bool) else raw
    if isinstance(found, str) and (not found.strip() or "\0" in found):
        raise ValueError(f"{found!r} is no folder: name one, or auto or off")
    return found


class DataConfig(OpenSection):
    """Where images come from (exactly one of `name`, `path` and `csv`), how they are decoded, and how they are split."""

    PLUGIN_KEYS = ("name",)

    name: Annotated[str, AfterValidator(DATA.check)] | None = None
    """A well-known set. `digits` comes with scikit-learn; `fashion-mnist`, `mnist`, `kmnist`, `qmnist`, `cifar10`, `cifar100`, `svhn`,
    `stl10`, `flowers102`, `oxford-iiit-pet`, `food101` and `eurosat` are read from `root`, or downloaded;
    `arrays` are images that a program hands over (`Sweep(data=(images, labels))`). Or a plug-in: a function `module:function`, or
    `package/name` of an installed package, that is called with those of `size`, `channels`, `root` and its own keys that its
    signature names."""
    path: str | None = None
    """A folder, a table, an archive or a file of arrays, on a disk or as `s3://bucket/prefix`. The layout is found: see the table
    in README."""
    csv: str | None = None
    """A table of file names and labels, as `path` takes it, too."""
    endpoint_url: str | None = None
    """With `s3://`: the server; default: that of AWS, or `AWS_ENDPOINT_URL_S3`."""
    image_column: Column = None
    """Column of a table with file names relative to `root`, or with the images themselves. Left out: found by its name."""
    label_column: Column = None
    """Column of a table with the labels. Left out: found by its name."""
    split_column: Column = None
    """Column of a table with the split of each image, as `train`, `val` and `test`, or with yes and no where its name is that of
    a split, as `is_valid`. Left out: found by its name."""
    keep_split: bool = True
    """Whether a split that comes with the data is kept; `false` deals all images anew."""
    group: str | int | None = None
    """What images have in common that must not fall into two splits, as the patient: the name of a column; the level of a
    folder, counted from 1 below `path`; or a regular expression on the image's id whose first bracket is the group,
    as `^(.*)_[0-9]+`. Also folds, bags and bootstraps keep groups whole."""
    source: str | int | None = None
    """Where images come from, as the camera or the clinic, in the forms of `group`: scores are reported for each source."""
    hold_out: Annotated[Annotated[list[str], Field(min_length=1)] | None, BeforeValidator(_split_names)] = None
    """Sources whose images are the test split, all of them, and no image of another source is: `[clinic-3]`. What a team is worth on
    a source that nothing was trained on. Needs `source`."""
    folds: Annotated[int, Field(ge=2, le=20)] | None = None
    """Cross-validation, for sets that are too small for a test split: `caucus run` runs the sweep once a fold, with that fold as the
    test split, and scores the team and each configuration over all of them. Groups are whole, a split that came with the data is
    not kept, and each fold has the whole `budget`."""
    fold: Annotated[int, Field(ge=1, le=20)] | None = None
    """One of `folds`, from 1, to run alone. Left out: all, one after the other."""
    delimiter: Annotated[str | None, BeforeValidator(_name_delimiter)] = None
    """Character between the cells of a table, or `comma`, `semicolon`, `tab`, `pipe` or `blank`, which need no quotes. Left out: found."""
    header: bool | None = None
    """Whether the first line of a table has the names of its columns; without, they are called `0`, `1`, …. Left out: found."""
    ending: str | None = None
    """Ending that the file names of a table lack, as `.jpg`. Left out: found where it is needed."""
    label_regex: str | None = None
    """Regular expression on the path of an image file whose first bracket is the label, as `^([a-z]+)_[0-9]+`, for files whose
    names have it."""
    rename: dict[str, str | None] | None = None
    """Other names for labels, `{Cat: cat}`: two that mean the same become one class. `null` leaves the images of a label out."""
    root: str | None = None
    """With a table: the folder that file names are relative to; default: the table's folder. With `fashion-mnist`: the folder of
    its four `*-ubyte.gz` files; default: `data/` or the Debian package's folder, else a download to `data/`. With another set: its
    folder or the one above; default: `data/`, to which it is downloaded."""
    size: Annotated[
        Pixels | Annotated[list[Pixels], Field(min_length=2, max_length=2)] | None, BeforeValidator(_split_list)
    ] = None
    """Height and width in pixels, to which images are resized; one number for both, or `[height, width]`. Left out: their own size
    if all are equal, else 64."""
    fit: Literal["squash", "pad", "crop"] = "squash"
    """How an image of other proportions is resized: `squash` changes its proportions, `pad` adds `background` at two sides, `crop`
    cuts off what is too much at two sides."""
    channels: Literal[1, 3] | None = None
    """1 for grey, 3 for colour. Left out: 1 if all images are stored as grey, else 3."""
    background: Annotated[str, AfterValidator(_check_colour)] = "white"
    """What transparent images are laid on: `white`, `black`, `grey` or `#rrggbb`."""
    bits: Literal["auto", 8, 9, 10, 11, 12, 13, 14, 15, 16] = "auto"
    """Bits that a sensor fills of files with 16: 12 makes 4095 white. `auto`: the fewest of 8, 10, 12, 14 and 16 that hold every image of the set."""
    equalise: Equalise = "none"
    """Contrast of every image, in training and in the exported program. `histogram`: histogram equalisation, by which brightness is
    as evenly spread as it can be; `clahe`: the same in tiles and with limited contrast (Zuiderveld 1994). Colours keep their hue.
    A key of a trial, which can be searched. Needs kornia."""
    normalise: Normalise = "data"
    """Mean and standard deviation that pixels are normalised by. `data`: those of the training images; `model`: those that the
    pretrained weights of `torchvision/…` and `timm/…` nets were trained with. A key of a trial, which can be searched."""
    unreadable: Literal["refuse", "skip"] = "refuse"
    """What becomes of files that cannot be decoded: `refuse` ends with their list, `skip` goes on without them, up to 1 in 20."""
    leave_out: str | None = None
    """A text file with ids of images to leave out, one a line; what follows a tab or a `#` is a comment."""
    cache: Annotated[str, BeforeValidator(_name_cache), Field(exclude=True)] = "auto"
    """Where decoded pixels are kept on this machine, so that the next verb need not decode them: a folder, or `off`. `auto`: what
    `CAUCUS_CACHE` names, else `caucus` in `XDG_CACHE_HOME` or `~/.cache`; there sets are kept that take more than a second. No record
    has this key: it means a machine, and changes no result. A cache holds 50 GB at most, or `CAUCUS_CACHE_GB`: what was not used
    for longest goes."""
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
        for key in (
            "path",
            "csv",
            "root",
            "image_column",
            "label_column",
            "split_column",
            "group",
            "source",
            "leave_out",
        ):
            if getattr(self, key) == "":
                raise ValueError(f"data.{key} is empty: fill it in, or leave the key out")
        if self.name is not None:
            self._check_named()
        for key in ("group", "source", "label_regex"):
            _check_pattern(key, getattr(self, key))
        if self.hold_out is not None and self.source is None and not self.has_plugin:
            raise ValueError("data.hold_out names sources, but data.source does not say what a source is: set it")
        self._check_folds()
        if self.validation + self.test >= 0.95:
            raise ValueError(
                f"data.validation {self.validation} and data.test {self.test} leave less than 5 % for training: lower one"
            )
        return self

    @property
    def preparation(self) -> PreparationConfig:
        """The keys that are a trial's own."""
        return PreparationConfig(equalise=self.equalise, normalise=self.normalise)

    @property
    def height_width(self) -> tuple[int, int] | None:
        """Height and width in pixels; None where `size` is left out."""
        if self.size is None:
            return None
        return (self.size, self.size) if isinstance(self.size, int) else (self.size[0], self.size[1])

    def _check_folds(self) -> None:
        if self.fold is not None and self.folds is None:
            raise ValueError("data.fold means nothing without data.folds: say of how many")
        if self.folds is None:
            return
        if self.fold is not None and self.fold > self.folds:
            raise ValueError(
                f"data.fold is {self.fold}, but there are only {self.folds} folds: lower it or raise data.folds"
            )
        if self.hold_out is not None:
            raise ValueError("data.folds and data.hold_out both make the test split: keep one")
        if self.name == "arrays":
            raise ValueError("data.folds means nothing to images that a program hands over: remove it")

    def _check_named(self) -> None:
        """Refuses keys that mean nothing to a set that is known by its name."""
        is_published = self.name not in ("digits", "arrays", "fashion-mnist") and not self.has_plugin
        if self.root is not None and self.name in ("digits", "arrays"):
            raise ValueError("data.root means nothing to `name` here: remove it")
        for key in () if is_published else _OF_SOURCES:
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"data.{key} means nothing without `path`: remove it")


_OF_SOURCES = (
    "endpoint_url",
    "image_column",
    "label_column",
    "split_column",
    "delimiter",
    "header",
    "ending",
    "label_regex",
    "background",
    "bits",
    "fit",
    "unreadable",
)
"""Keys of sources that are read from files."""


def _check_pattern(key: str, pattern: str | int | None) -> None:
    """Refuses a regular expression that cannot be compiled or has no bracket, and levels of folders below 1."""
    if isinstance(pattern, int):
        if pattern < 1:
            raise ValueError(f"data.{key} is {pattern}: levels of folders are counted from 1")
        return
    if pattern is None or (key != "label_regex" and "(" not in pattern):
        return
    try:
        brackets = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f"data.{key} is {pattern!r}, no regular expression: {error}") from None
    if not brackets:
        raise ValueError(f"data.{key} is {pattern!r}, which has no bracket: put brackets round the part that is meant")
