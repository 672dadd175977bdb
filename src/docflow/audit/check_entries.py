"""Read every entry in the order of its subject: its form, its chain, its place, its commitment.

One subject's entries are held at a time; whole subjects are handed on in batches, so that memory
stays bounded however long history is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from docflow.audit.replay import Replayed
from docflow.audit.report import Notebook, Progress
from docflow.db import one_row
from docflow.db.tables import history_entries, history_pending, log_leaves
from docflow.documents.sealed_rows import details_place
from docflow.documents.tables import documents
from docflow.documents.vault import LATER, Vault
from docflow.kernel.errors import IntegrityError
from docflow.transparency.entry import NO_PREVIOUS, EntryFields, check_details, parse_leaf
from docflow.transparency.errors import LeafError
from docflow.transparency.merkle import leaf_hash

_PAGE = 500
_ENTRIES = history_entries.c
_KEY = (_ENTRIES.subject_kind, _ENTRIES.subject_id, _ENTRIES.subject_seq, _ENTRIES.id)
_PAGED = (
    sa.select(
        history_entries,
        log_leaves.c["index"].label("place"),
        history_pending.c.entry_id.label("waiting"),
    )
    .outerjoin(log_leaves, log_leaves.c.entry_id == _ENTRIES.id)
    .outerjoin(history_pending, history_pending.c.entry_id == _ENTRIES.id)
    .order_by(*_KEY)
    .limit(_PAGE)
)


@dataclass(slots=True)
class Subject:
    """A subject as its entries tell it.

    Attributes:
        kind: what it is.
        id: its identifier.
        seq: the number of its last entry.
        head: the leaf hash of its last entry, recomputed, in hexadecimal.
        place: the highest index of its entries in the log.
        replayed: what its row must be.
        sound: whether its entries could be read; if not, its row is not held to them.
    """

    kind: str
    id: str
    seq: int = 0
    head: str = NO_PREVIOUS
    place: int = -1
    replayed: Replayed = field(default_factory=Replayed)
    sound: bool = True

    @property
    def name(self) -> str:
        """How findings call it."""
        return f"{self.kind} {self.id}"


class EntryCheck:
    """One pass over the history, from the first subject to the last."""

    def __init__(
        self, connection: sa.Connection, notebook: Notebook, vault: Vault | None = None
    ) -> None:
        self._connection = connection
        self._notes = notebook
        self._vault = vault
        self.pending = 0

    def subjects(self, progress: Progress) -> Iterator[Subject]:
        """Check every entry; yield each subject after its last one."""
        total = self._connection.execute(
            sa.select(sa.func.count()).select_from(history_entries)
        ).scalar_one()
        progress("entries", 0, total)
        subject: Subject | None = None
        for row in self._rows():
            if subject is None or (row.subject_kind, row.subject_id) != (subject.kind, subject.id):
                if subject is not None:
                    yield subject
                subject = Subject(row.subject_kind, row.subject_id)
            self._entry(subject, row)
            self._notes.checked["entries"] += 1
            if self._notes.checked["entries"] % _PAGE == 0:
                progress("entries", self._notes.checked["entries"], total)
        if subject is not None:
            yield subject
        progress("entries", total, total)

    def _rows(self) -> Iterator[Any]:
        last: tuple[Any, ...] | None = None
        while True:
            statement = _PAGED
            if last is not None:
                after = sa.tuple_(*(sa.literal(value) for value in last))
                statement = statement.where(sa.tuple_(*_KEY) > after)
            page = list(self._connection.execute(statement))
            yield from page
            if len(page) < _PAGE:
                return
            row = page[-1]
            last = (row.subject_kind, row.subject_id, row.subject_seq, row.id)

    def _find(self, check: str, row: Any, sentence: str) -> None:
        self._notes.find(check, f"entry {row.id}", f"The entry {row.id} {sentence}.")

    def _entry(self, subject: Subject, row: Any) -> None:
        leaf = row.leaf.encode("utf-8", "surrogatepass")
        computed = leaf_hash(leaf).hex()
        if computed != row.leaf_hash:
            self._find("entry-hash", row, f"hashes to {computed}; its column says {row.leaf_hash}")
        try:
            fields = parse_leaf(leaf)
        except LeafError as error:
            self._find("entry-leaf", row, f"cannot be read: {error.detail.rstrip('.')}")
            subject.sound = False
            self._sequence(subject, row, prev=None)
        else:
            self._columns(row, fields)
            self._details(row, fields)
            self._sequence(subject, row, prev=fields.prev)
            self._play(subject, row, fields)
        self._place(subject, row)
        subject.seq, subject.head = row.subject_seq, computed

    def _columns(self, row: Any, fields: EntryFields) -> None:
        said = {
            "id": fields.id,
            "subject_kind": fields.subject_kind,
            "subject_id": fields.subject_id,
            "subject_seq": fields.seq,
            "action": fields.action,
            "actor_id": fields.actor_id,
            "actor_kind": fields.actor_kind,
            "at": fields.at,
        }
        wrong = [name for name, value in said.items() if getattr(row, name) != value]
        if wrong:
            told = ", ".join(
                f"{name} {getattr(row, name)}, its leaf {said[name]}" for name in wrong
            )
            self._find("entry-columns", row, f"says in its columns {told}")

    def _details(self, row: Any, fields: EntryFields) -> None:
        if fields.details is None:
            if row.details is not None or row.details_key is not None:
                self._find("entry-details", row, "has details, and its leaf commits to none")
            return
        try:
            key = bytes.fromhex(row.details_key or "")
        except ValueError:
            key = b""
        if row.details is None or not key:
            self._find("entry-details", row, "lacks the details that its leaf commits to")
            return
        details = row.details
        if isinstance(details, Mapping) and LATER in details:
            if self._vault is None:
                self._notes.checked["details-not-opened"] += 1
                return
            details = self._opened(self._vault, row)
        if not isinstance(details, Mapping) or not check_details(
            dict(details), key, fields.details
        ):
            self._find("entry-details", row, "has other details than its leaf commits to")

    def _opened(self, vault: Vault, row: Any) -> Mapping[str, Any] | None:
        """Return details that were sealed after their leaf committed to them in the open."""
        statement = sa.select(documents).where(documents.c.id == row.subject_id)
        document = one_row(self._connection, statement)
        if document is None:
            return None
        try:
            place = details_place(row.id)
            return vault.open_json(document, place, row.details, self._connection)
        except IntegrityError:
            return None

    def _sequence(self, subject: Subject, row: Any, prev: str | None) -> None:
        expected = subject.seq + 1
        if row.subject_seq != expected:
            self._find(
                "entry-chain",
                row,
                f"is number {row.subject_seq} of {subject.name}; number {expected} is missing or "
                "there twice",
            )
        elif prev is not None and prev != subject.head:
            self._find(
                "entry-chain",
                row,
                f"of {subject.name} follows the leaf {prev}; the entry before it has {subject.head}",
            )

    def _play(self, subject: Subject, row: Any, fields: EntryFields) -> None:
        details = row.details if isinstance(row.details, Mapping) else {}
        try:
            subject.replayed.play(fields.action, fields.data, details)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            subject.sound = False
            self._find("entry-data", row, f"({fields.action}) lacks what it must tell: {error!r}")

    def _place(self, subject: Subject, row: Any) -> None:
        if row.waiting is not None:
            self.pending += 1
        if row.place is None and row.waiting is None:
            self._find("entry-place", row, "is neither in the log nor waits for its place")
        elif row.place is not None and row.waiting is not None:
            self._find("entry-place", row, f"is in the log at {row.place}, and still waits")
        elif row.place is not None and row.place <= subject.place:
            self._find(
                "entry-order",
                row,
                f"of {subject.name} is in the log at {row.place}, before an entry that it follows",
            )
        if row.place is not None:
            subject.place = max(subject.place, row.place)
