"""Another vote of a run that has come to its end reads the columns it needs, and whole predictions of few."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.stored_run import HastyFolder, write_stored_run
from runner.evaluation.conclusion import choose_and_evaluate, publish
from runner.evaluation.revote import vote_again
from runner.runs.locate import Located
from runner.runs.stored_run import load_run

CHECKPOINTS = 150
WORDS = ["size=2", "bootstraps=10"]


@dataclass(frozen=True)
class Counted(HastyFolder):
    """Counts how often each part is read."""

    read: Counter[str] = field(default_factory=Counter)

    def get(self, key: str) -> bytes:
        self.read["mean" if "/means/" in key else key.rpartition("/")[2]] += 1
        return super().get(key)


def test_another_vote_reads_whole_predictions_of_few(tmp_path: Path) -> None:
    store = Counted(tmp_path)
    name, _, run = write_stored_run(store, CHECKPOINTS, images=200, classes=3)[0].partition("/")
    found = Located(store, name, run)
    stored = load_run(found, WORDS)
    conclusion = choose_and_evaluate(stored)
    assert store.read["test.arrow"] >= CHECKPOINTS  # for the mean of all, which nobody has made yet
    publish(stored, conclusion, "")
    store.read.clear()
    again = vote_again(load_run(found, WORDS))
    assert again.conclusion.team == conclusion.team
    assert again.conclusion.verdict == conclusion.verdict
    assert store.read["manifest.json"] == store.read["validation-truth.arrow"] == CHECKPOINTS
    assert store.read["mean"] == 2
    few = len({*conclusion.team.members, *conclusion.team.picks}) + 2  # the best `size`
    assert store.read["test.arrow"] <= few
    assert store.read["validation.arrow"] <= CHECKPOINTS / 2
