"""What the duties of storage remember: marks of the sweeper, rounds and findings of the scan.

No column here is called `storage_key`: that name says that a row needs the object (`references.py`).
"""

import sqlalchemy as sa

from docflow.db.base import METADATA, UtcDateTime, part_of

sweep_marks = sa.Table(
    "sweep_marks",
    METADATA,
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),  # marked | deleting | gone
    sa.Column("since", UtcDateTime, nullable=False),
    sa.CheckConstraint("state IN ('marked', 'deleting', 'gone')", name="state"),
    sa.Index("ix_sweep_marks_state", "state", "since", "key"),
)

sweep_state = sa.Table(
    "sweep_state",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("shard", sa.Integer, nullable=False),  # of 256; where the next run goes on
    sa.Column("passes", sa.BigInteger, nullable=False),
    sa.Column("examined", sa.BigInteger, nullable=False),
    sa.Column("deleted", sa.BigInteger, nullable=False),
    sa.Column("deleted_bytes", sa.BigInteger, nullable=False),
    sa.Column("uploads_ended", sa.BigInteger, nullable=False),
    sa.Column("ran_at", UtcDateTime, nullable=False),
)

scan_rounds = sa.Table(
    "scan_rounds",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime, nullable=True),
    sa.Column("last_key", sa.String(200), nullable=False),  # all keys up to this one are done
    sa.Column("objects", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Column("found", sa.BigInteger, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
)

storage_findings = sa.Table(
    "storage_findings",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("key", sa.String(200), nullable=False),  # empty: about the store as a whole
    sa.Column("source", sa.String(64), nullable=False),  # the table of the row
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=True),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("found_at", UtcDateTime, nullable=False),
    sa.Column("checked_at", UtcDateTime, nullable=False),
    sa.Column("cleared_at", UtcDateTime, nullable=True),
    sa.Index("ix_storage_findings_key", "key"),
    sa.Index("ix_storage_findings_open", "cleared_at", "id"),
    sa.Index("ix_storage_findings_checked", "cleared_at", "checked_at"),
    sa.Index("ix_storage_findings_document_id", "document_id"),
)

file_retentions = sa.Table(
    "file_retentions",
    METADATA,
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), primary_key=True),
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("lock", sa.String(16), nullable=False),  # off | governance | compliance
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_file_retentions_lock", "lock", "document_id", "key"),
    sa.Index("ix_file_retentions_key", "key"),
    info=part_of("document", "document_id"),
)
