"""Real sweeps on a store from which retention has deleted: what was chosen stays, and nothing is trained again for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sample_runs.sweeps import SMALL, caucus, run_sweep
from trainables.results.checkpoint import committed
from trainables.store.folder import Folder


@pytest.mark.long
def test_runs_after_a_deletion_vote_as_before_and_later_sweeps_go_on(tmp_path: Path) -> None:
    words = [*SMALL, "search.trials=3", "scheduler.max_epochs=3", "ensemble.size=2", f"store={tmp_path}"]
    first = run_sweep(*words)
    before = len(committed(Folder(tmp_path), Folder(tmp_path).folders("trials/")))
    result = caucus("prune", str(tmp_path), "--keep-size", "1", "--delete")
    assert result["deleted"]
    assert before - result["kept"]["checkpoints"] == sum(kind["count"] for kind in result["kinds"]) > 0

    again = run_sweep(*words)
    assert (again["outcome"], again["epochs_trained"]) == ("done", 0)
    assert (again["best"], again["votes"]) == (first["best"], first["votes"])

    more = run_sweep(*words, "search.trials=4")  # the same run goes on: one trial more, and nothing counts as lost
    assert (more["run"], more["outcome"], more["reason"], more["epochs_trained"]) == (first["run"], "done", "", 3)

    longer = run_sweep(*words, "scheduler.max_epochs=4")  # another run, which shares all trials
    assert longer["run"] != first["run"]
    assert longer["outcome"] == "done"
    assert longer["trials"]["finished"] == 3
    assert longer["trials"]["failed"] == 0
