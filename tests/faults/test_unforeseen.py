"""Whatever a verb runs into, it ends with a documented code and one sentence: no traceback, and nothing lost without a word."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import typer
from pydantic import ValidationError
from typer.testing import CliRunner

from runner.cli import nightly as verbs_night
from runner.cli import options as verb
from runner.cli.fault_report import report_fault
from runner.cli.main import VERBS, app
from runner.cli.options import EXIT_CODES, FAULT, INTERRUPTED, TERMINATED, WRONG_INPUT, exit_code, reporting_threads
from trainables.config.training import OptimizerConfig
from trainables.errors import RunCutShort

night = typer.Typer(add_completion=False)
night.command()(verbs_night.run_nightly)

SWEEP = "name: t\ndata: {name: digits}\nsearch: {trials: 2, space: {optimizer.lr: {log: [1e-3, 1e-1]}}}\n"

CALLED = {
    "run": (["sweep.yaml"], "runner.pipeline.run_sweep"),
    "plan": (["sweep.yaml"], "runner.plan.plan.plan_sweep"),
    "doctor": ([], "runner.doctor.machine.check_machine"),
    "evaluate": (["sweep.yaml"], "trainables.data.unseen.measure_unseen"),
    "plugins": ([], "runner.cli.tables.plugins.plugins_to_json"),
    "lr-range": (["sweep.yaml"], "runner.preflight.lr_range.measure_ranges"),
    "preview": (["sweep.yaml"], "runner.preflight.preview.preview"),
    "status": (["t"], "runner.runs.locate.locate"),
    "top": (["t"], "runner.runs.locate.locate"),
    "diagnose": (["t"], "runner.runs.locate.locate"),
    "ensemble": (["t"], "runner.runs.locate.locate"),
    "report": (["t"], "runner.runs.locate.locate"),
    "sparsify": (["t"], "runner.runs.locate.locate"),
    "export": (["t", "bundle"], "runner.runs.locate.locate"),
    "predict": (["bundle", "images", "x.csv"], "runner.deploy.predict.predict_images"),
    "prune": (["runs"], "runner.retention.retention.plan_retention"),
    "soup": (["t"], "runner.runs.locate.locate"),
    "nightly": (["sweep.yaml"], "runner.nights.night.run_night"),
}
"""Words that each verb takes, and a function that it calls."""


def refused_value() -> ValidationError:
    try:
        OptimizerConfig.model_validate({"lr": "-".join(("hidden", "value"))})
    except ValidationError as error:
        return error
    raise AssertionError


RAISED = {
    "a bug": (KeyError("lr"), FAULT, "KeyError: 'lr'"),
    "no memory": (MemoryError(), FAULT, "MemoryError"),
    "endless recursion": (RecursionError("maximum recursion depth exceeded"), FAULT, "RecursionError"),
    "a library that ends the program": (SystemExit(3), FAULT, "SystemExit: 3"),
    "Ray's answer to SIGTERM": (SystemExit(15), TERMINATED, "ended (SIGTERM)"),
    "a warning as an error": (DeprecationWarning("old"), FAULT, "DeprecationWarning: old"),
    "a full disk": (OSError(28, "No space left on device"), FAULT, "No space left"),
    "a pipe that is not the output": (EOFError("no more"), FAULT, "EOFError: no more"),
    "an encoding": (UnicodeEncodeError("ascii", "\udcff", 0, 1, "no"), FAULT, "UnicodeEncodeError"),
    "a value that pydantic refuses": (refused_value(), FAULT, "ValidationError of OptimizerConfig: lr: Input"),
    "words of a terminal": (RuntimeError("a\x1b[2J\nb"), FAULT, "RuntimeError: a"),
    "Ctrl-C": (KeyboardInterrupt(), INTERRUPTED, "interrupted (Ctrl-C)"),
    "no optuna": (ModuleNotFoundError("No module named 'optuna'", name="optuna"), WRONG_INPUT, "pip install optuna"),
    "no timm": (ModuleNotFoundError("No module", name="timm.models"), WRONG_INPUT, "pip install timm"),
    "no Pillow": (ModuleNotFoundError("No module", name="PIL"), WRONG_INPUT, "pip install pillow"),
    "a torch that does not load": (ImportError("libcudart.so.13", name="torch"), WRONG_INPUT, "torch cannot be loaded"),
    "a module of ours": (ModuleNotFoundError("No module", name="runner.gone"), FAULT, "ModuleNotFoundError"),
    "an exception that cannot be shown": (type("Shy", (Exception,), {"__str__": lambda self: 1 / 0})(), FAULT, "Shy"),
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty folder to work in, with a sweep file, where details of faults are written as well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("sweep.yaml").write_text(SWEEP)
    return tmp_path


def inject(monkeypatch, where, error):
    module, name = where.rsplit(".", 1)

    def fail(*args, **options):
        raise error

    monkeypatch.setattr(importlib.import_module(module), name, fail)


def call(name, *words, **options):
    """The exit code of a verb, called with its words: typer's own work takes ten times as long, and is tried below."""
    function = verbs_night.run_nightly if name == "nightly" else VERBS[name]
    with pytest.raises(typer.Exit) as ended:
        function(*words, **options)
    return ended.value.exit_code


