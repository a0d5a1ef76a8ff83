"""Names that people give to the columns of tables of images."""

from __future__ import annotations

import re

from trainables.layouts.base.split_names import find_split

IMAGES = (
    *("image", "images", "img", "imgs", "picture", "photo"),
    *(
        "file_name",
        "file_names",
        "file",
        "files",
        "image_file",
        "image_file_name",
        "img_file",
        "image_name",
        "img_name",
    ),
    *(
        "path",
        "file_path",
        "image_path",
        "img_path",
        "full_path",
        "rel_path",
        "relative_path",
        "uri",
        "url",
        "image_url",
    ),
    *("image_index", "image_id", "img_id", "photo_id", "picture_id", "file_id", "id_code", "isic_id"),
    *("uuid", "key", "id", "name", "title", "guid"),
)
"""Columns with file names, the likeliest first."""

LABELS = (
    *("label", "labels", "class", "class_name", "class_label", "label_name", "category", "category_name"),
    *("target", "target_name", "ground_truth", "gt", "y", "cls", "lbl", "tag", "classes", "categories"),
    *(
        "breed",
        "species",
        "scientific_name",
        "diagnosis",
        "dx",
        "variety",
        "disease",
        "cell_type",
        "emotion",
        "expression",
    ),
    *("finding", "finding_label", "genus", "family", "artist", "style", "genre", "landmark_id", "character", "digit"),
    *("label_id", "class_id", "category_id", "target_id", "class_index", "label_index", "level", "type", "kind"),
)
"""Columns with labels, the likeliest first: names before numbers."""

SPLITS = frozenset(
    [
        *("split", "splits", "set", "subset", "partition", "fold", "folds", "phase", "usage", "part", "portion"),
        *(
            "dataset",
            "dataset_split",
            "dataset_type",
            "data_split",
            "split_name",
            "split_type",
            "data_set",
            "data_subset",
        ),
        *("train_test", "train_val", "train_valid", "train_val_test", "train_test_split", "train_or_valid", "mode"),
    ]
)
"""Columns with the names of splits."""

YES_MEANS = {
    **dict.fromkeys(("is_valid", "is_val", "is_validation", "valid", "val", "validation", "is_dev"), "validation"),
    **dict.fromkeys(("is_test", "test", "is_testing", "testing", "is_holdout", "is_held_out", "held_out"), "test"),
    **dict.fromkeys(("is_train", "train", "is_training", "training", "is_training_image"), "train"),
}
"""Columns with yes and no, and the split of the images with yes."""


def plain(name: str) -> str:
    """A column's name without case, spaces, underscores and dashes.

    >>> plain("Image_Path "), plain("is-valid")
    ('imagepath', 'isvalid')
    """
    return re.sub(r"[\W_]+", "", name).casefold()


_PLAIN = {
    word: {plain(name): rank for rank, name in enumerate(names)} for word, names in (("i", IMAGES), ("l", LABELS))
}
_PLAIN_SPLITS = frozenset(map(plain, SPLITS))
_PLAIN_YES = {plain(name): split for name, split in YES_MEANS.items()}


def rank_image(name: str) -> int | None:
    """How likely a column of this name has file names, 0 first; None where the name does not say so."""
    return _PLAIN["i"].get(plain(name))


def rank_label(name: str) -> int | None:
    """How likely a column of this name has labels, 0 first; None where the name does not say so."""
    return _PLAIN["l"].get(plain(name))


def names_split(name: str) -> bool:
    """Whether a column of this name says which split an image is in."""
    return plain(name) in _PLAIN_SPLITS or bool(split_of_yes(name))


def split_of_yes(name: str) -> str:
    """The split of images that have yes in a column of this name, as `is_training_img`; "" where the name does not say."""
    if known := _PLAIN_YES.get(plain(name)):
        return known
    rest = re.sub(r"(?i)^(is|in)[\s_-]+", "", name)
    split = find_split(rest) if rest != name else ""
    return split if split in ("train", "validation", "test") else ""


def is_usual(name: str) -> bool:
    """Whether a cell of a first line is likely the name of a column."""
    return rank_image(name) is not None or rank_label(name) is not None or names_split(name)
