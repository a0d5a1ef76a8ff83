"""Suggestions from a model of the results so far: TPE, a Gaussian process or BOHB, on Optuna's samplers.

Ray Tune's OptunaSearch leaves a trial whose accuracy is NaN running for ever, can be restored from a pickle only, and its
suggestions depend on how often it was asked. Here the trials are a plain record, and each suggestion comes from a new
sampler, whose seed follows from the sweep's seed and the trial's place: a driver that reads the record again suggests
what the undisturbed one would have suggested. Ray's TuneBOHB needs hpbandster, whose last release (0.7.4) is of 2018.

How each model sees a trial:

                                   tpe                            gp (see _floor)      bohb
    finished                       its last accuracy              its last accuracy    its accuracy at the model's epoch
    pruned; running and            below those, by epoch, then    its last accuracy    the same; left out if it has none
    has a result                   by accuracy                                         there
    no result yet                  to be kept away from           to be kept away from to be kept away from
    diverged, failed               0                              the lower quartile   0

Paused trials count by their results, so a scheduler that pauses many trials does not leave the model without data.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from runner.space.distribution import Distribution, Value, shorten
from runner.space.draws import share_of
from trainables.distribution import install_command
from trainables.errors import SweepFileError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial, TrialState

Model = Literal["tpe", "gp", "bohb"]
EndState = Literal["finished", "pruned", "diverged", "failed"]

RANDOM_SHARE = 1 / 3
"""BOHB: this share of the suggestions stays random, so that a model that is wrong does no lasting harm."""

CANDIDATES = {"tpe": 24, "bohb": 64}
"""Candidates drawn from the density of good trials, the best of which is suggested: Optuna's number, and hpbandster's."""

MOST = 300
"""Trials that a Gaussian process is fitted to."""

FEW = 4
"""The least number of finished trials from which a quartile is taken."""

Param = float | int
"""A value as the model sees it: a choice as its index among the choices, since 1, 1.0 and True are equal in Python."""


@dataclass
class _TrialHistory:
    """The parameters and results of one trial so far."""

    params: dict[str, Param]
    accuracies: dict[int, float] = field(default_factory=dict)
    """Accuracies by epoch."""
    state: EndState | None = None
    """How the trial ended; None while it is running or paused."""

    @property
    def is_lost(self) -> bool:
        return self.state in ("diverged", "failed")

    @property
    def last(self) -> float:
        return self.accuracies[max(self.accuracies)]


class OptunaModel:
    """Suggests the values of the next trial. A fold: only `begin`, `report` and `end` change its suggestions, queries do not.

    Random trials come first, those that method `random` would draw, until `startup` configurations have a result; those
    of an earlier run count.

    A trial whose values do not lie in the space (a warm start from a wider one) is left out: moved to the border, it
    would stand for a point that was never tried.

    After 1,000 trials of 5 keys a suggestion takes TPE 0.03 s, BOHB 0.04 s and the Gaussian process 0.3 s; after 10,000
    it takes 0.2, 0.4 and 0.7 s.
    """

    def __init__(
        self,
        method: Model,
        space: Mapping[str, Distribution],
        is_active: Callable[[str, Mapping[str, Value]], bool],
        seed: int,
        startup: int,
        max_epochs: int,
    ) -> None:
        """`space` has each key behind those that decide whether it is active. Raises `SweepFileError` without Optuna."""
        if importlib.util.find_spec("optuna") is None:
            raise SweepFileError(
                f"search.method is {method}, which needs Optuna: "
                f"{install_command('optuna')}, on the head of a cluster too, or take search.method=random"
            )
        self._method = method
        self._space = dict(space)
        self._is_active = is_active
        self._seed = seed
        self._startup = startup
        self._max_epochs = max_epochs
        self._histories: dict[str, _TrialHistory | None] = {}
        """Histories by trial id; None for a trial outside of the space."""

    def suggest(self, index: int) -> dict[str, Value]:
        """The values of the keys that are active in the trial at place `index`, counted from 0. It changes nothing."""
        if self._is_random(index):
            return self._active({key: how.draw(share_of(self._seed, index, key)) for key, how in self._space.items()})
        seed = int(share_of(self._seed, index, f"{self._method}-model") * 2**32)
        with _undisturbed(self._method):
            params = _ask(self._sampler(seed), self._trials(), _distributions(self._space))
        return self._active({key: _value_of(how, params[key]) for key, how in self._space.items()})

    def begin(self, trial_id: str, values: Mapping[str, Value]) -> None:
        """A trial with `values` has started. One that is known already, from an earlier run, keeps its results."""
        if trial_id not in self._histories:
            params = self._params(values)
            self._histories[trial_id] = None if params is None else _TrialHistory(params)

    def report(self, trial_id: str, epoch: int, accuracy: float) -> None:
        """The accuracy (a share of 1) of a trial after `epoch`, counted from 1; NaN counts as 0.

        Epochs past `max_epochs`, from an earlier run that had more, are ignored.
        """
        history = self._histories[trial_id]
        if history and epoch <= self._max_epochs:
            history.accuracies[epoch] = accuracy if math.isfinite(accuracy) else 0.0

    def end(self, trial_id: str, state: EndState) -> None:
        """A trial has ended."""
        if history := self._histories[trial_id]:
            history.state = state

    def _active(self, values: Mapping[str, Value]) -> dict[str, Value]:
        active: dict[str, Value] = {}
        for key in self._space:
            if key in values and self._is_active(key, active):
                active[key] = values[key]
        return active

    def _params(self, values: Mapping[str, Value]) -> dict[str, Param] | None:
        """The trial as the model sees it, or None if it does not lie in the space."""
        active = self._active(values)
        params: dict[str, Param] = {}
        for key, how in self._space.items():
            if key in active:
                if not how.holds(active[key]):
                    return None
                params[key] = _param_of(how, active[key])
            elif self._is_active(key, active):
                return None
            elif self._method == "gp":
                # Optuna's process takes only keys that all trials have; it would draw the others at random for ever.
                params[key] = _param_of(how, how.draw(0.5))
        return params

    @property
    def _known(self) -> list[_TrialHistory]:
        return [history for history in self._histories.values() if history]

    def _is_random(self, index: int) -> bool:
        # Repeats of a configuration, which differ only by their seed, count once.
        shown = {tuple(history.params.items()) for history in self._known if history.accuracies or history.is_lost}
        if len(shown) < self._startup:
            return True
        if self._method != "bohb":
            return False
        return self._model_epoch() is None or share_of(self._seed, index, "bohb-random") < RANDOM_SHARE

    def _model_epoch(self) -> int | None:
        """BOHB: the highest epoch with two results more than there are keys (Falkner et al. 2018: one more still)."""
        counts = Counter(epoch for history in self._known for epoch in history.accuracies)
        return max((epoch for epoch, count in counts.items() if count >= len(self._space) + 2), default=None)

    def _sampler(self, seed: int) -> BaseSampler:
        from optuna.samplers import GPSampler, TPESampler

        if self._method == "gp":
            return GPSampler(seed=seed, n_startup_trials=0, warn_independent_sampling=False)
        # Jointly, by groups of keys that occur together: no worse than key by key with 2 trials at a time, on a
        # function with conditional keys, and with 8 at a time a third nearer to the optimum or more (24 seeds).
        return TPESampler(
            seed=seed,
            n_startup_trials=0,
            n_ei_candidates=CANDIDATES[self._method],
            multivariate=True,
            group=True,
            constant_liar=True,
        )

    def _trials(self) -> list[FrozenTrial]:
        """The record as Optuna sees it, in the order in which the trials began: it gives new ones more weight."""
        from optuna.trial import FrozenTrial

        distributions = _distributions(self._space)
        return [
            FrozenTrial(
                number=place,
                state=state,
                value=accuracy,
                datetime_start=None,
                datetime_complete=None,
                params=history.params,
                distributions={key: distributions[key] for key in history.params},
                user_attrs={},
                system_attrs={},
                intermediate_values=history.accuracies,
                trial_id=place,
            )
            # Number 0 is the trial that is being suggested.
            for place, (history, state, accuracy) in enumerate(self._seen(), start=1)
        ]

    def _seen(self) -> Iterator[tuple[_TrialHistory, TrialState, float | None]]:
        """Each trial with what it counts as: see the table above."""
        from optuna.trial import TrialState

        known = self._known if self._method != "gp" else _thin(self._known)
        at = self._model_epoch() if self._method == "bohb" else None
        floor = _floor(known) if self._method == "gp" else 0.0
        for history in known:
            if history.is_lost:
                yield history, TrialState.COMPLETE, floor
            elif not history.accuracies:
                if history.state is None:
                    yield history, TrialState.RUNNING, None
            elif self._method == "bohb":
                if at in history.accuracies:
                    yield history, TrialState.COMPLETE, history.accuracies[at]
            elif self._method == "tpe" and history.state != "finished":
                # Optuna would see every running trial as a bad one, however good its results.
                yield history, TrialState.PRUNED, history.last
            else:
                yield history, TrialState.COMPLETE, max(history.last, floor)


def _thin(known: list[_TrialHistory]) -> list[_TrialHistory]:
    """At most `MOST` trials with a result, in their order: the best third, and the others evenly spaced.

    A Gaussian process takes 0.4 s a suggestion after 300 trials, and more than 4 s after 1,000.
    """
    shown = [place for place, history in enumerate(known) if history.accuracies or history.is_lost]
    if len(shown) <= MOST:
        return known
    ranked = sorted(
        shown, key=lambda place: (known[place].is_lost, -known[place].last if known[place].accuracies else 0)
    )
    best = set(ranked[: MOST // 3])
    others = [place for place in shown if place not in best]
    left = MOST - len(best)
    kept = best | {others[place * len(others) // left] for place in range(left)}
    dropped = set(shown) - kept
    return [history for place, history in enumerate(known) if place not in dropped]


def _floor(known: list[_TrialHistory]) -> float:
    """The value that the worst quarter counts as in a Gaussian process: the lower quartile of the finished trials.

    An outlier, such as chance level, would flatten the differences that matter. Regret after 35 trials of 6 keys,
    where a sixth of the space diverges: 0.013 +- 0.003; with divergent ones at 0, 0.032 +- 0.004 (6 and 5 seeds). For
    pruned ones no difference showed above the noise, and ranks in place of accuracies were no better.
    """
    shown = [history for history in known if history.accuracies and not history.is_lost]
    finished = [history for history in shown if history.state == "finished"]
    accuracies = sorted(history.last for history in (finished if len(finished) >= FEW else shown))
    return accuracies[len(accuracies) // 4] if accuracies else 0.0


def _ask(
    sampler: BaseSampler, trials: list[FrozenTrial], distributions: Mapping[str, BaseDistribution]
) -> dict[str, Param]:
    """The suggestion of `sampler` after `trials`."""
    from optuna.storages import InMemoryStorage
    from optuna.study import create_study

    class Record(InMemoryStorage):
        """Shows `trials` as they are: to add them to a study copies each one, at each call."""

        def get_all_trials(
            self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
        ) -> list[FrozenTrial]:
            return [trial for trial in trials if states is None or trial.state in states]

    study = create_study(storage=Record(), sampler=sampler, direction="maximize", study_name="search")
    return study.ask(dict(distributions)).params


def _distributions(space: Mapping[str, Distribution]) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    made: dict[str, BaseDistribution] = {}
    for key, how in space.items():
        if how.kind == "choice":
            made[key] = CategoricalDistribution(range(len(how.values)))
        elif how.kind == "int":
            made[key] = IntDistribution(int(how.low), int(how.high))
        else:
            made[key] = FloatDistribution(how.low, how.high, log=how.kind == "log")
    return made


def _param_of(how: Distribution, value: Value) -> Param:
    if how.kind == "choice":
        return next(place for place, one in enumerate(how.values) if type(one) is type(value) and one == value)
    assert isinstance(value, int | float)
    # A short number may lie beyond a bound that is not short.
    return value if how.kind == "int" else min(max(float(value), how.low), how.high)


def _value_of(how: Distribution, param: Param) -> Value:
    if how.kind == "choice":
        return how.values[int(param)]
    return int(param) if how.kind == "int" else min(max(shorten(param), how.low), how.high)


@contextmanager
def _undisturbed(method: Model) -> Iterator[None]:
    """Restore logging, warnings and torch after the block. One thread: on busy cores two take seven times as long."""
    from optuna import logging

    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with warnings.catch_warnings(), _one_thread() if method == "gp" else nullcontext():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