def details(home):
    return list((home / "cache").rglob("*.txt"))


@pytest.mark.parametrize("name", CALLED)
def test_no_verb_ends_with_a_traceback_or_an_undocumented_code(home, monkeypatch, capsys, name):
    words, where = CALLED[name]
    for kind in ("a bug", "Ctrl-C", "a library that ends the program", "no timm"):
        error, code, part = RAISED[kind]
        with monkeypatch.context() as patch:
            inject(patch, where, error)
            assert call(name, *words, as_json=True) == code
        printed = capsys.readouterr()
        payload = json.loads(printed.out)
        assert part in payload["error"]
        assert payload["kind"] == type(error).__name__
        assert printed.err == f"caucus: {payload['error']}\n"
        assert code in EXIT_CODES


@pytest.mark.parametrize("kind", RAISED)
def test_nothing_that_can_be_raised_comes_out_as_a_traceback(home, capsys, kind):
    error, code, part = RAISED[kind]

    def fail():
        raise error

    assert exit_code(True, fail) == code
    printed = capsys.readouterr()
    payload = json.loads(printed.out)
    assert part in payload["error"]
    assert printed.err.count("\n") == 1
    assert "Traceback" not in printed.err
    assert "\x1b" not in printed.err
    assert ("this is a fault of Caucus" in payload["error"]) == (code == FAULT) == ("details" in payload)
    assert len(details(home)) == (code == FAULT)


def test_every_verb_is_walked():
    assert set(CALLED) == {*VERBS, "nightly"}


def test_the_details_are_private_and_hold_no_secret(home, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI-secret")
    monkeypatch.setenv("MY_HOOK", "notify --key hidden-in-the-environment")
    hook = "https://hooks.example.com/T0/hidden-in-a-word"
    monkeypatch.setattr(sys, "argv", ["caucus", "run", "s.yaml", f"nightly.hook={hook}", "nightly.hook=env:MY_HOOK"])
    try:
        raise RuntimeError(
            f"{hook} wJalrXUtnFEMI-secret notify --key hidden-in-the-environment http://me:pass-word@host:1/x s3://a:pass-word@b/c"
        ) from refused_value()
    except RuntimeError as error:
        sentence, path = report_fault(error, sys.argv[1:])
    assert path
    text = Path(path).read_text()
    assert Path(path).stat().st_mode & 0o777 == 0o600
    assert Path(path).parent.stat().st_mode & 0o777 == 0o700
    assert "Traceback" in text
    assert "raise RuntimeError(" in text
    assert "nightly.hook=https://hooks.example.com/***" in text
    assert "numpy" in text
    for secret in ("hidden-in-a-word", "wJalrXUtnFEMI", "hidden-in-the-environment", "pass-word", "hidden-value"):
        assert secret not in text.replace("raise RuntimeError", "")
        assert secret not in sentence


def test_without_a_place_for_the_details_there_is_still_one_sentence(home, monkeypatch, capsys):
    Path("cache").write_text("a file")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(home / "cache"))
    inject(monkeypatch, "runner.runs.locate.locate", KeyError("lr"))
    assert call("top", "t", as_json=True) == FAULT
    payload = json.loads(capsys.readouterr().out)
    assert "no details could be written (FileExistsError" in payload["error"]
    assert payload["details"] is None


