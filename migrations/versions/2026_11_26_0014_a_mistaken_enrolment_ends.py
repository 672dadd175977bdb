"""A certificate that was revoked for one person may be enrolled for another: one that is not, once.

On SQLite the tables are made anew beside the old ones, the referring one too: a table that others refer
to cannot be dropped.

Step: expand
"""

import sqlalchemy as sa
from alembic import op

from docflow.db.base import JsonColumn, UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_INDEX = "uq_person_certificates_in_force"
_ONCE = "uq_person_certificates_sha256"
_NEW = {"person_certificates": "new_certificates", "signing_sessions": "new_sessions"}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _anew(once=False)
    else:
        op.drop_constraint(_ONCE, "person_certificates", type_="unique")
    op.create_index(
        _INDEX, "person_certificates", ["sha256"], unique=True,
        sqlite_where=sa.text("state <> 'revoked'"), postgresql_where=sa.text("state <> 'revoked'"),
    )  # fmt: skip
    op.create_index("ix_person_certificates_sha256", "person_certificates", ["sha256"])


def downgrade() -> None:
    op.drop_index("ix_person_certificates_sha256", table_name="person_certificates")
    op.drop_index(_INDEX, table_name="person_certificates")
    if op.get_bind().dialect.name == "sqlite":
        _anew(once=True)
    else:
        op.create_unique_constraint(_ONCE, "person_certificates", ["sha256"])


def _anew(*, once: bool) -> None:
    _certificates(once=once)
    _sessions()
    connection = op.get_bind()
    for old, new in _NEW.items():
        columns = ", ".join(one["name"] for one in sa.inspect(connection).get_columns(new))
        op.execute(f"INSERT INTO {new} ({columns}) SELECT {columns} FROM {old}")
    for old in reversed(_NEW):
        op.drop_table(old)
    for old, new in _NEW.items():
        op.rename_table(new, old)  # what refers to it follows
    op.create_index("ix_person_certificates_person_id", "person_certificates", ["person_id", "id"])
    op.create_index("ix_signing_sessions_document_id", "signing_sessions", ["document_id"])
    op.create_index("ix_signing_sessions_expiry", "signing_sessions", ["state", "expires_at"])
    op.create_index("ix_signing_sessions_person_id", "signing_sessions", ["person_id", "id"])


def _certificates(*, once: bool) -> None:
    unique = [sa.UniqueConstraint("sha256", name=op.f(_ONCE))] if once else []
    op.create_table(
        _NEW["person_certificates"],
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("device", sa.String(length=8), nullable=False),
        sa.Column("pem", sa.Text(), nullable=False),
        sa.Column("valid_from", UtcDateTime, nullable=False),
        sa.Column("valid_until", UtcDateTime, nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("challenge", sa.String(length=300), nullable=True),
        sa.Column("replaces", sa.String(length=36), nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("enrolled_at", UtcDateTime, nullable=True),
        sa.Column("ended_at", UtcDateTime, nullable=True),
        sa.Column("ended_by", sa.String(length=64), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "device IN ('card', 'service')", name=op.f("ck_person_certificates_device")
        ),
        sa.CheckConstraint(
            "state IN ('proposed', 'enrolled', 'replaced', 'revoked')",
            name=op.f("ck_person_certificates_state"),
        ),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_person_certificates_sha256")),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_person_certificates_person_id_people")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_certificates")),
        *unique,
    )


def _sessions() -> None:
    op.create_table(
        _NEW["signing_sessions"],
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("document_version", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("certificate_id", sa.String(length=36), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("signing_time", UtcDateTime, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.Column("answered_at", UtcDateTime, nullable=True),
        sa.Column("signatures", JsonColumn, nullable=True),
        sa.CheckConstraint(
            "state IN ('ready', 'answered', 'done', 'expired', 'failed')",
            name=op.f("ck_signing_sessions_state"),
        ),
        sa.ForeignKeyConstraint(
            ["certificate_id"],
            [f"{_NEW['person_certificates']}.id"],
            name=op.f("fk_signing_sessions_certificate_id_person_certificates"),
        ),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_signing_sessions_document_id_documents"),
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_signing_sessions_person_id_people")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_sessions")),
    )
