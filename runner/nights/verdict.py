"""The verdict on a night: compares its run with the last accepted night, and summarises both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from ensembles.analysis.varied_keys import keys_that_vary, show_settings
from ensembles.nights.compare import compare_nights
from ensembles.nights.evaluate import decide_verdict
from ensembles.nights.summary import Cause, NightFacts, NightMember, NightSummary, NightVerdict, compare_teams
from ensembles.nights.team_answers import TeamAnswers, from_arrow, to_arrow
from runner.config.sweep import SweepSpec
from runner.evaluation.conclusion import Conclusion, choose_and_evaluate
from runner.evaluation.team import predict_test
from runner.nights.causes import NightInputs, find_causes, flatten_spec
from runner.nights.code_version import collect_facts
from runner.nights.data_change import read_data_record
from runner.pipeline import RunResult
from runner.runs.locate import Located
from runner.runs.nights import last_accepted
from runner.runs.stored_run import load_run
from trainables.data.data_table import read_image_sha256
from trainables.errors import CaucusError, DamagedObject, ObjectMissing, StoreError
from trainables.store import layout
from trainables.store.base import Store, sha256_of
from trainables.store.json_records import get_json


def evaluate_night(
    store: Store, spec: SweepSpec, run: str, result: RunResult, nights: Mapping[str, NightSummary], number: int
) -> NightSummary:
    """The summary of the night `run`, whose sweep ended with `result`. Writes its answers on test, but not the summary.

    `nights` are those on record. Answers that were evaluated before are not evaluated again, whatever was accepted since: one
    use of test, one verdict. Raises `StoreError`.
    """
    recorded = nights.get(run)
    conclusion = result.conclusion
    if conclusion is None or result.outcome != "done":
        return _unfinished(spec, result, number, recorded)
    answers = answers_of(store, conclusion)
    data = to_arrow(answers)
    store.put(layout.run_key(spec.name, run, layout.ANSWERS), data)
    if recorded and recorded.is_decided and recorded.answers_sha256 == sha256_of(data):
        return recorded
    verdict = conclusion.verdict
    score = verdict.votes[verdict.vote]
    summary = NightSummary(
        run=result.run,
        number=number,
        decided_unix_s=round(time.time(), 3),
        verdict="accepted",
        sentence="",
        facts=collect_facts(spec, conclusion.table.data_id),
        test_accuracy=score.test_accuracy,
        test_images=verdict.test_images,
        validation_accuracy=score.validation_accuracy,
        metric=verdict.in_metric.metric if verdict.in_metric else None,
        test_score=score.test_score,
        validation_score=score.validation_score,
        team=summarise_team(conclusion),
        answers_sha256=sha256_of(data),
        notes=_notes(result),
    )
    accepted = last_accepted(nights, number)
    if accepted is None:
        outcome, sentence = decide_verdict(
            score.test_accuracy, verdict.test_images, None, None, (), summary.shown_score
        )
        return replace(summary, verdict=outcome, sentence=sentence)
    return _compare(Located(store, spec.name, run), summary, accepted, nights[accepted], answers)


def answers_of(store: Store, conclusion: Conclusion) -> TeamAnswers:
    """The team's prediction for each test image, by the vote of its verdict."""
    table, pool, team = conclusion.table, conclusion.pool, conclusion.team
    assert pool is not None
    vote, calibration = conclusion.verdict.vote, conclusion.verdict.calibration
    predicted = predict_test(pool, team, vote, calibration)
    rows = table.rows("test")
    digests = read_image_sha256(store, table.data_id)
    return TeamAnswers(
        data_id=table.data_id,
        image_ids=tuple(table.ids_of("test")),
        image_sha256=tuple(digests[row] for row in rows),
        labels=tuple(table.class_names[label] for label in table.labels[rows]),
        predicted=tuple(table.class_names[label] for label in predicted),
        groups=None if table.groups is None else tuple(table.groups[row] for row in rows),
    )


def summarise_team(conclusion: Conclusion) -> tuple[NightMember, ...]:
    """The members that vote, with the keys in which the trials of the run differ."""
    records = {record.trial_id: record for record in conclusion.records}
    keys = keys_that_vary(conclusion.records)
    members = []
    for member, weight in zip(conclusion.team.members, conclusion.team.weights, strict=True):
        record = records.get(member.trial_id)  # None for a trial of another run
        settings = show_settings(record, keys) if record else ""
        members.append(NightMember(member.trial_id, member.epoch, float(weight), settings))
    return tuple(members)


