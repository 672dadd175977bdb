"""What signing and release have done so far, and what recipients have received."""

import sqlalchemy as sa

from docflow.db.base import METADATA, JsonColumn, UtcDateTime, part_of

signature_steps = sa.Table(
    "signature_steps",
    METADATA,
    sa.Column("job_id", sa.String(64), primary_key=True),
    # staged | prepared | signed | sealed | validated | contained
    sa.Column("step", sa.String(16), primary_key=True),
    sa.Column("file_id", sa.String(36), sa.ForeignKey("files.id"), primary_key=True),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("storage_key", sa.String(200), nullable=False),
    sa.Column("data_key_id", sa.String(36), nullable=True),  # of a sealed object
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("evidence", JsonColumn, nullable=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_signature_steps_document_id", "document_id"),
    sa.Index("ix_signature_steps_storage_key", "storage_key"),
    info=part_of("document", "document_id"),
)

deliveries = sa.Table(
    "deliveries",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("recipient_id", sa.String(36), sa.ForeignKey("recipients.id"), nullable=False),
    sa.Column("file_id", sa.String(36), sa.ForeignKey("files.id"), nullable=False),
    sa.Column("signed_sha256", sa.String(64), nullable=False),
    sa.Column("delivered_at", UtcDateTime, nullable=False),
    sa.Column("downloaded_at", UtcDateTime, nullable=True),
    sa.Column("acknowledged_at", UtcDateTime, nullable=True),
    sa.Column("receipt", JsonColumn, nullable=True),
    sa.UniqueConstraint("document_id", "recipient_id"),
    sa.CheckConstraint("length(signed_sha256) = 64", name="signed_sha256"),
    sa.CheckConstraint("(acknowledged_at IS NULL) = (receipt IS NULL)", name="receipt"),
    sa.Index("ix_deliveries_recipient_id_id", "recipient_id", "id"),
    info=part_of("document", "document_id"),
)

# What a sealed document's recipients get instead of its released files: one row for each delivery
# and file. Written before the delivery itself, whose id is chosen then.
delivery_files = sa.Table(
    "delivery_files",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("delivery_id", sa.String(36), nullable=False),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("recipient_id", sa.String(36), sa.ForeignKey("recipients.id"), nullable=False),
    sa.Column("file_id", sa.String(36), sa.ForeignKey("files.id"), nullable=False),  # the original
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("storage_key", sa.String(200), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),  # of the encrypted bytes
    sa.Column("signed_sha256", sa.String(64), nullable=False),  # of the signed PDF inside
    sa.Column("certificate_sha256", sa.String(64), nullable=False),
    sa.Column("recovery_sha256", sa.String(64), nullable=True),
    sa.Column("encryption", JsonColumn, nullable=False),  # who opens it, and by which algorithm
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("job_id", "recipient_id", "file_id", "role"),
    sa.CheckConstraint("role IN ('main', 'annex')", name="role"),
    sa.CheckConstraint("length(sha256) = 64", name="sha256"),
    sa.Index("ix_delivery_files_delivery_id", "delivery_id"),
    sa.Index("ix_delivery_files_document_id", "document_id"),
    sa.Index("ix_delivery_files_storage_key", "storage_key"),
    info=part_of("document", "document_id"),
)

archive_stamps = sa.Table(
    "archive_stamps",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("file_id", sa.String(36), sa.ForeignKey("files.id"), nullable=False),  # as released
    sa.Column("number", sa.Integer, nullable=False),  # 1 is the release's own
    sa.Column("state", sa.String(16), nullable=False),  # current | due | renewed | failed
    sa.Column("authority", sa.String(200), nullable=False),
    sa.Column("stamped_at", UtcDateTime, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),  # end of the authority's certificate
    sa.Column("algorithms", sa.String(100), nullable=False),
    sa.Column("storage_key", sa.String(200), nullable=False),
    sa.Column("data_key_id", sa.String(36), nullable=True),  # of a sealed object
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("error", sa.Text, nullable=True),
    # renewals in a row that failed, and when the next is begun; without one a person is needed
    sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
    sa.Column("next_at", UtcDateTime, nullable=True),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("file_id", "number"),
    sa.CheckConstraint("state IN ('current', 'due', 'renewed', 'failed')", name="state"),
    sa.CheckConstraint("length(sha256) = 64", name="sha256"),
    sa.Index("ix_archive_stamps_state", "state", "until", "id"),
    sa.Index("ix_archive_stamps_algorithms", "state", "algorithms"),
    sa.Index("ix_archive_stamps_document_id", "document_id"),
    sa.Index("ix_archive_stamps_storage_key", "storage_key"),
    info=part_of("document", "document_id"),
)

# What each time-stamp authority was last seen to sign with; no history: it is looked at again.
stamping_certificates = sa.Table(
    "stamping_certificates",
    METADATA,
    sa.Column("authority", sa.String(200), primary_key=True),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
)
