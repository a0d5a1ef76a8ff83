"""The report's summary of a search, from a run's events and its sweep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ensembles.analysis.ablation import Ablation, Arm, compare
from ensembles.analysis.pruning_audit import AuditedTrial, evaluate_pruning
from ensembles.analysis.search_summary import LineageStep, RangeCurve, SearchDecision, SearchSummary, StageRow
from ensembles.analysis.seed_noise import measure_noise
from runner.config.rules import stage_scheduler
from runner.config.search import MethodConfig
from runner.config.sweep import SweepSpec
from runner.journal.state import RunState
from runner.schedulers.rung import rung_epochs
from runner.search.base.best import best_group, group_trials
from runner.search.base.decisions import ScheduleFound, StageChosen
from runner.search.base.stage_context import StageContext
from runner.search.methods.ablation import BASELINE, list_arms
from runner.space.distribution import Value
from trainables.config.trial import TrialConfig
from trainables.results.record import TrialRecord, metric_of


def summarise_search(state: RunState, spec: SweepSpec | None) -> SearchSummary:
    """The summary of a run's search; without its sweep (an older store), only what follows from the events."""
    records = list(state.trials.values())
    audited = [AuditedTrial(record, record.audited_from) for record in records if record.audited_from is not None]
    return SearchSummary(
        decisions=tuple(_decisions(state)),
        stages=tuple(_stages(state, spec)) if spec else (),
        ablation=_ablation(state, spec) if spec else None,
        noise=measure_noise(group_trials(records)),
        audit=evaluate_pruning(records, audited),
        range_tests=tuple(
            RangeCurve(test.label or key, tuple(test.rates), tuple(test.losses), test.low, test.high)
            for key, test in state.range_tests.items()
        ),
        lineage=tuple(_lineage(state)),
        rungs=tuple(_rungs(state, spec)) if spec else (),
        ranges=_ranges(spec) if spec else {},
    )


def _decisions(state: RunState) -> Iterator[SearchDecision]:
    for key, test in state.range_tests.items():
        yield SearchDecision("", "range", f"{test.label or key}: {test.low:g} to {test.high:g}; {test.reason}")
    for decision in state.decisions:
        yield SearchDecision(decision.stage, decision.what, decision.reason, decision.trial_id)
    for record in state.trials.values():
        if record.audited_from is not None:
            reason = f"pruned at epoch {record.audited_from}, trained on to epoch {len(record.epochs)}"
            yield SearchDecision(record.stage, "audit", reason, record.trial_id)
    if state.closed and state.closed.reason:
        yield SearchDecision("", "budget", state.closed.reason)


def _stages(state: RunState, spec: SweepSpec) -> Iterator[StageRow]:
    """A row for each stage that has begun, up to the stage's last epoch: a later stage may have trained some of its trials further."""
    chosen = {decision.stage: decision for decision in state.decisions if decision.what == StageChosen.WHAT}
    counted: dict[str, int] = {}
    for name, method in spec.search.parts:
        if not name or name not in state.stages:
            continue
        last = stage_scheduler(spec, name).max_epochs
        records = [_until(state.trials[trial_id], last) for trial_id in state.stages[name]]
        epochs = 0
        for record in records:
            epochs += max(0, len(record.epochs) - counted.get(record.trial_id, 0))
            counted[record.trial_id] = max(counted.get(record.trial_id, 0), len(record.epochs))
        best = best_group(records)
        found = chosen[name].values if name in chosen else {}
        yield StageRow(
            name=name,
            method=method.method,
            trials=len(records),
            epochs=epochs,
            best=best.merit if best else None,
            chosen={key: found[key] for key in sorted(method.space) if key in found},
            metric=metric_of(records),
        )


def _until(record: TrialRecord, last: int) -> TrialRecord:
    return replace(record, epochs=tuple(epoch for epoch in record.epochs if epoch.epoch <= last))


def _ablation(state: RunState, spec: SweepSpec) -> Ablation | None:
    for stage, method in spec.search.parts:
        if method.method == "ablation":
            scope = StageContext(spec, _data_id(state), stage, method, _frozen_before(state, spec, stage, method))
            arms = [
                Arm(name, changes, tuple(_record(state, trial) for trial in trials))
                for name, changes, trials in list_arms(scope)
            ]
            # The store's record of a sweep has its keys sorted: only the plan still knows the order of the file.
            place = {trial_id: number for number, trial_id in enumerate(state.trials)}
            arms.sort(key=lambda arm: place.get(arm.records[0].trial_id, len(place)))
            baseline = next(arm for arm in arms if arm.name == BASELINE)
            return compare(baseline, [arm for arm in arms if arm is not baseline], method.reach_loss)
    return None


def _frozen_before(state: RunState, spec: SweepSpec, stage: str, method: MethodConfig) -> dict[str, Value]:
    """Values that the stages before `stage` have frozen, and those that it sets itself."""
    names = [name for name, _ in spec.search.parts]
    before = names[: names.index(stage)]
    chosen = [found for one in state.decisions if one.stage in before and (found := StageChosen.read(one))]
    return {**(chosen[-1].values if chosen else {}), **getattr(method, "set", {})}


def _record(state: RunState, trial: TrialConfig) -> TrialRecord:
    return state.trials.get(trial.trial_id, TrialRecord(trial))


def _data_id(state: RunState) -> str:
    return next((record.config.data_id for record in state.trials.values()), "")


def _lineage(state: RunState) -> Iterator[LineageStep]:
    found = [found for decision in state.decisions if (found := ScheduleFound.read(decision))]
    for step in found[-1].steps if found else ():
        metric = metric_of(state.trials.values())
        yield LineageStep(step.first_epoch, step.last_epoch, step.trial_id, step.values, step.accuracy, metric)


def _rungs(state: RunState, spec: SweepSpec) -> list[int]:
    """Rungs of every stage that has begun, of all brackets. The median rule has none: it decides at every epoch."""
    found: set[int] = set()
    for stage, _ in spec.search.parts:
        config = stage_scheduler(spec, stage)
        if config.method not in ("asha", "asha-promote", "hyperband") or (stage and stage not in state.stages):
            continue
        epochs = rung_epochs(config.grace_epochs, config.reduction, config.max_epochs)
        if config.method == "hyperband":  # counted from the end, rounded down
            epochs = [config.max_epochs // config.reduction**power for power in range(len(epochs))]
        found |= {epoch for epoch in epochs if epoch < config.max_epochs}
    return sorted(found)


def _ranges(spec: SweepSpec) -> dict[str, tuple[float, float]]:
    """The widest range of each numeric key over all stages; a choice between numbers reaches from the least to the greatest."""
    found: dict[str, tuple[float, float]] = {}
    for _, method in spec.search.parts:
        for key, distribution in method.space.items():
            ends = [
                float(end)
                for end in distribution.extremes()
                if isinstance(end, int | float) and not isinstance(end, bool)
            ]
            if len(ends) > 1:
                low, high = found.get(key, (ends[0], ends[0]))
                found[key] = (min(low, *ends), max(high, *ends))
    return found
