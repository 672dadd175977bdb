"""Confidential documents in tests: who is cleared, what carries the marker, what lies at rest."""

import base64
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from reportlab.pdfgen.canvas import Canvas
from starlette.testclient import TestClient

from docflow.api.app import create_app
from docflow.db import Database
from docflow.kernel.actor import Actor
from docflow.people.accounts import Accounts
from docflow.people.authenticate import Authenticator
from tests.api_support import Office
from tests.office_support import AUDITOR, CLERK, HEAD, LEADER, SPECIALIST, Instance, cheap

PLAIN = b"7h3-m4rk3r"
MARKER = f"dấu hiệu {PLAIN.decode()}"
CLEARED = (SPECIALIST, HEAD, LEADER, CLERK, AUDITOR)


class Clearing(Authenticator):
    """An authenticator for whom some people are cleared, whatever the database says of them."""

    def __init__(
        self, inner: Authenticator, levels: frozenset[str], person_ids: Iterable[str]
    ) -> None:
        self._inner = inner
        self._levels = levels
        self._person_ids = frozenset(person_ids)

    def authenticate(self, token: str) -> Actor:
        actor = self._inner.authenticate(token)
        cleared = self._levels if actor.id in self._person_ids else actor.cleared
        return dataclasses.replace(actor, cleared=cleared)


def clearing(instance: Instance, *logins: str, level: str = "confidential") -> Authenticator:
    """The instance's authenticator, with the people behind these accounts cleared."""
    levels = instance.services.catalogue.seed.classification.cleared(level)
    ids = [instance.actor(login).id for login in logins]
    return Clearing(instance.services.authenticator, levels, ids)


@contextmanager
def cleared_office(instance: Instance, *logins: str) -> Iterator[Office]:
    """Open an instance's HTTP door, with the people behind these accounts cleared."""
    services = dataclasses.replace(
        instance.services,
        accounts=Accounts(instance.database, instance.settings, cheap()),
        authenticator=clearing(instance, *(logins or CLEARED)),
    )
    with (
        TestClient(create_app(services), raise_server_exceptions=False) as client,
        Office(instance, client, services) as office,
    ):
        yield office


def marked_pdf(pages: int = 1, marker: bytes = PLAIN) -> bytes:
    """A PDF that carries the marker in the open, as a title and on every uncompressed page."""
    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0, invariant=1)
    canvas.setTitle(marker.decode())
    for _ in range(pages):
        canvas.drawString(72, 700, marker.decode())
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def encodings(marker: bytes = PLAIN) -> list[bytes]:
    """The marker as it is, as hexadecimal digits, and as base64 at each of its three offsets."""
    found = [marker, marker.hex().encode()]
    for offset in range(3):
        data = bytes(offset) + marker
        encoded = base64.b64encode(data)
        found.append(encoded[-(-offset * 4 // 3) : len(data) // 3 * 4])  # whole groups of its own
    return found


def has_marker(data: bytes, marker: bytes = PLAIN) -> bool:
    """Tell whether the marker lies in these bytes in a form that gives it away."""
    return any(form in data for form in encodings(marker))


def rows_of(connection: sa.Connection, table: str, schema: str | None = None) -> str:
    """Every row of a table, as the driver has it."""
    name = f'"{table}"' if schema is None else f'"{schema}"."{table}"'
    found = connection.exec_driver_sql(f"SELECT * FROM {name}")  # noqa: S608
    return "\n".join(json.dumps([str(value) for value in row], ensure_ascii=False) for row in found)


def in_tables(database: Database) -> bytes:
    """Every column of every table, the job engine's and the search index's as well."""
    with database.read() as connection:
        inspector = sa.inspect(connection)
        schemas = [name for name in inspector.get_schema_names() if name != "information_schema"]
        return "\n".join(
            rows_of(connection, name, schema)
            for schema in schemas
            for name in inspector.get_table_names(schema)
        ).encode()


def in_folder(folder: Path, besides: Iterable[str] = ()) -> dict[str, bytes]:
    """Every file below a folder, by its path."""
    skipped = set(besides)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in skipped
    }


def multipart(*parts: tuple[str, str | None, Any]) -> tuple[bytes, dict[str, str]]:
    """A multipart body with its parts in this order: name, file name, content or JSON."""
    lines: list[bytes] = []
    for name, file_name, content in parts:
        told = f'Content-Disposition: form-data; name="{name}"'
        if file_name is not None:
            told += f'; filename="{file_name}"'
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        kind = "application/pdf" if isinstance(content, bytes) else "application/json"
        lines += [b"--limit", told.encode(), f"Content-Type: {kind}".encode(), b"", data]
    body = b"\r\n".join([*lines, b"--limit--", b""])
    return body, {"Content-Type": "multipart/form-data; boundary=limit"}
