"""Several hosts on this machine, each with its own network, processes, home, /tmp and sshd, so that a cluster can really break.

A switch joins them: a network namespace of its own with a bridge, to which this machine is plugged in as well. All of it
hangs on processes of ours: nothing is left when they are gone, not even where a test session is killed.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import random
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.sample_runs.sweeps import ROOT

BOOT_S = 120.0

TOOLS = ("ip", "unshare", "nsenter", "setpriv", "mount", "sshd", "ssh", "ssh-keygen", "rsync")

PATH = f"{ROOT}/.venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

MORTAL = ["setpriv", "--pdeathsig", "KILL", "--"]
"""Before a command that must not outlive a test session that is killed."""

HOME = "/mnt"
"""Where a host's home is mounted. Not over /root: the interpreter of .venv may lie there."""

NOWHERE = "02:00:00:00:00:01"
"""An Ethernet address that no host has: what is sent there is lost without a word, as on a cut line."""

INIT = """
set -e
hostname "$NAME"
mount --bind "$FOLDER/home" "$ITS_HOME"
mount --bind "$FOLDER/passwd" /etc/passwd
mount --bind "$FOLDER/hosts" /etc/hosts
mount --bind /dev/null /etc/resolv.conf
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mkdir -m 755 /run/sshd
cp "$FOLDER"/ssh/* /run/sshd/
chmod 600 /run/sshd/host_key
ip link set lo up
case "$CHECKOUT" in /tmp/*)  # it stays where it is: programs run from there
    mkdir -p "$FOLDER$CHECKOUT"
    mount --bind "$CHECKOUT" "$FOLDER$CHECKOUT" ;;
esac
mount --rbind "$FOLDER/tmp" /tmp
cd /
/usr/sbin/sshd -D -E /run/sshd/log -f /run/sshd/sshd_config &
echo up
exec >/dev/null
# The first process of a namespace has to fetch the orphans' ends.
set +e
while :; do sleep 1000 & wait $!; done
"""

SSHD = """
Port 22
HostKey /run/sshd/host_key
AuthorizedKeysFile /run/sshd/authorized_keys
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
UseDNS no
PidFile none
MaxStartups 100
MaxSessions 100
Subsystem sftp internal-sftp
"""


