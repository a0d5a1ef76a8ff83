"""Arguments of the command, and its messages where they cannot be followed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runner.cli import change, deploy, prepare, results
from runner.cli.main import VERBS, app
from tests.services.servers import free_ports

SWEEP = """
name: t
data: {name: digits}
search: {trials: 2, space: {optimizer.lr: {log: [1e-3, 1e-1]}}}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder to work in, with a sweep file that is fine."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    Path("sweep.yaml").write_text(SWEEP)
    return tmp_path


STAGED = """data: {{name: digits}}
search:
  stages:
    - {{name: coarse, space: {{optimizer.lr: {{around: {}, factor: 3}}}}}}
    - {{name: fine, space: {{optimizer.lr: {{log: [0.001, 0.1]}}}}}}
"""

ABLATION = """data: {name: digits}
search: {method: ablation, changes: {dropout: {model.droput: 0.3}}}
scheduler: {method: none}
"""


def refuse(*arguments: str) -> str:
    """The message of a `caucus run` that must be refused: exit code 2, no traceback, the same as JSON."""
    answer = CliRunner().invoke(app, ["run", *arguments, "--json"])
    assert answer.exit_code == 2, answer.output
    assert answer.exception is None or isinstance(answer.exception, SystemExit)
    assert answer.stderr.startswith("caucus: ")
    assert "Traceback" not in answer.output
    payload = json.loads(answer.stdout)
    assert payload["error"] in answer.stderr
    return payload["error"]


def files() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*"))


@pytest.mark.parametrize(
    ("text", "arguments", "parts"),
    [
        (None, ["missing.yaml"], ["missing.yaml: no such sweep file; there are sweep.yaml"]),
        ("- a\n- b\n", [], ["sweep.yaml: is a list, not a mapping"]),
        ("a: [", [], ["sweep.yaml: line 1", "not valid YAML"]),
        (SWEEP + "optimzer: {lr: 0.1}\n", [], ["sweep.yaml: optimzer: no such key; did you mean optimizer?"]),
        (SWEEP, ["optimzer.lr=0.1"], ["sweep.yaml: optimzer: no such key; did you mean optimizer?"]),
        (SWEEP, ["search.trials=many"], ["search.trials is 'many': must be a valid integer"]),
        (SWEEP, ["model.width=8,8"], ["search.space.model.width: choice names 8 twice"]),
        (SWEEP, ["optimizer.lr=1e-1..1e-3:log"], ["search.space.optimizer.lr: log runs from 0.1 to 0.001"]),
        (SWEEP, ["optimizer.lr=0..1e-3:log"], ["log holds 0: both ends must be above zero"]),
        (SWEEP, ["model.name=resent"], ["model.name is 'resent'", "cnn"]),
        ("data: {name: digits}\nsearch: {space: {model.width: {choice: []}}}\n", [], ["model.width: choice is empty"]),
        (SWEEP, ["data.name=diggits"], ["data.name is 'diggits'", "digits"]),
        (SWEEP, ["data.path=nowhere"], ["nowhere"]),
        (SWEEP, ["data.csv=nowhere.csv"], ["nowhere.csv"]),
        (SWEEP, ["data.name=fashion-mnist", "data.root=."], ["data.root"]),
        (SWEEP, ["data.validation=0.001"], ["validation", "10 classes"]),
        (SWEEP, ["store=gs://bucket/x"], ["gs://bucket/x"]),
        (SWEEP, ["store=sweep.yaml"], ["sweep.yaml"]),
        (
            SWEEP,
            ["search.trials=3", "model.width=8,16", "optimizer.lr=0.1"],
            ["search.trials is 3, but the space holds only about 2"],
        ),
        ("data: {name: digits}\nsearch: {space: {}}\n", [], ["the space holds only about 1 different trial"]),
        (SWEEP, ["--run-id", "../up"], ["--run-id is '../up'"]),
        (SWEEP, ["budget.epochs=0"], ["budget.epochs is 0: must be greater than or equal to 1"]),
        (SWEEP, ["budget.wall=0s"], ["budget.wall: a duration is more than zero"]),
        (SWEEP, ["budget.money=0"], ["budget.money is 0: must be greater than 0"]),
        (SWEEP, ["budget.slot_hours=0"], ["budget.slot_hours is 0: must be greater than 0"]),
        (SWEEP, ["search.warm_start.run=other"], ["holds no sweep 'other'"]),
        (
            "data: {name: digits}\n",
            ["search.method=grid", "model.width=8,16", "search.border=2"],
            ["border cannot grow"],
        ),
        (SWEEP, ["scheduler.brackets=9"], ["brackets is 9", "lower brackets"]),
        (SWEEP, ["scheduler.method=none", "scheduler.audit=2"], ["audit is 2, but method none prunes nothing"]),
        (STAGED.format("fine"), [], ["stages.coarse: optimizer.lr is around stage fine, which comes later"]),
        (STAGED.format("corse"), [], ["is around 'corse', but the stages are coarse, fine"]),
        (ABLATION, [], ["changes.dropout.model.droput: no such key; did you mean model.dropout?"]),
        (ABLATION.replace("droput", "dropout"), ["scheduler.method=asha"], ["set scheduler.method=none"]),
        (SWEEP, ["novalue"], ["'novalue' is no override: write key=value"]),
    ],
)
def test_what_cannot_be_run_is_refused_by_name_and_nothing_is_written(home, text, arguments, parts):
    if text is not None:
        Path("sweep.yaml").write_text(text)
        arguments = ["sweep.yaml", *arguments]
    before = files()
    message = refuse(*arguments)
    assert all(part in message for part in parts), message
    assert files() == before


