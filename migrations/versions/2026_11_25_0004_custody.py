"""Clearances, documents opened for a time, requests that two people decide, notices.

Step: expand
"""

import sqlalchemy as sa
from alembic import op

from docflow.db.base import JsonColumn, UtcDateTime

revision = "0004"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clearances",
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("granted_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_clearances_person_id_people")
        ),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_clearances")),
    )
    op.create_table(
        "openings",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("since", UtcDateTime, nullable=False),
        sa.Column("until", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_openings_document_id_documents")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_openings_person_id_people")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_openings")),
    )
    with op.batch_alter_table("openings", schema=None) as batch_op:
        batch_op.create_index("ix_openings_document_id", ["document_id"], unique=False)
        batch_op.create_index("ix_openings_person_id_until", ["person_id", "until"], unique=False)

    op.create_table(
        "custody_requests",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=True),
        sa.Column("words", JsonColumn, nullable=False),
        sa.Column("data_key_id", sa.String(length=36), nullable=True),
        sa.Column("data", JsonColumn, nullable=False),
        sa.Column("asked_by", sa.String(length=36), nullable=False),
        sa.Column("asked_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("decided_by", sa.String(length=36), nullable=True),
        sa.Column("decided_at", UtcDateTime, nullable=True),
        sa.Column("until", UtcDateTime, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("history_seq", sa.Integer(), nullable=False),
        sa.Column("history_hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint(
            "kind IN ('break-glass', 'lowering', 'recovery')", name=op.f("ck_custody_requests_kind")
        ),
        sa.CheckConstraint(
            "decision IN ('approved', 'refused')", name=op.f("ck_custody_requests_decision")
        ),
        sa.CheckConstraint("decided_by <> asked_by", name=op.f("ck_custody_requests_two_people")),
        sa.CheckConstraint(
            "(decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)",
            name=op.f("ck_custody_requests_decided"),
        ),
        sa.ForeignKeyConstraint(
            ["data_key_id"],
            ["data_keys.id"],
            name=op.f("fk_custody_requests_data_key_id_data_keys"),
        ),
        sa.ForeignKeyConstraint(
            ["asked_by"], ["people.id"], name=op.f("fk_custody_requests_asked_by_people")
        ),
        sa.ForeignKeyConstraint(
            ["decided_by"], ["people.id"], name=op.f("fk_custody_requests_decided_by_people")
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_custody_requests_document_id_documents"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custody_requests")),
    )
    with op.batch_alter_table("custody_requests", schema=None) as batch_op:
        batch_op.create_index(
            "ix_custody_requests_asked_by", ["asked_by", "kind", "id"], unique=False
        )
        batch_op.create_index(
            "ix_custody_requests_document_id", ["document_id", "kind", "id"], unique=False
        )
        batch_op.create_index("ix_custody_requests_kind", ["kind", "id"], unique=False)

    op.create_table(
        "notices",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("request_id", sa.String(length=36), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=True),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name=op.f("fk_notices_document_id_documents")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_notices_person_id_people")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["custody_requests.id"],
            name=op.f("fk_notices_request_id_custody_requests"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint(
            "person_id", "request_id", "kind", name=op.f("uq_notices_person_id_request_id_kind")
        ),
    )
    with op.batch_alter_table("notices", schema=None) as batch_op:
        batch_op.create_index("ix_notices_document_id", ["document_id"], unique=False)
        batch_op.create_index("ix_notices_person_id_id", ["person_id", "id"], unique=False)
        batch_op.create_index(
            "ix_notices_person_id_seen_at", ["person_id", "seen_at"], unique=False
        )
        batch_op.create_index("ix_notices_seen_at", ["seen_at"], unique=False)

    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.create_index("ix_documents_symbol_id", ["symbol", "id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("documents", schema=None) as batch_op:
        batch_op.drop_index("ix_documents_symbol_id")
    op.drop_table("notices")
    op.drop_table("custody_requests")
    op.drop_table("openings")
    op.drop_table("clearances")
