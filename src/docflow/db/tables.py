"""The tables of history itself, and of idempotency keys.

`history_entries` is append-only (database triggers refuse UPDATE and DELETE on both databases). A
trigger also puts every new entry into `history_pending`, the sequencer's queue, so no code can forget
to. The place of an entry in the log is a row of `log_leaves`, written by the sequencer alone.
"""

import sqlalchemy as sa

from docflow.db.base import METADATA, JsonColumn, UtcDateTime

history_entries = sa.Table(
    "history_entries",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("subject_kind", sa.String(32), nullable=False),
    sa.Column("subject_id", sa.String(64), nullable=False),
    sa.Column("subject_seq", sa.Integer, nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("actor_id", sa.String(64), nullable=False),
    sa.Column("actor_kind", sa.String(16), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("leaf", sa.Text, nullable=False),
    sa.Column("leaf_hash", sa.String(64), nullable=False),
    sa.Column("details", JsonColumn, nullable=True),
    sa.Column("details_key", sa.String(64), nullable=True),
    sa.UniqueConstraint("subject_kind", "subject_id", "subject_seq"),
    # lists run newest first by time, then id: ids of two machines may disagree with their clocks
    sa.Index("ix_history_entries_at", "at", "id"),
    sa.Index("ix_history_entries_action", "action", "at", "id"),
    sa.Index("ix_history_entries_actor", "actor_id", "at", "id"),
)

history_pending = sa.Table(
    "history_pending",
    METADATA,
    sa.Column("entry_id", sa.String(36), sa.ForeignKey("history_entries.id"), primary_key=True),
)

log_leaves = sa.Table(
    "log_leaves",
    METADATA,
    sa.Column("index", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column(
        "entry_id", sa.String(36), sa.ForeignKey("history_entries.id"), nullable=False, unique=True
    ),
)

log_tiles = sa.Table(
    "log_tiles",
    METADATA,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("index", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("width", sa.Integer, nullable=False),
    sa.Column("hashes", sa.LargeBinary, nullable=False),
)

log_checkpoints = sa.Table(
    "log_checkpoints",
    METADATA,
    sa.Column("size", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("root", sa.String(64), nullable=False),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

log_state = sa.Table(
    "log_state",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("origin", sa.String(255), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("published_size", sa.BigInteger, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    METADATA,
    sa.Column("actor_id", sa.String(64), primary_key=True),
    sa.Column("operation", sa.String(128), primary_key=True),
    sa.Column("key", sa.String(255), primary_key=True),
    sa.Column("fingerprint", sa.String(64), nullable=False),
    sa.Column("result", JsonColumn, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("ix_idempotency_keys_created_at", "created_at"),
)
