"""What is fuzzed: inputs of each kind that are right, how they are made almost right, and the program's readers of them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from typer.testing import CliRunner

from ensembles.bundle.manifest import read_bundle, write_bundle
from ensembles.nights.summary import NightFacts, NightSummary, write_summary
from ensembles.nights.team_answers import TeamAnswers
from ensembles.nights.team_answers import from_arrow as answers_from_arrow
from ensembles.nights.team_answers import to_arrow as answers_to_arrow
from ensembles.pool.mean_file import MeanFile, mean_from_arrow, mean_to_arrow
from runner.cli.main import app
from runner.config.checks import read_spec
from runner.evaluation.conclusion import choose_and_evaluate, publish
from runner.journal.deleted import add_deleted, read_deleted
from runner.journal.journal import Journal
from runner.journal.latest import read_latest
from runner.journal.lease import take_lease
from runner.journal.state import RunState
from runner.nights.retention import plan_nights
from runner.plan.history import History
from runner.retention.reference_set import ReferenceSet, add_resumable
from runner.runs.compatibility import check_understood
from runner.runs.former_run import read_trained
from runner.runs.integrity_check import verify_checkpoints
from runner.runs.live import find_live
from runner.runs.locate import Located
from runner.runs.nights import read_nights
from runner.runs.status import read_status, show_status, summarise
from runner.runs.stored_run import load_run
from runner.runs.trial_table import to_parquet, trials_to_json
from tests.ensembles.bundle.test_manifest import make_files, make_payload
from tests.fuzz.mutate import mutate_bytes, mutate_journal, mutate_record
from tests.sample_runs.sample_run import SampleRun, write_sample_run
from trainables.config.data import DataConfig
from trainables.data.data_table import read_data_table
from trainables.data.decoding import Decoding
from trainables.datasets.load import load_images
from trainables.datasets.new_images import BadImage, _load, find_new_images
from trainables.errors import CaucusError
from trainables.models.pretrained import check_safetensors, start_from
from trainables.results.boost_table import BoostTable, boost_from_arrow, boost_to_arrow
from trainables.results.checkpoint import CheckpointId
from trainables.results.config_file import read_config, write_config
from trainables.results.layer_statistics import LayerStatistics, layers_from_arrow, layers_to_arrow
from trainables.results.predictions import from_arrow
from trainables.results.record import rank
from trainables.results.true_class import take_true_class, true_class_from_arrow, true_class_to_arrow
from trainables.store import layout
from trainables.store.base import sha256_of
from trainables.store.folder import Folder
from trainables.store.json_records import check_format, seal_json, to_json
from trainables.tables.arrow_file import write_table
from trainables.tables.parquet_child import unpack

ROOT = Path(__file__).parents[2]

Mutate = Callable[[bytes, Sequence[bytes], random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    """One kind of input. `read` gets its bytes and an empty folder that it may write to; of every other answer than a result
    or a `CaucusError` somebody has to hear."""

    name: str
    seeds: tuple[bytes, ...]
    read: Callable[[bytes, Path, random.Random], object]
    mutate: Mutate = mutate_bytes
    weight: int = 1
    is_record: bool = False
    """Whether the reader keeps a store in its folder from one input to the next."""
    may_die: bool = False
    """Whether the reader is itself the process that may die of an input."""


class Broken(AssertionError):
    """A reader said something that it must not say."""


def make_kinds(folder: Path) -> list[Kind]:
    """All kinds; their right inputs are made in `folder`, the same every time."""
    run = write_whole_run(folder / "runs")
    return [*_tables(run), *_strangers(folder), *_records(run, folder / "runs")]


def write_whole_run(folder: Path) -> SampleRun:
    """A run with every record that a store may have."""
    run = write_sample_run(folder)
    store, name = run.store, run.spec.name
    stored = load_run(run.found, [])
    conclusion = choose_and_evaluate(stored)
    publish(stored, conclusion, "")
    store.put(layout.run_key(name, run.run_id, layout.STATUS), seal_json(summarise(stored.state, name, run.run_id)))
    facts = NightFacts(run.images.data_id, "0.1.0", None, "c0de", {}, {})
    night = NightSummary(
        f"{name}/{run.run_id}",
        1,
        1.0,
        "accepted",
        "",
        facts,
        test_accuracy=0.9,
        test_images=60,
        validation_accuracy=0.9,
    )
    store.put(layout.run_key(name, run.run_id, layout.NIGHT), write_summary(night))
    add_deleted(store, name, run.run_id, {run.trials[2].trial_id: {7}})
    for trial in run.trials:
        write_config(store, trial)
    take_lease(store, name, run.run_id).release()
    return run


def _tables(run: SampleRun) -> list[Kind]:
    """Arrow files and records of data of a store."""
    member = CheckpointId(run.trials[0].trial_id, 3)
    predictions = run.store.get(member.key(layout.predictions_part("validation")))
    found = from_arrow(predictions)
    labels = run.images.labels[run.images.rows("validation")]
    rng = np.random.default_rng(0)
    layers = tuple(
        LayerStatistics(f"net.{number}", "ReLU", 0.5, 1.0, 0.0, -1.0, 1.0, tuple(range(number)), 1e-3)
        for number in range(5)
    )
    texts = tuple(f"image {number}" for number in range(60))
    arrows = {
        "predictions": (predictions, from_arrow),
        "truth": (true_class_to_arrow(take_true_class(found, labels)), true_class_from_arrow),
        "watched": (layers_to_arrow(layers), layers_from_arrow),
        "boost": (
            boost_to_arrow(BoostTable("d1", np.arange(50, dtype=np.int32), np.full(50, 0.02))),
            boost_from_arrow,
        ),
        "mean": (mean_to_arrow(MeanFile("0", rng.random((20, 3)))), mean_from_arrow),
        "answers": (answers_to_arrow(TeamAnswers("d1", texts, texts, texts, texts)), answers_from_arrow),
    }
    more = (
        write_table(pa.table({"a": pa.array([1, None, 3]), "b": pa.array(["x", None, "z"])})),
        write_table(pa.Table.from_batches(pa.table({"row": range(9)}).to_batches(max_chunksize=3))),
        write_table(pa.table({})),
    )
    seeds = tuple(data for data, _ in arrows.values()) + more
    readers = tuple(reader for _, reader in arrows.values())

    def read_arrow(data: bytes, folder: Path, dice: random.Random) -> None:
        for reader in readers:
            with contextlib.suppress(CaucusError):
                reader(data)

    return [Kind("arrow", seeds, read_arrow, weight=40)]


def _strangers(folder: Path) -> list[Kind]:
    """What people bring: tables, arrays, images, weights, sweep files, bundles."""
    import torch
    from safetensors.torch import save
    from torch import nn

    pictures = {suffix: _picture(suffix) for suffix in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")}
    deep = io.BytesIO()
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(deep, "PNG")
    png = pictures["PNG"]
    tables = tuple(
        _parquet(columns)
        for columns in (
            {"image": ["a.png", "b.png", "a.png", None]},
            {"image": [png, png, None]},
            {"image": [{"bytes": png, "path": "p"}, None, {"bytes": None, "path": "q"}]},
            {"image_id": [f"{n}" for n in range(200)], "label": range(200), "split": np.zeros(200, np.int8)},
        )
    )

    def unpack_table(data: bytes, folder: Path, dice: random.Random) -> None:
        for columns in (["image"], ["image_id", "label", "split"]):
            with contextlib.suppress(pa.ArrowException, OSError, ValueError, KeyError, MemoryError):
                unpack(data, columns)

    def read_weights(data: bytes, folder: Path, dice: random.Random) -> None:
        net = nn.Linear(2, 2)
        check_safetensors(data, "weights")
        start_from(net, data)

    def read_sweep(data: bytes, folder: Path, dice: random.Random) -> None:
        (folder / "x.yaml").write_bytes(data)
        read_spec(str(folder / "x.yaml"), ["search.seed=3"] if dice.random() < 0.5 else [])

    archives = tuple(
        _npz(**arrays)
        for arrays in (
            {"images": np.zeros((3, 4, 4), np.uint8)},
            {"x": np.zeros((2, 4, 4, 3), np.uint8)},
            {"x_train": np.zeros((4, 4, 4)), "y_train": np.arange(4), "x_test": np.ones((2, 4, 4)), "y_test": [0, 1]},
            {"images": np.zeros((4, 3, 4, 4), np.uint8), "labels": np.array(["a", "b", "a", "b"])},
        )
    )
    texts = {
        ".csv": (
            b"image,label\na.png,cat\nb.png,dog\n",
            b'label;image\r\n"a;b";a.png\r\nd;"y""z.png"\r\n',
            "\ufeffimage\tlabel\nä.png\té\n".encode(),
            b"# made by hand\na.png cat train\nb.png dog test\na.png cat val\n",
        ),
        ".jsonl": (b'{"image": "a.png", "label": "cat"}\n{"image": "b", "label": null, "box": [1, 2]}\n',),
        ".json": (
            b'[{"file_name": "a.png", "label": 1}, {"file_name": "b.png", "label": 2}]',
            b'{"images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}], "categories": [{"id": 3, "name": "x"}, '
            b'{"id": 4, "name": "y"}], "annotations": [{"image_id": 1, "category_id": 3}, {"image_id": 2, "category_id": 4}]}',
            b'{"a.png": "cat", "b.png": "dog"}',
        ),
    }
    entries = {"a/1.png": png, "a/1.cls": b"0", "b/2.jpg": pictures["JPEG"], "b/2.cls": b"1", "__MACOSX/._1.png": b"x"}
    tars = tuple(_tar(entries, mode) for mode in ("w", "w:gz"))
    zips = tuple(_zip(entries, method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    weights = (
        save({"weight": torch.zeros(2, 2), "bias": torch.zeros(2)}),
        save({"weight": torch.zeros(2, 2, dtype=torch.bfloat16), "bias": torch.zeros(2), "x": torch.zeros(())}),
    )
    sweeps = tuple(path.read_bytes() for path in sorted((ROOT / "sweeps").glob("*.yaml")))
    bundle = Folder(folder / "bundle", "bundle")
    write_bundle(bundle, make_payload(), make_files())
    manifest = bundle.get("manifest.json")
    files = {found.key: bundle.get(found.key) for found in bundle.find("")}

    def read_bundle_files(data: bytes, folder: Path, dice: random.Random) -> None:
        store = Folder(folder / "bundle", "bundle")
        for name, held in files.items():
            store.put(name, held)
        manifest = data
        with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):  # most with a hash that holds
            plain = json.loads(data)
            if dice.random() < 0.9:
                plain.pop("sha256", None)
                manifest = to_json({**plain, "sha256": sha256_of(to_json(plain))})
        store.put("manifest.json", manifest)
        read_bundle(store)

    return [
        Kind("parquet", tables, read_source(".parquet", png), weight=1),
        Kind("parquet, in the process that may die", tables, unpack_table, weight=6, may_die=True),
        Kind("npz", archives, read_source(".npz", png), weight=4),
        *(Kind(end[1:], seeds, read_source(end, png), weight=2) for end, seeds in texts.items()),
        Kind("tar", tars, read_source(".tar", png), weight=3),
        Kind("zip", zips, read_source(".zip", png), weight=3),
        Kind("image", (*pictures.values(), deep.getvalue()), read_source(".png", png, to_train=0.0), weight=12),
        Kind("safetensors", weights, read_weights, weight=10),
        Kind("sweep file", sweeps, read_sweep, weight=3),
        Kind("bundle", (manifest,), read_bundle_files, mutate=mutate_record, weight=4),
    ]


def read_source(ending: str, picture: bytes, to_train: float = 0.5) -> Callable[[bytes, Path, random.Random], None]:
    """Reads a file with this ending, beside two images, as a data set with the chance `to_train`, else as images to be predicted."""

    def read(data: bytes, folder: Path, dice: random.Random) -> None:
        for name in ("a.png", "b.png"):
            (folder / name).write_bytes(picture)
        path = folder / f"x{ending}"
        path.write_bytes(data)
        if dice.random() < to_train:
            load_images(DataConfig(path=str(path), size=8, channels=3, unreadable="skip"))
            return
        for image in find_new_images(str(path))[:20]:
            found = _load(image, Decoding(8, 8, 3))
            if isinstance(found, BadImage) and not found.reason:
                raise Broken("an image is refused without a reason")

    return read


def _records(run: SampleRun, place: Path) -> list[Kind]:
    """Records of a store, each read by the verbs that read it."""
    name = run.spec.name
    member = CheckpointId(run.trials[0].trial_id, 3)
    prefix = layout.run_key(name, run.run_id, "")
    keys = {
        "journal": next(each.key for each in run.store.find(prefix + layout.EVENTS)),
        "sweep.json": prefix + layout.SWEEP,
        "status.json": prefix + layout.STATUS,
        "ensemble.json": prefix + layout.ENSEMBLE,
        "night.json": prefix + layout.NIGHT,
        "deleted.json": prefix + layout.DELETED,
        "claim": layout.claim_key(name, run.run_id, 1),
        "heartbeat": layout.beat_key(name, run.run_id, 1),
        "latest": layout.latest_key(name),
        "caucus.json": layout.FORMAT_KEY,
        "data.json": layout.data_key(run.images.data_id, "data.json"),
        "images.parquet": layout.data_key(run.images.data_id, "images.parquet"),
        "config.json": layout.config_key(run.trials[0].trial_id),
        "manifest.json": member.key(layout.MANIFEST),
        "predictions": member.key(layout.predictions_part("validation")),
    }
    weights = {"journal": 14, "sweep.json": 4, "status.json": 3, "manifest.json": 3, "images.parquet": 1}
    records = tuple(run.store.get(key) for what, key in keys.items() if what.endswith(".json"))

    def look(store: Folder, what: str) -> None:
        """What a run that goes on, a plan and a night read of a record."""
        journal = Journal(store, name, run.run_id, repair=True)
        state = RunState(journal.events)
        rank(list(state.trials.values()))
        readers: dict[str, Callable[[], object]] = {
            "journal": lambda: (
                History(2, {}, run.images.data_id).read(journal.events),
                read_trained(store, run.spec, run.images.data_id),
                json.dumps(trials_to_json(state, 20), allow_nan=False),
                to_parquet(list(state.trials.values())),
                add_resumable(state, ReferenceSet({})),
            ),
            "sweep.json": lambda: load_run(run.found, []),
            "status.json": lambda: show_status(read_status(Located(store, name, run.run_id))),
            "night.json": lambda: read_nights(store, name, lambda line: None),
            "deleted.json": lambda: read_deleted(store, name, run.run_id),
            "claim": lambda: find_live(store),
            "heartbeat": lambda: find_live(store),
            "latest": lambda: read_latest(store, name),
            "caucus.json": lambda: check_format(store),
            "data.json": lambda: read_data_table(store, run.images.data_id),
            "images.parquet": lambda: read_data_table(store, run.images.data_id),
            "config.json": lambda: read_config(store, run.trials[0].trial_id),
        }
        readers.get(what, lambda: verify_checkpoints(store, list(state.trials.values())[:1]))()
        check_understood(store, name, run.run_id, journal, state)

    verbs: tuple[tuple[str, ...], ...] = (
        ("status", name),
        ("top", name),
        ("top", name, "--json"),
        ("diagnose", name),
        ("status", name, "--json"),
        ("ensemble", name),
        ("report", name, "--out", "report.html"),
        ("prune", "runs"),
    )

    def read_record(key: str, what: str) -> Callable[[bytes, Path, random.Random], None]:
        def read(data: bytes, folder: Path, dice: random.Random) -> None:
            if not (folder / "runs").exists():
                shutil.copytree(place, folder / "runs", copy_function=os.link)
            store = Folder(folder / "runs", "runs")
            path = folder / "runs" / key
            whole = path.read_bytes()
            path.unlink()  # a link: the others keep theirs
            path.write_bytes(data)
            try:
                if dice.random() < 0.75:
                    look(store, what)
                elif dice.random() < 0.05:
                    plan_nights(store, name, [run.run_id])
                else:
                    run_verb(dice.choice(verbs), folder)
            finally:
                path.write_bytes(whole)

        return read

    return [
        Kind(
            what,
            (run.store.get(key),),
            read_record(key, what),
            mutate={"journal": mutate_journal}.get(
                what,
                (lambda data, _, dice: mutate_record(data, records, dice)) if key.endswith(".json") else mutate_bytes,
            ),
            weight=weights.get(what, 3),
            is_record=True,
        )
        for what, key in keys.items()
    ]


def run_verb(arguments: tuple[str, ...], folder: Path) -> None:
    """A verb as a person types it; raises what it does not say as a sentence."""
    os.chdir(folder)
    done = CliRunner().invoke(app, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    if done.exit_code not in (0, 2):
        raise Broken(f"{' '.join(arguments)} ends with {done.exit_code}: {done.output[-500:]}")
    if "Traceback" in done.output or (done.exit_code == 2 and "caucus: " not in done.output):
        raise Broken(f"{' '.join(arguments)} says {done.output[-500:]!r}")


def _picture(suffix: str) -> bytes:
    rng = np.random.default_rng(1)
    file = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (12, 10, 3)).astype(np.uint8)).save(file, suffix)
    return file.getvalue()


def _parquet(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="zstd")
    return file.getvalue()


def _tar(entries: dict[str, bytes], mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def _zip(entries: dict[str, bytes], method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def _npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()
