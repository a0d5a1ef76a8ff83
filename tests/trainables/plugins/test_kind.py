"""Names of parts: built in, imported, installed, registered; and which of them may be imported."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from ensembles.config import EnsembleConfig
from trainables.errors import PluginUnusable
from trainables.plugins.kind import Kind, is_plugin
from trainables.plugins.kinds import KINDS, MODEL, RULE, SCHEDULER, SEARCH, SELECTION, VOTE
from trainables.plugins.trust import trust

CODE = "def trimmed(tables, weights): ...\nclass Learns: ...\nNUMBER = 3\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module of a name of its own in the current folder."""
    name = f"parts_{abs(hash(request.node.nodeid))}"
    (tmp_path / f"{name}.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return name


def install(folder: Path, package: str, group: str, **entries: str) -> None:
    """What an installer writes of a package with entry points."""
    place = folder / f"{package.replace('-', '_')}-1.0.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (place / "entry_points.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name.replace(" ", "-"))
def test_every_built_in_part_is_there(kind: Kind) -> None:
    for name in kind.names:
        assert callable(kind.find(name.replace("*", "resnet18"))), name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mymodule:build", True),
        ("my.module:build", True),
        ("my-parts/trimmed", True),
        ("My.Parts_2/trimmed.mean", True),
        ("torchvision/resnet18", False),
        ("timm/resnet18.a1_in1k", False),
        ("cnn", False),
        ("", False),
        (":build", False),
        ("a:b:c", False),
        ("a/b/c", False),
        ("/tmp/net", False),
        ("../net", False),
        ("a b/c", False),
        ("a:build()", False),
        (3, False),
        (None, False),
    ],
)
def test_a_plugin_is_known_by_the_form_of_its_name(name: object, expected: bool) -> None:
    assert is_plugin(name) is expected


def test_a_record_with_a_plugin_can_be_read_where_that_is_not_installed() -> None:
    assert EnsembleConfig(vote="nobody-has/this", select="nor:that").vote == "nobody-has/this"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ({"vote": "sfot"}, "Input should be 'hard', 'majority', .*'stacked', module:function or package/name"),
        ({"select": "a b"}, "Input should be 'best', 'top'"),
        ({"vote": 3}, "Input should be a valid string"),
    ],
)
def test_any_other_name_is_refused_with_the_names_that_there_are(section: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        EnsembleConfig.model_validate(section)


def test_names_of_models_have_their_prefixes() -> None:
    for name in ("cnn", "torchvision/resnet18", "timm/x.y", "my-parts/tiny", "m:f"):
        assert MODEL.check(name) == name

    for wrong in ("torchvision/", "torchvision/a/b", "resnet18", "torchvision/*"):
        with pytest.raises(
            PydanticCustomError, match=r"'cnn', torchvision/NAME, timm/NAME, module:function or package/name"
        ):
            MODEL.check(wrong)


def test_a_module_in_the_current_folder_is_found(module: str) -> None:
    trust([f"{module}:trimmed"])
    assert VOTE.find(f"{module}:trimmed").__name__ == "trimmed"


def test_what_nobody_has_named_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "unasked_part.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    install(tmp_path / "site", "unasked", "caucus.votes", first="unasked_part:vote")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.chdir(tmp_path)
    for name in ("unasked_part:vote", "unasked/first"):
        with pytest.raises(PluginUnusable, match=rf"ensemble.vote is {name}: a store or a bundle says so, and not you"):
            VOTE.find(name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        (VOTE, "{m}:trimed", "ensemble.vote is .*: .* has no function trimed; it has trimmed"),
        (VOTE, "{m}:NUMBER", "has no function NUMBER"),
        (SEARCH, "no_such_module_here:X", "search.method is .* cannot be imported .*folder of the sweep file"),
        (SCHEDULER, "{m}.deeper:X", "scheduler.method is .* cannot be imported"),
        (
            VOTE,
            "no-such-package/x",
            "no installed package no-such-package registers x as a vote .*caucus.votes.*install it",
        ),
    ],
)
def test_what_cannot_be_found_is_named_with_what_to_do(module: str, kind: Kind, name: str, said: str) -> None:
    name = name.format(m=module)
    trust([name])
    with pytest.raises(PluginUnusable, match=said):
        kind.find(name)


def test_a_rule_is_a_value(module: str) -> None:
    trust([f"{module}:NUMBER"])
    assert RULE.find(f"{module}:NUMBER") == 3


def test_an_installed_package_is_found_by_its_name_as_indexes_compare_it(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "My_Parts", "caucus.votes", trimmed=f"{module}:trimmed", gone=f"{module}:gone")
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path)
    assert set(VOTE.entries()) == {"my-parts/trimmed", "my-parts/gone"}
    assert not SELECTION.entries()
    trust(["my.parts/trimmed", "my-parts/gone", "my-parts/other"])
    assert VOTE.find("my.parts/trimmed") is importlib.import_module(module).trimmed
    assert VOTE.module_of("my-parts/trimmed") == module
    with pytest.raises(PluginUnusable, match=r"package My_Parts registers as .*:gone, but that cannot be imported"):
        VOTE.find("my-parts/gone")
    with pytest.raises(PluginUnusable, match=r"there are my-parts/gone, my-parts/trimmed"):
        VOTE.find("my-parts/other")
    assert not [entry for entry in entry_points(group="caucus.votes") if entry.name == "other"]


def test_a_decorator_registers_a_part_for_this_process() -> None:
    @VOTE.register("mine/registered-here")
    def vote(tables: object, weights: object) -> None: ...

    assert VOTE.find("mine/registered-here") is vote
    assert VOTE.module_of("mine/registered-here") == ""
    with pytest.raises(PluginUnusable, match=r"no installed package mine registers"):
        SELECTION.find("mine/registered-here")  # another kind


@pytest.mark.parametrize("name", ["soft", "median", "a:b", "mine/", "torchvision/mine", ""])
def test_a_registered_name_cannot_be_taken_for_a_built_in_one(name: str) -> None:
    with pytest.raises(PluginUnusable, match=r"a vote was registered as .*a name is package/name, such as mine/"):
        VOTE.register(name)
