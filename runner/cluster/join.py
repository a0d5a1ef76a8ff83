"""Which Ray cluster is meant, and whether it can be joined: found out within seconds, before anything is written.

Ray's own client waits silently for up to 14 minutes if nothing answers, or ends its process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from runner.cluster.auth_token import FILE, MODE, TOKEN, TOKEN_PATH, asks_for_token, find_token_fault
from runner.cluster.greeting import check_greeting, resolve
from runner.cluster.started_here import ADDRESS_FILE, find_started
from trainables.errors import ClusterError

HERE = ("auto", "any")
"""Words in place of an address, for the cluster of this machine."""

OWN = ("own", "local")
"""Words in place of an address, for a private Ray."""

GCS_PORT = 6379
"""The default port of `ray start --head`."""

PING_S = 5.0
"""An answer of Ray's takes a hundredth of a second. With the bounds of `greeting`, `check_joinable` takes 15 s at most."""

IMPORT_S = 120.0
"""Ray is imported in half a second; on a machine at a load of 60 in half a minute."""

COPY = f"copy {FILE} of its head to {FILE} here, and run `chmod 600 {FILE}`"

PING = """
import json, sys
try:
    from ray._common.usage.usage_lib import get_cluster_metadata
    from ray._private.services import get_node_to_connect_for_driver
    from ray._private.utils import check_version_info
    from ray._raylet import GcsClient
except ImportError as error:
    print(json.dumps({"fault": "import", "why": str(error)}))
    sys.exit()
print("imported", flush=True)
answer = {}
try:
    client = GcsClient(address=sys.argv[1])
    try:
        answer = get_cluster_metadata(client) or {}
    except AttributeError:
        pass  # a head in its first second
    if answer:
        try:
            check_version_info(answer, "this driver")
        except RuntimeError:
            answer["fault"] = "version"
    if "fault" not in answer and sys.argv[2] == "node":
        try:
            get_node_to_connect_for_driver(client, timeout_seconds=float(sys.argv[3]))
        except RuntimeError:
            answer["fault"] = "node"
except Exception as error:
    answer = {"fault": type(error).__name__, "why": str(error)}
print(json.dumps({name: answer[name] for name in ("fault", "why", "ray_version", "python_version") if name in answer}))
"""
"""Asks the head for its versions. Runs in a child process: Ray's client may hang, or end its process."""


