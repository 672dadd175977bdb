"""Fills a served instance with documents and entries, past the API, to make its tables large."""

import dataclasses
import secrets
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from docflow.db import guard, migrate
from docflow.db.engine import Database
from docflow.kernel.clock import SystemClock
from docflow.kernel.ids import new_id
from docflow.transparency.entry import NO_PREVIOUS, make_entry, parse_leaf

_CHUNK = 1000
_OPTIONS = {guard.TOKEN: True}


def grower(database_url: str) -> Callable[[int], None]:
    """Return a function that brings the instance to about so many documents."""
    tables = migrate.load_metadata().tables
    documents, entries = tables["documents"], tables["history_entries"]

    def grow(wanted: int) -> None:
        database = Database(database_url, SystemClock())
        with database.read() as connection:
            there = connection.execute(
                sa.select(sa.func.count()).select_from(documents)
            ).scalar_one()
            pattern = connection.execute(sa.select(documents).limit(1)).one()._asdict()
            entry = (
                connection.execute(sa.select(entries).where(entries.c.subject_id == pattern["id"]))
                .first()
                ._asdict()  # type: ignore[union-attr]
            )
        while there < wanted:
            count = min(_CHUNK, wanted - there)
            made = [_copy(pattern, entry) for _ in range(count)]
            with database.engine.begin() as connection:
                connection.execute(
                    sa.insert(documents), [row for row, _ in made], execution_options=_OPTIONS
                )
                connection.execute(sa.insert(entries), [item for _, item in made])
            there += count
        database.dispose()

    return grow


def _copy(pattern: dict[str, Any], entry: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    document_id, entry_id = new_id(), new_id()
    fields = dataclasses.replace(
        parse_leaf(entry["leaf"].encode()),
        id=entry_id,
        subject_id=document_id,
        seq=1,
        prev=NO_PREVIOUS,
        details=None,
    )
    made = make_entry(fields)
    row = pattern | {
        "id": document_id,
        "search_id": secrets.randbits(62),
        "issuer_symbol": secrets.token_hex(8),
        "main_sha256": secrets.token_hex(32),
        "verification_code": None,
        "version": 1,
        "history_seq": 1,
        "history_hash": made.leaf_hash,
    }
    item = entry | {
        "id": entry_id,
        "subject_id": document_id,
        "subject_seq": 1,
        "leaf": made.leaf.decode(),
        "leaf_hash": made.leaf_hash,
        "details": None,
        "details_key": None,
    }
    return row, item
