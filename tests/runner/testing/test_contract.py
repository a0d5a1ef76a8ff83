"""The form that all contract suites have, and what they cost those who import them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runner.testing.contract import Check, expect, name_check, run_checks, show
from runner.testing.schedulers import scheduler_checks
from runner.testing.searches import search_checks
from runner.testing.stores import store_checks


def is_positive(make: object) -> None:
    """It is
    positive."""
    expect(make() > 0, "it is not")  # type: ignore[operator]


POSITIVE: Check[int] = name_check(is_positive)


def test_a_check_is_named_after_its_promise_and_raises_it() -> None:
    assert str(POSITIVE) == "It is positive"
    POSITIVE(lambda: 1)
    with pytest.raises(AssertionError, match=r"^It is positive: it is not$"):
        POSITIVE(lambda: -1)


def test_another_error_is_passed_on_with_the_promise_as_a_note() -> None:
    with pytest.raises(TypeError) as caught:
        POSITIVE(lambda: "1")  # type: ignore[arg-type, return-value]
    assert caught.value.__notes__ == ["This was raised while it was checked whether: It is positive"]


def test_all_checks_are_run_and_all_broken_promises_listed() -> None:
    run_checks([POSITIVE, POSITIVE], lambda: 1)
    with pytest.raises(AssertionError, match=r"^2 promise\(s\) broken:\n- It is positive: it is not\n- It is positive"):
        run_checks([POSITIVE, POSITIVE], lambda: -1)


def test_a_long_value_is_cut() -> None:
    assert show("a") == "'a'"
    assert show("a" * 1000) == "'" + "a" * 399 + "… (1002 characters)"


def test_each_promise_of_a_suite_is_another_sentence() -> None:
    for checks in (store_checks(), scheduler_checks(prunes=True), search_checks()):
        promises = [str(check) for check in checks]
        assert len(set(promises)) == len(promises) >= 9
        assert all(promise[0].isupper() and not promise.endswith(".") for promise in promises)


def test_the_suites_load_neither_pytest_nor_torch_nor_ray_nor_boto3() -> None:
    code = (
        "import sys, runner.testing as testing\n"
        "assert all(getattr(testing, name) for name in testing.__all__)\n"
        "print({'pytest', 'hypothesis', 'torch', 'ray', 'boto3', 'optuna'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"
