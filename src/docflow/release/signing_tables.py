"""Signing sessions of people's own cards, batches, and every use of a certificate."""

import sqlalchemy as sa

from docflow.db.base import METADATA, JsonColumn, UtcDateTime, part_of

signing_sessions = sa.Table(
    "signing_sessions",
    METADATA,
    # the id of the firing that waits for the signature: one session for each, used once
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("document_version", sa.Integer, nullable=False),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
    sa.Column(
        "certificate_id", sa.String(36), sa.ForeignKey("person_certificates.id"), nullable=False
    ),
    sa.Column("state", sa.String(16), nullable=False),  # ready | answered | done | expired | failed
    sa.Column("signing_time", UtcDateTime, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("answered_at", UtcDateTime, nullable=True),
    sa.Column("signatures", JsonColumn, nullable=True),  # file id → base64
    sa.CheckConstraint("state IN ('ready', 'answered', 'done', 'expired', 'failed')", name="state"),
    sa.Index("ix_signing_sessions_document_id", "document_id"),
    sa.Index("ix_signing_sessions_expiry", "state", "expires_at"),
    sa.Index("ix_signing_sessions_person_id", "person_id", "id"),
    info=part_of("document", "document_id"),
)

certificate_uses = sa.Table(
    "certificate_uses",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("certificate_sha256", sa.String(64), nullable=False),
    sa.Column("role", sa.String(8), nullable=False),  # person | seal
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("file_id", sa.String(36), sa.ForeignKey("files.id"), nullable=False),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),  # of the file with the signature on it
    sa.Column("at", UtcDateTime, nullable=False),
    sa.CheckConstraint("role IN ('person', 'seal')", name="role"),
    sa.Index("ix_certificate_uses_certificate", "certificate_sha256", "id"),
    sa.Index("ix_certificate_uses_document_id", "document_id"),
    info=part_of("document", "document_id"),
)

# Progress of a batch is no history: the authorisation is an entry of the person, and what it did is one
# of each document.
signing_batches = sa.Table(
    "signing_batches",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Index("ix_signing_batches_person_id", "person_id", "id"),
)

signing_batch_items = sa.Table(
    "signing_batch_items",
    METADATA,
    sa.Column("batch_id", sa.String(36), sa.ForeignKey("signing_batches.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document_id", sa.String(64), nullable=False),
    sa.Column("document_version", sa.Integer, nullable=False),
    sa.Column("trigger", sa.String(64), nullable=False),
    sa.Column("mandate_id", sa.String(36), nullable=True),
    sa.Column("state", sa.String(16), nullable=False),  # waiting | fired | refused
    sa.Column("job_id", sa.String(64), nullable=True),
    sa.Column("code", sa.String(64), nullable=True),
    sa.Column("detail", sa.Text, nullable=True),
    sa.CheckConstraint("state IN ('waiting', 'fired', 'refused')", name="state"),
)
