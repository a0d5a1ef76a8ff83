"""Custom searches: what they are given, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from runner.journal.state import RunState
from runner.search.base.protocol import Over, Plan
from runner.search.base.stage_context import Progress, StageContext
from tests.runner.search.sample_searches import make_search, rates
from trainables.errors import PluginUnusable, SweepFileError
from trainables.plugins.kinds import SEARCH

SPACE = {"optimizer.lr": {"log": [0.01, 1.0]}}


@SEARCH.register("mine/first")
class First:
    """One trial at a share of the range."""

    needs_all_epochs = True

    def __init__(self, scope: StageContext, former: object, *, at: float = 0.5) -> None:
        assert former is None
        self._scope, self._at, self._progress = scope, at, Progress(scope.stage)

    def step(self, state: RunState) -> Any:
        values = {key: how.draw(self._at) for key, how in self._scope.space.items()}
        return Over() if self._progress.planned else Plan((self._scope.trial(values),), stage=self._scope.stage)

    def observe(self, event: Any) -> None:
        self._progress.observe(event)

    def wants(self, trial_id: str) -> bool:
        return True


@SEARCH.register("mine/half")
class Half:
    def __init__(self, scope: StageContext) -> None: ...

    def step(self, state: RunState) -> Any: ...


def test_it_gets_the_stage_and_its_own_keys() -> None:
    step = make_search({"method": "mine/first", "space": SPACE, "at": 1.0}, scheduler={"method": "none"}).step(
        RunState()
    )
    assert isinstance(step, Plan)
    assert rates(list(step.trials)) == [1.0]


def test_it_can_be_a_stage() -> None:
    stages = [{"name": "coarse", "method": "mine/first", "space": SPACE, "at": 0.0, "scheduler": {"method": "none"}}]
    step = make_search({"stages": stages}).step(RunState())
    assert isinstance(step, Plan)
    assert (step.stage, rates(list(step.trials))) == ("coarse", [0.01])


@pytest.mark.parametrize(
    ("search", "error", "said"),
    [
        (
            {"method": "mine/first", "space": SPACE},
            SweepFileError,
            r"needs all epochs of its trials, but scheduler.method is asha: set ",
        ),
        (
            {"method": "mine/first", "ta": 1},
            PluginUnusable,
            "search.ta is 1, but mine/first takes no ta: it takes at, former",
        ),
        ({"method": "mine/half"}, PluginUnusable, "made a Half, which is no search: it has no observe, wants"),
        ({"method": "mine/gone"}, PluginUnusable, "search.method is mine/gone: a store or a bundle says so"),
        ({"method": "randon"}, SweepFileError, "search.method is 'randon': must be 'random', 'grid'"),
        ({"method": "random", "at": 1}, SweepFileError, "search.at: no such key"),
    ],
)
def test_what_is_no_search_is_refused(search: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        make_search(search)
