"""Everything of a sweep that can be read and checked before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from runner.cluster.connect import check_cluster
from runner.config.sweep import SweepSpec
from runner.control.budget import Budget
from runner.control.price import find_price
from runner.execution.head import check_run
from runner.execution.labelling import read_unlabelled
from runner.journal.events import Event
from runner.journal.journal import Journal
from runner.journal.lease import NOBODY, Driver, find_driver
from runner.journal.state import RunState
from runner.preflight.augment_keys import check_augment
from runner.preflight.model_check import check_models
from runner.preflight.pin_weights import pin_pretrained_weights
from runner.preflight.pixel_keys import check_pixels
from runner.preflight.plugins import check_plugins
from runner.runs.compatibility import check_understood
from runner.runs.former_run import read_former, read_trained
from runner.search.base.former import Former
from runner.search.base.protocol import Search
from runner.search.choose import choose_search, list_trials
from runner.search.pseudo_labels import SecondStage
from trainables.config.trial import TrialConfig
from trainables.data.describe import describe_images, describe_origin
from trainables.data.images import ImageSet
from trainables.data.mapped import find_file
from trainables.datasets.load import load_images
from trainables.datasets.unlabelled import UnlabelledImages
from trainables.errors import SweepFileError
from trainables.store.base import Store
from trainables.store.json_records import check_format
from trainables.store.open import open_store

CHECKPOINT_BYTES = 2**20
"""A store with room for less than this for each trial is refused before anything starts."""


@dataclass(frozen=True, eq=False)
class PreparedRun:
    """A sweep that was found fit to run, and everything that was read for it."""

    spec: SweepSpec
    """The sweep, its weights named by their hash."""
    run: str
    store: Store
    images: ImageSet
    unlabelled: UnlabelledImages | None
    """Images that a second stage of the run still has to label."""
    weights: Mapping[str, bytes]
    """Safetensors files that trials start from, by hash."""
    budget: Budget
    driver: Driver
    """The newest driver of the run, `NOBODY` before the first."""
    journal: Journal
    """The run's journal as it was before the lease is claimed."""
    former: Former | None
    trained: Sequence[TrialConfig]

    def new_search(self) -> Search:
        """The sweep's search, which has seen no event yet."""
        return choose_search(self.spec, self.images.data_id, self.former, self.trained)

    @property
    def image_bytes(self) -> int:
        """Memory that all images take in Ray's object store: none where workers of this machine map them from a file."""
        mapped = find_file(self.images.pixels) is not None
        known_bytes = 0 if mapped else self.images.pixels.nbytes
        return known_bytes + (self.unlabelled.pixels.nbytes if self.unlabelled else 0)


def prepare_run(
    spec: SweepSpec,
    run: str | None,
    address: str | None,
    notify: Callable[[str], None],
    images: ImageSet | None = None,
) -> PreparedRun:
    """Read and check what a run of `spec` needs; `images` are those of its `data`, where a program has them in memory.

    Raises `CaucusError` where it cannot be run; nothing is written.
    """
    if spec.data.folds and spec.data.fold is None:
        raise SweepFileError(
            f"data.folds is {spec.data.folds}, which is {spec.data.folds} runs, one after the other, but this is one: use `caucus run`, or name "
            "a fold with data.fold=1"
        )
    check_plugins(spec)
    check_cluster(address)
    budget = Budget(spec.budget, find_price(spec))
    images = images or load_images(spec.data, notify)
    check_augment(spec, images.pixels.shape[3])
    check_pixels(spec, images.pixels)
    store = open_store(spec.store.uri, spec.store.endpoint_url)
    store.check()
    check_format(store)
    spec, weights = pin_pretrained_weights(spec, store)
    run = run or spec.run_id(images.data_id)
    # Before all else of the run: a driver that comes later shows in the lease.
    driver = find_driver(store, spec.name, run) or NOBODY
    journal = Journal(store, spec.name, run, repair=True)
    check_understood(store, spec.name, run, journal, RunState(journal.events))
    former = read_former(store, spec, images.data_id)
    trained = [] if journal.events else read_trained(store, spec, images.data_id)
    configs = list_trials(spec, images.data_id, former)
    check_run(store, spec, run, images.data_id, CHECKPOINT_BYTES * (len(configs) or spec.search.configuration_count))
    if not journal.events:
        for model in check_models(spec, images, configs, weights):
            if model["only_on_cpu"] and spec.resources.gpus is None:
                notify(f"model.name is {model['name']}: {model['only_on_cpu']}")
    search = choose_search(spec, images.data_id, former, trained)
    unlabelled = _read_images_to_label(spec, search, journal.events, images)
    for line in (*describe_images(images), *describe_origin(images)):  # last: a refusal is one line
        notify(line)
    return PreparedRun(spec, run, store, images, unlabelled, weights, budget, driver, journal, former, trained)


def _read_images_to_label(
    spec: SweepSpec, search: Search, events: Iterable[Event], images: ImageSet
) -> UnlabelledImages | None:
    """Images from elsewhere that a second stage still has to label after `events`, else None."""
    if not isinstance(search, SecondStage):
        return None
    for event in events:
        search.observe(event)
    return read_unlabelled(spec, images) if search.needs_images else None
