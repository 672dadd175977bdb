"""A prepared instance and its service in a process of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.client import Http, WrongResultError, request

CAST = {
    "clerk": "hanh.nt",
    "specialist": "khoa.ld",
    "head": "dung.tq",
    "leader": "son.nh",
    "auditor": "tam.ht",
}
SERVE = ("-m", "docflow", "serve")
_START_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Instance:
    """Where an instance lies, and a session of each of its people."""

    folder: Path
    database_url: str
    tokens: dict[str, str]


def prepare(folder: Path, database_url: str, **settings: Any) -> Instance:
    """Make the sample office's instance, with other settings too, and log its people in."""
    from docflow import bootstrap
    from docflow.cli import instance
    from docflow.cli.credentials import read_credentials
    from docflow.settings import Settings

    loaded = Settings.load(data_dir=folder, database_url=database_url, **settings)
    instance.prepare(loaded)
    passwords = read_credentials(loaded.data_dir / instance.CREDENTIALS)
    services = bootstrap.build(loaded)
    try:
        tokens = {
            role: services.accounts.login(login, passwords[login]).token
            for role, login in CAST.items()
        }
    finally:
        services.close()
    return Instance(loaded.data_dir, database_url, tokens)


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers."""

    pid: int
    port: int

    def memory_mib(self, field: str = "VmRSS") -> float:
        """Return what the service's processes hold in memory (`VmHWM`: held at most)."""
        return sum(_status_kib(pid, field) for pid in _family(self.pid)) / 1024

    def forget_peak(self) -> None:
        """Let `VmHWM` begin anew (Linux, proc(5): clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", "ascii")

    def cpu_seconds(self) -> float:
        """Return the processor time that the service has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def serving(
    instance: Instance, command: tuple[str, ...] = SERVE, **environment: str
) -> Iterator[Service]:
    """Run the service until the block ends; its log lies in the instance's folder."""
    port = _free_port()
    log = instance.folder / "service.log"
    variables = {
        **os.environ,
        "DOCFLOW_DATABASE_URL": instance.database_url,
        "DOCFLOW_LOG_LEVEL": "info",
        **environment,
    }
    arguments = [*command, "--data-dir", str(instance.folder), "--port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=output, stderr=output, env=variables
        )
    try:
        _wait(process, port, log)
        yield Service(process.pid, port)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise WrongResultError(f"the service did not start:\n{log.read_text('utf-8')[-3000:]}")
        with contextlib.suppress(OSError, WrongResultError):
            Http(port).ask(request("GET", "/readyz", "none"), 200)
            return
        time.sleep(0.1)
    raise WrongResultError(f"the service was not ready after {_START_SECONDS:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    return [pid, *(member for child in children for member in _family(int(child)))]


def _status_kib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1])
    return 0
