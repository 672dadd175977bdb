"""Documents, their files and recipients, the registers, and the workflows they are pinned to."""

import sqlalchemy as sa

from docflow.db.base import METADATA, JsonColumn, UtcDateTime, audit_columns, audited, part_of
from docflow.db.sealed import EncryptedText
from docflow.storage.sealing import SealedText

workflows = sa.Table(
    "workflows",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    # the column `version` of audited tables is the optimistic one; this is the YAML's
    sa.Column("workflow_version", sa.Integer, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    sa.Column("loaded_at", UtcDateTime, nullable=False),
    *audit_columns(),
    sa.UniqueConstraint("name", "workflow_version"),
    info=audited("workflow"),
)

# The wrapped data keys of sealed documents and files; rotation changes them, and nothing else does.
# What they seal is history's business, how they are wrapped is the key provider's.
data_keys = sa.Table(
    "data_keys",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("document_id", sa.String(36), nullable=False),
    sa.Column("place", sa.String(200), nullable=False),  # bound in: which file, or the fields
    sa.Column("classification", sa.String(40), nullable=False),
    sa.Column("provider", sa.String(16), nullable=False),
    sa.Column("key", sa.String(140), nullable=False),
    sa.Column("key_version", sa.Integer, nullable=False),
    sa.Column("wrapped", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("ix_data_keys_document_id", "document_id"),
    sa.Index("ix_data_keys_key", "key", "provider", "key_version", "id"),
)

documents = sa.Table(
    "documents",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("workflow_id", sa.String(36), sa.ForeignKey("workflows.id"), nullable=False),
    sa.Column("state", sa.String(64), nullable=False),
    sa.Column("state_since", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=True),
    sa.Column("type_code", sa.String(16), nullable=False),
    sa.Column("urgency", sa.String(16), nullable=False),
    sa.Column("classification", sa.String(16), nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("subject_folded", sa.Text, nullable=False),
    # row id of the subject in SQLite's full-text table; random, so that it needs no counter
    sa.Column("search_id", sa.BigInteger, nullable=False),
    sa.Column("fields", JsonColumn, nullable=False),
    # a sealed document's subject and fields; the open columns are empty then
    sa.Column("sealed_content", EncryptedText(SealedText), nullable=True),
    sa.Column("data_key_id", sa.String(36), nullable=True),
    sa.Column("unit_id", sa.String(36), sa.ForeignKey("units.id"), nullable=False),
    sa.Column("author_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
    sa.Column("assignee_id", sa.String(36), sa.ForeignKey("people.id"), nullable=True),
    # where an incoming document comes from, as written on it
    sa.Column("issuer", sa.String(200), nullable=True),
    sa.Column("issuer_folded", sa.String(400), nullable=True),
    sa.Column("issuer_symbol", sa.String(64), nullable=True),
    sa.Column("issuer_date", sa.Date, nullable=True),
    sa.Column("main_sha256", sa.String(64), nullable=True),
    sa.Column("duplicate_of", JsonColumn, nullable=True),
    # its place in our own register
    sa.Column("book", sa.String(64), nullable=True),
    sa.Column("number", sa.Integer, nullable=True),
    sa.Column("symbol", sa.String(64), nullable=True),
    sa.Column("numbered_on", sa.Date, nullable=True),
    sa.Column("verification_code", sa.String(32), nullable=True, unique=True),
    # trigger → who ever fired it on this document, for the separation of duties
    sa.Column("fired_by", JsonColumn, nullable=False),
    # a signature or release under way: trigger, job, who asked, and whether it failed for good
    sa.Column("stage", sa.String(16), nullable=True),
    sa.Column("pending", JsonColumn, nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    *audit_columns(),
    sa.CheckConstraint("direction IN ('incoming', 'outgoing')", name="direction"),
    sa.CheckConstraint(
        "sealed_content IS NULL OR (subject = '' AND data_key_id IS NOT NULL)", name="sealed"
    ),
    sa.Index("ix_documents_direction_id", "direction", "id"),
    sa.Index("ix_documents_state_id", "state", "id"),
    sa.Index("ix_documents_unit_id_id", "unit_id", "id"),
    sa.Index("ix_documents_author_id_id", "author_id", "id"),
    sa.Index("ix_documents_assignee_id_id", "assignee_id", "id"),
    sa.Index("ix_documents_type_code_id", "type_code", "id"),
    sa.Index("ix_documents_due_at", "due_at"),
    sa.Index("ix_documents_symbol_id", "symbol", "id"),
    sa.Index("ix_documents_main_sha256", "main_sha256"),
    sa.Index("ix_documents_origin", "issuer_folded", "issuer_symbol", "issuer_date"),
    info=audited("document"),
)

files = sa.Table(
    "files",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("role", sa.String(16), nullable=False),  # main | annex
    sa.Column("form", sa.String(16), nullable=False),  # original | signed | released
    sa.Column("origin_id", sa.String(36), sa.ForeignKey("files.id"), nullable=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("name", sa.String(255), nullable=False),
    sa.Column("sealed_name", EncryptedText(SealedText), nullable=True),
    sa.Column("media_type", sa.String(100), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("storage_key", sa.String(200), nullable=False),
    sa.Column("data_key_id", sa.String(36), nullable=True),  # of a sealed object
    sa.Column("pages", sa.Integer, nullable=True),
    sa.Column("current", sa.Boolean, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    # of a file that something has to be made of before it counts, never current itself:
    # pending | failed | done | dropped
    sa.Column("conversion", sa.String(8), nullable=True),
    sa.Column("conversion_problem", sa.Text, nullable=True),
    sa.CheckConstraint("role IN ('main', 'annex')", name="role"),
    sa.CheckConstraint("conversion IN ('pending', 'failed', 'done', 'dropped')", name="conversion"),
    sa.CheckConstraint("form IN ('original', 'signed', 'released')", name="form"),
    sa.CheckConstraint("sealed_name IS NULL OR name = ''", name="sealed"),
    sa.CheckConstraint("length(sha256) = 64", name="sha256"),
    sa.Index("ix_files_document_id", "document_id", "position"),
    sa.Index("ix_files_sha256", "sha256"),
    sa.Index("ix_files_storage_key", "storage_key"),
    info=part_of("document", "document_id"),
)

document_recipients = sa.Table(
    "document_recipients",
    METADATA,
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), primary_key=True),
    sa.Column("recipient_id", sa.String(36), sa.ForeignKey("recipients.id"), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    info=part_of("document", "document_id"),
)

register_counters = sa.Table(
    "register_counters",
    METADATA,
    sa.Column("organisation", sa.String(64), primary_key=True),
    sa.Column("book", sa.String(64), primary_key=True),
    sa.Column("period", sa.String(32), primary_key=True),
    sa.Column("series", sa.String(64), primary_key=True),
    sa.Column("last", sa.Integer, nullable=False),
    sa.Column("last_on", sa.Date, nullable=False),
)

register_entries = sa.Table(
    "register_entries",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("organisation", sa.String(64), nullable=False),
    sa.Column("book", sa.String(64), nullable=False),
    sa.Column("period", sa.String(32), nullable=False),
    sa.Column("series", sa.String(64), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("symbol", sa.String(64), nullable=False),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("numbered_on", sa.Date, nullable=False),
    sa.Column("voided_at", UtcDateTime, nullable=True),
    sa.Column("voided_by", sa.String(64), nullable=True),
    sa.Column("void_reason", sa.Text, nullable=True),
    sa.UniqueConstraint("organisation", "book", "period", "series", "number"),
    sa.UniqueConstraint("organisation", "book", "period", "series", "symbol"),
    sa.CheckConstraint("(voided_at IS NULL) = (void_reason IS NULL)", name="void_has_reason"),
    sa.Index("ix_register_entries_document_id", "document_id"),
    info=part_of("document", "document_id"),
)

# what the signatures of a received file are worth; no indication yet: the job has not come to it
signature_checks = sa.Table(
    "signature_checks",
    METADATA,
    sa.Column("file_id", sa.String(36), sa.ForeignKey("files.id"), primary_key=True),
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    # what a detached signature signs
    sa.Column("data_file_id", sa.String(36), sa.ForeignKey("files.id"), nullable=True),
    sa.Column("job_id", sa.String(64), nullable=False),
    sa.Column("indication", sa.String(16), nullable=True),
    sa.Column("sub_indication", sa.String(64), nullable=True),
    sa.Column("report", JsonColumn, nullable=True),
    sa.Column("verified_at", UtcDateTime, nullable=True),
    sa.CheckConstraint("(indication IS NULL) = (verified_at IS NULL)", name="verified"),
    sa.Index("ix_signature_checks_document_id", "document_id"),
    info=part_of("document", "document_id"),
)
