import re
from pathlib import Path

import pytest

from runner.runs.locate import existing_run, locate
from tests.sample_runs.sample_run import write_sample_run
from trainables.errors import RunMissing, StoreError, StoreTooNew, SweepFileError
from trainables.store import layout
from trainables.store.folder import Folder
from trainables.store.json_records import mark_format, to_json
from trainables.store.open import open_store


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder with two runs of `dots` in `runs`, the sample and an older one, and the sweep's file."""
    monkeypatch.chdir(tmp_path)
    run = write_sample_run(Path("runs"))
    run.store.put(layout.run_key("dots", "older", layout.SWEEP), b"{}")
    Path("dots.yaml").write_text("name: dots\ndata: {path: images}\nstore: runs\n")
    return run


def add_sweep(store, name):
    store.put(layout.run_key(name, "r1", layout.SWEEP), b"{}")
    store.put(layout.latest_key(name), b"r1\n")


@pytest.mark.parametrize(
    "raw",
    [
        "dots",
        "dots/",
        "dots/{run}",
        "runs/sweeps/dots",
        "runs/sweeps/dots/",
        "runs/sweeps/dots/{run}",
        "runs/sweeps/dots/{run}/",
        "./runs/sweeps/dots",
        "sweeps/dots",
        "sweeps/dots/{run}",
        "{folder}/runs/sweeps/dots",
        "runs",
        "runs/",
        "{folder}/runs",
        "dots.yaml",
        "./dots.yaml",
        "{folder}/dots.yaml",
    ],
)
def test_a_run_is_found_by_any_of_its_names(place, tmp_path, raw):
    found = locate(raw.format(run=place.run_id, folder=tmp_path), "runs", None)
    assert (found.name, found.run) == ("dots", place.run_id)
    assert found.store.stat(layout.run_key(found.name, found.run, layout.SWEEP))
    assert Path(found.store.uri).resolve() == tmp_path / "runs"


@pytest.mark.parametrize("raw", ["dots/older", "runs/sweeps/dots/older", "runs/sweeps/dots/older/"])
def test_a_run_that_is_not_the_latest_is_found_by_its_own_name(place, raw):
    assert locate(raw, "runs", None).run == "older"


def test_a_path_names_its_own_store_whatever_the_default_is(place):
    assert locate("runs/sweeps/dots", "elsewhere", None).store.uri == "runs"
    assert locate("dots.yaml", "elsewhere", None).store.uri == "runs"


def test_the_default_store_is_where_a_bare_name_is_looked_up(place, tmp_path):
    other = Folder(tmp_path / "other")
    mark_format(other, "1")
    add_sweep(other, "dots")
    assert locate("dots", "other", None).run == "r1"
    assert locate("dots", "runs", None).run == place.run_id


def test_a_folder_in_the_way_of_a_name_is_no_store(place, tmp_path):
    (tmp_path / "dots").mkdir()
    assert locate("dots", "runs", None).run == place.run_id


def test_a_sweep_whose_name_ends_in_sweeps_is_no_path(place):
    add_sweep(place.store, "my-sweeps")
    assert locate("my-sweeps/r1", "runs", None).name == "my-sweeps"
    assert locate("my-sweeps", "runs", None).run == "r1"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("dot", "runs holds no sweep 'dot'; did you mean dots?"),
        ("zebra", "runs holds no sweep 'zebra'; known are dots"),
        ("runs/sweeps/dotz", "runs holds no sweep 'dotz'; did you mean dots?"),
        ("dots/oldest", "runs holds no run 'oldest' of sweep 'dots'; did you mean older?"),
        ("dots/zzz", "runs holds no run 'zzz' of sweep 'dots'; known are {run}, older"),
    ],
)
def test_a_run_that_is_not_there_is_refused_with_the_nearest_one(place, raw, message):
    names = ", ".join(sorted([place.run_id, "older"]))
    with pytest.raises(RunMissing, match=re.escape(message.replace("{run}, older", names))):
        locate(raw, "runs", None)


