"""The keys in which trials differ, and how their values are shown."""

from __future__ import annotations

from collections.abc import Iterable

from trainables.results.record import TrialRecord

_ALWAYS_DIFFER = ("seed", "data_id", "code")
"""Keys that are no hyperparameters."""


def keys_that_vary(records: Iterable[TrialRecord]) -> list[str]:
    """Dotted keys (`optimizer.lr`) of which the trials have more than one value, in the order of the configuration."""
    seen: dict[str, set[str]] = {}
    for record in records:
        for key, value in record.config.flat().items():
            seen.setdefault(key, set()).add(repr(value))
    return [key for key, values in seen.items() if len(values) > 1 and key not in _ALWAYS_DIFFER]


def show_value(value: object) -> str:
    """A configuration's value in short form.

    >>> show_value(0.00012345), show_value(True), show_value(16), show_value(None)
    ('0.000123', 'yes', '16', '-')
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def show_settings(record: TrialRecord, keys: Iterable[str]) -> str:
    """The values of `keys` in the trial's configuration, in one line: `model.width=16 optimizer.lr=0.01`; keys that it lacks are left out."""
    flat = record.config.flat()
    return " ".join(f"{key}={show_value(flat[key])}" for key in keys if key in flat)
