import pytest

from runner.config.checks import parse_spec
from runner.config.pseudo_labels import PSEUDO
from runner.config.rules import stage_scheduler
from trainables.errors import SweepFileError

ASKED = {"data": {"path": "more"}}


def parse(pseudo, **more):
    return parse_spec({"name": "t", "data": {"name": "digits"}, "pseudo_labels": pseudo, **more}, "t.yaml")


def test_it_is_off_by_default_and_then_renames_no_run():
    spec = parse_spec({"name": "t", "data": {"name": "digits"}}, "t.yaml")
    assert spec.pseudo_labels is None
    assert spec.run_id("0123456789abcdef") == "2c5d8019"
    assert parse(ASKED).run_id("0123456789abcdef") != spec.run_id("0123456789abcdef")
    assert spec.trial("d", {}).trial_id == parse(ASKED).trial("d", {}).trial_id


def test_what_decides_the_labels_names_the_run():
    runs = {parse({**ASKED, **more}).run_id("d") for more in ({}, {"confidence": 0.9}, {"agreement": 2}, {"trials": 4})}
    assert len(runs) == 4


def test_the_rest_is_short_for_a_source_of_that_name():
    spec = parse({"data": "rest"}, train_share=0.5)
    assert spec.pseudo_labels.data.name == "rest"
    assert (spec.pseudo_labels.confidence, spec.pseudo_labels.agreement, spec.pseudo_labels.trials) == (0.95, 3, None)


@pytest.mark.parametrize(
    ("pseudo", "raw", "message"),
    [
        ({}, {}, "t.yaml: pseudo_labels.data is missing"),
        (
            {"data": "remainder"},
            {},
            "pseudo_labels.data is 'remainder': must be 'rest', 'digits' or 'fashion-mnist'",
        ),
        ({"data": {}}, {}, "pseudo_labels.data names no images: give one of `name`, `path` and `csv`, or `rest`"),
        ({**ASKED, "confidence": 1.5}, {}, "pseudo_labels.confidence is 1.5: must be less than or equal to 1"),
        ({**ASKED, "agreement": 0}, {}, "pseudo_labels.agreement is 0: must be greater than or equal to 1"),
        ({**ASKED, "agreemnt": 2}, {}, "pseudo_labels.agreemnt: no such key"),
        (
            {**ASKED, "agreement": 9},
            {},
            "pseudo_labels.agreement is 9, but ensemble.select=greedy has a team of at most 8: lower it or raise ensemble.size",
        ),
        (ASKED, {"ensemble": {"select": "best"}}, "agreement is 3, but ensemble.select=best has a team of at most 1"),
        ({"data": "rest"}, {}, "train_share is 1 and leaves nothing out: lower train_share"),
        (
            {"data": "rest"},
            {"search": {"space": {"train_share": {"choice": [0.25, 0.5]}}}},
            "the search varies train_share: leave train_share as it is",
        ),
        (
            ASKED,
            {
                "search": {
                    "stages": [{"name": "pseudo", "method": "grid", "space": {"model.width": {"choice": [4, 8]}}}]
                }
            },
            "search.stages.pseudo is called as the stage of pseudo_labels is: give it another name",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_starts(pseudo, raw, message):
    with pytest.raises(SweepFileError) as caught:
        parse(pseudo, **raw)
    assert message in str(caught.value)


def test_a_team_of_all_has_no_bound():
    assert parse({**ASKED, "agreement": 99}, ensemble={"select": "all"}).pseudo_labels.agreement == 99


def test_nothing_ends_a_trial_of_the_second_stage_early():
    scheduler = stage_scheduler(parse(ASKED, scheduler={"method": "asha", "max_epochs": 9, "audit": 2}), PSEUDO)
    assert (scheduler.method, scheduler.max_epochs, scheduler.audit, scheduler.patience) == ("none", 9, 0, None)
