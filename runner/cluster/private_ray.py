"""A private Ray on this machine, which ends with this process: started, once more if that takes too long, and cleared away."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runner.cluster.auth_token import provide_private_token
from runner.cluster.join import in_one_line
from runner.cluster.orphans import MARK, guarded, kill_marked
from runner.cluster.ray_monitor import disconnected_after, monitored
from trainables.errors import RunCutShort
from trainables.hardware.gpu_share import HIDDEN

OBJECT_STORE_BYTES = 256 * 1024**2
"""Shared memory of a local Ray beside the images: results and actors' arguments are small."""

PATIENT_S = 180
"""Time for Ray's processes to start in the second attempt. Ray's own bounds are 10 to 30 s, too short at a load of 60."""

PATIENCE = {
    "RAY_gcs_server_port_wait_time_s": str(PATIENT_S),
    "RAY_raylet_start_wait_time_s": str(PATIENT_S),
    "RAY_agent_register_timeout_ms": str(1000 * PATIENT_S),
    "RAY_worker_register_timeout_seconds": str(PATIENT_S),
}


AGENT_PORTS = ("metrics_agent_port", "metrics_export_port", "runtime_env_agent_port", "dashboard_agent_listen_port")


@contextlib.contextmanager
def private_ray(images_bytes: int, custom_code: Sequence[Path]) -> Iterator[None]:
    """A private Ray for the time of the block, with room for images of `images_bytes`. Its workers import `custom_code` from its place.

    Raises `RunCutShort` if Ray does not start, and `RayLost` if it dies.
    """
    if custom_code:
        known = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        folders = [str(path.parent) for path in custom_code if str(path.parent) not in known]
        os.environ["PYTHONPATH"] = os.pathsep.join(one for one in (*folders, *known) if one)
    provide_private_token(os.environ)
    memory_bytes = OBJECT_STORE_BYTES + 2 * images_bytes
    with guarded() as add_session:
        if failure := _start(memory_bytes):
            with _patience():
                failure = _start(memory_bytes)
        if failure:
            raise RunCutShort(
                f"Ray did not start on this machine in two attempts ({failure}), at a load of {os.getloadavg()[0]:.0f} on "
                f"{os.cpu_count()} cores: run it again when the machine has less to do"
            )
        add_session(_find_session())
        with disconnected_after(), monitored(_find_loss, patience_s=0):
            yield


def _start(memory_bytes: int) -> str:
    """Why Ray did not start; "" if it did."""
    import ray

    try:
        with _needed_alone():
            ray.init(
                address="local",
                include_dashboard=False,
                log_to_driver=False,
                logging_level="ERROR",
                object_store_memory=memory_bytes,
                # Ray takes "-1" for the name of a GPU.
                num_gpus=0 if os.environ.get("CUDA_VISIBLE_DEVICES") in HIDDEN else None,
            )
    except Exception as error:  # Ray raises a bare one, too
        ray.shutdown()
        kill_marked(lambda mark: mark == os.environ.get(MARK))
        return in_one_line(error)
    return ""


@contextlib.contextmanager
def _needed_alone() -> Iterator[None]:
    """Ray's start without two processes that a Ray of one machine has no use for, and no parameter leaves out.

    The autoscaler's monitor waits for machines that never come; the dashboard's process, which `include_dashboard=False` starts
    nonetheless, would report usage statistics, and `ray.init` waits for it. Without them `ray.init` took 7.0 and 9.5 s where it had taken
    14.6 and 12.0, and 3 to 4 s less of the processor, on two cores with other work beside it.
    """
    from ray._private.node import Node

    before = {name: getattr(Node, name) for name in ("start_monitor", "start_api_server")}
    for name in before:
        setattr(Node, name, lambda *arguments, **more: None)
    try:
        yield
    finally:
        for name, method in before.items():
            setattr(Node, name, method)


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """Longer timeouts for Ray's start, unless they are set in the environment.

    Ray's raylet waits 15 s for the ports of its agents, which no setting changes, and aborts; it does not wait for ports
    that are passed to it. `ray.init` has no parameter for these ports, so they are patched in.
    """
    from ray._private import parameter, services
    from ray._raylet import Config  # type: ignore[attr-defined]

    ports = dict(zip(AGENT_PORTS, _free_ports(len(AGENT_PORTS)), strict=True))
    begin, describe = services.start_ray_process, parameter.RayParams

    def start_process(command: list[str], kind: str, *arguments: Any, **more: Any) -> Any:
        if kind == "raylet":
            command = [*command, f"--dashboard_agent_listen_port={ports['dashboard_agent_listen_port']}"]
        return begin(command, kind, *arguments, **more)

    before = dict(os.environ)
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)
    Config.initialize("")  # this process has read them already
    services.start_ray_process = start_process
    parameter.RayParams = lambda *arguments, **more: describe(*arguments, **{**more, **ports})
    try:
        yield
    finally:
        services.start_ray_process, parameter.RayParams = begin, describe
        for name in PATIENCE:
            if name not in before:
                os.environ.pop(name, None)


def _free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def _find_session() -> str:
    """The folder where the processes of our Ray write their logs."""
    from ray._private import worker

    node = worker._global_node
    return os.path.realpath(node.get_session_dir_path()) if node else ""


def _find_loss() -> str:
    """Which of the essential processes of this Ray has died. The raylet ends by itself when its agents do."""
    from ray._private import worker

    started = getattr(worker._global_node, "all_processes", {})
    for kind in ("gcs_server", "raylet"):
        if any(_has_ended(one.process) for one in started.get(kind, ())):
            return f"Ray's {kind} on this machine has died"
    return ""


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a child process has ended. It is not reaped here: Ray does that."""
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
