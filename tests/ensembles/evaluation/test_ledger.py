import pytest

from ensembles.evaluation.ledger import Ledger, Uses, read_ledger, record_decision, record_use
from trainables.errors import StoreError
from trainables.store.folder import Folder

IMAGES = {"validation": 300, "test": 250}


@pytest.fixture
def store(tmp_path):
    return Folder(tmp_path, "runs")


def counts(ledger):
    return {use.split: use.decisions for use in ledger.uses}


def test_the_same_decision_of_the_same_run_counts_once(store):
    for _ in range(3):
        ledger = record_use(store, "d1", IMAGES, "dots/r1", {"ensemble": {"size": 4, "vote": "soft"}})
    assert counts(ledger) == {"validation": 1, "test": 1}
    assert counts(record_use(store, "d1", IMAGES, "dots/r1", {"ensemble": {"vote": "soft", "size": 4}})) == {
        "validation": 1,
        "test": 1,
    }


def test_another_choice_another_run_and_another_data_set_count_for_themselves(store):
    record_use(store, "d1", IMAGES, "dots/r1", {"ensemble": {"size": 4}})
    record_use(store, "d1", IMAGES, "dots/r1", {"ensemble": {"size": 5}})
    record_use(store, "d1", IMAGES, "dots/r2", {"ensemble": {"size": 4}})
    record_use(store, "d2", IMAGES, "dots/r2", {"ensemble": {"size": 4}})
    record_decision(store, "d1", "validation", "dots/r1", {"labelled": True})
    assert counts(read_ledger(store, "d1", IMAGES)) == {"validation": 4, "test": 3}
    assert counts(read_ledger(store, "d2", IMAGES)) == {"validation": 1, "test": 1}


def test_two_writers_write_different_objects(store):
    record_use(store, "d1", IMAGES, "dots/r1", {"ensemble": {"size": 4}})
    before = {found.key: store.get(found.key) for found in store.find("")}
    record_use(store, "d1", IMAGES, "dots/r1", {"ensemble": {"size": 5}})
    after = {found.key: store.get(found.key) for found in store.find("")}
    assert len(after) == 4
    assert before.items() <= after.items()
    assert all(key.startswith(("data/d1/ledger/test/", "data/d1/ledger/validation/")) for key in after)


@pytest.mark.parametrize(("images", "limit"), [(99, 1), (250, 2), (10_000, 100)])
def test_a_split_bears_one_decision_for_every_hundred_images(images, limit):
    assert Uses("test", limit, images).limit == limit
    assert not Uses("test", limit, images).is_due
    assert Uses("test", limit + 1, images).is_due


def test_the_warning_says_which_split_and_what_to_do():
    ledger = Ledger("d1", (Uses("validation", 1, 300), Uses("test", 3, 250)))
    assert ledger.warnings == (
        "test was used for 3 decisions, and its 250 images bear 2: keep new images for the next verdict, such as with "
        "another data.split_seed",
    )
    payload = ledger.to_dict()
    assert payload["test"] == {"split": "test", "decisions": 3, "images": 250, "limit": 2, "rotate": True}
    assert (payload["validation"]["rotate"], payload["recorded"], payload["refused"]) == (False, True, None)
    assert payload["warnings"] == list(ledger.warnings)


def test_a_store_that_refuses_is_read_and_says_so(store, monkeypatch):
    record_use(store, "d1", IMAGES, "dots/r1", {"ensemble": {"size": 4}})

    def refuse(self, key, data):
        raise StoreError("store runs: the file system is read-only")

    monkeypatch.setattr(Folder, "put", refuse)
    ledger = record_use(store, "d1", IMAGES, "dots/r1", {"ensemble": {"size": 5}})
    assert counts(ledger) == {"validation": 1, "test": 1}
    assert ledger.to_dict()["recorded"] is False
    assert ledger.to_dict()["refused"] == "store runs: the file system is read-only"
    # What stands there already needs no writing.
    assert record_use(store, "d1", IMAGES, "dots/r1", {"ensemble": {"size": 4}}).refused == ""
