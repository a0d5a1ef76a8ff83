"""A run as a program has it: its trials, its team, its verdict, its report."""

from __future__ import annotations

import html
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensembles.evaluation.verdict import Verdict
from ensembles.pool.pool import PredictionPool, read_pool
from ensembles.team import Team
from runner.config.sweep import SweepSpec
from runner.evaluation.conclusion import Conclusion, choose_and_evaluate, render
from runner.evaluation.revote import Revote, vote_again
from runner.library.predictor import Predictor, open_bundle
from runner.runs.locate import Located, locate
from runner.runs.stored_run import StoredRun, load_run
from runner.runs.trial_table import to_parquet, trial_to_json
from trainables.errors import CaucusError
from trainables.results.record import TrialRecord, rank
from trainables.store.atomic_file import replace_whole

if TYPE_CHECKING:
    from runner.pipeline import RunResult


class MissingPackage(CaucusError, ImportError):
    """A package that is optional and not installed."""


@dataclass(frozen=True)
class Trials:
    """The trials of a run, the best first."""

    records: tuple[TrialRecord, ...]

    def to_pandas(self) -> Any:
        """A `pandas.DataFrame` with a row a trial: state, epochs, best scores, cost, and a column for each key."""
        try:
            import pandas
        except ImportError:
            raise MissingPackage("pandas is not installed: pip install pandas, or take to_dicts()") from None
        return pandas.read_parquet(io.BytesIO(to_parquet(list(self.records))))

    def to_dicts(self) -> list[dict[str, object]]:
        """A plain JSON object a trial."""
        return [trial_to_json(place, record) for place, record in enumerate(self.records, start=1)]

    def to_parquet(self, path: str | Path) -> None:
        """Write the table of `to_pandas` to a file."""
        replace_whole(Path(path), to_parquet(list(self.records)))

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[TrialRecord]:
        return iter(self.records)

    def __getitem__(self, place: int) -> TrialRecord:
        return self.records[place]


@dataclass(frozen=True)
class Report:
    """A report as one HTML page that needs no network. A notebook shows it inline."""

    page: str

    def save(self, path: str | Path) -> None:
        """Write the page to a file."""
        replace_whole(Path(path), self.page.encode())

    def _repr_html_(self) -> str:
        frame = "width:100%;height:80vh;border:1px solid #ccc"
        return (
            f'<iframe sandbox="allow-scripts" style="{frame}" srcdoc="{html.escape(self.page, quote=True)}"></iframe>'
        )


@dataclass(frozen=True, eq=False)
class Run:
    """A run in a store. Everything is read from there: no images, no torch, no Ray."""

    stored: StoredRun
    outcome: str
    """`done`, `partial` (the next run of the sweep continues it), `failed`, or `running`."""
    reason: str = ""
    """Why it ended early, "" where it did not."""

    @classmethod
    def of(cls, spec: SweepSpec, result: RunResult) -> Run:
        """The run that `run_sweep` has come to."""
        located = locate(result.run, spec.store.uri, spec.store.endpoint_url)
        return cls(load_run(located, []), result.outcome, result.reason)

    @property
    def name(self) -> str:
        """`<sweep>/<run>`."""
        return self.stored.run

    @cached_property
    def trials(self) -> Trials:
        """All trials, the best first."""
        return Trials(tuple(rank(list(self.stored.state.trials.values()))))

    @property
    def best(self) -> TrialRecord:
        """The trial that is best on validation, by accuracy or by the metric that the sweep asks for."""
        return self.trials[0]

    @cached_property
    def conclusion(self) -> Conclusion:
        """The team, and what it is worth on test. Raises `NothingToVote` where no trial has an epoch."""
        return choose_and_evaluate(self.stored)

    @property
    def team(self) -> Team:
        """The checkpoints that vote, with their weights."""
        return self.conclusion.team

    @property
    def verdict(self) -> Verdict:
        """What the team is worth beside the best single checkpoint, and whether to ship it."""
        return self.conclusion.verdict

    def revote(self, **ensemble: Any) -> Revote:
        """Select and vote again, `revote(vote="weighted", size=4)`; keys are those of `ensemble`. Counts as a look at test."""
        return vote_again(self._with(ensemble))

    def report(self, **ensemble: Any) -> Report:
        """The report, with another `ensemble` where one is asked for; nothing is written."""
        stored = self._with(ensemble) if ensemble else self.stored
        conclusion = choose_and_evaluate(stored) if ensemble else self.conclusion
        return Report(render(stored, conclusion, stored.note))

    def predictions(self, split: str = "validation") -> PredictionPool:
        """The team's predictions on `split`, float32 (members, images, classes)."""
        return read_pool(self.stored.store, list(self.team.members), split, self.conclusion.table)

    def export(self, folder: str, *, single: bool = False) -> Predictor:
        """Write the team as a bundle into an empty folder or prefix, and load it. With `single` the best checkpoint alone."""
        from runner.deploy.export import export_run

        export_run(self.stored, folder, single)
        return open_bundle(folder)

    def _with(self, ensemble: dict[str, Any]) -> StoredRun:
        words = [
            f"ensemble.{key}={value if isinstance(value, str) else json.dumps(value)}"
            for key, value in ensemble.items()
        ]
        return load_run(Located(self.stored.store, self.stored.name, self.stored.run_id), words, self.stored.state)

    def __repr__(self) -> str:
        return f"Run({self.name!r}, {self.outcome}, {len(self.trials)} trials)"


def open_run(name: str, store: str = "runs", endpoint_url: str | None = None) -> Run:
    """The run that `name` names in `store`: `digits`, `digits/3f2a90c1`, or a whole path or URI. Raises `RunMissing`."""
    stored = load_run(locate(name, store, endpoint_url), [])
    closed = stored.state.closed
    return Run(stored, closed.state if closed else "running", closed.reason if closed else "")
