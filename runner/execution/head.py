"""The head of a run: what a reader needs before the first event, and what tells whether a later sweep is the same one."""

from __future__ import annotations

from runner.config.sweep import SweepSpec
from runner.journal.latest import write_latest
from runner.runs.versions import versions
from trainables.data.data_table import write_data_table, write_nearest_scores
from trainables.data.images import ImageSet
from trainables.errors import DamagedObject, ObjectMissing, RunMismatch
from trainables.findings.find import look_through
from trainables.store import layout
from trainables.store.base import Store
from trainables.store.json_records import get_json, mark_format, seal_json


def write_head(store: Store, spec: SweepSpec, run: str, images: ImageSet, command: str) -> list[str]:
    """Write the store's format, the record of the data, and the resolved sweep with the `command` that reproduces it.

    Returns what a person should know of the images, a line each: once for each set of images.
    """
    mark_format(store, versions()["caucus"])
    found = write_data_table(store, images, look_through).findings
    if spec.ensemble.deciding_metric != "accuracy":
        write_nearest_scores(store, images)
    head = {
        "spec": spec.model_dump(mode="json", exclude={"store"}),
        "fingerprint": spec.run_id(images.data_id),
        "data_id": images.data_id,
        "command": command,
    }
    store.put(layout.run_key(spec.name, run, layout.SWEEP), seal_json(head))
    write_latest(store, spec.name, run)
    wrong = [f"data: {one.detail}; caucus doctor says what to do" for one in found if one.is_wrong]
    others = sorted({one.kind for one in found if not one.is_wrong})
    return [
        *wrong,
        *(
            [f"data: worth a look ({', '.join(others)}): the report shows it, caucus doctor names all images"]
            if others
            else []
        ),
    ]


def check_run(store: Store, spec: SweepSpec, run: str, data_id: str, needed_bytes: int) -> None:
    """Raise before anything is written, where the run's name is taken by another sweep or the store cannot be written.

    The store was looked at before: it answers, and its format is known.
    """
    try:
        head = get_json(store, layout.run_key(spec.name, run, layout.SWEEP))
    except (ObjectMissing, DamagedObject):  # it is written again
        head = {}
    if head and head.get("fingerprint") != spec.run_id(data_id):
        raise RunMismatch(
            f"run {spec.name}/{run} in {store.uri} was started with other data, another search space, another scheduler or another metric: "
            "take the sweep file it was started with, or another --run-id"
        )
    store.check_writable(needed_bytes)
