"""Charts of what was tried: parallel coordinates of the hyperparameters, and the map of learning rate and weight decay."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ensembles.analysis.varied_keys import show_value
from ensembles.report.charts import svg
from ensembles.report.charts.charts import Chart
from trainables.results.record import TrialRecord

MOST_LINES, MOST_DOTS = 250, 300
"""The team's trials and the best others; more are a grey area that only makes the page large."""
MOST_AXES = 9
MOST_NAMES = 9
"""Names beside an axis; of more values, so many evenly chosen ones are named."""
RATE, DECAY = "optimizer.lr", "optimizer.weight_decay"
NEAR = 0.05
"""A best trial this near to the end of a range, as a share of it, may have a better neighbour beyond."""
SHADES = 6


@dataclass(frozen=True)
class RateMap:
    """Learning rate and weight decay of the trials, and borders that the best ones lie on."""

    chart: Chart
    borders: tuple[str, ...]
    """What to try next; empty where the best trials lie inside."""


def choose_drawn(records: Sequence[TrialRecord], voting: set[str], most: int) -> list[TrialRecord]:
    """The trials that are drawn, of those by rank with an epoch: the team's and the best others, in their order."""
    trained = [record for record in records if record.best]
    places_left = most - sum(record.trial_id in voting for record in trained)
    drawn = []
    for record in trained:
        if record.trial_id in voting:
            drawn.append(record)
        elif places_left > 0:
            places_left -= 1
            drawn.append(record)
    return drawn


def draw_parallel(records: Sequence[TrialRecord], voting: set[str], keys: Sequence[str]) -> Chart | None:
    """An axis for each key, the last for validation accuracy, and a line for each trial; None without two trials and a key.

    `records` by rank, `keys` the most important first, of which `MOST_AXES` are drawn.
    """
    drawn = choose_drawn(records, voting, MOST_LINES)
    shown = list(keys)[:MOST_AXES]
    if len(drawn) < 2 or not shown:
        return None
    top, bottom = 44.0, 270.0
    places = np.linspace(52.0, svg.WIDTH - 56, len(shown) + 1).round(1).tolist()
    configs = [record.config.flat() for record in drawn]
    axes, columns = [], []
    for x, key in zip(places, shown, strict=False):
        group, _, name = key.rpartition(".")
        place, labels = _scale([config.get(key) for config in configs], bottom, top)
        columns.append(place)
        axes += [svg.label(x, 12, group, "m"), svg.label(x, 25, _cut(name, 16), "m k")]
        axes += [
            svg.line(x, top, x, bottom),
            *(svg.label(x - 5, y + 3.5, text, "e halo") for text, y in labels),
        ]
    accuracy = [record.best.validation_accuracy for record in drawn if record.best]
    # A trial near chance would press all that matter to one line at the top.
    x, up = places[-1], svg.Axis(float(np.percentile(accuracy, 10)), max(accuracy), bottom, top)
    axes += [svg.label(x, 12, "validation", "m"), svg.label(x, 25, "accuracy", "m k")]
    axes.append(svg.line(x, top, x, bottom))
    axes += [svg.label(x + 6, up.place(tick) + 3.5, svg.as_percent(tick)) for tick in up.ticks(6)]
    team, others = [], []
    for number, record in reversed(list(enumerate(drawn))):  # the best on top
        points = [(x, place(configs[number].get(key))) for x, key, place in zip(places, shown, columns, strict=False)]
        points.append((places[-1], up.place(accuracy[number])))
        if record.trial_id in voting:
            team.append(svg.path(points, "curve v", record.trial_id))
        else:
            others.append(svg.path(points, "curve", record.trial_id))
    caption = (
        f"A line for each of {len(drawn)} trials: its hyperparameters, and at the right its best validation accuracy (the lowest "
        "tenth lies at the bottom end). The lines of the team's trials are blue."
    )
    left_out = sum(record.best is not None for record in records) - len(drawn)
    if left_out:
        caption += f" {left_out:,} trials with lower accuracy are not drawn."
    if len(keys) > len(shown):
        caption += f" {len(keys) - len(shown)} more hyperparameters have no axis."
    return Chart(svg.svg([*others, *team, *axes], bottom + 12, caption, kind="lines"), caption)


def _scale(
    values: Sequence[object], bottom: float, top: float
) -> tuple[Callable[[object], float], list[tuple[str, float]]]:
    """The position of each value on a vertical axis, and the labels beside it with their positions."""
    numbers = [float(one) for one in values if isinstance(one, int | float) and not isinstance(one, bool)]
    distinct = {repr(one): one for one in values}
    if len(numbers) == len(values) and len(distinct) > MOST_NAMES:
        axis = svg.Axis(min(numbers), max(numbers), bottom, top, svg.shares_log(numbers))
        return (
            lambda value: axis.place(float(value)) if isinstance(value, int | float) else bottom,
            [(show_value(float(tick)), axis.place(tick)) for tick in axis.ticks(6)],
        )
    names = sorted(distinct, key=lambda name: _order(distinct[name]))
    step = (bottom - top) / max(1, len(names) - 1)
    places = {
        name: round(bottom - number * step, 1) if len(names) > 1 else (top + bottom) / 2
        for number, name in enumerate(names)
    }
    named = (
        names if len(names) <= MOST_NAMES else [names[round(at)] for at in np.linspace(0, len(names) - 1, MOST_NAMES)]
    )
    return (
        lambda value: places[repr(value)],
        [(_cut(show_value(distinct[name])), places[name]) for name in named],
    )


