"""The head of a Ray cluster without the rest: Ray's own `gcs_server`, which is up in a tenth of a second and asks for a token as any does."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.services.servers import free_ports

START_S = 60.0


@contextlib.contextmanager
def running_gcs(folder: Path, token: str | None) -> Iterator[int]:
    """The port of a head on 127.0.0.1 that asks for `token`, or for none."""
    import ray

    (port,) = free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(Path(ray.__file__).parent / "core" / "src" / "ray" / "gcs" / "gcs_server"), f"--log_dir={folder}"]
    command += [
        "--config_list=e30=",
        f"--gcs_server_port={port}",
        "--metrics-agent-port=0",
        "--node-ip-address=127.0.0.1",
    ]
    command += ["--session-name=test", f"--session-dir={folder}", f"--node-id={'0' * 56}"]
    command += [f"--stdout_filepath={folder / 'out'}", f"--stderr_filepath={folder / 'err'}"]
    env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}
    process = subprocess.Popen(command, env={**os.environ, **env}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end_s = time.monotonic() + START_S
        while time.monotonic() < end_s and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.02)
        yield port
    finally:
        process.kill()
        process.wait()
