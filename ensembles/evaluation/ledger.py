"""How often each split of a data set was used to decide: with every use, the same images say a little less about new ones.

The store has one small object a decision, named by the hash of the decision: two writers never collide, and the same decision
of the same run counts once, however often it is repeated.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from trainables.errors import StoreError
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import to_json

IMAGES_PER_DECISION = 100
"""With fewer images to a decision it is time to rotate. After `k` decisions, each of which may depend on the scores before it,
a score on `n` images can be too good by about the square root of k/n of the worst case (Dwork et al. 2015, "The reusable
holdout", Science 349, where a holdout that is queried without protection is no longer valid after about n queries); this
limit keeps that below a tenth. It is a rule of thumb, because decisions are rarely that adversarial."""

COUNTED = ("validation", "test")


@dataclass(frozen=True)
class Uses:
    """How often one split was used to decide."""

    split: str
    decisions: int
    images: int

    @property
    def limit(self) -> int:
        """Decisions that its images allow: one for each `IMAGES_PER_DECISION`, and at least one."""
        return max(1, self.images // IMAGES_PER_DECISION)

    @property
    def is_due(self) -> bool:
        """Whether it is time to rotate."""
        return self.decisions > self.limit

    @property
    def warning(self) -> str:
        """What to do; "" if the split is not due."""
        if not self.is_due:
            return ""
        return (
            f"{self.split} was used for {self.decisions} decisions, and its {self.images:,} images bear {self.limit}: "
            + ("keep new images for the next verdict" if self.split == "test" else "split again")
            + ", such as with another data.split_seed"
        )

    def to_dict(self) -> dict[str, Any]:
        """As the JSON of a verb has it."""
        return {**asdict(self), "limit": self.limit, "rotate": self.is_due}


@dataclass(frozen=True)
class Ledger:
    """The decisions on one data set."""

    data_id: str
    uses: tuple[Uses, ...]
    refused: str = ""
    """Why the store did not take the newest decision; "" if it did."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """One for each split that is due."""
        return tuple(use.warning for use in self.uses if use.is_due)

    def to_dict(self) -> dict[str, Any]:
        """As the JSON of a verb has it."""
        return {
            **{use.split: use.to_dict() for use in self.uses},
            "warnings": list(self.warnings),
            "recorded": not self.refused,
            "refused": self.refused or None,
        }


def record_decision(store: Store, data_id: str, split: str, run: str, decided: dict[str, Any]) -> None:
    """Enter a decision for `run` (`name/run`) on `split`; a decision that is there already is not written again.

    Raises `StoreError`.
    """
    entry = {"split": split, "run": run, "decided": decided}
    name = hashlib.sha256(json.dumps(entry, sort_keys=True).encode()).hexdigest()[:20]
    key = layout.ledger_key(data_id, split, name)
    if store.stat(key) is None:
        store.put(key, to_json(entry))


def read_ledger(store: Store, data_id: str, images: dict[str, int], refused: str = "") -> Ledger:
    """The decisions so far; `images` counts the images of each split. Raises `StoreError`."""
    uses = [Uses(split, len(store.find(layout.ledger_prefix(data_id, split))), images[split]) for split in COUNTED]
    return Ledger(data_id, tuple(uses), refused)


def record_use(store: Store, data_id: str, images: dict[str, int], run: str, decided: dict[str, Any]) -> Ledger:
    """Enter a team that was selected on validation and evaluated on test, on both splits, and read the ledger.

    A store that cannot be written to is no reason to fail: then `refused` says why the use is not counted.
    """
    refused = ""
    try:
        for split in COUNTED:
            record_decision(store, data_id, split, run, decided)
    except StoreError as error:
        refused = str(error)
    return read_ledger(store, data_id, images, refused)
