"""An office whose every row and every stored byte is looked at before and after a bad request."""

import dataclasses
import hashlib
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

import docflow
from docflow.api.app import create_app
from docflow.kernel.clock import ManualClock
from docflow.people.accounts import Accounts
from tests.api_support import Door, Office, answered, if_match
from tests.conftest import START
from tests.office_support import (
    ADMINISTRATOR,
    CLERK,
    SPECIALIST,
    SYSTEM,
    Instance,
    cheap,
    copy_instance,
)

MAX_FILE_BYTES = 26 * 2**20
_IGNORED = {"sessions", "login_attempts"}
_TOLD = {"history_entries", "history_pending"}  # a refusal may be told there
_HEAD = {"history_seq", "history_hash"}
_LINE = re.compile(r"\| `([^`]+)` \| ([^|]+) \|")
_DOCUMENTED = {
    match[1]: {status.strip() for status in match[2].split(",")}
    for match in map(
        _LINE.match,
        (Path(docflow.__file__).parents[2] / "docs" / "errors.md").read_text("utf-8").splitlines(),
    )
    if match
}


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """What an instance holds: each table's rows, and every file of store and staging."""

    tables: Mapping[str, tuple[int, str]]
    files: frozenset[tuple[str, int]]


class Watched:
    """A real office with documents in several states and callers of every kind."""

    def __init__(self, office: Office, clock: ManualClock) -> None:
        self.office = office
        self.client = office.client
        expired = office.session(CLERK).token
        administrator = office.login(ADMINISTRATOR)
        owner = office.person(SYSTEM)["id"]
        soon = (clock.now() + timedelta(hours=1)).isoformat()
        body = {"name": "x", "person_id": owner, "scopes": ["documents:read"], "expires_at": soon}
        expiring = answered(administrator.post("/v1/api-keys", body), 201)["token"]
        clock.advance(timedelta(hours=24))  # sessions and that key are over
        office._doors.clear()
        revoked = self._revoked(owner)
        self.tokens = {
            "nobody": None,
            "unknown": "dfs_" + "A" * 43,
            "unknown key": "dfk_" + "A" * 43,
            "no token": "Hồ sơ".encode().hex(),
            "expired": expired,
            "expired key": expiring,
            "revoked key": revoked,
            "key": office.key(SYSTEM, "documents:create", "documents:read").token,
        }
        self.ids = self._documents()

    def _revoked(self, owner: str) -> str:
        administrator = self.office.login(ADMINISTRATOR)
        body = {"name": "x", "person_id": owner, "scopes": ["documents:read"]}
        made = answered(administrator.post("/v1/api-keys", body), 201)
        answered(administrator.post(f"/v1/api-keys/{made['id']}/revoke"), 200)
        return str(made["token"])

    def _documents(self) -> dict[str, str]:
        office, specialist, clerk = self.office, *map(self.office.login, (SPECIALIST, CLERK))
        review, registered = office.draft(), office.incoming(2)
        specialist.fire(review["id"], "submit")
        clerk.fire(registered["id"], "register")
        closed = office.incoming(3)
        clerk.fire(closed["id"], "refuse", reason="Gửi nhầm.")
        draft = office.draft()
        empty = specialist.post_document(direction="outgoing", type="CV", subject="Chưa có tệp")
        return {
            "draft": draft["id"],
            "main": draft["files"][0]["id"],
            "empty": empty["id"],
            "review": review["id"],
            "received": office.incoming(1)["id"],
            "registered": registered["id"],
            "closed": closed["id"],
            "approved": office.approved(),
            "specialist": office.person(SPECIALIST)["id"],
        }

    # -- asking ------------------------------------------------------------------------------------

    def door(self, caller: str) -> Door:
        """The door as someone of the office, or as one of those who should not come in."""
        if caller in self.tokens:
            return Door(self.client, self.tokens[caller])
        return self.office.login(caller)

    def ask(self, caller: str, method: str, url: str, **options: Any) -> httpx2.Response:
        """Send a request; `{name}` in the address is the id of what has this name."""
        return self.door(caller).request(method, url.format_map(self.ids), **options)

    def at_version(self, name: str) -> dict[str, str]:
        """The If-Match header for a document as it is."""
        found = self.office.instance.row(self.ids[name])
        return if_match(found["version"])

    # -- looking -----------------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> Mapping[str, sa.Table]:
        return self.office.instance.tables

    def snapshot(self, *, may_tell: bool = False) -> Snapshot:
        """Return what the instance holds; with `may_tell`, leave out what a told refusal changes."""
        tables = {}
        with self.office.instance.database.read() as connection:
            for name, table in self._tables.items():
                if name in _IGNORED or (may_tell and name in _TOLD):
                    continue
                columns = [c for c in table.columns if not (may_tell and c.name in _HEAD)]
                rows = connection.execute(sa.select(*columns)).all()
                lines = sorted(repr(tuple(row)) for row in rows)
                tables[name] = (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest())
        folder = self.office.instance.folder
        files = {
            (str(path.relative_to(folder)), path.stat().st_size)
            for part in ("store", "staging")
            for path in (folder / part).rglob("*")
            if path.is_file()
        }
        return Snapshot(tables, frozenset(files))

    @contextmanager
    def unchanged(self, *, may_tell: bool = False) -> Iterator[None]:
        """Hold that nothing is changed by what is done inside."""
        before = self.snapshot(may_tell=may_tell)
        yield
        assert self.snapshot(may_tell=may_tell) == before


def problem_of(answer: httpx2.Response) -> dict[str, Any]:
    """Return the problem document of a refusal, which must be as documented."""
    assert 400 <= answer.status_code < 500, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:docflow:problem:{problem['code']}"
    assert problem["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert problem["detail"]
    assert len(answer.content) < 4000, "a refusal does not send back what it was sent"
    statuses = _DOCUMENTED[problem["code"]]
    assert statuses & {str(answer.status_code), "4xx"}, f"{problem['code']} is for {statuses}"
    return problem


@contextmanager
def watched_office(
    request: pytest.FixtureRequest, folder: Path, prepared: Path, kind: str
) -> Iterator[Watched]:
    """Open a watched office on `sqlite` or `postgresql`."""
    copy_instance(prepared, folder)
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    if kind == "postgresql":
        server = request.getfixturevalue("postgres")
        template = request.getfixturevalue("prepared_postgres")
        url = server.create("b" + uuid.uuid4().hex, template=template)
    clock = ManualClock(START)
    instance = Instance(folder, url, clock, max_file_bytes=MAX_FILE_BYTES)
    accounts = Accounts(instance.database, instance.settings, cheap())
    services = dataclasses.replace(instance.services, accounts=accounts)
    with (
        TestClient(create_app(services), raise_server_exceptions=False) as client,
        Office(instance, client, services) as office,
    ):
        yield Watched(office, clock)
    instance.close()
