"""A hundred damaged objects, a bit, an end or the whole of them gone: each is noticed, and the run comes back to its bits."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ensembles.evaluation.verdict import to_json as tell_verdict
from runner.evaluation.conclusion import choose_and_evaluate, publish
from runner.execution.head import check_run, write_head
from runner.journal.journal import Journal
from runner.journal.latest import read_latest
from runner.journal.log import RunLog
from runner.runs.integrity_check import invalidate, restore_configs, verify_checkpoints
from runner.runs.locate import Located
from runner.runs.status import StatusWriter, read_status
from runner.runs.stored_run import StoredRun, load_run
from tests.sample_runs.damage import HARMS, Behind, Harm, behind_bucket, behind_folder
from tests.sample_runs.sample_run import make_spec
from tests.sample_runs.train_trials import train_trials
from tests.services.servers import S3Server
from tests.trainables.training.tiny_trials import make_config, make_images, place
from trainables.data.data_table import read_data_table
from trainables.data.images import hash_labels
from trainables.errors import DamagedObject, MismatchedPredictions, ObjectMissing, RunMissing, StoreError
from trainables.results.committer import Committer
from trainables.results.config_file import read_config
from trainables.results.record import TrialRecord
from trainables.store.base import Store
from trainables.store.folder import Folder
from trainables.store.json_records import check_format, get_json
from trainables.store.s3 import S3Store
from trainables.training.trial import Trial

EPOCHS = 4
IMAGES = make_images()
TRIALS = [make_config(IMAGES.data_id, seed) for seed in (1, 2)]
SPEC = make_spec("runs")
RUN = SPEC.run_id(IMAGES.data_id)

PARTS = (
    "weights.safetensors",
    "optimizer.safetensors",
    "validation.arrow",
    "validation-truth.arrow",
    "test.arrow",
    "metrics.json",
    "watched.arrow",
    "timing.json",
    "manifest.json",
)
OTHERS = (
    "config.json",
    ".jsonl",
    "sweep.json",
    "status.json",
    "ensemble.json",
    "latest",
    "caucus.json",
    "data.json",
    "images.parquet",
)
KINDS = (*PARTS, *OTHERS)

pytestmark = pytest.mark.usefixtures("one_thread")
DAMAGES = 100


def train_run(store: Store) -> None:
    """Two tiny trials of four epochs, voted and published."""
    write_head(store, SPEC, RUN, IMAGES, "caucus run dots.yaml")
    log = RunLog(Journal(store, SPEC.name, RUN), [StatusWriter(store, SPEC, RUN)])
    log.open({"python": "3.11"}, slots=1)
    log.plan(TRIALS)
    train_trials(store, log, TRIALS, IMAGES, EPOCHS)
    stored = load(store)
    publish(stored, choose_and_evaluate(stored), "")
    log.close("done", "")


def load(store: Store) -> StoredRun:
    return load_run(Located(store, SPEC.name, read_latest(store, SPEC.name)), [])


def records(store: Store) -> list[TrialRecord]:
    return list(load(store).state.trials.values())


def kept(behind: Behind) -> dict[str, bytes]:
    """Everything that trials left, but what they took, which is never the same twice."""
    keys = [
        key for key in behind.names() if key.startswith("trials/") and "timing" not in key and "manifest" not in key
    ]
    return {key: behind.read(key) for key in keys}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Behind]:
    place = tmp_path_factory.mktemp("damage")
    train_run(Folder(place))
    return Folder(place), behind_folder(place)


@pytest.fixture(scope="module")
def bucket(weed_s3: S3Server) -> Iterator[tuple[Store, Behind]]:
    with pytest.MonkeyPatch.context() as patch:
        weed_s3.login(patch)
        store = S3Store(weed_s3.new_bucket())
        train_run(store)
        yield store, behind_bucket(weed_s3.client(), store.bucket)


def notice(store: Store, key: str, undamaged: list[TrialRecord]) -> str:
    """The message that a reader of `key` gets, "" where it gets none. Asserts that the fallback of readers is right."""
    name = key.rsplit("/", 1)[-1]
    if "/epoch-" in key:
        owner, epoch = key.split("/")[1], int(key.split("/")[2].removeprefix("epoch-"))
        found = verify_checkpoints(store, undamaged)
        assert found.lost in ({}, {owner: {epoch}}), "what is whole is called damaged"
        return next(iter(found.broken.values()), "")
    try:
        match name:
            case "config.json":
                read_config(store, key.split("/")[1])
            case "sweep.json":
                load(store)
            case "status.json":
                status = read_status(Located(store, SPEC.name, RUN))
                assert (status["state"], status["trials"]["planned"]) == ("done", 2)  # rebuilt from the events
                get_json(store, key)
            case "latest":
                read_latest(store, SPEC.name)
                load(store)
            case "caucus.json":
                return "" if check_format(store) else "no store of Caucus"
            case "data.json" | "images.parquet":
                read_data_table(store, IMAGES.data_id)
            case "ensemble.json":
                get_json(store, key)
            case _:
                Journal(store, SPEC.name, RUN)
    except (DamagedObject, ObjectMissing, RunMissing, StoreError) as error:
        return str(error)
    return ""


def repair(store: Store) -> None:
    """What the next execution of the run does, Ray aside. Asserts that afterwards nothing is broken."""
    check_format(store)
    check_run(store, SPEC, RUN, IMAGES.data_id, 0)
    write_head(store, SPEC, RUN, IMAGES, "caucus run dots.yaml")
    log = RunLog(Journal(store, SPEC.name, RUN, 2, repair=True), [StatusWriter(store, SPEC, RUN)])
    log.open({"python": "3.11"}, slots=1)
    log.plan(TRIALS)
    invalidate(store, verify_checkpoints(store, log.state.trials.values()).broken)
    committer = Committer(store)
    for config in TRIALS:
        trial = Trial(config, place(IMAGES), hash_labels(IMAGES), store, committer)
        while trial.epoch < EPOCHS:
            step = trial.advance()
            assert step.result is not None, step.reason
            if step.result.epoch > log.state.last_epoch(config.trial_id):
                log.report(config.trial_id, step.result, step.trained, None)
    committer.close()
    restore_configs(store, log.state.trials.values())
    log.close("done", "")
    assert verify_checkpoints(store, log.state.trials.values()).broken == {}


def damages(behind: Behind) -> Iterator[tuple[str, Harm]]:
    """A hundred objects, of every kind in turn, each with what is done to it."""
    dice = random.Random(7)
    keys = behind.names()
    for number in range(DAMAGES):
        kind = KINDS[number % len(KINDS)]
        # Eighteen kinds and three harms: each round begins with another harm.
        harm = HARMS[(number + number // len(KINDS)) % len(HARMS)]
        yield dice.choice([key for key in keys if key.endswith(kind)]), harm


def check_that_all_is_noticed(store: Store, behind: Behind, where: str) -> None:
    undamaged, dice = records(store), random.Random(11)
    noticed: Counter[tuple[str, Harm]] = Counter()
    asked: Counter[tuple[str, Harm]] = Counter()
    unnoticed = []
    for key, harm in damages(behind):
        whole = behind.harm(key, harm, dice)
        kind = next(kind for kind in KINDS if key.endswith(kind))
        result = notice(store, key, undamaged)
        asked[kind, harm] += 1
        noticed[kind, harm] += bool(result)
        if not result:
            unnoticed.append((key, harm))
        behind.write(key, whole)
    assert verify_checkpoints(store, undamaged).broken == {}  # as it was
    print(f"\n{where}: {sum(noticed.values())} of {sum(asked.values())} noticed")
    for kind in KINDS:
        print(f"  {kind:24}" + "".join(f" {harm} {noticed[kind, harm]}/{asked[kind, harm]} " for harm in HARMS))
    assert unnoticed == []
    assert sum(asked.values()) == DAMAGES
    assert len(asked) == len(KINDS) * len(HARMS), "a kind of object was spared a kind of harm"


def test_a_hundred_damages_in_a_folder_are_noticed(folder: tuple[Store, Behind]) -> None:
    check_that_all_is_noticed(*folder, "folder")


@pytest.mark.long
def test_a_hundred_damages_in_a_bucket_are_noticed(bucket: tuple[Store, Behind]) -> None:
    check_that_all_is_noticed(*bucket, "bucket")


@pytest.mark.long
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", [*PARTS, "config.json"])
def test_a_run_that_is_damaged_comes_back_to_its_bits(
    folder: tuple[Store, Behind], tmp_path: Path, kind: str, harm: Harm
) -> None:
    dice = random.Random(f"{kind} {harm}")
    expected = kept(folder[1])
    shutil.copytree(folder[0].uri, tmp_path / "runs")
    store, behind = Folder(tmp_path / "runs"), behind_folder(tmp_path / "runs")
    for key in dice.sample([key for key in behind.names() if key.endswith(kind)], k=2):
        behind.harm(key, harm, dice)
    repair(store)
    assert kept(behind) == expected


@pytest.mark.long
@pytest.mark.parametrize("kind", OTHERS)
def test_what_belongs_to_no_checkpoint_is_written_again(
    folder: tuple[Store, Behind], tmp_path: Path, kind: str
) -> None:
    for harm in HARMS:
        shutil.copytree(folder[0].uri, tmp_path / harm)
        store, behind = Folder(tmp_path / harm), behind_folder(tmp_path / harm)
        (key,) = [key for key in behind.names() if key.endswith(kind)][:1]
        behind.harm(key, harm, random.Random(3))
        if kind == "caucus.json" and harm != "delete":  # it might be that of a newer version: a person must say
            with pytest.raises(StoreError, match=r"caucus\.json is not .*restore or delete it"):
                repair(store)
            behind.delete(key)
        repair(store)
        publish(load(store), choose_and_evaluate(load(store)), "")
        assert set(behind.names()) >= {name for name in folder[1].names() if "/events/" not in name}
        again = records(store)
        assert [len(record.epochs) for record in again] == [EPOCHS, EPOCHS]
        assert {name: result for name in behind.names() if (result := notice(store, name, again))} == {}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("part", ["manifest.json", "validation.arrow", "validation-truth.arrow"])
def test_a_damaged_member_is_left_out_by_name_or_was_not_needed(
    folder: tuple[Store, Behind], part: str, harm: Harm
) -> None:
    store, behind = folder
    whole = choose_and_evaluate(load(store))
    assert whole.left_out == ()
    member = whole.team.members[0]
    key = f"trials/{member.trial_id}/epoch-{member.epoch:04d}/{part}"
    before = behind.harm(key, harm, random.Random(5))
    try:
        found = choose_and_evaluate(load(store))
    finally:
        behind.write(key, before)
    if found.left_out:
        assert [left for left, _ in found.left_out] == [member]
        assert member not in found.team.members
        assert all(reason for _, reason in found.left_out)
    else:
        assert part == "validation-truth.arrow"  # the same is in the whole predictions
        assert (found.team, tell_verdict(found.verdict, found.team)) == (
            whole.team,
            tell_verdict(whole.verdict, whole.team),
        )


@pytest.mark.parametrize("harm", HARMS)
def test_a_member_whose_answers_on_test_are_damaged_is_refused_by_name(
    folder: tuple[Store, Behind], harm: Harm
) -> None:
    store, behind = folder
    member = choose_and_evaluate(load(store)).team.members[0]
    key = f"trials/{member.trial_id}/epoch-{member.epoch:04d}/test.arrow"
    before = behind.harm(key, harm, random.Random(5))
    try:
        with pytest.raises(MismatchedPredictions, match=rf"{member} has no predictions on test .*run the sweep again"):
            choose_and_evaluate(load(store))
    finally:
        behind.write(key, before)