@dataclass(frozen=True)
class Target:
    """A Ray cluster that a driver is to join."""

    host: str
    port: int
    named: str
    """Its name in messages: the address, and where the address comes from."""
    is_here: bool = False
    """Whether it was found on this machine, not named by a person."""

    @property
    def address(self) -> str:
        """What `ray.init` takes."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def find_cluster(address: str | None, env: Mapping[str, str]) -> Target | None:
    """The cluster that `address` means in the environment `env`; None for a private Ray. Opens no connection.

    `auto` is the cluster that this machine belongs to, `any` that one or else a private Ray: the one of `RAY_ADDRESS`,
    else the one that `ray start` has joined here, last and in the default folder, else the only one with another `--temp-dir`.
    Raises `ClusterError` if the text is not an address, if there is no cluster, and if there are several.
    """
    known = env.get("RAY_ADDRESS", "").strip()
    address = None if address is None else address.strip()
    if address is None or address in OWN:
        return None
    if address not in HERE:
        return _read_address(address, "RAY_ADDRESS" if known and address == known else "--address")
    if known in OWN and address == "any":
        return None
    if known and known not in (*HERE, *OWN):
        return _read_address(known, "RAY_ADDRESS")
    # Not Ray's own `auto`: that joins whatever Ray it finds among the processes, such as the one that another sweep has
    # started for itself and takes with it when it ends.
    path = Path(env.get("RAY_TMPDIR") or env.get("TMPDIR") or "/tmp") / "ray" / ADDRESS_FILE
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        try:
            if started := path.read_text(encoding="utf-8", errors="replace").strip():
                return _read_started(started, path)
        except (PermissionError, IsADirectoryError) as error:
            raise ClusterError(f"which Ray cluster this machine belongs to cannot be read: {error}") from None
    elsewhere = sorted(find_started().items())
    if len(elsewhere) > 1:
        listed = ", ".join(f"{one} ({path})" for one, path in elsewhere)
        raise ClusterError(f"this machine belongs to {len(elsewhere)} Ray clusters, {listed}: name one with --address")
    if elsewhere:
        return _read_started(*elsewhere[0])
    if address == "any":
        return None
    raise ClusterError(
        "no Ray cluster was started on this machine: start one with `ray start --head`, or name one with --address"
    )


def check_joinable(target: Target, env: Mapping[str, str], needs_node: bool = True) -> bool:
    """Check that a driver with the environment `env` can join `target`; else raise `ClusterError` with the remedy.

    Takes some seconds, 15 at most on a machine that is not overloaded. Returns whether the token of this machine has to be
    sent although `RAY_AUTH_MODE` does not ask for it: as Ray does, only to a cluster on this machine. With `needs_node`
    False, no raylet has to run beside the driver.
    """
    named = f"the Ray cluster at {target.named}"
    if fault := find_token_fault(env):
        raise ClusterError(f"{named} cannot be joined: {fault}")
    _greet(target)
    answer = _ping(target, env, needs_node)
    with_token = {**env, MODE: "token"}
    is_refused = answer.get("fault") == "AuthenticationError"
    takes_token = is_refused and target.is_here and not env.get(MODE) and find_token_fault(with_token) is None
    if takes_token:
        answer = _ping(target, with_token, needs_node)
    if fault := _explain(answer, target, env):
        raise ClusterError(f"{named} {fault}")
    return takes_token


def join(target: Target, modules: Sequence[str], takes_token: bool) -> None:
    """Connect this process to a cluster that `check_joinable` has accepted. Its workers run this driver's `modules`, whatever is installed there."""
    if takes_token:
        os.environ[MODE] = "token"
    import ray

    if takes_token:
        from ray._raylet import Config  # type: ignore[attr-defined]

        Config.initialize("")  # Ray may have been imported, and with it the mode of before
    try:
        ray.init(
            address=target.address, runtime_env={"py_modules": modules}, log_to_driver=False, logging_level="ERROR"
        )
    except Exception as error:  # Ray raises a bare one, too
        raise ClusterError(f"the Ray cluster at {target.named} cannot be joined: {in_one_line(error)}") from None


def find_silence(target: Target) -> str:
    """Which of the two does not answer a driver that has joined `target`: the head, or the raylet of this machine; "" if both do."""
    from ray._private import worker

    node = worker._global_node
    raylet = (node.node_ip_address, node.node_manager_port) if node else (target.host, target.port)
    try:
        if check_greeting(resolve(target.host, target.port)):
            return f"the head of the Ray cluster at {target.named} does not answer any more"
        if check_greeting(resolve(*raylet)):
            return f"the raylet of this machine, by which it belongs to the Ray cluster at {target.named}, has died"
    except ClusterError as error:
        return str(error)
    return ""


