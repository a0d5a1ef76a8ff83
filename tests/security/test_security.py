"""What a stranger may have written is refused or inert: data sets, sweep files, bundles and everything in a store."""

from __future__ import annotations

import ast
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from runner.cli.main import app
from runner.journal.journal import seal
from tests.sample_runs import sample_run
from tests.sample_runs.sample_run import SampleRun, write_sample_run
from tests.sample_runs.sweeps import CAUCUS
from tests.security.poison import INERT, LIMIT_BYTES, POISONS, ROOT, tensors, touching, write_all
from tests.services.chromium import PROGRAM, Page, browser
from trainables.errors import StoreError
from trainables.plugins import trust as trusted_code
from trainables.results.checkpoint import CheckpointId, committed_epochs, read_part, write_checkpoint
from trainables.results.config_file import write_config
from trainables.store import layout
from trainables.store.base import sha256_of
from trainables.store.folder import Folder
from trainables.store.json_records import get_json, seal_json
from trainables.store.s3 import S3Store

SCRIPT = "</style></script></svg><script>document.title='ran'</script><img src=//evil.example onerror=\"document.title='ran'\">"
LINK = "javascript:document.title='ran'"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("poison")
    write_all(folder)
    # One arena of malloc: each further one would count as 64 MB that nobody uses.
    env = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.security.poison", str(folder)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {one["name"]: one for one in lines}


@pytest.mark.parametrize("name", POISONS)
def test_what_is_poisoned_is_refused_with_its_reason_in_little_memory(
    answers: dict[str, dict[str, Any]], name: str
) -> None:
    answer = answers[name]
    assert answer["refused"], answer["said"]
    assert re.search(POISONS[name].said, answer["said"])
    assert not answer["ran"]
    assert answer["took_mb"] < LIMIT_BYTES / 1e6


@pytest.mark.parametrize("name", INERT)
def test_what_is_odd_but_harmless_is_read_in_little_memory(answers: dict[str, dict[str, Any]], name: str) -> None:
    assert (answers[name]["said"], answers[name]["ran"]) == ("", False)
    assert answers[name]["took_mb"] < LIMIT_BYTES / 1e6


# What lies in a store


@pytest.fixture
def run(tmp_path: Path) -> SampleRun:
    return write_sample_run(tmp_path / "runs")


@dataclass(frozen=True)
class Said:
    """What a verb came to."""

    returncode: int
    output: str


@pytest.fixture
def caucus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """Runs a verb as a person types it, in `tmp_path`; unhandled exceptions are raised."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(trusted_code, "_TRUSTED", set())

    def run_verb(*arguments: str) -> Said:
        done = CliRunner().invoke(app, list(arguments))
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Said(done.exit_code, done.output)

    return run_verb


Caucus = Callable[..., Said]

VERBS: tuple[tuple[str, ...], ...] = (
    ("status", "dots"),
    ("top", "dots"),
    ("diagnose", "dots"),
    ("report", "dots", "--out", "report.html"),
    ("prune", "runs"),
)


def rewrite(run: SampleRun, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Every record and every event of the store is what `change` makes of it, with a seal that holds: a stranger can write it too."""
    for found in run.store.find(""):
        if found.key.endswith(".json") and not found.key.endswith(layout.MANIFEST):
            run.store.put(found.key, seal_json(change(get_json(run.store, found.key))))
        if found.key.endswith(".jsonl"):
            lines, chained = [], 0
            for line in run.store.get(found.key).splitlines():
                record = json.loads(line)
                del record["sum"]
                sealed, chained = seal(json.dumps(change(record)).encode() + b"\n", chained)
                lines.append(sealed)
            run.store.put(found.key, b"".join(lines))


def test_fields_that_ray_tune_would_unpickle_are_words(run: SampleRun, caucus: Caucus, tmp_path: Path) -> None:
    fallback = {"_type": "CLOUDPICKLE_FALLBACK", "value": touching(tmp_path).hex()}

    def spoil(value: Any) -> Any:
        return fallback | {key: spoil(below) for key, below in value.items()} if isinstance(value, dict) else value

    rewrite(run, lambda record: {"_type": fallback["_type"], "value": fallback["value"], **record})
    check_that_nothing_runs(caucus, tmp_path)
    rewrite(run, spoil)
    check_that_nothing_runs(caucus, tmp_path)


def check_that_nothing_runs(caucus: Caucus, folder: Path, *more: tuple[str, ...]) -> None:
    for verb in (*VERBS, *more):
        assert caucus(*verb).returncode in (0, 2)
    assert not (folder / "ran").exists()


