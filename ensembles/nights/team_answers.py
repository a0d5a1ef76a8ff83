"""A team's answer to each test image, stored with its run: later nights are compared with it even if checkpoints are deleted."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from trainables.errors import DamagedObject
from trainables.tables.arrow_file import reading_table, write_table


@dataclass(frozen=True)
class TeamAnswers:
    """A team's answers on test; all columns have the order of the images.

    image_sha256    hexadecimal, of each image's pixels
    labels          names of the true classes
    predicted       names of the classes that the vote predicts
    groups          names of the groups of the images, or None where they have none
    """

    data_id: str
    image_ids: tuple[str, ...]
    image_sha256: tuple[str, ...]
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    groups: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        columns = (self.image_ids, self.image_sha256, self.labels, self.predicted)
        named = columns if self.groups is None else (*columns, self.groups)
        if len({len(column) for column in named}) != 1:
            raise DamagedObject(f"the answers on data {self.data_id} have columns of different lengths: vote again")


def to_arrow(answers: TeamAnswers) -> bytes:
    """The bytes of an Arrow IPC file. The same answers give the same bytes."""
    columns = {
        "image_id": pa.array(answers.image_ids, pa.string()),
        "sha256": pa.array(answers.image_sha256, pa.string()),
        "label": pa.array(answers.labels, pa.string()),
        "predicted": pa.array(answers.predicted, pa.string()),
    }
    if answers.groups is not None:
        columns["group"] = pa.array(answers.groups, pa.string())
    return write_table(pa.table(columns, metadata={"data_id": answers.data_id}))


def from_arrow(data: bytes) -> TeamAnswers:
    """The inverse of `to_arrow`. Raises `DamagedObject` if `data` is something else."""
    with reading_table(data, "a file of a team's answers", DamagedObject) as (table, payload):
        return TeamAnswers(
            data_id=payload["data_id"],
            image_ids=tuple(table["image_id"].to_pylist()),
            image_sha256=tuple(table["sha256"].to_pylist()),
            labels=tuple(table["label"].to_pylist()),
            predicted=tuple(table["predicted"].to_pylist()),
            groups=tuple(table["group"].to_pylist()) if "group" in table.column_names else None,
        )