def in_one_line(error: BaseException) -> str:
    """An error of Ray's, which may have many lines, as one line of at most 300 characters.

    >>> in_one_line(ValueError("this  is\\n\\twrong."))
    'this is wrong'
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 300 else f"{text[:300]}…").rstrip(".")


def _read_started(address: str, path: Path) -> Target:
    """The cluster whose address `ray start` has written to the file `path`."""
    found = _read_address(address, str(path))
    return Target(found.host, found.port, f"{found.address}, which was started here ({path})", is_here=True)


def _read_address(address: str, origin: str) -> Target:
    """Host and port of HOST:PORT or [IPV6]:PORT."""
    text = address.strip()
    named = f"{origin} is {text!r}"
    if not text:
        raise ClusterError(f"{origin} is empty: name a cluster as HOST:{GCS_PORT}, or say --address own")
    scheme, mark, _ = text.partition("://")
    if mark:
        kinds = {"ray": "an address of Ray Client", "http": "that of a dashboard", "https": "that of a dashboard"}
        raise ClusterError(
            f"{named}, {kinds.get(scheme, 'no address of a cluster')}: name the head as HOST:{GCS_PORT} on a machine of the "
            "cluster, or let `ray job submit` or `ray submit` start the driver there"
        )
    host, _, port = text.rpartition(":")
    if text.startswith("["):
        host = host[1:-1] if host.endswith("]") else ""
    elif ":" in host:
        raise ClusterError(f"{named}: an IPv6 address stands in brackets, as in [::1]:{GCS_PORT}")
    if (
        not host
        or not host.isprintable()
        or " " in host
        or not port.isascii()
        or not port.isdigit()
        or not 0 < int(port) < 2**16
    ):
        raise ClusterError(
            f"{named}: an address is HOST:PORT, as in head:{GCS_PORT}; auto means the cluster of this machine, own a Ray of our own"
        )
    return Target(host, int(port), f"{text} ({origin})" if origin != "--address" else text)


def _greet(target: Target) -> None:
    """Raise `ClusterError` if no Ray server listens at the address."""
    again = "is its head running, and is this the port of `ray start --head`?"
    if target.is_here:
        again = "start it again with `ray start --head`; or `ray stop` forgets it, and --address own trains on this machine alone"
    if silence := check_greeting(resolve(target.host, target.port)):
        raise ClusterError(f"the Ray cluster at {target.named} cannot be joined: {silence}: {again}")


def _ping(target: Target, env: Mapping[str, str], needs_node: bool) -> dict[str, str]:
    """What Ray's head answers, with an error under `fault`."""
    arguments = [sys.executable, "-P", "-c", PING, target.address, "node" if needs_node else "", str(PING_S / 2)]
    process = subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=dict(env)
    )
    with process:
        assert process.stdout is not None
        with _killed_after(IMPORT_S, process):
            rest = process.stdout.readline()
        if rest.startswith("imported"):
            with _killed_after(PING_S, process):
                rest = process.stdout.read()
        process.kill()  # its client's threads may hold it up
    try:
        answer = json.loads(rest)
    except ValueError:
        return {"fault": "silence"}
    return {name: str(value) for name, value in answer.items()}


@contextlib.contextmanager
def _killed_after(seconds: float, process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill `process` if the block takes longer than `seconds`."""
    killer = threading.Timer(seconds, process.kill)
    killer.start()
    try:
        yield
    finally:
        killer.cancel()


def _explain(answer: Mapping[str, str], target: Target, env: Mapping[str, str]) -> str:
    """Why a driver cannot join, and what to do; "" if it can."""
    fault, place = answer.get("fault", ""), TOKEN if env.get(TOKEN, "").strip() else env.get(TOKEN_PATH) or FILE
    if not fault:
        return ""
    if fault == "AuthenticationError" and asks_for_token(env):
        return f"refuses the token in {place}, which is not the one that it was started with: {COPY}"
    if fault == "AuthenticationError":
        mode = f"{MODE} is {env[MODE]!r}" if env.get(MODE) else f"{MODE} is not set (cron reads no profile)"
        wrong = find_token_fault({**env, MODE: "token"})
        if wrong is None:
            return f"asks for a token, and the one in {place} is not sent because {mode}: set {MODE}=token"
        if wrong.startswith("there is no token"):
            wrong = f"there is none in {place} either: {COPY}"
        return f"asks for a token, and none is sent because {mode}: set {MODE}=token; {wrong}"
    if fault == "version":
        return (
            f"runs Ray {answer.get('ray_version')} on Python {answer.get('python_version')}, and this driver has Ray {version('ray')} "
            f"on Python {'.'.join(map(str, sys.version_info[:3]))}: they must be equal on all machines"
        )
    if fault == "node":
        return (
            "does not have this machine: a driver runs on a machine of the cluster, so start it with `ray submit` or "
            f"`ray job submit`, or let this machine join with `ray start --address={target.address}`"
        )
    if fault == "import":
        return f"cannot be joined, since Ray cannot be imported here: {answer.get('why', '')}"
    if fault == "silence":
        return f"accepts connections and does not answer within {PING_S:g} s: is this the port of `ray start --head`, and is its head overloaded?"
    return (
        f"cannot be joined ({' '.join(answer.get('why', '').split())[:200]}): is this the port of `ray start --head`?"
    )
