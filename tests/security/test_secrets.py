"""No secret reaches the store, a log, the report or a screen: a real sweep is searched for the ones that it used."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

from tests.sample_runs.sweeps import CAUCUS, DIGITS, ROOT
from tests.services.servers import S3Server

NIGHTLY = [CAUCUS[0], str(ROOT / "runner" / "nightly.py")]

QUICK = [
    "search.trials=2",
    "scheduler.method=none",
    "scheduler.max_epochs=2",
    "scheduler.grace_epochs=1",
    "model.width=4",
    "ensemble.size=2",
]

LIMIT_S = 300.0


def forms(secret: str) -> list[bytes]:
    """The secret as it is, as in a URL, and in base64 wherever it may begin there."""
    plain = secret.encode()
    shifted = [base64.b64encode(b"\0" * shift + plain)[(0, 2, 3)[shift] :].rstrip(b"=")[:-1] for shift in range(3)]
    return [plain, quote(secret, safe="").encode(), plain.hex().encode(), plain.upper(), *shifted]


class Searched:
    """Files below some folders, looked through again whenever they have changed; a file that goes was seen before."""

    def __init__(self, wanted: dict[str, str], folders: list[Path]) -> None:
        self._wanted = [(name, form) for name, secret in wanted.items() for form in forms(secret)]
        self._folders = folders
        self._seen: dict[str, tuple[int, int]] = {}
        self.found: set[str] = set()
        self.files: set[str] = set()

    def search(self) -> None:
        for folder in self._folders:
            for here, _, names in os.walk(folder):
                for name in names:
                    self._check_file(Path(here, name))

    def _check_file(self, path: Path) -> None:
        try:
            status = path.lstat()
            if not path.is_file() or self._seen.get(str(path)) == (status.st_mtime_ns, status.st_size):
                return
            self._seen[str(path)] = status.st_mtime_ns, status.st_size
            data = path.read_bytes()
        except OSError:  # gone in the meantime, or a socket
            return
        self.files.add(str(path))
        self.search_in(data, str(path))

    def search_in(self, data: bytes, where: str) -> None:
        self.found |= {f"{name} in {where}" for name, form in self._wanted if form in data}


class Webhook(BaseHTTPRequestHandler):
    """Takes what a night says at its end."""

    received: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        self.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[str]:
    Webhook.received.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Webhook)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """Ray puts sockets below its folder, whose paths may have 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="caucus-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_every_form_of_a_secret_is_found(tmp_path: Path) -> None:
    secrets = {"secret": "a/s+cret-0f-41ne"}
    for number, form in enumerate(forms(secrets["secret"])):
        searched = Searched(secrets, [tmp_path])
        (tmp_path / f"{number}.bin").write_bytes(b"\xff" * number + form + b"\xff")
        searched.search()
        assert searched.found, form
        (tmp_path / f"{number}.bin").unlink()
    for shift in range(3):
        searched = Searched(secrets, [])
        searched.search_in(base64.b64encode(b"x" * shift + b"a/s+cret-0f-41ne and more"), "here")
        assert searched.found, shift


@pytest.mark.long
def test_a_night_leaves_no_secret_behind(weed_s3: S3Server, short_folder: Path, tmp_path: Path, webhook: str) -> None:
    hidden = secrets.token_hex(12)
    token = secrets.token_hex(32)
    hook = f"{webhook}/services/T0/{hidden}"
    (tmp_path / "token").write_text(token)
    (tmp_path / "token").chmod(0o600)
    sweep = tmp_path / "night.yaml"
    sweep.write_text(f"{Path(DIGITS).read_text()}\nnightly: {{hook: {json.dumps(hook)}}}\n")
    wanted = {
        "secret key": weed_s3.env["AWS_SECRET_ACCESS_KEY"],
        "access key": weed_s3.env["AWS_ACCESS_KEY_ID"],
        "Ray's token": token,
        "webhook": hidden,
        "unrelated": "of-another-program-" + secrets.token_hex(12),
    }
    env = {
        **os.environ,
        **weed_s3.env,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token"),
        "RAY_TMPDIR": str(short_folder),
        "TMPDIR": str(short_folder),
        "SOME_API_KEY": wanted["unrelated"],
    }
    bucket = weed_s3.new_bucket()
    store = f"s3://{bucket}/runs"
    searched = Searched(wanted, [short_folder])
    arguments = [str(sweep), *QUICK, f"store={store}", "--run-id", "2026-01-02", "--address", "local", "--json"]
    run(searched, [*NIGHTLY, *arguments], env)
    assert [path for path, _ in Webhook.received] == [f"/services/T0/{hidden}"]
    searched.search_in(Webhook.received[0][1], "what the webhook got")
    run(searched, [*CAUCUS, "report", f"{store}/sweeps/digits/2026-01-02"], env)
    run(searched, [*CAUCUS, "status", f"{store}/sweeps/digits/2026-01-02", "--json"], env)
    run(searched, [*CAUCUS, "export", f"{store}/sweeps/digits/2026-01-02", str(short_folder / "bundle")], env)
    client = weed_s3.client()
    keys = [
        found["Key"]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        for found in page.get("Contents", ())
    ]
    for key in keys:
        received = client.get_object(Bucket=bucket, Key=key)
        searched.search_in(received["Body"].read(), key)
        searched.search_in(json.dumps(received["Metadata"]).encode(), f"metadata of {key}")
    assert any(key.endswith("report.html") for key in keys)
    assert any(key.endswith("weights.safetensors") for key in keys)
    assert any("/logs/" in file for file in searched.files), "no log of Ray was seen"
    assert any("caucus-tune-" in file for file in searched.files), "nothing of Tune's folder was seen"
    assert not searched.found


def run(searched: Searched, command: list[str], env: dict[str, str]) -> None:
    """Run a command to its end, and look at all it writes while it does; its words on the screen too."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
        end_s = time.monotonic() + LIMIT_S
        try:
            while process.poll() is None:
                assert time.monotonic() < end_s, f"{command} takes too long"
                searched.search()
                time.sleep(0.2)
        finally:
            process.kill()
            process.wait()
        searched.search()
        out.seek(0)
        said = out.read()
    searched.search_in(said, f"what {command[1]} printed")
    assert process.returncode == 0, said.decode()[-3000:]


STRANGER = """
import sys
from ray._raylet import GcsClient
print(GcsClient(address=sys.argv[1]).internal_kv_keys(b"", None, timeout=20))
"""

OWN_RAY = """
from runner.cluster.connect import connected
from runner.config.run import ResourcesConfig
with connected(ResourcesConfig(), 0, None):
    import ray
    print(ray.get_runtime_context().gcs_address, flush=True)
    input()
"""


@pytest.mark.long
def test_a_ray_of_our_own_refuses_whoever_has_no_token(short_folder: Path) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    own = env | {"HOME": str(short_folder / "home"), "RAY_TMPDIR": str(short_folder)}
    stranger = env | {"HOME": str(short_folder / "stranger")}
    (short_folder / "home").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", OWN_RAY], cwd=ROOT, env=own, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        address = driver.stdout.readline().strip()
        requested = [
            subprocess.run(
                [sys.executable, "-c", STRANGER, address], env=who, capture_output=True, text=True, check=False
            )
            for who in (
                stranger,
                stranger | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64},
                own | {"RAY_AUTH_MODE": "token"},
            )
        ]
        driver.stdin.write("\n")
        driver.stdin.close()
        driver.wait(LIMIT_S)
    assert [one.returncode for one in requested] == [1, 1, 0], requested[-1].stderr
    assert "InvalidAuthToken" in requested[0].stderr
    assert (short_folder / "home" / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600
