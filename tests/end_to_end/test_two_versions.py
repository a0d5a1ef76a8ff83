"""A store that a newer version has written to: what this one does not know is named and left alone, and stops no verb."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ensembles.nights.summary import NightFacts, NightSummary, write_summary
from runner.cli.main import app
from runner.config.checks import parse_spec
from runner.evaluation.conclusion import choose_and_evaluate, publish
from runner.execution.head import write_head
from runner.journal.deleted import add_deleted, read_deleted
from runner.journal.journal import Journal, read_state, seal
from runner.journal.lease import take_lease
from runner.journal.state import RunState
from runner.nights.retention import plan_nights
from runner.retention.retention import plan_retention
from runner.runs.compatibility import check_understood
from runner.runs.former_run import read_former, read_trained
from runner.runs.nights import read_nights
from runner.runs.status import summarise
from runner.runs.stored_run import load_run
from runner.search.choose import list_trials
from tests.sample_runs import sample_run
from tests.sample_runs.sample_run import SampleRun, make_result, open_log, write_sample_run
from tests.sample_runs.trained_run import SWEEP
from trainables.config.trial import TrialConfig
from trainables.data.image_shape import ImageShape
from trainables.datasets.load import load_images
from trainables.errors import DamagedObject, StoreTooNew
from trainables.models.boosted import build_net
from trainables.results.checkpoint import CheckpointId, committed, read_promises, write_checkpoint
from trainables.results.config_file import read_config, write_config
from trainables.results.newer_trial import NewerTrial
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, seal_json, unseal_json


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> SampleRun:
    """A run with every record that a store may have."""
    with pytest.MonkeyPatch.context() as patch:
        few = {"ensemble": {"size": 3, "bootstraps": 0}}
        patch.setattr(sample_run, "make_spec", lambda uri, make=sample_run.make_spec: make(uri, **few))
        folder = tmp_path_factory.mktemp("versions") / "runs"
        made = write_sample_run(folder)
    run = SampleRun(Folder(folder), made.spec, made.images, made.run_id, made.trials)
    stored = load_run(run.found, [])
    publish(stored, choose_and_evaluate(stored), "")
    put(run, layout.STATUS, summarise(stored.state, "dots", run.run_id))
    facts = NightFacts(run.images.data_id, "0.1.0", None, "c0de", {}, {})
    story = NightSummary(f"dots/{run.run_id}", 1, 1.0, "accepted", "", facts, validation_accuracy=0.9)
    run.store.put(key_of(run, layout.NIGHT), write_summary(story))
    add_deleted(run.store, "dots", run.run_id, {run.trials[2].trial_id: {7}})
    for trial in run.trials:
        write_config(run.store, trial)
    take_lease(run.store, "dots", run.run_id).release()
    return run


@pytest.fixture
def run(written: SampleRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleRun:
    """A copy of it, in the current folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(Path(written.store.uri), "runs")
    return SampleRun(Folder(tmp_path / "runs", "runs"), written.spec, written.images, written.run_id, written.trials)


def key_of(run: SampleRun, part: str) -> str:
    return layout.run_key("dots", run.run_id, part)


def put(run: SampleRun, part: str, payload: dict[str, Any]) -> None:
    run.store.put(key_of(run, part), seal_json(payload))


def change_record(key: Callable[[SampleRun], str], **more: Any) -> Callable[[SampleRun], None]:
    """Puts keys into a record, whose seal holds; dots lead below."""

    def change(run: SampleRun) -> None:
        payload = get_json(run.store, key(run))
        for name, value in more.items():
            at: Any = payload
            *above, last = name.split("__")
            for part in above:
                at = at[part]
            at[last] = value
        run.store.put(key(run), seal_json(payload))

    return change


def part(name: str) -> Callable[[SampleRun], str]:
    return lambda run: key_of(run, name)


def change_journal(change: Callable[[list[dict[str, Any]]], None]) -> Callable[[SampleRun], None]:
    """Changes the events, whose checksums hold."""

    def rewrite(run: SampleRun) -> None:
        (key,) = [each.key for each in run.store.find(key_of(run, layout.EVENTS))]
        events = [json.loads(line) for line in run.store.get(key).splitlines()]
        change(events)
        lines, chained = [], 0
        for event in events:
            event.pop("sum", None)
            line, chained = seal(json.dumps(event).encode() + b"\n", chained)
            lines.append(line)
        run.store.put(key, b"".join(lines))

    return rewrite