def test_a_sweep_whose_latest_run_is_gone_is_refused(place):
    place.store.put(layout.latest_key("dots"), b"gone")
    with pytest.raises(RunMissing, match="holds no run 'gone' of sweep 'dots'"):
        locate("dots", "runs", None)


def test_a_store_with_several_sweeps_asks_which(place):
    add_sweep(place.store, "digits")
    with pytest.raises(RunMissing, match=r"runs holds 2 sweeps \(digits, dots\): name a run as"):
        locate("runs", "runs", None)


def test_a_store_without_a_sweep_says_so(place, tmp_path):
    mark_format(Folder(tmp_path / "empty"), "1")
    with pytest.raises(RunMissing, match=r"empty holds 0 sweeps \(none\): name a run as"):
        locate("empty", "runs", None)


@pytest.mark.parametrize(("raw", "store"), [("dots", "other"), ("other/sweeps/dots", "runs"), ("dots", "nowhere")])
def test_a_folder_that_is_no_store_is_refused(place, tmp_path, raw, store):
    (tmp_path / "other").mkdir()
    with pytest.raises(RunMissing, match=r"(other|nowhere) is no store of Caucus: name a run as digits, digits/"):
        locate(raw, store, None)


def test_a_store_that_is_a_file_is_refused(place):
    with pytest.raises(StoreError, match="no folder"):
        locate("dots", "dots.yaml", None)


def test_a_store_of_a_later_version_is_refused(place):
    place.store.put(layout.FORMAT_KEY, to_json({"format": layout.FORMAT + 1, "written_by": "9.0"}))
    with pytest.raises(StoreTooNew, match=r"written by Caucus 9\.0"):
        locate("dots", "runs", None)


def test_a_sweep_file_that_is_missing_is_refused(place):
    with pytest.raises(SweepFileError, match=r"dotz\.yaml: no such sweep file; there are dots\.yaml"):
        locate("dotz.yaml", "runs", None)


def test_a_sweep_file_may_lie_in_a_folder_called_sweeps(place, tmp_path):
    (tmp_path / "sweeps").mkdir()
    Path("dots.yaml").rename("sweeps/dots.yaml")
    assert locate("sweeps/dots.yaml", "elsewhere", None).run == place.run_id


def test_nothing_is_written(place):
    before = place.files()
    locate("dots", "runs", None)
    with pytest.raises(RunMissing):
        locate("dotz", "runs", None)
    assert place.files() == before


def test_a_run_in_a_bucket_is_found_by_its_uri(place, moto_s3, monkeypatch):
    from trainables.store.open import open_store

    moto_s3.login(monkeypatch)
    uri = f"s3://{moto_s3.new_bucket()}/nightly"
    store = open_store(uri)
    mark_format(store, "1")
    add_sweep(store, "digits")
    for each in ("digits", "digits/r1", uri, f"{uri}/", f"{uri}/sweeps/digits", f"{uri}/sweeps/digits/r1/"):
        found = locate(each, uri if each.startswith("digits") else "runs", None)
        assert (found.store.uri, found.name, found.run) == (uri, "digits", "r1")


@pytest.mark.parametrize(
    "raw", ["digits/..", "digits/../../x", "../x", "digits/\0", "\x1b[31m", "digits/a/b\\c", "d" * 999]
)
def test_what_can_name_no_run_is_refused_as_a_missing_one_is(place, raw):
    with pytest.raises(RunMissing, match="is no name of a run: name a run as"):
        existing_run(open_store("runs"), raw)


def test_a_run_without_its_first_record_names_the_missing_record(place):
    key = layout.run_key("dots", "older", layout.SWEEP)
    place.store.delete(key)
    place.store.put(layout.run_key("dots", "older", layout.STATUS), b"{}")
    with pytest.raises(RunMissing, match=f"^runs/{re.escape(key)} is missing: restore it, or run the sweep again"):
        locate("dots/older", "runs", None)


def test_a_sweep_that_does_not_say_which_run_is_its_newest_lists_them(place):
    place.store.delete(layout.latest_key("dots"))
    with pytest.raises(RunMissing, match=f"latest is missing: name the run itself .*dots/{place.run_id}"):
        locate("dots", "runs", None)
