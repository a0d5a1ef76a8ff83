"""What a finished run costs when it is run and looked at again, in requests: these do not grow with its trials."""

from __future__ import annotations

import pytest

from benchmarks.requests import GOAL, measure_run

pytestmark = pytest.mark.long
TRIALS, EPOCHS = 5, 2


@pytest.fixture(scope="module")
def measured(moto_s3):
    with pytest.MonkeyPatch.context() as patch:
        moto_s3.login(patch)
        return measure_run(moto_s3.new_bucket(), TRIALS, EPOCHS, bootstraps=3)


LISTS = {"run again": 10, "status": 1, "top": 1, "report": 7, "ensemble": 4, "prune": 11}
GETS = {"run again": 22, "status": 3, "top": 3, "report": 12, "ensemble": 12, "prune": 23}


@pytest.mark.parametrize("verb", LISTS)
def test_a_finished_run_costs_a_few_requests_however_many_trials_it_has(measured, verb):
    asked = measured[verb]
    assert asked.of("LIST") <= LISTS[verb], asked.describe()
    assert asked.of("GET") <= GETS[verb], asked.describe()
    assert asked.others <= GOAL
    parts = {"weights.safetensors", "manifest.json", "config.json", "validation.arrow", "test.arrow"}
    assert {what for _, what in asked.counted} & parts == set()


def test_a_run_that_begins_lists_its_bucket_once_to_see_whether_it_answers(measured):
    assert measured["run again"].counted["LIST", "everything"] == 1


def test_checkpoints_that_were_never_verified_are_read_back_before_the_run_is_done(measured):
    asked = measured["run, never verified"]
    assert asked.counted["GET", "weights.safetensors"] == TRIALS * EPOCHS
    assert asked.counted["GET", "config.json"] == TRIALS