@dataclass
class Host:
    """One host. Its folder holds `home`, which is mounted at `HOME` there, and `tmp`; both survive its death and its next start."""

    name: str
    address: str
    folder: Path
    env: dict[str, str]
    """What every `run` and `start` gets beside HOME and PATH."""
    process: subprocess.Popen[str] | None = None
    """Holds the namespaces; the host's own first process is its child."""

    @property
    def pid(self) -> int:
        """Process id, as this machine counts, of the host's first process."""
        assert self.process, f"host {self.name} is off"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(children.split()[0])

    def processes(self) -> list[int]:
        """Process ids, as this machine counts, of everything that runs on the host."""
        return _processes(Path(f"/proc/{self.pid}/ns/pid").readlink())

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a shell command there, with a person's environment; its output is a pipe for each."""
        env = {"HOME": HOME, "USER": "root", "PATH": PATH, "LANG": "C.UTF-8", "TERM": "dumb", **self.env}
        variables = [f"{name}={value}" for name, value in env.items()]
        inside = ["env", "-i", *variables, "bash", "-c", f"cd\n{command}"]
        return subprocess.Popen(
            [*MORTAL, *_enter(self.pid, "-m", "-p", "-u"), *inside],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str, timeout_s: float = 300.0, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a shell command there to its end. Asserts its exit code, unless `code` is None."""
        with self.start(command) as process:
            try:
                output, errors = process.communicate(timeout=timeout_s)
            except BaseException:
                process.kill()
                raise
        report = f"{command!r} on {self.name}: exit code {process.returncode}\n{output[-8000:]}\n{errors[-8000:]}"
        assert code is None or process.returncode == code, report
        return subprocess.CompletedProcess(command, process.returncode, output, errors)


@dataclass
class Hosts:
    """Hosts by name on one switch; this machine is `outside` to them, and what it serves at that address they reach."""

    folder: Path
    network: ipaddress.IPv4Network
    switch: subprocess.Popen[bytes]
    link: str
    """This machine's end of the line to the switch."""
    env: dict[str, str] = field(default_factory=dict)
    """What is run on a host gets this, beside HOME and PATH."""
    by_name: dict[str, Host] = field(default_factory=dict)

    @property
    def outside(self) -> str:
        """This machine's address on the switch."""
        return str(self.network[1])

    @property
    def key(self) -> Path:
        """The private key that every host lets in as root. On the hosts it is ~/.ssh/id_ed25519."""
        return self.folder / "key"

    def __getitem__(self, name: str) -> Host:
        return self.by_name[name]

    def boot(self, name: str) -> None:
        """Switch a host on, for the first time or after `kill`. Returns when its sshd answers."""
        host = self.by_name[name]
        env = {"PATH": PATH, "NAME": name, "FOLDER": str(host.folder), "ITS_HOME": HOME, "CHECKOUT": str(ROOT)}
        with (host.folder / "boot.log").open("wb") as log:
            host.process = subprocess.Popen(
                [*MORTAL, "unshare", "-pfmnu", "--mount-proc", "--kill-child", "bash", "-c", INIT],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=env,
            )
        assert host.process.stdout
        said = host.process.stdout.readline()
        assert said == "up\n", f"host {name} did not start: {(host.folder / 'boot.log').read_text()}"
        port = self._port(name)
        # The same after a reboot, since others remember it.
        hardware = f"02:00:00:00:01:{ipaddress.ip_address(host.address).packed[-1]:02x}"
        _ip(f"link add {port} type veth peer name eth0 address {hardware} netns {host.pid}", self.switch.pid)
        _ip(f"link set {port} master switch up", self.switch.pid)
        _ip(f"address add {host.address}/{self.network.prefixlen} dev eth0", host.pid)
        _ip("link set eth0 up", host.pid)
        end_s = time.monotonic() + BOOT_S
        while not _greets(host.address):
            assert time.monotonic() < end_s, f"no sshd at {host.address}"
            time.sleep(0.05)

    def kill(self, name: str) -> None:
        """Pull the plug: every process of the host dies at once, what it has on disk stays."""
        host = self.by_name[name]
        if host.process is None:
            return
        namespace = Path(f"/proc/{host.pid}/ns/pid").readlink()
        # Its child is the first process of the namespace, with which all others die; gone, the line is gone too.
        host.process.kill()
        host.process.communicate()
        host.process = None
        end_s = time.monotonic() + BOOT_S
        while _processes(namespace) or self._port(name) in _ip("-o link", self.switch.pid):
            assert time.monotonic() < end_s, f"host {name} does not die"
            time.sleep(0.02)

    def cut(self, name: str, *peers: str) -> None:
        """Cut a host off the switch, or off its `peers` alone. Nobody is notified: sent packets are lost."""
        if not peers:
            _ip(f"link set {self._port(name)} down", self.switch.pid)
        for here, there in self._pairs(name, peers):
            _ip(f"neighbour replace {there.address} lladdr {NOWHERE} nud permanent dev eth0", here.pid)

    def heal(self, name: str, *peers: str) -> None:
        """Undo the same `cut`."""
        if not peers:
            _ip(f"link set {self._port(name)} up", self.switch.pid)
        for here, there in self._pairs(name, peers):
            _ip(f"neighbour delete {there.address} dev eth0", here.pid)

    def _pairs(self, name: str, peers: Sequence[str]) -> Iterator[tuple[Host, Host]]:
        for peer in peers:
            yield self[name], self[peer]
            yield self[peer], self[name]

    def _port(self, name: str) -> str:
        return f"port{list(self.by_name).index(name)}"


@contextlib.contextmanager
def running_hosts(folder: Path, names: Sequence[str], env: Mapping[str, str] | None = None) -> Iterator[Hosts]:
    """Hosts of these names, all switched on, until the end of the block. Skips the test where they cannot be made.

    They share this machine's files but for `HOME`, /tmp, /dev/shm and /run, and let each other and this machine in with
    a key of their own; a person's ~/.ssh is neither read nor written. `env` is what commands run there get.
    """
    if reason := why_not():
        pytest.skip(f"hosts cannot be made here: {reason}")
    network, link = _free_network(), f"caucus{secrets.token_hex(4)}"
    with contextlib.ExitStack() as stack:
        switch = subprocess.Popen([*MORTAL, "unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        stack.callback(switch.wait)
        stack.callback(switch.kill)
        hosts = Hosts(folder, network, switch, link, dict(env or {}))
        stack.callback(_unplug, hosts)
        _plug_in(hosts)
        _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(hosts.key))
        for at, name in enumerate(names):
            hosts.by_name[name] = Host(name, str(network[11 + at]), folder / name, hosts.env)
        for name in names:
            _furnish(hosts, hosts[name])
            stack.callback(hosts.kill, name)
            hosts.boot(name)
        yield hosts


def why_not() -> str:
    """Why hosts cannot be made on this machine; empty where they can."""
    if missing := [tool for tool in TOOLS if not shutil.which(tool, path=PATH)]:
        return f"not installed: {', '.join(missing)} (Debian: openssh-server, rsync, iproute2, util-linux)"
    if os.geteuid() != 0:
        return "network and process namespaces take root"
    tried = "ip link add switch type bridge && ip link add one type veth peer name two && mount -t tmpfs tmpfs /run"
    found = subprocess.run(
        ["unshare", "-pfmnu", "--mount-proc", "sh", "-c", tried], capture_output=True, text=True, check=False
    )
    return f"namespaces cannot be made: {found.stderr.strip()}" if found.returncode else ""


def _furnish(hosts: Hosts, host: Host) -> None:
    """A host's files, before its first start."""
    for name in ("home/.ssh", "tmp", "ssh"):
        (host.folder / name).mkdir(parents=True, mode=0o700)
    (host.folder / "tmp").chmod(0o1777)
    for name, at in (("key", "id_ed25519"), ("key.pub", "id_ed25519.pub")):
        shutil.copy(hosts.folder / name, host.folder / "home" / ".ssh" / at)
    (host.folder / "ssh" / "sshd_config").write_text(SSHD)
    shutil.copy(hosts.folder / "key.pub", host.folder / "ssh" / "authorized_keys")
    _do("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host.folder / "ssh" / "host_key"))
    known = "".join(f"{each.address} {each.name}\n" for each in hosts.by_name.values())
    (host.folder / "hosts").write_text(f"127.0.0.1 localhost\n{known}")
    users = (line.split(":") for line in Path("/etc/passwd").read_text().splitlines())
    lines = [":".join([*user[:5], HOME, "/bin/bash"] if user[0] == "root" else user) for user in users]
    (host.folder / "passwd").write_text("\n".join(lines) + "\n")


def _plug_in(hosts: Hosts) -> None:
    """Make the bridge, and lay a line from this machine to it."""
    end_s = time.monotonic() + BOOT_S
    while Path(f"/proc/{hosts.switch.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        assert time.monotonic() < end_s, "the switch's namespace was not made"
        time.sleep(0.01)
    _ip("link add switch type bridge", hosts.switch.pid)
    _ip("link set switch up", hosts.switch.pid)
    _ip(f"link add {hosts.link} type veth peer name outside netns {hosts.switch.pid}")
    _ip("link set outside master switch up", hosts.switch.pid)
    _ip(f"address add {hosts.outside}/{hosts.network.prefixlen} dev {hosts.link}")
    _ip(f"link set {hosts.link} up")


def _unplug(hosts: Hosts) -> None:
    """The line would go with the switch, but some time later."""
    with contextlib.suppress(AssertionError):
        _ip(f"link delete {hosts.link}")


def _free_network() -> ipaddress.IPv4Network:
    """A private network of 256 addresses to which this machine has no route of its own."""
    routes = _ip("-4 -o route")
    known = [ipaddress.ip_network(line.split()[0]) for line in routes.splitlines() if line[:1].isdigit()]
    while True:
        network = ipaddress.IPv4Network(f"10.{random.randint(128, 250)}.{random.randint(0, 255)}.0/24")
        if not any(network.overlaps(other) for other in known):
            return network


def _processes(namespace: Path) -> list[int]:
    """Those that are in a process namespace."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "ns" / "pid").readlink() == namespace:
                found.append(int(entry.name))
    return found


def _greets(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _enter(pid: int, *more: str) -> list[str]:
    return ["nsenter", "-t", str(pid), "-n", *more, "--"]


def _ip(arguments: str, pid: int | None = None) -> str:
    """What `ip WORDS` prints, in the network of process `pid`, of this machine where that is None."""
    return _do(*(_enter(pid) if pid else []), "ip", *arguments.split())


def _do(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout
