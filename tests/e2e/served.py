"""A real instance, served by `python -m docflow serve` in a process of its own, over real HTTP."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx2

from docflow.cli.samples import write_decision, write_letter
from docflow.kernel.clock import SystemClock
from tests.api_support import Door, answered, if_match
from tests.office_support import CLERK, HEAD, LEADER, SPECIALIST, Instance, password_of

START_SECONDS = 60.0
JOB_SECONDS = 60.0
DECISION = "quyet-dinh.pdf"
LETTER = "letter.pdf"
_ADDRESS = re.compile(r"docflow serves (http://\S+)")


class Person(Door):
    """Someone who uses the API over a connection of their own."""

    def settled(self, document_id: str) -> dict[str, Any]:
        """Wait until no job works on a document, and return it."""
        document: dict[str, Any] = {}

        def done() -> bool:
            nonlocal document
            document = self.read(f"/v1/documents/{document_id}")
            return document["pending"] is None

        until(done, f"the job of {document_id}", JOB_SECONDS)
        return document

    def carry(self, document_id: str, trigger: str, **asked: Any) -> dict[str, Any]:
        """Fire a transition, wait for the job if there is one, and return the document."""
        self.fire(document_id, trigger, **asked)
        return self.settled(document_id)

    def put_main(
        self, document: dict[str, Any], content: bytes, name: str = "văn bản.pdf"
    ) -> httpx2.Response:
        """Put a document's main file as a raw body."""
        headers = if_match(document["version"]) | {
            "Content-Type": "application/pdf",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        }
        return self.request(
            "PUT", f"/v1/documents/{document['id']}/files/main", content=content, headers=headers
        )


