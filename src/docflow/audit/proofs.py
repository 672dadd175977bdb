"""Proofs for strangers: an entry's proof file, the log's checkpoint, its tiles and its public key.

A proof is made from the tiles in the database and verified before it is given away, so that what is
handed out proves what it says. An entry that has no place in the log yet gets one within seconds.
"""

import threading
from dataclasses import dataclass, replace

import sqlalchemy as sa

from docflow.audit.queries import DOCUMENT
from docflow.audit.records import read_checkpoint, read_resource, read_state, read_tile
from docflow.db import Database, one_row
from docflow.db.tables import history_entries, log_checkpoints, log_leaves
from docflow.documents.duplicates import facts_for_access
from docflow.documents.tables import documents
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConflictError, NotFoundError
from docflow.people import access
from docflow.people.access import Permission
from docflow.transparency.errors import TileError
from docflow.transparency.merkle import leaf_hash, verify_inclusion
from docflow.transparency.note import VerifierKey
from docflow.transparency.proof import write_proof
from docflow.transparency.tiles import TileReader, parse_tile_path, width_at

_NEWEST_ROOT = (
    sa.select(log_checkpoints.c.size, log_checkpoints.c.root, log_checkpoints.c.note)
    .order_by(log_checkpoints.c.size.desc())
    .limit(1)
    .subquery("newest")
)
_PROVABLE = (
    sa.select(
        history_entries.c.subject_kind,
        history_entries.c.subject_id,
        history_entries.c.leaf,
        log_leaves.c["index"],
        _NEWEST_ROOT.c.size,
        _NEWEST_ROOT.c.root,
        _NEWEST_ROOT.c.note,
    )
    .select_from(history_entries)
    .outerjoin(log_leaves, log_leaves.c.entry_id == history_entries.c.id)
    .outerjoin(_NEWEST_ROOT, sa.true())
)


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof file (C2SP tlog-proof v1, the leaf in `extra`) and where its entry is."""

    entry_id: str
    index: int
    size: int
    text: str


class Proofs:
    """Answers those who want to check; shared by threads, keeps the tiles it read."""

    def __init__(self, database: Database, key: VerifierKey) -> None:
        """Answer for the log whose public key is `key`."""
        self._database = database
        self._key = key
        self._tiles = TileReader(self._tile)
        self._reading = threading.local()  # each thread's connection, while it makes a proof

    @property
    def vkey(self) -> str:
        """The log's public key, as a C2SP vkey: what a stranger must know to verify."""
        return str(self._key)

    def proof(self, actor: Actor, entry_id: str) -> Proof:
        """Return the proof that an entry is in the log, under its newest checkpoint.

        Raises:
            NotFoundError: if there is no such entry that the actor may know of.
            ForbiddenError: if the actor may know of it, but not read history.
            ConflictError: if it has no place in the log yet (code `not-yet-sequenced`).
            IntegrityError: if the stored log does not prove it; the operator must look.
        """
        with self._database.read() as connection:
            row = one_row(connection, _PROVABLE.where(history_entries.c.id == entry_id))
            if row is None:
                raise _no_entry()
            _require(connection, actor, row["subject_kind"], row["subject_id"])
            index, size, leaf = row["index"], row["size"], row["leaf"].encode()
            if index is None or size is None:
                raise _not_yet()
            self._reading.connection = connection
            hashes = self._tiles.inclusion_proof(index, size)
        verify_inclusion(index, size, leaf_hash(leaf), hashes, bytes.fromhex(row["root"]))
        return Proof(entry_id, index, size, write_proof(index, hashes, row["note"], leaf=leaf))

    def checkpoint(self) -> str:
        """Return the newest checkpoint, a signed note.

        Raises:
            NotFoundError: if nothing is sequenced yet (code `no-checkpoint`).
        """
        with self._database.read() as connection:
            stored = read_checkpoint(connection)
        if stored is None:
            raise NotFoundError(
                "The log has no checkpoint yet; its first entry gets one in a moment.",
                code="no-checkpoint",
            )
        return stored.note

    def tile(self, actor: Actor, path: str) -> bytes:
        """Return a tile or an entry bundle by its C2SP path, `tile/0/000.p/12`.

        Raises:
            ForbiddenError: if the actor is no auditor.
            NotFoundError: if the log has no such tile (yet).
        """
        access.require(actor, Permission.HISTORY_READ)
        try:
            wanted = parse_tile_path(path)
        except TileError as error:
            raise NotFoundError(error.detail, code="no-such-tile") from error
        with self._database.read() as connection:
            state = read_state(connection)
            size = state.size if state else 0
            if wanted.width > width_at(wanted.level or 0, wanted.index, size):
                raise NotFoundError(
                    f"The log has {size} leaves and no {path} yet.", code="no-such-tile"
                )
            return read_resource(connection, wanted)

    def _tile(self, level: int, index: int, width: int) -> bytes:
        return read_tile(self._reading.connection, level, index, width)


def _require(connection: sa.Connection, actor: Actor, kind: str, subject_id: str) -> None:
    """Let auditors have every proof, and whoever may read a document those of its entries."""
    verdict = access.decide(actor, Permission.HISTORY_READ)
    if verdict.allowed:
        return
    if kind == DOCUMENT:
        row = one_row(connection, sa.select(documents).where(documents.c.id == subject_id))
        if row is not None:
            facts = facts_for_access(row)
            verdict = access.decide(actor, Permission.HISTORY_READ_DOCUMENT, facts)
            if verdict.visible:
                access.refuse(verdict)
                return
    elif access.decide(replace(actor, scopes=None), Permission.HISTORY_READ).allowed:
        access.refuse(verdict)  # an auditor, with a key that is not for this
    raise _no_entry()


def _not_yet() -> ConflictError:
    return ConflictError(
        "The entry is recorded, and gets its place in the log in a moment; try again then.",
        code="not-yet-sequenced",
        satisfied_by="Repeat the request in a few seconds.",
    )


def _no_entry() -> NotFoundError:
    return NotFoundError(
        "There is no such history entry, or you have no reason to know it.", code="no-such-entry"
    )
