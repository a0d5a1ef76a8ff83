"""A plan for a terminal: a summary of the sweep in a few lines, then a table of its trials."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ensembles.analysis.varied_keys import keys_that_vary, show_value
from runner.config.duration import show_duration
from runner.config.rules import stage_scheduler
from runner.config.search import MESHES, MethodConfig
from runner.control.budget import describe_budget
from runner.plan.plan import Plan, count_points
from runner.space.distribution import Distribution
from trainables.config.base import flatten
from trainables.results.record import TrialRecord

MOST_ROWS = 40
"""Most trials in the table."""


def show_plan(plan: Plan) -> Group:
    """The forecast of the sweep, its stages and caps, and its trials."""
    counts = plan.to_dict()["trials"]
    title = f"{plan.run}: {_trials(plan)}; {counts['ended']} have ended, {_epochs(plan)} to train"
    lines = [Text(title, style="bold"), Text(describe_forecast(plan))]
    if plan.spec.search.stages:
        lines += [Text(f"  {describe_stage(plan, stage, method)}") for stage, method in plan.spec.search.parts]
    if second := plan.second_stage():
        lines.append(
            Text(
                f"pseudo-labels: up to {second['trials']} trials are trained again afterwards, {second['epochs']} epochs "
                "at most: beyond this forecast"
            )
        )
    if caps := describe_caps(plan):
        lines.append(Text(caps))
    # Lines above the table, not its title: that would be as narrow as the table.
    return Group(*lines, _table(plan))


def describe_forecast(plan: Plan) -> str:
    """A sentence such as `about 16 s (14 s to 19 s) on 2 slots: 195 epochs; 7 architectures probed`."""
    forecast, epoch_times = plan.forecast, plan.epoch_times
    slots = f"{plan.slots} slot{'s' * (plan.slots != 1)}"
    if forecast.seconds is None or forecast.low_s is None or forecast.high_s is None:
        why = plan.failure or "no epoch of it was ever measured: leave out --no-probe"
        return f"no forecast of the time on {slots}: {why}"
    cost = ""
    if (money := plan.money(forecast.seconds)) is not None:
        cost = f" for {money:.3g} ({plan.money(forecast.low_s):.3g} to {plan.money(forecast.high_s):.3g}) in money"
    details = []
    if epoch_times and epoch_times.probed:
        details.append(f"{epoch_times.probed} architecture{'s' * (epoch_times.probed != 1)} probed")
    if epoch_times and epoch_times.measured_before:
        details.append(f"{epoch_times.measured_before} measured by earlier runs")
    if plan.failure:
        details.append(plan.failure)
    spread = f"{show_duration(forecast.low_s)} to {show_duration(forecast.high_s)}"
    times = f"about {show_duration(forecast.seconds)} ({spread}) on {slots}"
    return f"{times}{cost}: {forecast.middle.epochs} epochs{''.join(f'; {one}' for one in details)}"


def describe_slots(plan: Plan) -> list[str]:
    """The slot of a trial on this machine and on the configured cluster: `4 nodes x 4 GPUs, a trial has 1 GPU and 12 CPUs: 16 at a time`."""
    here, there = plan.slot, plan.cluster_slot
    lines = [f"on this machine: {here}" if here else "on this machine there is no room for a trial"]
    if isinstance(there, str):
        return [*lines, there]
    return lines + ([f"on {there.nodes.source}: {there}"] if there else [])


def describe_stage(plan: Plan, stage: str, method: MethodConfig) -> str:
    """A line such as `fine: grid of 9 points (lr x3 around coarse), up to 9 epochs: about 9 trials, 81 epochs`."""
    scheduler = stage_scheduler(plan.spec, stage)
    trials, epochs = plan.forecast.middle.stages.get(stage, (0, 0))
    what: str = method.method
    if method.method in MESHES:
        what += f" of {count_points(method)} points"
    if centred := ", ".join(_centred(key, how) for key, how in method.space.items() if how.around):
        what += f" ({centred})"
    length = f"{'' if scheduler.method == 'none' else scheduler.method + ' '}up to {scheduler.max_epochs} epochs"
    return f"{stage}: {what}, {length}: about {trials} trials, {epochs} epochs to train"


def describe_caps(plan: Plan) -> str:
    """The budget, and how much of the sweep it permits; "" where there is none."""
    caps = describe_budget(plan.spec.budget)
    if not caps:
        return ""
    middle = plan.forecast.middle
    if plan.epoch_times is None and not middle.cap:
        return f"budget: {caps}"
    if not middle.cap:
        return f"budget: {caps}: enough for all"
    return (
        f"budget: {caps}: ends it ({middle.cap}): {middle.begun} of {middle.trials} trials begin "
        f"({middle.begun / max(1, middle.trials):.0%}), {middle.ended} come to their own end"
    )


def _centred(key: str, how: Distribution) -> str:
    step = f"x{how.factor:g}" if how.factor is not None else f"+-{how.by or 1:g}"
    return f"{key.rpartition('.')[2]} {step} around {how.around}"


def _trials(plan: Plan) -> str:
    search, scheduler = plan.spec.search, plan.spec.scheduler
    if search.stages:
        return f"about {plan.forecast.middle.trials} trials in {len(search.stages)} stages"
    count = max(len(plan.trials), plan.forecast.middle.trials)
    return f"{count} trials ({search.method}), {scheduler.method} up to {scheduler.max_epochs} epochs"


def _epochs(plan: Plan) -> str:
    low, high, middle = plan.forecast.low_epochs, plan.forecast.high_epochs, plan.forecast.middle.epochs
    return f"{middle} epochs" if low == high else f"about {middle} epochs ({low} to {high})"


def _table(plan: Plan) -> Table:
    varying = keys_that_vary([TrialRecord(trial.config) for trial in plan.trials])
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("trial", "in the store", *(key.rpartition(".")[2] for key in varying)):
        table.add_column(heading, justify="left" if heading == "trial" else "right", no_wrap=True)
    for trial in plan.trials[:MOST_ROWS]:
        flat = flatten(trial.config.model_dump(mode="json"))
        stored = [f"{trial.stored_epochs} epochs"] * bool(trial.stored_epochs) + ["ended"] * trial.ended
        table.add_row(
            trial.config.trial_id, ", ".join(stored) or "-", *(Text(show_value(flat.get(key))) for key in varying)
        )
    if len(plan.trials) > MOST_ROWS:
        table.caption, table.caption_justify, table.caption_style = (
            f"and {len(plan.trials) - MOST_ROWS} more",
            "left",
            "dim",
        )
    return table
