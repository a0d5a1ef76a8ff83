"""Which keys of its section a plug-in is called with."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from trainables.errors import DataError, PluginUnusable
from trainables.plugins.call import Guarded, build, choose_keys, refuse_unknown, takes
from trainables.plugins.kinds import SCHEDULER


def plain(images: object, size: int = 3, *, share: float = 0.5) -> None: ...
def takes_all(images: object, **keys: object) -> None: ...
def only_place(images: object, /) -> None: ...


class Made:
    def __init__(self, grace_epochs: int, *, floor: float = 0.1) -> None:
        self.given = (grace_epochs, floor)

    def add(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [(plain, ({"size", "share"}, False)), (takes_all, (set(), True)), (only_place, (set(), False))],
)
def test_keys_are_what_follows_the_positional_parameters(function: Any, expected: tuple[set[str], bool]) -> None:
    assert takes(function, 1) == expected


def test_too_few_positional_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match=r"it takes 1 positional argument\(s\), but is called with 2"):
        takes(only_place, 2)


def test_known_keys_are_passed_by_name_alone_and_own_keys_to_whoever_takes_all() -> None:
    known, extra = {"size": 8, "metric": "brier"}, {"share": 0.2, "odd": 1}
    assert choose_keys(plain, 1, known, extra) == {"size": 8, "share": 0.2}
    assert choose_keys(takes_all, 1, known, extra) == {"share": 0.2, "odd": 1}


def test_a_key_that_nobody_takes_is_refused() -> None:
    refuse_unknown("ensemble", {"share": 1}, {"a/b": (only_place, 1), "c/d": (plain, 1)})
    with pytest.raises(
        PluginUnusable, match=r"ensemble.shaer is 1, but a/b takes no shaer: it takes share, size; name it"
    ):
        refuse_unknown("ensemble", {"shaer": 1}, {"a/b": (plain, 1)})
    with pytest.raises(PluginUnusable, match=r"but a/b and c/d take no odd: they take share, size"):
        refuse_unknown("ensemble", {"odd": 1}, {"a/b": (plain, 1), "c/d": (only_place, 1)})
    with pytest.raises(PluginUnusable, match=r"takes no kernel: it takes no keys"):
        refuse_unknown("model", {"kernel": 5}, {"a/b": (takes_all, 1)}, by_name=True)


SCHEDULER.register("mine/made")(Made)


def test_a_part_is_made_with_the_keys_of_its_section() -> None:
    known = {"grace_epochs": 2, "seed": 5}
    assert build(SCHEDULER, "mine/made", (), known, {"floor": 0.3}, ("add",)).given == (2, 0.3)
    with pytest.raises(PluginUnusable, match=r"scheduler.flor is 0.3, but mine/made takes no flor"):
        build(SCHEDULER, "mine/made", (), known, {"flor": 0.3}, ("add",))


def test_what_lacks_the_methods_of_its_kind_is_refused() -> None:
    with pytest.raises(PluginUnusable, match=r"made a Made, which is no scheduler: it has no decide, end"):
        build(SCHEDULER, "mine/made", (), {"grace_epochs": 1}, {}, ("add", "decide", "end"))


def test_an_error_of_a_plugin_is_one_sentence() -> None:
    with pytest.raises(PluginUnusable, match=r"scheduler.method is mine/made: it raised TypeError: .*grace_epochs"):
        build(SCHEDULER, "mine/made", (), {}, {}, ("add",))


class Fails:
    pace = 3

    def add(self, trial: str) -> str:
        if trial == "wrong":
            raise DataError("data.name is wrong")
        return {"known": "found"}[trial]


def test_an_error_in_a_method_names_the_plugin_and_the_method() -> None:
    guarded = Guarded(Fails(), "scheduler.method is mine/fails")
    assert (guarded.add("known"), guarded.pace) == ("found", 3)
    with pytest.raises(PluginUnusable, match=r"scheduler.method is mine/fails: its add raised KeyError: 'other'"):
        guarded.add("other")
    with pytest.raises(DataError, match=r"^data.name is wrong$"):  # an error for people stays as it is
        guarded.add("wrong")
    assert not hasattr(guarded, "decide")
    assert copy.deepcopy(guarded).add("known") == "found"
