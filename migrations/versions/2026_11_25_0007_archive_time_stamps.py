"""A job that waits says when it is tried next; archive time stamps, and when they end.

Step: expand
"""

import sqlalchemy as sa
from alembic import op

from docflow.db.base import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs") as batch:
        batch.add_column(sa.Column("next_at", UtcDateTime(), nullable=True))
    op.create_table(
        "archive_stamps",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("file_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("authority", sa.String(length=200), nullable=False),
        sa.Column("stamped_at", UtcDateTime(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("algorithms", sa.String(length=100), nullable=False),
        sa.Column("storage_key", sa.String(length=200), nullable=False),
        sa.Column("data_key_id", sa.String(length=36), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_archive_stamps_sha256")),
        sa.CheckConstraint(
            "state IN ('current', 'due', 'renewed', 'failed')",
            name=op.f("ck_archive_stamps_state"),
        ),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_archive_stamps_document_id_documents")
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name=op.f("fk_archive_stamps_file_id_files")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archive_stamps")),
        sa.UniqueConstraint("file_id", "number", name=op.f("uq_archive_stamps_file_id_number")),
    )
    op.create_index("ix_archive_stamps_state", "archive_stamps", ["state", "until", "id"])
    op.create_index("ix_archive_stamps_algorithms", "archive_stamps", ["state", "algorithms"])
    op.create_index("ix_archive_stamps_document_id", "archive_stamps", ["document_id"])
    op.create_index("ix_archive_stamps_storage_key", "archive_stamps", ["storage_key"])


def downgrade() -> None:
    op.drop_table("archive_stamps")
    with op.batch_alter_table("jobs") as batch:
        batch.drop_column("next_at")
