"""Recompute everything that history says, from the database, trusting nothing but a public key.

One snapshot of the database is read, in order and in bounded memory, while the service goes on:
1. the log: leaves, tiles, roots, every checkpoint and its signature, the published copies;
2. every entry: its form, its columns, its details' commitment, its subject's chain, its place;
3. every subject's row and parts, against what its entries make of them;
4. the registers: no double, no gap, counters;
5. on request, the bytes of every stored file.
What is wrong becomes a finding, never an exception, so that one spoilt row does not hide another.
"""

from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa

from docflow.audit.check_contents import check_contents
from docflow.audit.check_entries import EntryCheck
from docflow.audit.check_log import LogCheck
from docflow.audit.check_published import Published
from docflow.audit.check_register import check_register
from docflow.audit.check_rows import RowCheck
from docflow.audit.heads import Heads
from docflow.audit.records import LogState, read_state
from docflow.audit.report import AuditReport, Notebook, Progress, silent
from docflow.db import Database
from docflow.db.tables import history_entries, history_pending
from docflow.documents.vault import Vault
from docflow.storage import ObjectStore
from docflow.transparency.note import VerifierKey


def verify_everything(
    database: Database,
    store: ObjectStore,
    verifier: VerifierKey,
    progress: Progress = silent,
    *,
    kept: Sequence[str] = (),
    contents: bool = False,
    vault: Vault | None = None,
) -> AuditReport:
    """Verify history and everything that it tells of.

    Args:
        database: what is verified.
        store: where tiles, checkpoint and files are.
        verifier: the log's public key, best kept apart from the service.
        progress: told how far it is.
        kept: checkpoints (signed notes) kept from earlier; the log must extend each.
        contents: read and hash every stored file as well; takes as long as reading them all.
        vault: opens what is sealed; without it, sealed files are held to the digest of their sealed
            bytes, and details that were sealed later are counted, not checked.

    Raises:
        UnavailableError: if database or storage do not answer.
    """
    started_at = database.clock.now()
    notebook = Notebook()
    with database.snapshot() as connection:
        state = _state(connection, verifier, notebook)
        published = Published(database, store, state, notebook)
        heads = Heads(connection, state, verifier, kept, notebook)
        root = LogCheck(connection, state, heads, published, notebook).run(progress)
        published.checkpoint(connection, verifier)
        pending = _check_subjects(connection, notebook, progress, vault)
        _orphans(connection, notebook)
        check_register(connection, notebook, progress)
        if contents:
            check_contents(connection, store, notebook, progress, vault)
    return AuditReport(
        findings=tuple(notebook.findings),
        found=dict(notebook.found),
        checked=dict(notebook.checked),
        origin=state.origin,
        size=state.size,
        root=root,
        pending=pending,
        started_at=started_at,
        finished_at=database.clock.now(),
    )


def _check_subjects(
    connection: sa.Connection, notebook: Notebook, progress: Progress, vault: Vault | None
) -> int:
    """Check every subject's entries against its row; return how many wait for the log."""
    entries = EntryCheck(connection, notebook, vault)
    rows = RowCheck(connection, notebook)
    for subject in entries.subjects(progress):
        rows.add(subject)
    rows.flush()
    rows.unrecorded()
    return entries.pending


def _state(connection: sa.Connection, verifier: VerifierKey, notebook: Notebook) -> LogState:
    state = read_state(connection) or LogState(verifier.name, 0, 0)
    find = partial(notebook.find, "log-state", "log")
    if state.origin != verifier.name:
        find(f"The log on file is {state.origin!r}, and the public key is of {verifier.name!r}.")
    if not 0 <= state.published_size <= state.size:
        find(f"The log's state says {state.published_size} of {state.size} leaves are published.")
    return state


def _orphans(connection: sa.Connection, notebook: Notebook) -> None:
    """Find what waits for a place and is no entry."""
    statement = (
        sa.select(history_pending.c.entry_id)
        .outerjoin(history_entries, history_entries.c.id == history_pending.c.entry_id)
        .where(history_entries.c.id.is_(None))
        .limit(1000)
    )
    for entry_id in connection.execute(statement).scalars():
        notebook.find(
            "entry-missing",
            f"entry {entry_id}",
            f"The entry {entry_id} waits for its place in the log, and is not in the history.",
        )
