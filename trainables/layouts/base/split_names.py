"""Names that people give to splits: `train`, `seg_test`, `val2017`, `X_valid`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

UNLABELLED = "unlabelled"
"""A part without labels: images to be predicted, or to be labelled by the ensemble."""

_WORDS = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "tr": "train",
    "trainset": "train",
    "traindata": "train",
    "learn": "train",
    "learning": "train",
    "fit": "train",
    "trainval": "train",
    "entrenamiento": "train",
    "apprentissage": "train",
    "entrainement": "train",
    "treino": "train",
    "trainingsdaten": "train",
    "val": "validation",
    "vali": "validation",
    "valid": "validation",
    "validate": "validation",
    "validation": "validation",
    "validating": "validation",
    "valset": "validation",
    "dev": "validation",
    "devel": "validation",
    "development": "validation",
    "tune": "validation",
    "tuning": "validation",
    "validacion": "validation",
    "validierung": "validation",
    "test": "test",
    "testing": "test",
    "tst": "test",
    "tests": "test",
    "testset": "test",
    "testdata": "test",
    "eval": "test",
    "evaluation": "test",
    "holdout": "test",
    "heldout": "test",
    "t10k": "test",
    "prueba": "test",
    "teste": "test",
    "testdaten": "test",
    "pred": UNLABELLED,
    "predict": UNLABELLED,
    "prediction": UNLABELLED,
    "predictions": UNLABELLED,
    "unlabeled": UNLABELLED,
    "unlabelled": UNLABELLED,
    "unlabel": UNLABELLED,
    "unsup": UNLABELLED,
    "unsupervised": UNLABELLED,
    "inference": UNLABELLED,
    "submission": UNLABELLED,
}

_FILLERS = frozenset(
    [
        "seg",
        "data",
        "dataset",
        "set",
        "images",
        "image",
        "imgs",
        "img",
        "pics",
        "pictures",
        "photos",
        "split",
        "part",
        "x",
        "y",
        "fold",
        "original",
        "raw",
        "final",
        "the",
        "of",
        "and",
        "new",
    ]
)
"""Words beside a split's name that say nothing: `train_images`, `seg_test`."""

_TOGETHER = {
    frozenset({"train", "validation"}): "train",
}
"""Splits that a name joins, as `train_val` does, and what images there are: images to train on, from which others are dealt."""

_PAIRS = (
    ("held", "out", "heldout"),
    ("hold", "out", "holdout"),
    ("un", "labeled", "unlabeled"),
    # As FER2013 calls the splits that a contest scored in public, and at its end.
    ("public", "test", "val"),
    ("private", "test", "test"),
)


def find_split(name: str) -> str:
    """The split that a folder, a file or a cell of this name means: one of `layout.SPLITS`, `UNLABELLED`, or "" for none.

    Every word of the name must be that of one split, a number, or a filler: a class `train station` is no split.

    >>> [find_split(name) for name in ("seg_train", "Val2017", "test-images", "held-out", "seg_pred", "train station", "cat")]
    ['train', 'validation', 'test', 'test', 'unlabelled', '', '']
    """
    return _mean(_split_words(name))


def find_splits(names: Collection[str]) -> dict[str, str]:
    """The split of each of `names`, as `find_split`, and where one is for training, without the words that all names share.

    >>> find_splits(["chest_train", "chest_test"]), find_splits(["cat", "dog"])
    ({'chest_train': 'train', 'chest_test': 'test'}, {'cat': '', 'dog': ''})
    """
    words = {name: _split_words(name) for name in names}
    plain = {name: _mean(found) for name, found in words.items()}
    if len(names) < 2 or any(plain.values()):
        return plain
    shared = set.intersection(*map(set, words.values()))
    found = {name: _mean([word for word in of_name if word not in shared]) for name, of_name in words.items()}
    return found if "train" in found.values() and all(found.values()) else plain


def _split_words(name: str) -> list[str]:
    """The words of a name, in lower case and without accents."""
    spaced = unicodedata.normalize("NFKD", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name))
    bare = "".join(letter for letter in spaced if not unicodedata.combining(letter))
    return [word for word in re.split(r"[^a-z0-9]+", bare.casefold()) if word]


def _mean(words: list[str]) -> str:
    """The split that the words of a name mean."""
    for first, second, joined in _PAIRS:
        if first in words and second in words:
            words = [word for word in words if word not in (first, second)] + [joined]
    found = set()
    for word in words:
        known = word if word in _WORDS else re.sub(r"^\d+|\d+$", "", word)
        if known in _WORDS:
            found.add(_WORDS[known])
        elif known and known not in _FILLERS:
            return ""
    if len(found) == 1:
        return found.pop()
    return _TOGETHER.get(frozenset(found), "")


def are_splits(names: Iterable[str]) -> bool:
    """Whether folders of these names are splits: one is for training, and another is for validation or test or is unlabelled."""
    return hold_training({find_split(name) for name in names})


def hold_training(splits: Iterable[str]) -> bool:
    """Whether splits, "" for none, are those of one set: one is for training, and there is another."""
    found = set(splits)
    return "train" in found and len(found - {""}) > 1


def says_nothing(name: str) -> bool:
    """Whether a folder's name says nothing of what is in it, or only the split, as `images` and `train_data`.

    >>> says_nothing("Images"), says_nothing("train"), says_nothing("cat")
    (True, True, False)
    """
    return all(word in _FILLERS or word in _WORDS or word.isdecimal() for word in _split_words(name))


def find_truth(cell: str) -> bool | None:
    """Whether a cell of a column like `is_valid` says yes; None where it says neither yes nor no.

    >>> find_truth("True"), find_truth("0"), find_truth("dog")
    (True, False, None)
    """
    word = cell.strip().casefold()
    if word in ("true", "t", "yes", "y", "1", "1.0", "ja", "x"):
        return True
    return False if word in ("false", "f", "no", "n", "0", "0.0", "nein", "") else None
