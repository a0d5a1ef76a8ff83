import os

import pytest

from runner.cluster.node_types import read_neighbour
from runner.control.price import find_price
from tests.sample_runs.sample_run import make_spec
from trainables.errors import SweepFileError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """A folder without a cluster file; that of the checkout has no say here either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("runner.control.price.CHECKOUT", tmp_path / "nowhere")
    return tmp_path


def test_the_sweep_files_price_comes_first(elsewhere):
    (elsewhere / "cluster.yaml").write_text("metadata: {price_per_node_hour: 1.5}\n")
    assert find_price(make_spec("runs", budget={"price": 3.0})) == 3.0
    assert find_price(make_spec("runs")) == 1.5


def test_without_a_price_there_is_none():
    assert find_price(make_spec("runs")) is None


def test_a_budget_of_money_without_a_price_is_refused_by_name(elsewhere):
    (elsewhere / "cluster.yaml").write_text("metadata: {owner: me}\n")
    with pytest.raises(SweepFileError, match=r"budget\.money is 5, but no price is known: set budget\.price"):
        find_price(make_spec("runs", budget={"money": 5.0}))


@pytest.mark.parametrize("price", ["cheap", "0", "-1", "true", ".inf"])
def test_a_price_that_is_no_number_above_zero_is_refused(elsewhere, price):
    (elsewhere / "cluster.yaml").write_text(f"metadata: {{price_per_node_hour: {price}}}\n")
    with pytest.raises(SweepFileError, match=r"metadata\.price_per_node_hour is .*: a number above 0 is needed"):
        find_price(make_spec("runs"))


def test_a_cluster_file_that_cannot_be_read_is_no_file_without_a_price(elsewhere):
    (elsewhere / "cluster.yaml").mkdir()
    rule = r"cluster\.yaml: cannot be read \(Is a directory\) for price_per_node_hour: repair or move it"
    with pytest.raises(SweepFileError, match=rule):
        find_price(make_spec("runs"))


@pytest.mark.parametrize("kind", ["pipe", "device", "large"])
def test_a_cluster_file_without_an_end_is_refused_and_not_waited_for(elsewhere, kind):
    path = elsewhere / "cluster.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_text("#" * 1_000_001)
    reason = "larger than 1,000,000 bytes" if kind == "large" else "a pipe or a device, no file"
    with pytest.raises(SweepFileError, match=rf"cluster\.yaml: cannot be read \({reason}\)"):
        find_price(make_spec("runs"))
    assert read_neighbour(str(elsewhere / "sweep.yaml")) is None


def test_of_several_types_of_node_the_dearest_counts(elsewhere):
    (elsewhere / "cluster.yaml").write_text("metadata: {price_per_node_hour: {small: 1, large: 5.5}}\n")
    assert find_price(make_spec("runs")) == 5.5


def test_a_type_whose_price_is_no_number_is_refused_by_name(elsewhere):
    (elsewhere / "cluster.yaml").write_text("metadata: {price_per_node_hour: {small: 1, large: dear}}\n")
    with pytest.raises(SweepFileError, match=r"metadata\.price_per_node_hour\.large is 'dear': a number above 0"):
        find_price(make_spec("runs"))