def of_kind(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    return next(event for event in events if event["kind"] == kind)


def clone(events: list[dict[str, Any]]) -> None:
    events.insert(5, {"kind": "trial-cloned", "at_unix_s": 1.0, "elapsed_s": 1.0, "parent": events[1]["trial_id"]})


def forget_plan(events: list[dict[str, Any]]) -> None:
    of_kind(events, "trial-planned")["kind"] = "trial-drafted"


def change_manifest(run: SampleRun) -> None:
    key = member_of(run).key(layout.MANIFEST)
    payload = get_json(run.store, key)
    run.store.put(key, seal_json({**payload, "parts": None, "packed": {"all": 3}}))


def change_metrics(run: SampleRun) -> None:
    member = member_of(run)
    parts = {name: run.store.get(member.key(name)) for name in read_promises(run.store, member)}
    payload = json.loads(parts[layout.METRICS]) | {"mood": 0.5}
    run.store.delete(member.key(layout.MANIFEST))
    write_checkpoint(run.store, member, parts | {layout.METRICS: json.dumps(payload).encode()})


def member_of(run: SampleRun) -> CheckpointId:
    return CheckpointId(run.trials[0].trial_id, 3)


@dataclass(frozen=True)
class Change:
    """What another version may have done; `said` by those who look, "" where nothing need be said, and by `run`."""

    make: Callable[[SampleRun], None]
    said: str = ""
    refused: str = ""
    """What the refusal to go on with the run names; "" where it may go on."""


def planned(**more: Any) -> Callable[[SampleRun], None]:
    return change_journal(lambda events: of_kind(events, "trial-planned")["config"].update(more))


CHANGES: dict[str, Change] = {
    "an event with a further key": Change(
        change_journal(lambda events: events[3].update(mood="good")), "trial-planned with the key mood", "mood"
    ),
    "an event of another kind": Change(change_journal(clone), "an event 'trial-cloned'", "trial-cloned"),
    "a result with a further key": Change(
        change_journal(lambda events: of_kind(events, "epoch-reported")["result"].update(mood=1)), "result.mood", "mood"
    ),
    "a cost of another kind": Change(
        change_journal(lambda events: events.insert(9, {**events[8], "kind": "trial-measured", "cost": {"joules": 3}})),
        "trial-measured whose cost.parameters is missing",
        "trial-measured",
    ),
    "a trial with a further key": Change(planned(sharpness={"rho": 0.05}), "sharpness.rho=0.05", "sharpness"),
    "a trial with a further key of a section": Change(
        planned(optimizer={"lr": 0.001, "sam": 0.05}), "optimizer.sam=0.05", "optimizer.sam"
    ),
    "a trial with another word": Change(planned(optimizer={"name": "lion"}), "optimizer.name='lion'", "lion"),
    "a trial that is named by another rule": Change(planned(train_share=0.5), "the rule by which it is named", "rule"),
    "a trial that is none": Change(planned(data_id=3), "a trial whose data_id is 3", "data_id"),
    "a state of another kind": Change(
        change_journal(lambda events: of_kind(events, "trial-ended").update(state="hibernated")), "hibernated", "hibern"
    ),
    "a number that is a text": Change(
        change_journal(lambda events: events[4].update(elapsed_s="1")), "whose elapsed_s is '1'", "elapsed_s"
    ),
    "events of a trial that was planned in another way": Change(
        change_journal(forget_plan), "of a trial that is not planned", "not planned"
    ),
    "a head with a further key": Change(change_record(part(layout.SWEEP), owner="me"), "", "sweep.json: owner"),
    "a sweep with a further key": Change(
        change_record(part(layout.SWEEP), spec__search__magic=3), "", "sweep.json: spec.search.magic"
    ),
    "a vote with a further key": Change(
        change_record(part(layout.SWEEP), spec__ensemble__magic=3), "ensemble.magic=3", "ensemble.magic"
    ),
    "a vote with another word": Change(
        change_record(part(layout.SWEEP), spec__ensemble__vote="quantum"), "ensemble.vote=quantum", "quantum"
    ),
    "a status with a further key": Change(change_record(part(layout.STATUS), watts=3, trials__resting=2)),
    "a status that is none": Change(change_record(part(layout.STATUS), trials=3, best={"epoch": "x"})),
    "a status that counts events in words": Change(
        change_record(part(layout.STATUS), journal={"driver": "a", "events": "b"})
    ),
    "a vote's record with a further key": Change(
        change_record(part(layout.ENSEMBLE), config__magic=3), "", "ensemble.json: config.magic"
    ),
    "a vote's record that is none": Change(change_record(part(layout.ENSEMBLE), config=[3])),
    "a night with a further key": Change(change_record(part(layout.NIGHT), mood="good"), "", "night.json: mood"),
    "deletions with a further key": Change(change_record(part(layout.DELETED), by="me"), "", "deleted.json: by"),
    "a claim with a further key": Change(
        change_record(lambda run: layout.claim_key("dots", run.run_id, 1), pid="x", host=3, zone="Mars")
    ),
    "a configuration with a further key": Change(
        change_record(lambda run: layout.config_key(run.trials[0].trial_id), sharpness=0.0)
    ),
    "a manifest of another form": Change(change_manifest),
    "metrics with a further key": Change(change_metrics),
}

LOOKS: tuple[tuple[str, ...], ...] = (
    ("status", "dots"),
    ("top", "dots"),
    ("top", "dots", "--json"),
    ("diagnose", "dots"),
)
VOTES: tuple[tuple[str, ...], ...] = (("ensemble", "dots"), ("report", "dots", "--out", "report.html"))


def caucus(*words: str) -> tuple[int, str]:
    """What a verb says, as a person types it; what is raised and not said is raised."""
    done = CliRunner().invoke(app, list(words))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, " ".join(done.output.split())


QUICK = (
    "an event with a further key",
    "an event of another kind",
    "a trial with a further key",
    "a vote with a further key",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in CHANGES]
)
def test_records_of_a_newer_version_are_named_by_readers_and_neither_deleted_nor_driven(
    run: SampleRun, name: str
) -> None:
    change = CHANGES[name]
    change.make(run)
    before = run.files()
    for words in (*LOOKS, *(VOTES if "trial" in name or "vote" in name or "manifest" in name else ())):
        code, printed = caucus(*words)
        assert code == 0, printed
        if words[0] != "status" and change.said:
            output = printed if "'" not in change.said or words[-1] != "--json" else printed.replace("\\", "")
            assert change.said in output or ("ensemble." in change.said and words[0] in ("top", "diagnose")), printed
    code, printed = caucus("prune", "runs", "--delete")
    assert code == 0, printed
    state = read_state(run.store, "dots", run.run_id)
    refusal = ""
    try:
        check_understood(run.store, "dots", run.run_id, Journal(run.store, "dots", run.run_id), state)
    except StoreTooNew as error:
        refusal = str(error)
    assert (change.refused in refusal) if change.refused else not refusal, refusal
    if change.refused:
        assert refusal.startswith(f"run dots/{run.run_id} in runs was written by a newer Caucus (")
        assert f"dots/{run.run_id} keeps everything: " in printed
        gone = {key for key in before if key not in run.files() and key.startswith("trials/")}
        assert gone == set()
    assert {key for key in before if not key.startswith("trials/")} <= set(run.files())