class Service:
    """`docflow serve` over a prepared folder and database; may be killed and started again."""

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        self.folder = folder
        self.database_url = database_url
        self.environment = os.environ | {
            "DOCFLOW_DATA_DIR": str(folder),
            "DOCFLOW_DATABASE_URL": database_url,
            "DOCFLOW_JOB_POLL_SECONDS": "0.05",
            "DOCFLOW_JOB_BACKOFF_SECONDS": "0.1",
            "DOCFLOW_SEQUENCER_SECONDS": "0.2",
            **{f"DOCFLOW_{name.upper()}": value for name, value in settings.items()},
        }
        # an installed service has its bytecode; compiling it anew at every start takes seconds
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.address = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._words = 0
        self._people: dict[str, Person] = {}
        self._clients: list[httpx2.Client] = []

    # -- the process -------------------------------------------------------------------------------

    @property
    def log(self) -> Path:
        """What the process that was started last has said."""
        return self.folder / f"service-{self._starts}.log"

    def start(self) -> Self:
        """Start the process on a free port and wait until it is ready."""
        self._starts += 1
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "docflow", "serve", "--port", "0"],
                env=self.environment,
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                cwd=self.folder,
            )
        until(self._answers, f"the service; its log is {self.log}", START_SECONDS)
        return self

    def _answers(self) -> bool:
        assert self._process is not None
        said = self.log.read_text("utf-8", "replace")
        assert self._process.poll() is None, f"the service ended: {said[-2000:]}"
        found = _ADDRESS.search(said.replace("\n", " "))
        if found is None:
            return False
        self.address = found[1]
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"{self.address}/readyz", timeout=5).is_success
        return False

    def memory(self) -> int:
        """Bytes of memory that the process has now."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]

    def kill(self) -> None:
        """End the process as a power cut would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(20)
        self._forget()

    def stop(self) -> int:
        """End the process as an operator would; return its status."""
        assert self._process is not None
        self._process.terminate()
        status = self._process.wait(60)
        self._forget()
        return status

    def end(self) -> None:
        """End the process, if it still runs, at the end of a test."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._forget()

    def _forget(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._people.clear()

    # -- who uses it -------------------------------------------------------------------------------

    def person(self, token: str | None = None, login: str = "") -> Person:
        """Someone with a token, or without one."""
        client = httpx2.Client(base_url=self.address, timeout=60)
        self._clients.append(client)
        return Person(client, token, login)

    @property
    def nobody(self) -> Person:
        """Someone without a token."""
        return self.person()

    def session(self, login: str) -> Person:
        """Log in anew."""
        given = {"login": login, "password": password_of(login)}
        token = answered(self.nobody.post("/v1/sessions", given), 201)["token"]
        return self.person(token, login)

    def login(self, login: str) -> Person:
        """Someone who logged in, once per start of the service."""
        if login not in self._people:
            self._people[login] = self.session(login)
        return self._people[login]

    # -- documents ---------------------------------------------------------------------------------

    def unique(self) -> str:
        """A word that no other document of this service has."""
        self._words += 1
        return f"W{self._words}x{os.getpid()}"

    @property
    def decision(self) -> bytes:
        """A decision (quyết định) of two pages, whose bytes no other document has."""
        return self._file(DECISION)

    @property
    def letter(self) -> bytes:
        """An English letter, whose bytes no other document has."""
        return self._file(LETTER)

    def _file(self, name: str) -> bytes:
        return (self.folder / name).read_bytes() + f"\n% {self.unique()}\n".encode()

    def incoming(self, login: str = CLERK, **metadata: Any) -> dict[str, Any]:
        """Post an incoming letter; each is another document."""
        word = self.unique()
        values = {
            "direction": "incoming", "type": "CV", "subject": f"Công văn {word}",
            "issuer": "Sở Tài chính", "issuer_symbol": f"{word}/STC", "issuer_date": "2026-03-02",
        }  # fmt: skip
        return self.login(login).post_document(self.letter, **(values | metadata))

    def draft(self, login: str = SPECIALIST, **metadata: Any) -> dict[str, Any]:
        """Draft an outgoing decision."""
        values = {
            "direction": "outgoing", "type": "QĐ", "subject": f"Ban hành Quy chế {self.unique()}",
            "recipients": ["STC", "SNV"],
        }  # fmt: skip
        return self.login(login).post_document(self.decision, **(values | metadata))

    def approved(self, **metadata: Any) -> str:
        """Draft, submit and approve a decision, which gives it a number; return its id."""
        document_id = str(self.draft(**metadata)["id"])
        self.login(SPECIALIST).fire(document_id, "submit")
        self.login(HEAD).fire(document_id, "approve")
        return document_id

    def signed(self, **metadata: Any) -> str:
        """Bring a decision to the clerk, signed by the leader; return its id."""
        document_id = self.approved(**metadata)
        self.login(LEADER).carry(document_id, "sign")
        return document_id

    def released(self, **metadata: Any) -> dict[str, Any]:
        """Bring a decision all the way to its recipients."""
        document_id = self.signed(**metadata)
        return self.login(CLERK).carry(document_id, "release")

    # -- the command line --------------------------------------------------------------------------

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `docflow …` against the same instance."""
        return subprocess.run(
            [sys.executable, "-m", "docflow", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.folder,
            check=False,
        )


def until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """Wait for something, often asked, but not for ever."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} took longer than {seconds:.0f} s"
        time.sleep(0.02)


@contextlib.contextmanager
def served(folder: Path, database_url: str, **settings: str) -> Iterator[Service]:
    """Serve a prepared instance."""
    service = Service(folder, database_url, **settings)
    try:
        yield service.start()
    finally:
        service.end()


def prepare_template(folder: Path) -> Path:
    """Prepare an instance on SQLite as of today, with accounts, keys, fonts and sample files."""
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    Instance.prepare(folder, url, SystemClock())
    instance = Instance(folder, url, SystemClock())  # makes what a first start makes
    fonts = instance.services.studio.fonts
    write_decision(folder / DECISION, fonts)
    write_letter(folder / LETTER, fonts)
    with instance.database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    instance.close()
    return folder
