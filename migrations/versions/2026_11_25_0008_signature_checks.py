"""What the signatures of an incoming document's files are worth, as verified on arrival.

Step: expand
"""

import sqlalchemy as sa
from alembic import op

from docflow.db.base import JsonColumn, UtcDateTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "signature_checks",
        sa.Column("file_id", sa.String(36), nullable=False),
        sa.Column("document_id", sa.String(36), nullable=False),
        sa.Column("data_file_id", sa.String(36), nullable=True),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("indication", sa.String(16), nullable=True),
        sa.Column("sub_indication", sa.String(64), nullable=True),
        sa.Column("report", JsonColumn, nullable=True),
        sa.Column("verified_at", UtcDateTime, nullable=True),
        sa.CheckConstraint(
            "(indication IS NULL) = (verified_at IS NULL)",
            name=op.f("ck_signature_checks_verified"),
        ),
        sa.ForeignKeyConstraint(
            ["data_file_id"], ["files.id"], name=op.f("fk_signature_checks_data_file_id_files")
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_signature_checks_document_id_documents"),
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name=op.f("fk_signature_checks_file_id_files")
        ),
        sa.PrimaryKeyConstraint("file_id", name=op.f("pk_signature_checks")),
    )
    op.create_index("ix_signature_checks_document_id", "signature_checks", ["document_id"])


def downgrade() -> None:
    op.drop_index("ix_signature_checks_document_id", "signature_checks")
    op.drop_table("signature_checks")