def test_a_trial_with_unknown_keys_is_shown_with_them_and_never_built(run: SampleRun) -> None:
    planned(optimizer={"lr": 0.001, "sam": 0.05}, extra={"a": [1]})(run)
    _, printed = caucus("top", "dots", "--json")
    name = run.trials[0].trial_id
    shown = next(one for one in json.loads(printed)["trials"] if one["trial_id"] == name)
    assert (shown["config"]["optimizer.sam"], shown["config"]["extra.a"], shown["epochs"]) == (0.05, "[1]", 3)
    assert "sam" in caucus("top", "dots")[1]
    config = run.state.trials[name].config
    assert isinstance(config, NewerTrial)
    with pytest.raises(StoreTooNew, match=rf"trial {name} is of a newer Caucus \(.*optimizer\.sam=0\.05"):
        build_net(config, ImageShape(2, 2, 1, 3))
    assert name not in [trial.trial_id for trial in read_trained(run.store, run.spec, run.images.data_id)]
    warm = sample_run.make_spec(
        "runs",
        search={"space": {"optimizer.lr": {"log": [1e-4, 1.0]}}, "warm_start": {"run": f"dots/{run.run_id}"}},
    )
    former = read_former(run.store, warm, run.images.data_id)
    assert former is not None
    assert name not in [record.trial_id for record in former.records]


def test_a_report_in_the_store_is_not_replaced_by_a_vote_that_leaves_a_key_out(run: SampleRun) -> None:
    CHANGES["a vote with a further key"].make(run)
    before = run.files()
    code, printed = caucus("report", "dots")
    assert code == 2
    assert "whose vote has magic=3: report it with that version, or write a page without it" in printed
    assert run.files() == before


