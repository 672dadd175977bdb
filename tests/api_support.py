"""A whole real office behind the HTTP door: people log in, jobs run, clerks and heads do their work."""

import json
import time
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import httpx2
from starlette.testclient import TestClient

from docflow.bootstrap import Services
from docflow.cli.samples import write_decision, write_letter
from docflow.jobs.model import JobState
from docflow.worker import Periodic, Worker
from tests.office_support import (
    ADMINISTRATOR,
    CLERK,
    HEAD,
    LEADER,
    SPECIALIST,
    Instance,
    password_of,
)

JOB_SECONDS = 60.0
NO_ID = "01a20212-f2b9-7451-9375-3bee70e477af"  # has the form of an id, and is none
GOOD = "một mật khẩu đủ dài"  # a password that is accepted
_OPEN: tuple[JobState, ...] = ("queued", "running", "retrying")


class Door:
    """The HTTP door as one caller uses it: with a bearer token, or none."""

    def __init__(self, client: httpx2.Client, token: str | None = None, login: str = "") -> None:
        self.client = client
        self.token = token
        self.login = login

    def request(self, method: str, url: str, **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if (body := options.pop("json", None)) is not None:
            headers["Content-Type"] = "application/json"
            options["content"] = json.dumps(body).encode()  # ASCII, so that any text can be tried
        headers |= options.pop("headers", {})
        return self.client.request(method, url, headers=headers, **options)

    def get(self, url: str, **params: Any) -> httpx2.Response:
        return self.request("GET", url, params=params)

    def post(self, url: str, body: Any = None, **options: Any) -> httpx2.Response:
        return self.request("POST", url, json=body, **options)

    def patch(self, url: str, body: Any, version: int | None = None) -> httpx2.Response:
        return self.request("PATCH", url, json=body, headers=if_match(version))

    def put(self, url: str, body: Any, **options: Any) -> httpx2.Response:
        return self.request("PUT", url, json=body, **options)

    def delete(self, url: str, version: int | None = None) -> httpx2.Response:
        return self.request("DELETE", url, headers=if_match(version))

    # -- what callers do all the time --------------------------------------------------------------

    def read(self, url: str, **params: Any) -> Any:
        """Get what must be there."""
        return answered(self.get(url, **params), 200)

    def post_document(self, main: Path | bytes | None = None, **metadata: Any) -> dict[str, Any]:
        """Post a document, in one multipart request if it has a main file."""
        if main is None:
            return answered(self.post("/v1/documents", metadata), 201)  # type: ignore[no-any-return]
        content = main if isinstance(main, bytes) else main.read_bytes()
        parts = {
            "metadata": (None, json.dumps(metadata).encode(), "application/json"),
            "main": ("văn bản.pdf", content, "application/pdf"),
        }
        return answered(self.request("POST", "/v1/documents", files=parts), 201)  # type: ignore[no-any-return]

    def fire(self, document_id: str, trigger: str, **asked: Any) -> dict[str, Any]:
        """Fire a transition of a document as it is now; it must be allowed."""
        version = self.read(f"/v1/documents/{document_id}")["version"]
        answer = self.post(
            f"/v1/documents/{document_id}/transitions",
            {"trigger": trigger, "asked": asked},
            headers=if_match(version),
        )
        assert answer.status_code in (200, 202), answer.text
        return answer.json()  # type: ignore[no-any-return]


class Office:
    """The sample office: an instance, its application, and whoever is logged in."""

    def __init__(self, instance: Instance, client: TestClient, services: Services) -> None:
        self.instance = instance
        self.client = client
        self.services = services
        self._doors: dict[str, Door] = {}
        self._worker: Worker | None = None

    @property
    def nobody(self) -> Door:
        """The door without a token."""
        return Door(self.client)

    def session(self, login: str) -> Door:
        """Log in anew."""
        given = {"login": login, "password": password_of(login)}
        token = answered(self.nobody.post("/v1/sessions", given), 201)["token"]
        return Door(self.client, token, login)

    def login(self, login: str) -> Door:
        """The door as someone who logged in, once in this office."""
        if login not in self._doors:
            self._doors[login] = self.session(login)
        return self._doors[login]

    def again(self, login: str) -> Door:
        """The door as someone who logs in once more, after the old session expired."""
        self._doors.clear()
        return self.login(login)

    def key(self, login: str, *scopes: str) -> Door:
        """The door with a new API key of a person or system."""
        body = {"name": "test", "person_id": self.person(login)["id"], "scopes": list(scopes)}
        made = answered(self.login(ADMINISTRATOR).post("/v1/api-keys", body), 201)
        return Door(self.client, made["token"], login)

    def person(self, login: str) -> dict[str, Any]:
        (found,) = self.login(ADMINISTRATOR).read("/v1/people", login=login)["items"]
        return found  # type: ignore[no-any-return]

    def unit(self, code: str) -> dict[str, Any]:
        (found,) = self.login(ADMINISTRATOR).read("/v1/units", code=code)["items"]
        return found  # type: ignore[no-any-return]

    def recipient(self, code: str) -> dict[str, Any]:
        (found,) = self.login(ADMINISTRATOR).read("/v1/recipients", code=code)["items"]
        return found  # type: ignore[no-any-return]

    # -- sample files and documents ----------------------------------------------------------------

    @cached_property
    def decision(self) -> Path:
        """A decision (quyết định) of two pages."""
        path = self.instance.folder / "quyet-dinh.pdf"
        write_decision(path, self.services.studio.fonts)
        return path

    @cached_property
    def letter(self) -> Path:
        """An English letter."""
        path = self.instance.folder / "letter.pdf"
        write_letter(path, self.services.studio.fonts)
        return path

    def incoming(self, number: int = 1, **metadata: Any) -> dict[str, Any]:
        """Post an incoming letter as the clerk; every number is another document."""
        values = {
            "direction": "incoming", "type": "CV", "subject": f"Công văn số {number}",
            "issuer": "Sở Tài chính", "issuer_symbol": f"{number}/STC-QLNS",
        }  # fmt: skip
        content = self.letter.read_bytes() + f"\n% {number}\n".encode()
        return self.login(CLERK).post_document(content, **(values | metadata))

    def draft(self, **metadata: Any) -> dict[str, Any]:
        """Draft an outgoing decision as the specialist."""
        values = {
            "direction": "outgoing", "type": "QĐ", "subject": "Ban hành Quy chế",
            "recipients": ["STC", "SNV"],
        }  # fmt: skip
        return self.login(SPECIALIST).post_document(self.decision, **(values | metadata))

    def approved(self, **metadata: Any) -> str:
        """Draft, submit and approve a decision, which gives it a number; return its id."""
        document_id = self.draft(**metadata)["id"]
        self.login(SPECIALIST).fire(document_id, "submit")
        self.login(HEAD).fire(document_id, "approve")
        return str(document_id)

    def released(self, **metadata: Any) -> str:
        """Bring a decision all the way to its recipients, by the real jobs; return its id."""
        document_id = self.approved(**metadata)
        self.login(LEADER).fire(document_id, "sign")
        self.run_jobs()
        self.login(CLERK).fire(document_id, "release")
        self.run_jobs()
        return document_id

    # -- jobs --------------------------------------------------------------------------------------

    def run_jobs(self) -> None:
        """Have the worker run until no job is open; it stays running until the office closes."""
        engine = self.services.engine
        if self._worker is None:
            duties = [Periodic(*duty) for duty in self.services.duties()]
            self._worker = Worker(engine, duties)
            self._worker.start()
        deadline = time.monotonic() + JOB_SECONDS
        while any(engine.list(state=state, limit=1).jobs for state in _OPEN):
            assert time.monotonic() < deadline, "jobs did not end in time"
            time.sleep(0.02)

    # -- life --------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            assert self._worker.stop()


def answered(answer: httpx2.Response, status: int) -> Any:
    """Return the body of an answer that must have this status."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    return answer.json() if answer.content else None


def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Return the problem document of an answer that must be this refusal."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"]) == (status, code), problem
    assert problem["status"] == status
    assert problem["detail"]
    return problem


def if_match(version: int | None) -> dict[str, str]:
    return {} if version is None else {"If-Match": f'"{version}"'}


def once(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}
