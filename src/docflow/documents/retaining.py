"""Ask for the retention of a document's files, in the transaction that brings it to a state."""

from typing import Final

from docflow.db import Row, UnitOfWork
from docflow.documents.desk import Desk
from docflow.kernel.clock import rfc3339
from docflow.workflow.definition import StateDefinition

KIND: Final = "retain"


def ask(desk: Desk, uow: UnitOfWork, row: Row, state: str, definition: StateDefinition) -> None:
    """Enqueue the job that locks the files, if the state that the document reaches retains them.

    How long is worked out by the job: what the type says may be put right before it is tried again.
    """
    if definition.retain is None:
        return
    desk.enqueue(
        uow,
        kind=KIND,
        job_id=f"{KIND}-{row['id']}-{row['version']}",
        subject_id=row["id"],
        payload={"document_id": row["id"], "state": state, "since": rfc3339(uow.now)},
    )
