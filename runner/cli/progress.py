"""Shows the progress of a run: a live table on a terminal, one line for each event elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from runner.cli.tables.trials import show_trials
from runner.cli.terminal import print_line
from runner.config.duration import show_duration
from runner.config.sweep import SweepSpec
from runner.control.time_left import seconds_left
from runner.journal.events import EpochReported, Event, RunClosed, RunOpened, TrialEnded
from runner.journal.state import RunState
from runner.output.console import find_output_failure
from runner.runs.trial_table import one_line

ROWS_BESIDE_TABLE = 7
"""Lines of a terminal that are not rows of the table: its title, heading and caption, the summary, the prompt."""


class Progress:
    """A listener that shows a run on `console`. A context manager: the table is removed at its end."""

    def __init__(self, console: Console, spec: SweepSpec) -> None:
        self._console = console
        self._spec = spec
        self._state = RunState()
        self._live: Live | None = None
        self._is_unread = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()
            self._live = None

    def __call__(self, event: Event, state: RunState) -> None:
        """Show the state after an event. Called in the driver's thread."""
        self._state = state
        if not self._is_unread and (failure := find_output_failure()):
            self._is_unread = True  # reported once, on the stream that still works
            print_line(f"caucus: {failure}: the run goes on, and `caucus status` says how it stands", file=sys.stderr)
        if not self._console.is_terminal:
            self._print_line(event, state)
        elif isinstance(event, RunOpened):
            self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        elif isinstance(event, RunClosed) and self._live:
            self._live.stop()
            self._live = None

    def _render(self) -> RenderableType:
        rows = max(3, self._console.height - ROWS_BESIDE_TABLE)
        running = sum(record.state == "running" for record in list(self._state.trials.values()))
        table = show_trials(self._state, max(1, rows - running), f"{self._spec.name}: {len(self._state.trials)} trials")
        return Group(table, Text(self._summary(self._state), style="dim"))

    def _summary(self, state: RunState) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in sorted(state.counts().items()))
        left_s = seconds_left(state, self._spec)
        left = "no epoch has ended yet" if left_s is None else f"about {show_duration(left_s)} left"
        return f"{counts} · {state.epochs_trained} epochs · {show_duration(state.elapsed_s)} so far, {left}"

    def _print_line(self, event: Event, state: RunState) -> None:
        at = f"{show_duration(event.elapsed_s):>9}"
        match event:
            case RunOpened():
                self._console.out(f"{at}  {self._spec.name}: started on {event.slots} slot(s)", highlight=False)
            case EpochReported():
                result = event.result
                self._console.out(
                    f"{at}  {event.trial_id}  epoch {result.epoch:>3}  validation {result.shown_merit}"
                    f"  loss {result.validation_loss:.4f}{'' if event.trained else '  (was in the store)'}",
                    highlight=False,
                )
            case TrialEnded():
                why = one_line(event.reason) or event.state
                self._console.out(f"{at}  {event.trial_id}  {why}  [{self._summary(state)}]", highlight=False)
