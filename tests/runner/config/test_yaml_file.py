import pytest

from runner.config.yaml_file import parse_yaml, read_sweep_file
from trainables.errors import SweepFileError


def write(folder, text):
    path = folder / "sweep.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_yaml_is_read_as_people_mean_it(tmp_path):
    assert read_sweep_file(write(tmp_path, "lr: 1e-3\nname: no\nwall: 1:30\nwidth: 010\n")) == {
        "lr": 0.001,
        "name": "no",
        "wall": "1:30",
        "width": 10,
    }


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdef", "bcdefg", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "is a list, not a mapping"),
        ("", "is empty"),
        ("just words", "is a str"),
        ("a: 1\na: 2\n", "duplicate key"),
        ("a: [1, 2\n", "not valid YAML"),
        (b"\xff\xfe\x00", "UTF-8"),
        (LAUGHS, "nested aliases"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("a: !!python/object/apply:os.system ['true']\n", "not valid YAML"),
    ],
)
def test_what_is_no_sweep_file_is_refused_by_name(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(SweepFileError, match=message) as caught:
        read_sweep_file(path)
    assert str(caught.value).startswith(path)


def test_a_missing_file_is_refused_with_those_that_are_there(tmp_path):
    write(tmp_path, "a: 1")
    with pytest.raises(SweepFileError, match=r"no such sweep file; there are .*sweep\.yaml"):
        read_sweep_file(str(tmp_path / "sweeps.yaml"))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(SweepFileError, match="cannot be read"):
        read_sweep_file(str(tmp_path))


def test_a_huge_file_is_refused_unread(tmp_path):
    with pytest.raises(SweepFileError, match="larger than"):
        read_sweep_file(write(tmp_path, "a: " + "x" * 1_000_001))


def test_a_plain_value_is_a_plain_value():
    assert parse_yaml("1e-3", "here") == 0.001