PARTS = ("weights.safetensors", "validation.arrow", "test.arrow", "metrics.json", "timing.json", "watched.arrow")


def test_pickles_in_checkpoints_whose_manifests_hold_are_not_run(
    run: SampleRun, caucus: Caucus, tmp_path: Path
) -> None:
    checkpoints = [CheckpointId(trial.trial_id, epoch) for trial in run.trials[:2] for epoch in (1, 2, 3)]
    for checkpoint, part in zip(checkpoints, PARTS, strict=True):
        write_part(run.store, checkpoint, part, touching(tmp_path))
    check_that_nothing_runs(caucus, tmp_path, ("export", "dots", "bundle"))
    for checkpoint in checkpoints:
        for part in PARTS:
            write_part(run.store, checkpoint, part, touching(tmp_path))
    check_that_nothing_runs(caucus, tmp_path, ("export", "dots", "bundle"))


def write_part(store: Folder, checkpoint: CheckpointId, part: str, data: bytes) -> None:
    """Put `data` into a checkpoint, with a manifest that matches it."""
    parts = {
        found.key.rpartition("/")[2]: store.get(found.key)
        for found in store.find(checkpoint.key(""))
        if not found.key.endswith(layout.MANIFEST)
    }
    store.delete(checkpoint.key(layout.MANIFEST))  # else it is taken for whole, and left alone
    write_checkpoint(store, checkpoint, parts | {part: data})


def test_a_model_that_a_store_names_is_not_imported_unless_a_person_says_so(
    caucus: Caucus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    (tmp_path / "evil.py").write_text("from pathlib import Path\nPath('ran').touch()\nbuild = print\n")
    model = {"name": "evil:build"}
    monkeypatch.setattr(sample_run, "make_spec", lambda uri, make=sample_run.make_spec: make(uri, model=model))
    run = write_sample_run(tmp_path / "runs")
    for trial in run.trials:
        write_config(run.store, trial)
        for epoch in committed_epochs(run.store, trial.trial_id):
            write_part(run.store, CheckpointId(trial.trial_id, epoch), layout.WEIGHTS, tensors({}))
    done = caucus("export", "dots", "bundle")
    assert done.returncode == 2
    assert "evil:build: a store or a bundle says so, and not you" in done.output
    assert not (tmp_path / "ran").exists()
    done = caucus("export", "dots", "bundle", "--custom-code")
    assert done.returncode == 2
    assert "it returned NoneType" in done.output
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "key",
    ["../x", "a/../../x", "/etc/passwd", "a//b", "a/./b", "a\0b", "a\nb", "a\\..\\b", "", ".caucus-x", "x" * 2000],
)
def test_a_key_that_leads_elsewhere_is_refused_by_each_store_and_method(tmp_path: Path, key: str) -> None:
    for store in (Folder(tmp_path / "runs"), S3Store("bucket", "prefix", "http://127.0.0.1:9")):
        for act in (store.get, store.stat, store.delete, lambda key, store=store: store.put(key, b"x")):
            with pytest.raises(StoreError, match="cannot name an object"):
                act(key)
    assert [path.name for path in tmp_path.rglob("*")] == []


@pytest.mark.parametrize("latest", ["../../../elsewhere", "/etc/passwd", "a\0b", "x" * 5000])
def test_a_run_whose_name_leads_elsewhere_is_refused(run: SampleRun, caucus: Caucus, latest: str) -> None:
    run.store.put(layout.latest_key("dots"), latest.encode())
    for verb in VERBS[:4]:
        done = caucus(*verb)
        assert done.returncode == 2
        assert "dots/latest is not what was written" in done.output