def test_a_configuration_with_keys_at_their_defaults_is_read_and_left_as_it_is(run: SampleRun) -> None:
    trial = run.trials[0]
    key = layout.config_key(trial.trial_id)
    payload = get_json(run.store, key) | {"sharpness": 0.0}
    run.store.put(key, seal_json(payload))
    assert read_config(run.store, trial.trial_id) == trial
    write_config(run.store, trial)
    assert get_json(run.store, key) == payload
    named = "0123456789ab"  # what it is not known to be
    run.store.put(layout.config_key(named), seal_json(payload))
    with pytest.raises(StoreTooNew, match=r"was written by a newer Caucus \(sharpness=0\.0\)"):
        read_config(run.store, named)


def test_a_manifest_of_another_form_is_not_written_over_nor_taken_away(run: SampleRun) -> None:
    change_manifest(run)
    before = run.files()
    with pytest.raises(StoreTooNew, match=r"manifest\.json was written by a newer Caucus \(key packed\)"):
        write_checkpoint(run.store, member_of(run), {layout.METRICS: b"{}"})
    assert run.files() == before


def reseal_manifest(**more: Any) -> Callable[[bytes], bytes]:
    return lambda data: seal_json(unseal_json(data, "") | more)


def add_keys_to_parts(data: bytes) -> bytes:
    manifest: dict[str, Any] = unseal_json(data, "")
    for promised in manifest["parts"].values():
        promised["codec"] = "zstd"
    return seal_json(manifest)


OTHER_MANIFESTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a further key": (reseal_manifest(mood="good"), "was written by a newer Caucus (key mood)"),
    "a format": (reseal_manifest(format=2), "was written by a newer Caucus (key format)"),
    "a further key of a part": (add_keys_to_parts, ".codec)"),
    "parts of another kind": (reseal_manifest(parts=["weights"]), "does not give size and hash of parts"),
    "a part without a hash": (
        reseal_manifest(parts={"all.bin": {"size_bytes": 3}}),
        "does not give size and hash of all.bin",
    ),
    "parts and a shard list": (reseal_manifest(parts=None, shards=[1]), "was written by a newer Caucus (key shards)"),
    "no JSON": (lambda data: b"\x81\xa5parts\x80", "is not readable as JSON"),
    "a list": (lambda data: b"[]", "holds a list"),
    "a seal that does not hold": (lambda data: data.replace(b'"epoch": ', b'"epoch": 1'), "is not what was written"),
    "nothing": (lambda data: b"", "is not readable as JSON"),
}


@pytest.mark.parametrize("form", OTHER_MANIFESTS)
def test_a_checkpoint_whose_manifest_is_not_understood_is_pruned_by_nobody(run: SampleRun, form: str) -> None:
    """Of a run that is understood, and though no choice takes it."""
    change, expected = OTHER_MANIFESTS[form]
    removable = [one.checkpoint for one in plan_retention(run.store, 20).removals if one.checkpoint]
    assert len(removable) > 1
    changed, other = removable[:2]
    run.store.put(changed.key(layout.MANIFEST), change(run.store.get(changed.key(layout.MANIFEST))))
    before = run.files()
    code, output = caucus("prune", "runs", "--delete")
    assert code == 0, output
    assert f"1 checkpoint(s) stay as they are: runs/{changed.key(layout.MANIFEST)} " in output
    assert expected in output
    gone = before.keys() - run.files().keys()
    assert {key for key in before if key.startswith(changed.key(""))} & gone == set()
    assert other.key(layout.MANIFEST) in gone


def test_deletions_of_a_newer_version_retain_their_other_keys(run: SampleRun) -> None:
    change_record(part(layout.DELETED), by="me")(run)
    add_deleted(run.store, "dots", run.run_id, {"a": {1}})
    assert get_json(run.store, key_of(run, layout.DELETED))["by"] == "me"
    assert read_deleted(run.store, "dots", run.run_id)["a"] == {1}
    put(run, layout.DELETED, {"epochs": {"a": ["x"]}})
    with pytest.raises(DamagedObject, match="names no epochs by trial"):
        read_deleted(run.store, "dots", run.run_id)