def _order(value: object) -> tuple[int, float, str]:
    """Missing values first, then numbers, then strings."""
    if value is None:
        return 0, 0.0, ""
    return (1, float(value), "") if isinstance(value, int | float) else (2, 0.0, str(value))


def _cut(text: str, most: int = 12) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def draw_rate_map(
    records: Sequence[TrialRecord], voting: set[str], ranges: Mapping[str, tuple[float, float]]
) -> RateMap | None:
    """The trials by learning rate and weight decay, the better the deeper; None where not both vary.

    `records` by rank. `ranges` are what was searched; where they do not say, what was tried takes their place.
    A weight decay of 0 has a line of its own at the bottom: it has no logarithm.
    """
    drawn = choose_drawn(records, voting, MOST_DOTS)
    points = [(record, record.config.optimizer.lr, record.config.optimizer.weight_decay) for record in drawn]
    rates, decays = [rate for _, rate, _ in points if rate > 0], [decay for _, _, decay in points if decay > 0]
    if len(set(rates)) < 2 or len({decay for _, _, decay in points}) < 2 or not decays:
        return None
    rate_range, decay_range = _widen(ranges.get(RATE), rates), _widen(ranges.get(DECAY), decays)
    left, right, top, bottom = 74.0, svg.WIDTH - 20, 12.0, 330.0
    has_zero = any(decay == 0 for _, _, decay in points)
    floor = bottom - (34 if has_zero else 0)
    across = svg.spread([*rates, *_above_zero(rate_range)], left, right, 0.04, log=True)
    up = svg.spread([*decays, *_above_zero(decay_range)], floor, top, 0.05, log=True)
    parts = [
        *svg.grid_y(up, left, right, svg.as_number, 7),
        *svg.grid_x(across, bottom, svg.as_number, 8),
        svg.label((left + right) / 2, bottom + 31, "learning rate", "m"),
        svg.label(14, (top + bottom) / 2, "weight decay", "m", turn=-90),
    ]
    if has_zero:
        parts += [svg.line(left, bottom - 10, right, bottom - 10), svg.label(left - 6, bottom - 6.5, "0", "e")]
    x1, x2 = (across.place(max(end, across.low)) for end in rate_range)
    y1, y2 = (up.place(max(end, up.low)) for end in decay_range)
    parts.append(f'<rect class="border" x="{x1:g}" y="{y2:g}" width="{x2 - x1:.4g}" height="{y1 - y2:.4g}"/>')
    for number, (record, rate, decay) in reversed(list(enumerate(points))):
        depth = SHADES - min(SHADES - 1, SHADES * number // len(points))
        best = record.best
        title = f"{record.trial_id}: {best.validation_accuracy:.2%} with {rate:.3g} and {decay:.3g}" if best else ""
        y = up.place(decay) if decay > 0 else bottom - 10
        if rate > 0:
            kind = f"dot s{depth}" + (" ring" if record.trial_id in voting else "")
            parts.append(svg.dot(across.place(rate), y, 4.2, kind, record.trial_id, title))
    borders = _borders(points[: max(3, len(points) // 20)], {"learning rate": rate_range, "weight decay": decay_range})
    for word in borders:
        parts.append(_mark(word, x1, x2, y1, y2))
    source = "what was searched" if RATE in ranges and DECAY in ranges else "what was tried"
    caption = (
        f"{len(points)} trials by learning rate and weight decay: the deeper, the better on validation; a ring is a trial that "
        f"votes, the dashed frame is {source}. {' '.join(borders) or 'The best trials lie inside.'}"
    )
    return RateMap(Chart(svg.svg(parts, bottom + 38, caption), caption), tuple(borders))


def _widen(searched: tuple[float, float] | None, tried: Sequence[float]) -> tuple[float, float]:
    """The ends of what was searched, further out where the search itself went further."""
    low, high = searched or (tried[0], tried[0])
    return min(low, *tried), max(high, *tried)


def _above_zero(ends: tuple[float, float]) -> list[float]:
    return [end for end in ends if end > 0]


def _borders(best: Sequence[tuple[TrialRecord, float, float]], ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """For each end of a range that most of the best trials lie at, a sentence."""
    sentences = []
    for name, (low, high) in ranges.items():
        values = [rate if name == "learning rate" else decay for _, rate, decay in best]
        if not 0 < low < high:
            continue
        shares = [np.log(value / low) / np.log(high / low) if value > 0 else -1.0 for value in values]
        for end, many in (
            ("lower", sum(0 <= share <= NEAR for share in shares)),
            ("upper", sum(share >= 1 - NEAR for share in shares)),
        ):
            if 2 * many > len(values):
                sentences.append(
                    f"{many} of the best {len(values)} lie at the {end} end of the {name}, "
                    f"{(low if end == 'lower' else high):.3g}: widen it."
                )
    return sentences


def _mark(word: str, x1: float, x2: float, y1: float, y2: float) -> str:
    """The side of the frame that a sentence of `_borders` is about."""
    if "learning rate" in word:
        x = x1 if "lower" in word else x2
        return svg.line(x, y2, x, y1, "alert")
    y = y1 if "lower" in word else y2
    return svg.line(x1, y, x2, y, "alert")