def test_a_link_in_a_folder_store_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "trials").symlink_to(tmp_path / "elsewhere")
    store = Folder(tmp_path / "runs")
    with pytest.raises(StoreError, match="not written through"):
        store.put("trials/a/config.json", b"{}")
    with pytest.raises(StoreError, match="not written through"):
        store.delete("trials/x")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_part_that_a_manifest_names_elsewhere_is_not_read(run: SampleRun, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    checkpoint = CheckpointId(run.trials[0].trial_id, 3)
    manifest = get_json(run.store, checkpoint.key(layout.MANIFEST))
    manifest["parts"] = {"../../../../secret": {"size_bytes": 6, "sha256": sha256_of(b"secret")}}
    run.store.put(checkpoint.key(layout.MANIFEST), seal_json(manifest))
    with pytest.raises(StoreError, match="cannot name an object"):
        read_part(run.store, checkpoint, "../../../../secret")


# What a person looks at


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    if PROGRAM is None:
        pytest.skip("no chromium: apt-get install chromium")
    with browser() as found:
        yield found


def test_strangers_words_in_a_report_run_nothing_ask_for_nothing_and_lead_nowhere(
    page: Page, run: SampleRun, caucus: Caucus, tmp_path: Path
) -> None:
    rewrite(run, poison_words)
    done = caucus("report", "dots", "--out", "report.html")
    assert done.returncode == 0, done.output
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("&lt;script&gt;document.title") > 3, "the poison did not reach the report"
    page.requests.clear()
    page.complaints.clear()
    page.show(tmp_path / "report.html")
    assert page.ask("document.title") != "ran"
    assert page.ask("[...document.links].every((each) => each.getAttribute('href').startsWith('#'))")
    assert page.ask("document.querySelectorAll('script').length") == 1
    # Small pictures of images that were found odd are in the page itself.
    assert page.ask("[...document.images].every((each) => each.src.startsWith('data:image/png;base64,'))")
    assert (
        page.ask("document.querySelectorAll('iframe, object, embed, form, base, meta[http-equiv=refresh]').length") == 0
    )
    assert page.complaints == []
    asked = [uri for uri in page.requests if not uri.startswith("data:")]
    assert asked == [(tmp_path / "report.html").resolve().as_uri()]


def poison_words(record: dict[str, Any]) -> dict[str, Any]:
    """Names, reasons, notes, commands and versions become scripts and links."""
    return record | {
        key: value
        for key, value in {
            "reason": SCRIPT + LINK,
            "versions": {SCRIPT: LINK},
            "name": LINK,
            "class_names": [SCRIPT, LINK, SCRIPT + LINK],
            "command": SCRIPT + LINK,
        }.items()
        if record.get(key)
    }


def test_words_of_a_store_are_no_commands_to_a_terminal(run: SampleRun, caucus: Caucus) -> None:
    payload = "\x1b[2J\x1b]8;;//evil\x07x[/no]"
    rewrite(run, lambda record: record | ({"reason": payload} if record.get("reason") else {}))
    for verb in VERBS[:3]:
        done = caucus(*verb)
        assert done.returncode == 0, done.output
        assert not set(done.output) & set("\x1b\x07")
    assert "x[/n" in caucus("top", "dots").output


# The program itself


DANGEROUS = {
    "pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "tarfile",
}  # fmt: skip
READS_ARCHIVES = "trainables/places/archive.py"
"""The one file that opens tar archives. It reads entries where they lie; that nothing is extracted holds for all files."""
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "torch.load",
    "os.system",
    "os.popen",
    "yaml.load",
    "shutil.unpack_archive",
}
KNOWN_IMPORTS = {"trainables/plugins/kind.py"}
"""Where a module is imported by a name that is not in the source; `check_trusted` stands before it."""


def sources() -> list[Path]:
    return [path for room in ("trainables", "ensembles", "runner") for path in sorted((ROOT / room).rglob("*.py"))]


def test_nothing_in_the_sources_unpickles_evaluates_or_starts_a_shell() -> None:
    assert len(sources()) > 100
    for path in sources():
        where = str(path.relative_to(ROOT))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
                allowed = {"tarfile"} if where == READS_ARCHIVES else set()
                assert not {name.partition(".")[0] for name in names} & (DANGEROUS - allowed), where
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in FORBIDDEN_CALLS, f"{where}: {called}"
                assert called.rpartition(".")[2] not in ("extract", "extractall"), f"{where}: {called}"
                assert called != "importlib.import_module" or where in KNOWN_IMPORTS, where
                options = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert options.get("shell", "False") == "False", where
                assert options.get("allow_pickle", "False") == "False", where
                if called == "np.load":
                    assert options.get("allow_pickle") == "False", where


def test_what_is_written_is_not_for_everybody_to_change_whatever_the_shell_says(run: SampleRun, tmp_path: Path) -> None:
    command = ["sh", "-c", 'umask 000; exec "$@"', "sh", *CAUCUS, "report", "dots"]
    (tmp_path / "runs" / "sweeps" / "dots" / run.run_id / layout.REPORT).unlink(missing_ok=True)
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.output
    written = tmp_path / "runs" / "sweeps" / "dots" / run.run_id / layout.REPORT
    assert not stat.S_IMODE(written.stat().st_mode) & stat.S_IWOTH
    ledger = next((tmp_path / "runs").glob("data/*/ledger"))
    assert not stat.S_IMODE(ledger.stat().st_mode) & stat.S_IWOTH
