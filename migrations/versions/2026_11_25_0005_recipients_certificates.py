"""Recipients have certificates, and a delivery has the files that were encrypted to them.

Step: expand
"""

import sqlalchemy as sa
from alembic import op

from docflow.db.base import JsonColumn, UtcDateTime

revision = "0005"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "recipient_certificates",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("recipient_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("serial", sa.String(length=64), nullable=False),
        sa.Column("key_kind", sa.String(length=32), nullable=False),
        sa.Column("key_bits", sa.Integer(), nullable=False),
        sa.Column("not_before", UtcDateTime, nullable=False),
        sa.Column("not_after", UtcDateTime, nullable=False),
        sa.Column("added_by", sa.String(length=64), nullable=False),
        sa.Column("added_at", UtcDateTime, nullable=False),
        sa.Column("revoked_by", sa.String(length=64), nullable=True),
        sa.Column("revoked_at", UtcDateTime, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_recipient_certificates_sha256")),
        sa.CheckConstraint(
            "(revoked_at IS NULL) = (reason IS NULL)",
            name=op.f("ck_recipient_certificates_revoked_has_reason"),
        ),
        sa.ForeignKeyConstraint(
            ["recipient_id"],
            ["recipients.id"],
            name=op.f("fk_recipient_certificates_recipient_id_recipients"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipient_certificates")),
        sa.UniqueConstraint(
            "recipient_id", "sha256", name=op.f("uq_recipient_certificates_recipient_id_sha256")
        ),
    )
    op.create_index("ix_recipient_certificates_not_after", "recipient_certificates", ["not_after"])
    op.create_table(
        "delivery_files",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("delivery_id", sa.String(length=36), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("recipient_id", sa.String(length=36), nullable=False),
        sa.Column("file_id", sa.String(length=36), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("storage_key", sa.String(length=200), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("signed_sha256", sa.String(length=64), nullable=False),
        sa.Column("certificate_sha256", sa.String(length=64), nullable=False),
        sa.Column("recovery_sha256", sa.String(length=64), nullable=True),
        sa.Column("encryption", JsonColumn, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.CheckConstraint("role IN ('main', 'annex')", name=op.f("ck_delivery_files_role")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_delivery_files_sha256")),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_delivery_files_document_id_documents")
        ),
        sa.ForeignKeyConstraint(
            ["recipient_id"],
            ["recipients.id"],
            name=op.f("fk_delivery_files_recipient_id_recipients"),
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name=op.f("fk_delivery_files_file_id_files")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_files")),
        sa.UniqueConstraint(
            "job_id",
            "recipient_id",
            "file_id",
            name=op.f("uq_delivery_files_job_id_recipient_id_file_id"),
        ),
    )
    for column in ("delivery_id", "document_id", "storage_key"):
        op.create_index(f"ix_delivery_files_{column}", "delivery_files", [column])


def downgrade() -> None:
    op.drop_table("delivery_files")
    op.drop_table("recipient_certificates")
