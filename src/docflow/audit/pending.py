"""Which entries are sequenced next: by id, but each subject's in the order of its own numbers.

Ids are made of clocks, and the clocks of two machines differ: the second entry of a document may
have a lower id than its first. Within a batch a subject's entries change places among themselves; an
entry whose predecessor would be left for a later batch brings it in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from docflow.db.tables import history_entries, history_pending


@dataclass(frozen=True, slots=True)
class NewLeaf:
    """An entry that waits for its place."""

    entry_id: str
    subject: tuple[str, str]
    seq: int
    leaf: bytes
    hash: bytes


_PENDING = sa.select(
    history_entries.c.id,
    history_entries.c.subject_kind,
    history_entries.c.subject_id,
    history_entries.c.subject_seq,
    history_entries.c.leaf,
    history_entries.c.leaf_hash,
).join(history_pending, history_pending.c.entry_id == history_entries.c.id)


def next_leaves(connection: sa.Connection, limit: int) -> list[NewLeaf]:
    """Return up to `limit` pending entries in the order in which they enter the log."""
    first = _fetch(connection, _PENDING.order_by(history_pending.c.entry_id).limit(limit))
    if len(first) < limit:
        return in_order(first)  # that is all there is, so nothing is left behind
    return in_order([*first, *_left_behind(connection, first)])[:limit]


def _left_behind(connection: sa.Connection, chosen: Iterable[NewLeaf]) -> list[NewLeaf]:
    """Return the pending entries that must come before a chosen one and are not chosen."""
    highest: dict[tuple[str, str], int] = {}
    ids = set()
    for leaf in chosen:
        highest[leaf.subject] = max(leaf.seq, highest.get(leaf.subject, 0))
        ids.add(leaf.entry_id)
    subject = sa.tuple_(history_entries.c.subject_kind, history_entries.c.subject_id)
    statement = _PENDING.where(subject.in_(list(highest)))
    found = _fetch(connection, statement)
    return [leaf for leaf in found if leaf.entry_id not in ids and leaf.seq < highest[leaf.subject]]


def in_order(leaves: Iterable[NewLeaf]) -> list[NewLeaf]:
    """Order by id, with each subject's entries put into its places ascending by number.

    Any beginning of the result holds no entry without those that its subject has before it.
    """
    by_id = sorted(leaves, key=lambda leaf: leaf.entry_id)
    of_subject: dict[tuple[str, str], list[NewLeaf]] = {}
    for leaf in sorted(by_id, key=lambda leaf: -leaf.seq):
        of_subject.setdefault(leaf.subject, []).append(leaf)  # the lowest number comes last
    return [of_subject[leaf.subject].pop() for leaf in by_id]


def _fetch(connection: sa.Connection, statement: sa.Select[Any]) -> list[NewLeaf]:
    return [
        NewLeaf(
            row.id,
            (row.subject_kind, row.subject_id),
            row.subject_seq,
            row.leaf.encode(),
            bytes.fromhex(row.leaf_hash),
        )
        for row in connection.execute(statement)
    ]