def _compare(
    found: Located, summary: NightSummary, run_before: str, before: NightSummary, answers: TeamAnswers
) -> NightSummary:
    """`summary` of the night `found`, completed by its verdict against the night `before`, whose run is `run_before`."""
    assert summary.test_accuracy is not None
    against = f"{found.name}/{run_before}"  # its place in the store, whatever its record says
    earlier = Located(found.store, found.name, run_before)
    try:
        then = read_answers(earlier, before.answers_sha256)
    except CaucusError as error:
        if isinstance(error, StoreError) and not isinstance(error, ObjectMissing | DamagedObject):
            raise
        return _incomparable(summary, against, error)
    comparison = compare_nights(answers, then, summary.metric or "accuracy")
    causes: tuple[Cause, ...] = ()
    unchanged: tuple[str, ...] = ()
    notes = summary.notes
    try:
        causes, unchanged = find_causes(read_inputs(found, summary.facts), read_inputs(earlier, before.facts))
    except (ObjectMissing, DamagedObject) as error:  # a verdict needs the answers alone
        notes = (*notes, f"what changed since {against} is not known: {error}")
    outcome, sentence = decide_verdict(
        summary.test_accuracy, summary.test_images, against, comparison, causes, summary.shown_score
    )
    return replace(
        summary,
        verdict=outcome,
        sentence=sentence,
        against=against,
        comparison=comparison,
        members=compare_teams(summary.team, before.team),
        causes=causes,
        unchanged=unchanged,
        notes=notes,
    )


def _incomparable(summary: NightSummary, against: str, error: Exception) -> NightSummary:
    """A night without a possible comparison is not accepted: nothing shows that it is better."""
    sentence = (
        f"no worse as far as is known, but it cannot be compared: the answers of {against} are not to be had ({error}); "
        f"delete {against} to begin again with the next night"
    )
    return replace(summary, verdict="no worse", sentence=sentence, against=against)


def read_answers(found: Located, sha256: str) -> TeamAnswers:
    """The answers of an earlier night: the stored ones, or else a repeated vote. Raises `CaucusError` where neither is possible."""
    try:
        data = found.store.get(layout.run_key(found.name, found.run, layout.ANSWERS))
        if sha256_of(data) == sha256:
            return from_arrow(data)
    except ObjectMissing:
        pass
    answers = answers_of(found.store, choose_and_evaluate(load_run(found, [])))
    if sha256_of(to_arrow(answers)) != sha256:
        raise DamagedObject(f"{found.name}/{found.run} does not vote as it did")
    return answers


def read_inputs(found: Located, facts: NightFacts) -> NightInputs:
    """The inputs of a night, read from its store. Raises `StoreError`."""
    stored = load_run(found, [])
    if stored.spec:
        config = flatten_spec(stored.spec, by_night=True)
    else:  # another version wrote it
        config = {"sweep": get_json(found.store, layout.run_key(found.name, found.run, layout.SWEEP)).get("spec")}
    ends = {str(state): count for state, count in stored.state.counts().items()}
    return NightInputs(facts, config, read_data_record(found.store, facts.data_id), ends)


def _unfinished(spec: SweepSpec, result: RunResult, number: int, recorded: NightSummary | None) -> NightSummary:
    """The summary of a night that was cut short or has no vote: it is not compared."""
    verdict: NightVerdict = "failed" if result.outcome == "failed" else "partial"
    data_id = next((record.config.data_id for record in result.state.trials.values()), "")
    state = "failed" if verdict == "failed" else "finished in part"
    summary = NightSummary(
        run=result.run,
        number=number,
        decided_unix_s=round(time.time(), 3),
        verdict=verdict,
        sentence=f"{state}: {result.reason}; the same night continues when it is started again, and is evaluated then",
        facts=collect_facts(spec, data_id),
    )
    if recorded and not recorded.is_decided and recorded.sentence == summary.sentence:
        return recorded
    return summary


def _notes(result: RunResult) -> tuple[str, ...]:
    notes = []
    if result.epochs_trained == 0:
        notes.append(
            "nothing was trained: the store had every trial of this night; other data, another sweep or nightly.reseed=true "
            "bring new ones"
        )
    if result.reason:
        notes.append(result.reason)
    return tuple(notes)