def test_one_bad_run_stops_no_verb_that_reads_the_whole_store(run: SampleRun) -> None:
    """Beside the good one a run that is damaged, and one of a newer version; both keep what they name."""
    for name, harm in (("damaged", lambda data: data[:900]), ("newer", lambda data: data)):
        for each in run.store.find(key_of(run, "")):
            if each.key.endswith((".json", ".jsonl")) and "/drivers/" not in each.key:
                data = run.store.get(each.key)
                run.store.put(each.key.replace(run.run_id, name), harm(data) if each.key.endswith("l") else data)
    change_journal(clone)(SampleRun(run.store, run.spec, run.images, "newer", run.trials))
    before = committed(run.store, [trial.trial_id for trial in run.trials])
    code, printed = caucus("prune", "runs", "--delete")
    assert code == 0, printed
    assert "dots/damaged keeps everything: " in printed
    assert "dots/newer keeps everything: " in printed
    assert committed(run.store, [trial.trial_id for trial in run.trials]) == before
    assert caucus("top", "dots")[0] == caucus("status", "dots")[0] == 0
    assert caucus("top", "dots/damaged")[0] == 2
    assert caucus("top", "dots/newer")[0] == 0
    assert read_trained(run.store, run.spec, run.images.data_id)
    assert read_nights(run.store, "dots").keys() >= {run.run_id}
    kept = plan_nights(run.store, "dots", [run.run_id])
    assert kept.removals == ()
    assert any("damaged" in note for note in kept.notes)


def test_a_run_that_votes_with_what_can_name_no_run_stops_no_other_from_being_pruned(run: SampleRun) -> None:
    for each in run.store.find(key_of(run, "")):
        if each.key.endswith((".json", ".jsonl")) and "/drivers/" not in each.key:
            run.store.put(each.key.replace(run.run_id, "other"), run.store.get(each.key))
    odd = SampleRun(run.store, run.spec, run.images, "other", run.trials)
    change_record(part(layout.SWEEP), spec__ensemble__runs=["../../x"])(odd)
    code, printed = caucus("prune", "runs")
    assert code == 0, printed
    assert "dots/other keeps everything: '../../x' is no name of a run" in printed


@pytest.mark.parametrize("data", [b"{", b"[]", seal_json({"epochs": {"a": ["x"]}})])
def test_a_run_whose_deletions_cannot_be_read_keeps_everything_and_stops_no_pruning(
    run: SampleRun, data: bytes
) -> None:
    run.store.put(key_of(run, layout.DELETED), data)
    before = run.files()
    code, printed = caucus("prune", "runs", "--delete", "--keep-size", "1")
    assert code == 0, printed
    assert f"dots/{run.run_id} keeps everything: runs/{key_of(run, layout.DELETED)} " in printed
    assert run.files() == before


def test_run_and_plan_refuse_such_a_run_in_a_sentence_and_write_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store, spec = Folder(tmp_path / "runs", "runs"), parse_spec({**SWEEP}, "digits.yaml")
    Path("digits.yaml").write_text(json.dumps(SWEEP), encoding="utf-8")
    images = load_images(spec.data)
    run_id = spec.run_id(images.data_id)
    trials = list_trials(spec, images.data_id)
    write_head(store, spec, run_id, images, "caucus run digits.yaml")
    log = open_log(store, "digits", run_id)
    log.open({}, slots=1)
    log.plan(trials)
    log.report(trials[0].trial_id, make_result(1, 0.5), True, None)
    sample = SampleRun(store, spec, images, run_id, trials)
    (key,) = [each.key for each in store.find(layout.run_key("digits", run_id, layout.EVENTS))]
    lines, chained = [], 0
    for line in store.get(key).splitlines():
        payload = json.loads(line)
        del payload["sum"]
        if payload["kind"] == "trial-planned":
            payload["config"]["model"] = {**payload["config"].get("model", {}), "depth_scale": 2}
        sealed, chained = seal(json.dumps(payload).encode() + b"\n", chained)
        lines.append(sealed)
    store.put(key, b"".join(lines))
    before = sample.files()
    for verb in ("run", "plan"):
        code, printed = caucus(verb, "digits.yaml")
        assert code == 2, printed
        assert (
            f"run digits/{run_id} in runs was written by a newer Caucus (trial {trials[0].trial_id} with model.depth_scale=2"
            in printed
        )
        assert "run it with that version, or start another run with --run-id" in printed
    assert sample.files() == before


def test_the_state_of_such_a_run_counts_what_is_known(run: SampleRun) -> None:
    whole = run.state
    change_journal(clone)(run)
    found = run.state
    assert found.counts() == whole.counts()
    assert found.unread == {"an event 'trial-cloned'": 1}
    assert RunState().unread == {}


def test_a_trial_of_this_version_is_no_newer_one(run: SampleRun) -> None:
    assert {type(record.config) for record in run.state.trials.values()} == {TrialConfig}