def test_a_truncated_data_set_is_refused_by_name(home):
    import gzip

    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        Path(f"{name}-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x03\0\0\xea\x60")[:-6])
    message = refuse("sweep.yaml", "data.name=fashion-mnist", "data.root=.")
    assert "-ubyte.gz" in message
    assert not Path("runs").exists()


def test_a_store_of_a_newer_version_is_refused_and_left_alone(home):
    Path("runs").mkdir()
    Path("runs/caucus.json").write_text('{"format": 99, "written_by": "9.0"}')
    before = files()
    assert "format 99, written by Caucus 9.0" in refuse("sweep.yaml")
    assert files() == before


@pytest.mark.parametrize(("options", "part"), [("ro,size=4m", "read-only"), ("size=64k", "space")])
def test_a_store_that_cannot_take_anything_is_refused(home, options, part):
    folder = home / "mounted"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    try:
        message = refuse("sweep.yaml", "store=mounted/runs")
        assert part in message
        assert list(folder.iterdir()) == []
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_bucket_that_does_not_exist_is_refused(home, moto_s3, monkeypatch):
    moto_s3.login(monkeypatch)
    assert "bucket nowhere-to-be-found does not exist" in refuse("sweep.yaml", "store=s3://nowhere-to-be-found/x")


def test_wrong_credentials_are_refused_and_not_repeated(home, weed_s3, monkeypatch):
    weed_s3.login(monkeypatch)
    bucket = weed_s3.new_bucket()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret-of-the-tests")
    message = refuse("sweep.yaml", f"store=s3://{bucket}/x")
    assert "credentials" in message
    assert "not-the-secret" not in message
    assert [found["Key"] for found in weed_s3.client().list_objects_v2(Bucket=bucket).get("Contents", [])] == []


def test_an_endpoint_that_does_not_answer_is_refused(home, moto_s3, monkeypatch):
    moto_s3.login(monkeypatch)
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert url in refuse("sweep.yaml", "store=s3://bucket/x", f"store.endpoint_url={url}")


@pytest.mark.parametrize("verb", ["status", "top", "ensemble", "report"])
def test_a_run_that_is_not_there_is_refused(home, verb):
    answer = CliRunner().invoke(app, [verb, "digits", "--json"])
    assert answer.exit_code == 2
    assert "error" in json.loads(answer.stdout)


def test_the_real_command_reports_an_error_without_a_traceback(home):
    done = subprocess.run(
        [shutil.which("caucus", path=Path(sys.executable).parent) or "caucus", "run", "missing.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "caucus: missing.yaml: no such sweep file; there are sweep.yaml\n"


def test_no_verb_is_left_out_of_the_command():
    files = (prepare, results, change, deploy)
    written = {
        name
        for file in files
        for name, value in vars(file).items()
        if getattr(value, "__module__", "") == file.__name__ and not name.startswith("_")
    }
    assert {"run", *written} == {word.replace("-", "_") for word in VERBS}
    assert [command.name for command in app.registered_commands] == list(VERBS)
