"""What the demo plays with: a real service in its own process, and clients that narrate."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2

from docflow.cli.output import CONSOLE, fail
from docflow.settings import Settings

_START_SECONDS = 60.0
_JOB_SECONDS = 60.0
_OK = 300
_SERVES = b"docflow serves http"  # what `docflow serve` writes once the port is its own


@contextlib.contextmanager
def running_service(settings: Settings, port: int) -> Iterator[str]:
    """Start `docflow serve` on loopback, give its address when it is ready, stop it at the end."""
    log = settings.data_dir / "demo" / "service.log"
    command = [sys.executable, "-m", "docflow", "serve", "--data-dir", str(settings.data_dir)]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [*command, "--port", str(port)], stdout=output, stderr=output
        )
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_until_ready(process, address, log)
            yield address
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            process.kill()


def _wait_until_ready(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            fail(f"The service did not start; its log says:\n{log.read_text('utf-8')[-2000:]}")
        # whatever answers before is not our service, and gets no password
        with contextlib.suppress(httpx2.TransportError):
            if (
                _SERVES in log.read_bytes()
                and httpx2.get(f"{address}/readyz", timeout=2).status_code < _OK
            ):
                return
        time.sleep(0.1)
    fail(f"The service was not ready after {_START_SECONDS:.0f} s; see {log}.")


@dataclass
class Player:
    """Someone who uses the API: a name to show, and a token."""

    address: str
    name: str
    token: str
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        """Open a connection of its own."""
        self.client = httpx2.Client(
            base_url=self.address,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=60,
        )

    def call(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Send a request; a refusal ends the demo with the service's own words."""
        answer = self.client.request(method, path, **more)
        if answer.status_code >= _OK:
            body = answer.json() if "json" in answer.headers.get("content-type", "") else {}
            fail(
                f"{self.name}: {method} {path} was refused with {answer.status_code} "
                f"{body.get('code', '')}: {body.get('detail', answer.text[:300])}"
            )
        return answer

    def get(self, path: str, **params: Any) -> Any:
        """Read something."""
        return self.call("GET", path, params=params or None).json()

    def fire(self, document: dict[str, Any], trigger: str, **asked: Any) -> dict[str, Any]:
        """Fire a transition on a document just read; wait for its job; tell what happened."""
        started = time.perf_counter()
        before = self.get(f"/v1/documents/{document['id']}")
        outcome = self.call(
            "POST",
            f"/v1/documents/{document['id']}/transitions",
            json={"trigger": trigger, "asked": asked},
            headers={"If-Match": f'"{before["version"]}"'},
        ).json()
        after = self._settled(outcome)
        number = f", no. {after['symbol']}" if after["symbol"] != before["symbol"] else ""
        tell(self.name, trigger, f"{before['state']} → {after['state']}{number}", started)
        return after

    def _settled(self, outcome: dict[str, Any]) -> dict[str, Any]:
        path = f"/v1/documents/{outcome['document_id']}"
        document: dict[str, Any] = self.get(path)
        deadline = time.monotonic() + _JOB_SECONDS
        stages: list[str] = []
        while document["pending"] and time.monotonic() < deadline:
            if document["stage"] and document["stage"] not in stages:
                stages.append(document["stage"])
            if document["pending"]["failed"]:
                fail(f"The job failed: {document['pending']['error']}")
            time.sleep(0.05)
            document = self.get(path)
        if document["pending"]:
            fail(f"The job {document['pending']['job_id']} did not end in {_JOB_SECONDS:.0f} s.")
        if stages:
            CONSOLE.print(f"      [dim]job: {' → '.join(stages)} → done[/]")
        return document


def tell(who: str, what: str, how: str, started: float) -> None:
    """Print one step: who, what, state before and after, and how long it took."""
    taken = (time.perf_counter() - started) * 1000
    at = datetime.now().astimezone()
    CONSOLE.print(
        f"{at:%H:%M:%S} [bold]{who:<21}[/] {what:<13} {how} [dim]({taken:.0f} ms)[/]",
        soft_wrap=True,
    )


def log_in(address: str, login: str, password: str, role: str) -> Player:
    """Log in as a person or a recipient."""
    answer = httpx2.post(
        f"{address}/v1/sessions", json={"login": login, "password": password}, timeout=30
    )
    if answer.status_code >= _OK:
        fail(f"{login} cannot log in: {answer.json().get('detail', answer.text)}")
    return Player(address, f"{login}, {role}", answer.json()["token"])
