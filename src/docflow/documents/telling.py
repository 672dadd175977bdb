"""Why a job waits or failed, as the details of its document's history, also while the keys are away."""

from docflow.documents import rows
from docflow.documents.desk import Desk
from docflow.documents.sealed_rows import pending_place
from docflow.kernel.errors import DocflowError


def cause(desk: Desk, document_id: str, error: str) -> dict[str, str] | None:
    """Return the details of an entry that says what went wrong; None where nothing can be sealed now.

    The details of a sealed document's history are sealed. What waits because the key provider is away must
    be told all the same: the entry then has no details, and the document's row says why. This is asked
    before the transaction that tells, for a token that hangs takes half a minute.

    Args:
        desk: the room's tools.
        document_id: the document.
        error: the sentence; it names no content.
    """
    with desk.database.read() as connection:
        row = rows.read(connection, document_id)
    told = {"error": error}
    try:
        desk.vault.seal_json(row, pending_place(document_id), told)
    except DocflowError:
        return None
    return told
