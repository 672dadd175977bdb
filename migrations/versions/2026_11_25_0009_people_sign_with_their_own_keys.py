"""People sign with their own keys: certificates, mandates, signing sessions, batches, uses of certificates.

Step: expand

What was signed before is taken over into `certificate_uses` from the evidence of its steps, so that the
releases of a certificate are whole from the first day.
"""

import uuid

import sqlalchemy as sa
from alembic import op

from docflow.db.base import JsonColumn, UtcDateTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_STEPS = sa.table(
    "signature_steps",
    sa.column("job_id", sa.String),
    sa.column("step", sa.String),
    sa.column("file_id", sa.String),
    sa.column("document_id", sa.String),
    sa.column("sha256", sa.String),
    sa.column("evidence", JsonColumn),
    sa.column("at", UtcDateTime),
)
_USES = sa.table(
    "certificate_uses",
    *(sa.column(name) for name in ("id", "certificate_sha256", "role", "document_id")),
    *(sa.column(name) for name in ("file_id", "job_id", "sha256")),
    sa.column("at", UtcDateTime),
)
_SESSIONS = sa.table(
    "sessions", sa.column("created_at", UtcDateTime), sa.column("authenticated_at", UtcDateTime)
)


def upgrade() -> None:
    op.create_table(
        "mandates",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("capacity", sa.String(length=8), nullable=False),
        sa.Column("title", sa.String(length=120), nullable=False),
        sa.Column("unit_id", sa.String(length=36), nullable=True),
        sa.Column("on_behalf_id", sa.String(length=36), nullable=True),
        sa.Column("basis", sa.String(length=500), nullable=False),
        sa.Column("valid_from", UtcDateTime, nullable=False),
        sa.Column("valid_until", UtcDateTime, nullable=True),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.Column("revoked_at", UtcDateTime, nullable=True),
        sa.Column("revoked_by", sa.String(length=64), nullable=True),
        sa.CheckConstraint(
            "capacity IN ('TM', 'Q', 'KT', 'TL', 'TUQ')", name=op.f("ck_mandates_capacity")
        ),
        sa.CheckConstraint(
            "(unit_id IS NULL) <> (on_behalf_id IS NULL)", name=op.f("ck_mandates_one_principal")
        ),
        sa.ForeignKeyConstraint(
            ["on_behalf_id"], ["people.id"], name=op.f("fk_mandates_on_behalf_id_people")
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_mandates_person_id_people")
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name=op.f("fk_mandates_unit_id_units")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mandates")),
        info={"part_of": ("person", "person_id")},
    )
    with op.batch_alter_table("mandates", schema=None) as batch_op:
        batch_op.create_index("ix_mandates_person_id", ["person_id", "id"], unique=False)

    op.create_table(
        "person_certificates",
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
        sa.UniqueConstraint("sha256", name=op.f("uq_person_certificates_sha256")),
        info={"part_of": ("person", "person_id")},
    )
    with op.batch_alter_table("person_certificates", schema=None) as batch_op:
        batch_op.create_index("ix_person_certificates_person_id", ["person_id", "id"], unique=False)

    op.create_table(
        "signing_batches",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("expires_at", UtcDateTime, nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], name=op.f("fk_signing_batches_person_id_people")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_batches")),
    )
    with op.batch_alter_table("signing_batches", schema=None) as batch_op:
        batch_op.create_index("ix_signing_batches_person_id", ["person_id", "id"], unique=False)

    op.create_table(
        "signing_batch_items",
        sa.Column("batch_id", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document_id", sa.String(length=64), nullable=False),
        sa.Column("document_version", sa.Integer(), nullable=False),
        sa.Column("trigger", sa.String(length=64), nullable=False),
        sa.Column("mandate_id", sa.String(length=36), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "state IN ('waiting', 'fired', 'refused')", name=op.f("ck_signing_batch_items_state")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id"],
            ["signing_batches.id"],
            name=op.f("fk_signing_batch_items_batch_id_signing_batches"),
        ),
        sa.PrimaryKeyConstraint("batch_id", "position", name=op.f("pk_signing_batch_items")),
    )
    op.create_table(
        "signing_sessions",
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
            ["person_certificates.id"],
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
        info={"part_of": ("document", "document_id")},
    )
    with op.batch_alter_table("signing_sessions", schema=None) as batch_op:
        batch_op.create_index("ix_signing_sessions_document_id", ["document_id"], unique=False)
        batch_op.create_index("ix_signing_sessions_expiry", ["state", "expires_at"], unique=False)
        batch_op.create_index("ix_signing_sessions_person_id", ["person_id", "id"], unique=False)

    op.create_table(
        "certificate_uses",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("certificate_sha256", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("file_id", sa.String(length=36), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("at", UtcDateTime, nullable=False),
        sa.CheckConstraint("role IN ('person', 'seal')", name=op.f("ck_certificate_uses_role")),
        sa.ForeignKeyConstraint(
            ["document_id"],
            ["documents.id"],
            name=op.f("fk_certificate_uses_document_id_documents"),
        ),
        sa.ForeignKeyConstraint(
            ["file_id"], ["files.id"], name=op.f("fk_certificate_uses_file_id_files")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificate_uses")),
        info={"part_of": ("document", "document_id")},
    )
    with op.batch_alter_table("certificate_uses", schema=None) as batch_op:
        batch_op.create_index(
            "ix_certificate_uses_certificate", ["certificate_sha256", "id"], unique=False
        )
        batch_op.create_index("ix_certificate_uses_document_id", ["document_id"], unique=False)

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("authenticated_at", UtcDateTime, nullable=True))

    op.execute(sa.update(_SESSIONS).values(authenticated_at=_SESSIONS.c.created_at))
    _take_over()


def _take_over() -> None:
    connection = op.get_bind()
    told = {"signed": ("person", "certificate_sha256"), "sealed": ("seal", "seal_sha256")}
    statement = sa.select(_STEPS).where(_STEPS.c.step.in_(sorted(told)))
    for row in (
        connection.execute(statement.order_by(_STEPS.c.at, _STEPS.c.file_id)).mappings().all()
    ):
        role, name = told[row["step"]]
        certificate = (row["evidence"] or {}).get(name)
        if certificate is None:
            continue
        key = f"{row['job_id']} {row['step']} {row['file_id']}"
        values = {n: row[n] for n in ("document_id", "file_id", "job_id", "sha256", "at")}
        values |= {"certificate_sha256": certificate, "role": role}
        values["id"] = str(uuid.uuid5(uuid.NAMESPACE_OID, key))
        connection.execute(sa.insert(_USES).values(values))


def downgrade() -> None:
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_column("authenticated_at")

    with op.batch_alter_table("certificate_uses", schema=None) as batch_op:
        batch_op.drop_index("ix_certificate_uses_document_id")
        batch_op.drop_index("ix_certificate_uses_certificate")

    op.drop_table("certificate_uses")
    with op.batch_alter_table("signing_sessions", schema=None) as batch_op:
        batch_op.drop_index("ix_signing_sessions_person_id")
        batch_op.drop_index("ix_signing_sessions_expiry")
        batch_op.drop_index("ix_signing_sessions_document_id")

    op.drop_table("signing_sessions")
    op.drop_table("signing_batch_items")
    with op.batch_alter_table("signing_batches", schema=None) as batch_op:
        batch_op.drop_index("ix_signing_batches_person_id")

    op.drop_table("signing_batches")
    with op.batch_alter_table("person_certificates", schema=None) as batch_op:
        batch_op.drop_index("ix_person_certificates_person_id")

    op.drop_table("person_certificates")
    with op.batch_alter_table("mandates", schema=None) as batch_op:
        batch_op.drop_index("ix_mandates_person_id")

    op.drop_table("mandates")
