"""What people wrote in a request: the only way in and out of the column `words`.

A reason can tell what a document is about, whether the request names it rightly or not, and a
document may be raised later. So where this instance seals anything, words are always sealed, under a
key of the request's own.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from docflow.custody.model import Custody
from docflow.db import Row, UnitOfWork
from docflow.storage.sealing import TextPlace


def columns(
    custody: Custody, uow: UnitOfWork, request: Mapping[str, Any], words: Mapping[str, str]
) -> dict[str, Any]:
    """Return the columns that hold what was said.

    Args:
        custody: the room's tools.
        uow: the open unit of work; a new key is written in it.
        request: needs `id` and, once it was written, `data_key_id`.
        words: texts by name: `asked_for`, `reason`, `decision_reason`.
    """
    vault = custody.desk.vault
    key_id = request.get("data_key_id")
    levels = custody.desk.catalogue.seed.classification
    if key_id is None and not levels.sealing():
        return {"words": dict(words), "data_key_id": None}
    kept = {"id": request["id"], "classification": levels.sealed_from, "data_key_id": key_id}
    if key_id is None:
        new = vault.seal_new(uow, {**kept, "subject": "", "fields": {}})
        kept["data_key_id"] = new["data_key_id"]
    sealed = vault.seal_json(kept, _place(request["id"]), words, uow.connection)
    return {"words": sealed, "data_key_id": kept["data_key_id"]}


def of(custody: Custody, request: Row, connection: sa.Connection) -> Mapping[str, str]:
    """Return the words of a request, opened."""
    place = _place(request["id"])
    return custody.desk.vault.open_json(request, place, request["words"], connection)


def _place(request_id: str) -> TextPlace:
    return TextPlace("custody_requests", "words", request_id)
