"""What a night's run is worth beside the last accepted night: from two runs in a store to one story."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from ensembles.analysis.varied_keys import keys_that_vary, show_value
from ensembles.nights.compare import compare_nights
from ensembles.nights.evaluate import evaluate_night
from ensembles.nights.summary import Cause, NightFacts, NightMember, NightSummary, NightVerdict, compare_teams
from ensembles.nights.team_answers import TeamAnswers, from_arrow, to_arrow
from ensembles.voting.vote import fit_voter
from runner.config.sweep import SweepSpec
from runner.evaluation.conclusion import Conclusion, choose_and_evaluate
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


def judge_run(
    store: Store, spec: SweepSpec, run: str, result: RunResult, nights: Mapping[str, NightSummary], number: int
) -> NightSummary:
    """The story of the night `run`, whose sweep came to `result`; its answers on test are written, the story is not.

    `nights` are those on record. Answers that were judged before are not judged again, whatever was accepted since: one
    look at test, one verdict. Raises `StoreError`.
    """
    own = nights.get(run)
    conclusion = result.conclusion
    if conclusion is None or result.outcome != "done":
        return _unfinished(spec, result, number, own)
    answers = answers_of(store, conclusion)
    data = to_arrow(answers)
    store.put(layout.run_key(spec.name, run, layout.ANSWERS), data)
    if own and own.is_decided and own.answers_sha256 == sha256_of(data):
        return own
    verdict = conclusion.verdict
    score = verdict.votes[verdict.vote]
    story = NightSummary(
        run=result.run,
        number=number,
        decided_unix_s=round(time.time(), 3),
        verdict="accepted",
        sentence="",
        facts=collect_facts(spec, conclusion.table.data_id),
        test_accuracy=score.test_accuracy,
        test_images=verdict.test_images,
        validation_accuracy=score.validation_accuracy,
        team=summarise_team(conclusion),
        answers_sha256=sha256_of(data),
        notes=_notes(result),
    )
    accepted = last_accepted(nights, number)
    if accepted is None:
        said, sentence = evaluate_night(score.test_accuracy, verdict.test_images, None, None, ())
        return replace(story, verdict=said, sentence=sentence)
    return _compare(Located(store, spec.name, run), story, accepted, nights[accepted], answers)


def answers_of(store: Store, conclusion: Conclusion) -> TeamAnswers:
    """What the team says of each test image, by the vote that its verdict is on."""
    table, pool, choice = conclusion.table, conclusion.pool, conclusion.choice
    assert pool is not None
    voter = fit_voter(pool.read(choice.members, "validation"), choice, conclusion.verdict.vote)
    predicted = voter.vote(pool.read(choice.members, "test")).predicted
    rows = table.rows("test")
    digests = read_image_sha256(store, table.data_id)
    return TeamAnswers(
        data_id=table.data_id,
        image_ids=tuple(table.image_ids[row] for row in rows),
        image_sha256=tuple(digests[row] for row in rows),
        labels=tuple(table.class_names[label] for label in table.labels[rows]),
        predicted=tuple(table.class_names[label] for label in predicted),
    )


def summarise_team(conclusion: Conclusion) -> tuple[NightMember, ...]:
    """The members that vote, with the keys in which the trials of the run differ."""
    records = {record.trial_id: record for record in conclusion.records}
    keys = keys_that_vary(conclusion.records)
    told = []
    for member, weight in zip(conclusion.choice.members, conclusion.choice.weights, strict=True):
        record = records.get(member.trial_id)  # None of one that another run lends
        flat = record.config.flat() if record else {}
        settings = " ".join(f"{key}={show_value(flat[key])}" for key in keys if key in flat)
        told.append(NightMember(member.trial_id, member.epoch, float(weight), settings))
    return tuple(told)


def _compare(
    found: Located, story: NightSummary, run_before: str, before: NightSummary, answers: TeamAnswers
) -> NightSummary:
    """`story`, of the night `found`, with its verdict beside the night `before`, which lies under `run_before`."""
    assert story.test_accuracy is not None
    against = f"{found.name}/{run_before}"  # where it lies, whatever its record says of itself
    earlier = Located(found.store, found.name, run_before)
    try:
        then = read_answers(earlier, before.answers_sha256)
    except CaucusError as error:
        if isinstance(error, StoreError) and not isinstance(error, ObjectMissing | DamagedObject):
            raise
        return _incomparable(story, against, error)
    comparison = compare_nights(answers, then)
    causes: tuple[Cause, ...] = ()
    unchanged: tuple[str, ...] = ()
    notes = story.notes
    try:
        causes, unchanged = find_causes(read_inputs(found, story.facts), read_inputs(earlier, before.facts))
    except (ObjectMissing, DamagedObject) as error:  # a verdict needs the answers alone
        notes = (*notes, f"what changed since {against} is not known: {error}")
    said, sentence = evaluate_night(story.test_accuracy, story.test_images, against, comparison, causes)
    return replace(
        story,
        verdict=said,
        sentence=sentence,
        against=against,
        comparison=comparison,
        members=compare_teams(story.team, before.team),
        causes=causes,
        unchanged=unchanged,
        notes=notes,
    )


def _incomparable(story: NightSummary, against: str, error: Exception) -> NightSummary:
    """A night that nobody can compare is not accepted: nothing says that it is better."""
    sentence = (
        f"no worse as far as is known, but it cannot be compared: the answers of {against} are not to be had ({error}); "
        f"delete {against} to begin anew with the next night"
    )
    return replace(story, verdict="no worse", sentence=sentence, against=against)


def read_answers(found: Located, sha256: str) -> TeamAnswers:
    """The answers of an earlier night: as they were written, else voted again. Raises `CaucusError` where neither can be had."""
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
    """What a night was made from, as its store has it. Raises `StoreError`."""
    stored = load_run(found, [])
    if stored.spec:
        config = flatten_spec(stored.spec, by_night=True)
    else:  # another version wrote it
        config = {"sweep": get_json(found.store, layout.run_key(found.name, found.run, layout.SWEEP)).get("spec")}
    ends = {str(state): count for state, count in stored.state.counts().items()}
    return NightInputs(facts, config, read_data_record(found.store, facts.data_id), ends)


def _unfinished(spec: SweepSpec, result: RunResult, number: int, own: NightSummary | None) -> NightSummary:
    """A night that is cut short or has nothing to vote is compared with nothing."""
    verdict: NightVerdict = "failed" if result.outcome == "failed" else "partial"
    data_id = next((record.config.data_id for record in result.state.trials.values()), "")
    told = "failed" if verdict == "failed" else "finished in part"
    story = NightSummary(
        run=result.run,
        number=number,
        decided_unix_s=round(time.time(), 3),
        verdict=verdict,
        sentence=f"{told}: {result.reason}; the same night goes on when it is started again, and is judged then",
        facts=collect_facts(spec, data_id),
    )
    if own and not own.is_decided and own.sentence == story.sentence:
        return own
    return story


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
