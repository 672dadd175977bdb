"""Requests that two people decide, and notices."""

import sqlalchemy as sa

from docflow.db.base import METADATA, JsonColumn, UtcDateTime, audit_columns, audited

# A request is a subject of its own, because one for a document that there is not is history too.
custody_requests = sa.Table(
    "custody_requests",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=True),
    # everything that people wrote; only `words.py` puts it in and takes it out
    sa.Column("words", JsonColumn, nullable=False),
    sa.Column("data_key_id", sa.String(36), sa.ForeignKey("data_keys.id"), nullable=True),
    sa.Column("data", JsonColumn, nullable=False),
    sa.Column("asked_by", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),  # undecided until then, it is over
    sa.Column("decision", sa.String(16), nullable=True),
    sa.Column("decided_by", sa.String(36), sa.ForeignKey("people.id"), nullable=True),
    sa.Column("decided_at", UtcDateTime, nullable=True),
    sa.Column("until", UtcDateTime, nullable=True),  # what was approved holds until then
    *audit_columns(),
    sa.CheckConstraint("kind IN ('break-glass', 'lowering', 'recovery')", name="kind"),
    sa.CheckConstraint("decision IN ('approved', 'refused')", name="decision"),
    sa.CheckConstraint("decided_by <> asked_by", name="two_people"),
    sa.CheckConstraint(
        "(decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)",
        name="decided",
    ),
    sa.Index("ix_custody_requests_asked_by", "asked_by", "kind", "id"),
    sa.Index("ix_custody_requests_document_id", "document_id", "kind", "id"),
    sa.Index("ix_custody_requests_kind", "kind", "id"),
    info=audited("custody_request"),
)

notices = sa.Table(
    "notices",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("request_id", sa.String(36), sa.ForeignKey("custody_requests.id"), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=True),
    sa.UniqueConstraint("person_id", "request_id", "kind"),
    sa.Index("ix_notices_person_id_id", "person_id", "id"),
    sa.Index("ix_notices_person_id_seen_at", "person_id", "seen_at"),
    sa.Index("ix_notices_seen_at", "seen_at"),
    sa.Index("ix_notices_document_id", "document_id"),
)
