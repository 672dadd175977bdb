"""Reading a sealed document is history: the entry is committed before the first byte leaves.

What counts as reading: its page (subject, fields, file names), the bytes of a file, the details of its
history. That it is in a list, with its number and state, is not.
"""

from typing import Any

from docflow.db import Draft, Row
from docflow.documents import rows
from docflow.documents.desk import Desk
from docflow.documents.duplicates import facts_for_access
from docflow.documents.tables import documents
from docflow.kernel.actor import Actor
from docflow.people import access
from docflow.people.access import Permission


def recorded(desk: Desk, actor: Actor, row: Row, permission: Permission, **what: Any) -> None:
    """Record that an actor reads a document that is sealed, before it is opened; else do nothing.

    The permission is asked for again under the row's lock, so that what was taken away meanwhile is
    not read, and the entry says by which reason it was read.

    Args:
        desk: the room's tools.
        actor: who reads; docflow itself leaves no entry.
        row: the document's row; needs `id` and `classification`.
        permission: what allows it.
        what: what is read, as identifiers and digests.

    Raises:
        NotFoundError, ForbiddenError: if the actor may not.
        UnavailableError: if the entry cannot be written; nothing is read then.
    """
    if actor.kind == "service" or not desk.vault.is_sealed(row):
        return
    with desk.database.unit_of_work(actor) as uow:
        now = rows.lock(uow, row["id"])
        facts = facts_for_access(now)
        access.require(actor, permission, facts)
        verdict = access.decide(actor, permission, facts)
        uow.note(documents, now, Draft("document.read", {"by": verdict.rule, **what}))
