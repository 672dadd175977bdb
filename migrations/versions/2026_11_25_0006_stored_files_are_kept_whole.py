"""Marks of the sweeper, rounds and findings of the integrity scan, retention of files.

Step: expand
"""

import sqlalchemy as sa
from alembic import op

from docflow.db.base import UtcDateTime

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _sweeper()
    _scan()
    op.create_table(
        "file_retentions",
        sa.Column("document_id", sa.String(36), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("lock", sa.String(16), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("document_id", "key", name=op.f("pk_file_retentions")),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_file_retentions_document_id_documents")
        ),
    )
    op.create_index("ix_file_retentions_lock", "file_retentions", ["lock", "document_id", "key"])
    op.create_index("ix_file_retentions_key", "file_retentions", ["key"])
    op.create_index("ix_signature_steps_storage_key", "signature_steps", ["storage_key"])


def _sweeper() -> None:
    op.create_table(
        "sweep_marks",
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_sweep_marks")),
        sa.CheckConstraint(
            "state IN ('marked', 'deleting', 'gone')", name=op.f("ck_sweep_marks_state")
        ),
    )
    op.create_index("ix_sweep_marks_state", "sweep_marks", ["state", "since", "key"])
    op.create_table(
        "sweep_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("passes", sa.BigInteger(), nullable=False),
        sa.Column("examined", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=False),
        sa.Column("deleted_bytes", sa.BigInteger(), nullable=False),
        sa.Column("uploads_ended", sa.BigInteger(), nullable=False),
        sa.Column("ran_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweep_state")),
    )


def _scan() -> None:
    op.create_table(
        "scan_rounds",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("started_at", UtcDateTime(), nullable=False),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("last_key", sa.String(200), nullable=False),
        sa.Column("objects", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_scan_rounds")),
    )
    op.create_table(
        "storage_findings",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("source", sa.String(64), nullable=False),
        sa.Column("document_id", sa.String(36), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.Column("checked_at", UtcDateTime(), nullable=False),
        sa.Column("cleared_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_storage_findings")),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_storage_findings_document_id_documents"),
        ),
    )
    op.create_index("ix_storage_findings_key", "storage_findings", ["key"])
    op.create_index("ix_storage_findings_open", "storage_findings", ["cleared_at", "id"])
    op.create_index("ix_storage_findings_checked", "storage_findings", ["cleared_at", "checked_at"])
    op.create_index("ix_storage_findings_document_id", "storage_findings", ["document_id"])


def downgrade() -> None:
    op.drop_index("ix_signature_steps_storage_key", table_name="signature_steps")
    for table in (
        "file_retentions",
        "storage_findings",
        "scan_rounds",
        "sweep_state",
        "sweep_marks",
    ):
        op.drop_table(table)
