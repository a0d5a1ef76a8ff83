"""Names that people give to arrays of images and labels: `x_train`, `test_labels`, `trainX`, `arr_0`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from trainables.layouts.base.split_names import UNLABELLED, find_split

IMAGES, LABELS, CLASSES = "images", "labels", "class names"

_ROLES = {
    **dict.fromkeys(("x", "image", "images", "img", "imgs", "pixels", "data", "features"), IMAGES),
    **dict.fromkeys(("y", "label", "labels", "target", "targets", "cls"), LABELS),
}
_CLASS_NAMES = frozenset(["class_names", "classes", "label_names", "target_names"])
_SHORT = {"te": "test", "va": "validation"}
"""Splits that are plain beside `x` and `y`, and are none alone."""

_GLUED = re.compile(r"([xy])(train|trn|tr|test|tst|te|valid|val|va)", re.I)


@dataclass
class ArrayNames:
    """Which array holds what."""

    images: dict[str, str] = field(default_factory=dict)
    """Name of the array of images by split; the split is "" where none is named."""
    labels: dict[str, str] = field(default_factory=dict)
    """Name of the array of labels by split."""
    classes: str = ""
    """Name of the array of class names; "" for none."""
    twice: tuple[str, str] | None = None
    """Two arrays whose names mean the same."""
    others: list[str] = field(default_factory=list)
    """Arrays whose names say nothing."""

    @property
    def used(self) -> list[str]:
        """All arrays that are read."""
        return [*self.images.values(), *self.labels.values(), *([self.classes] if self.classes else [])]


def sort_names(names: Iterable[str]) -> ArrayNames:
    """What each of `names` means; `arr_0` and `arr_1`, as `numpy.savez` calls two arrays, are images and labels.

    A name with a word before it, as `mean_image`, gives way to one without.

    >>> found = sort_names(["x_train", "y_train", "testX", "test_labels", "ids"])
    >>> found.images, found.labels, found.others
    ({'train': 'x_train', 'test': 'testX'}, {'train': 'y_train', 'test': 'test_labels'}, ['ids'])
    """
    names = sorted(names, key=lambda name: bool(find_role(name)[2]))
    if sorted(names) == ["arr_0", "arr_1"]:
        return ArrayNames({"": "arr_0"}, {"": "arr_1"})
    found = ArrayNames()
    for name in names:
        role, split, prefix = find_role(name)
        held = {IMAGES: found.images, LABELS: found.labels}.get(role)
        if role == CLASSES and not found.classes:
            found.classes = name
        elif held is None:
            found.others.append(name)
        elif split not in held:
            held[split] = name
        elif prefix and not find_role(held[split])[2]:
            found.others.append(name)
        else:
            found.twice = found.twice or (held[split], name)
    if found.classes and not found.labels and set(found.images) == {""}:
        found.labels[""], found.classes = found.classes, ""  # images and classes: of each image
    return found


def find_role(name: str) -> tuple[str, str, str]:
    """What an array of this name holds, its split, and the words before: "" for each that the name does not say.

    The first is one of `IMAGES`, `LABELS` and `CLASSES`.

    >>> [find_role(name)[:2] for name in ("X_train", "val_labels", "yte", "class_names", "x_test_ids")]
    [('images', 'train'), ('labels', 'validation'), ('labels', 'test'), ('class names', ''), ('', '')]
    >>> find_role("digits_x")
    ('images', '', 'digits')
    """
    words = [word.casefold() for word in _split_words(name) if word.isalnum()]
    if "_".join(words) in _CLASS_NAMES:
        return CLASSES, "", ""
    plain = [position for position, word in enumerate(words) if word not in _ROLES and not _find_split(word)]
    first = plain[-1] + 1 if plain else 0
    roles = [_ROLES[word] for word in words[first:] if word in _ROLES]
    if not roles:
        return "", "", ""
    rest = [word for word in words[first:] if word not in _ROLES]
    split = _find_split(" ".join(rest)) if rest else ""
    if rest and not split:
        return "", "", ""
    # In `train_data_labels` the last word says what the array holds.
    return roles[-1], split, "_".join(words[:first])


def guess_beside(name: str) -> list[str]:
    """Names that the other arrays of the set may have which `name` belongs to: other words in its place."""
    choices: list[tuple[str, ...]] = []
    for word in _split_words(name):
        known = word.casefold()
        if known in _ROLES:
            choices.append(tuple(dict.fromkeys((word, *_ROLES, "X", "Y"))))
        elif _find_split(known) not in ("", UNLABELLED):
            choices.append(tuple(dict.fromkeys((word, "train", "val", "valid", "validation", "test"))))
        else:
            choices.append((word,))
    # The names grow with the product of the choices: three words that can be another are more than any set has.
    if sum(len(choice) > 1 for choice in choices) > 2:
        return [*_CLASS_NAMES]
    return ["".join(words) for words in itertools.product(*choices)] + [*_CLASS_NAMES]


def _split_words(name: str) -> list[str]:
    """The words of a name and what stands between them, in their order: `["x", "_", "train"]`."""
    if glued := _GLUED.fullmatch(name):
        return [glued[1], glued[2]]
    return re.findall(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^A-Za-z0-9]+", name)


def _find_split(words: str) -> str:
    return _SHORT.get(words) or find_split(words)