def test_where_the_cache_cannot_be_written_the_details_go_to_the_temporary_folder(home, monkeypatch):
    Path("cache").write_text("a file")
    (home / "tmp").mkdir()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(home / "tmp"))
    inject(monkeypatch, "runner.runs.locate.locate", KeyError("lr"))
    assert call("top", "t") == FAULT
    (found,) = (home / "tmp").iterdir()
    assert found.stat().st_mode & 0o777 == 0o600


def test_a_run_that_is_cut_short_is_no_fault(home, monkeypatch):
    inject(monkeypatch, "runner.pipeline.run_sweep", RunCutShort("the store is gone"))
    assert call("run", "sweep.yaml") == 4
    assert not details(home)


@pytest.mark.parametrize("words", [["topp"], ["top"], ["top", "t", "--nope"], ["plan", "sweep.yaml", "--slots", "x"]])
def test_words_that_are_no_verb_or_option_are_wrong_input(home, words):
    assert CliRunner().invoke(app, words).exit_code == WRONG_INPUT


def test_help_lists_the_exit_codes():
    for one in (app, night):
        text = CliRunner().invoke(one, ["--help"])
        assert text.exit_code == 0
    text = " ".join(CliRunner().invoke(app, ["--help"], terminal_width=200).stdout.split())
    for code, meaning in EXIT_CODES.items():
        assert f"{code}: {meaning}" in text


def test_a_thread_that_raises_leaves_a_report_and_not_a_traceback(home, capsys):
    with reporting_threads() as ours:
        for work in (
            lambda: report_fault(None, 3),
            lambda: json.loads("{"),
        ):  # one of ours by its path, one of a library
            thread = threading.Thread(target=work, name="worker")
            thread.start()
            thread.join()
    output = capsys.readouterr().err
    assert "Traceback" not in output
    assert len(ours) == 1
    assert "(in the thread worker; the rest goes on)" in output
    assert "a thread of a library has failed (worker)" in output
    assert len(details(home)) == 2


def test_an_unforeseen_error_of_the_real_command_is_one_line(home):
    """The whole program, with a package that is broken, a terminal that knows no letters but ASCII, and warnings as errors."""
    Path("sitecustomize.py").write_text(
        "import runner.runs.locate\n"
        "def locate(*args):\n    raise ValueError('größer als \\udcff')\n"
        "runner.runs.locate.locate = locate\n"
    )
    env = {**os.environ, "PYTHONPATH": f"{home}:{Path(verb.__file__).parents[2]}", "PYTHONIOENCODING": "ascii:strict"}
    done = subprocess.run(
        [sys.executable, "-c", "from runner.cli.main import main; main()", "top", "t", "--json"],
        capture_output=True,
        env=env,
        check=False,
    )
    assert done.returncode == FAULT
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(
        b"caucus: this is a fault of Caucus: ValueError: gr\\xf6\\xdfer als \\udcff; the details"
    )
    assert json.loads(done.stdout)["error"].startswith("this is a fault of Caucus: ValueError: größer als \udcff")


def test_a_current_folder_that_was_deleted_is_reported(home, capsys):
    Path("gone").mkdir()
    os.chdir("gone")
    (home / "gone").rmdir()
    try:
        assert call("top", "t") == WRONG_INPUT
        assert call("run", "../sweep.yaml") == WRONG_INPUT
    finally:
        os.chdir(home)
    assert capsys.readouterr().err == 2 * "caucus: the current folder was deleted: go to another one\n"


def test_a_warning_that_is_an_error_is_a_sentence(home):
    def warn():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.warn("old", FutureWarning, stacklevel=1)
        return 0

    assert exit_code(False, warn) == FAULT


def test_typer_ends_no_verb_with_a_code_of_its_own(home, monkeypatch):
    """Its codes for an end of input (1) and a refused usage (2) are not those of what a verb calls."""
    for error in (EOFError(), typer.Abort(), typer.Exit(9)):
        with monkeypatch.context() as patch:
            inject(patch, "runner.runs.locate.locate", error)
            assert CliRunner().invoke(app, ["top", "t"]).exit_code == FAULT
