import pytest

from runner.config.overrides import apply_overrides
from trainables.errors import SweepFileError

TRIAL_KEYS = ["model.width", "optimizer.lr", "model.dropout", "model.blocks"]


def apply(raw, *words):
    return apply_overrides(raw, words, TRIAL_KEYS)


@pytest.mark.parametrize(
    ("word", "searched"),
    [
        ("model.width=16,32", {"model.width": {"choice": [16, 32]}}),
        ("model.dropout=0..0.5", {"model.dropout": {"uniform": [0, 0.5]}}),
        ("optimizer.lr=1e-4..1e-1:log", {"optimizer.lr": {"log": [1e-4, 1e-1]}}),
        ("model.blocks=1..4:int", {"model.blocks": {"int": [1, 4]}}),
        ("search.space.model.width=16,32", {"model.width": {"choice": [16, 32]}}),
    ],
)
def test_several_values_and_ranges_become_part_of_the_search(word, searched):
    assert apply({}, word) == {"search": {"space": searched}}


def test_a_searched_key_is_no_longer_set():
    raw = {"optimizer": {"lr": 0.1, "name": "sgd"}}
    assert apply(raw, "optimizer.lr=1e-3..1:log") == {
        "optimizer": {"name": "sgd"},
        "search": {"space": {"optimizer.lr": {"log": [1e-3, 1]}}},
    }


def test_a_set_key_is_no_longer_searched():
    raw = {"search": {"space": {"optimizer.lr": {"log": [1e-3, 1]}}}}
    assert apply(raw, "optimizer.lr=0.05") == {"search": {"space": {}}, "optimizer": {"lr": 0.05}}


def test_numbers_words_and_truth_are_read_as_in_a_sweep_file():
    assert apply({}, "search.trials=48", "precision=no", "model.batch_norm=false", "x=1e-3") == {
        "search": {"trials": 48},
        "precision": "no",
        "model": {"batch_norm": False},
        "x": 1e-3,
    }


def test_the_last_override_wins():
    assert apply({}, "search.trials=1", "search.trials=2") == {"search": {"trials": 2}}


def test_another_source_of_images_takes_the_place_of_the_files_own():
    raw = {"data": {"name": "digits", "validation": 0.2}}
    assert apply(raw, "data.path=../images,large") == {"data": {"validation": 0.2, "path": "../images,large"}}


def test_a_store_may_be_given_as_a_word_or_in_parts():
    assert apply({"store": "runs"}, "store.endpoint_url=http://127.0.0.1:9000", "store=s3://b/p") == {
        "store": {"uri": "s3://b/p", "endpoint_url": "http://127.0.0.1:9000"}
    }


def test_the_file_itself_is_left_as_it_was():
    raw = {"search": {"trials": 24}}
    apply(raw, "search.trials=48")
    assert raw == {"search": {"trials": 24}}


@pytest.mark.parametrize("word", ["search.trials", "=3", "search.trials=", "48"])
def test_a_word_that_is_no_override_is_refused(word):
    with pytest.raises(SweepFileError, match="key=value"):
        apply({}, word)


def test_a_key_below_a_plain_value_is_refused():
    with pytest.raises(SweepFileError, match="no keys below"):
        apply({"name": "digits"}, "name.first=x")
