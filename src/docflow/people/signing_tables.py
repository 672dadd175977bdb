"""What a person may sign with and in whose name: certificates and mandates."""

import sqlalchemy as sa

from docflow.db.base import METADATA, UtcDateTime, part_of

person_certificates = sa.Table(
    "person_certificates",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
    # a certificate belongs to one person; another may have it only once it was revoked unused
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("device", sa.String(8), nullable=False),  # service: its key is in the signers file
    sa.Column("pem", sa.Text, nullable=False),  # the certificate and the authorities above it
    sa.Column("valid_from", UtcDateTime, nullable=False),
    sa.Column("valid_until", UtcDateTime, nullable=False),
    sa.Column("state", sa.String(8), nullable=False),
    sa.Column(
        "challenge", sa.String(300), nullable=True
    ),  # what its key has to sign to prove itself
    sa.Column("replaces", sa.String(36), nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("enrolled_at", UtcDateTime, nullable=True),
    sa.Column("ended_at", UtcDateTime, nullable=True),
    sa.Column("ended_by", sa.String(64), nullable=True),
    sa.Column("end_reason", sa.Text, nullable=True),
    sa.CheckConstraint("device IN ('card', 'service')", name="device"),
    sa.CheckConstraint("state IN ('proposed', 'enrolled', 'replaced', 'revoked')", name="state"),
    sa.CheckConstraint("length(sha256) = 64", name="sha256"),
    sa.Index("ix_person_certificates_person_id", "person_id", "id"),
    sa.Index("ix_person_certificates_sha256", "sha256"),
    sa.Index(
        "uq_person_certificates_in_force",
        "sha256",
        unique=True,
        sqlite_where=sa.column("state") != "revoked",
        postgresql_where=sa.column("state") != "revoked",
    ),
    info=part_of("person", "person_id"),
)

mandates = sa.Table(
    "mandates",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
    sa.Column("capacity", sa.String(8), nullable=False),  # TM, Q, KT, TL, TUQ
    sa.Column("title", sa.String(120), nullable=False),  # whose place is taken, as printed
    sa.Column("unit_id", sa.String(36), sa.ForeignKey("units.id"), nullable=True),
    sa.Column("on_behalf_id", sa.String(36), sa.ForeignKey("people.id"), nullable=True),
    sa.Column("basis", sa.String(500), nullable=False),  # the decision or paper that gives it
    sa.Column("valid_from", UtcDateTime, nullable=False),
    sa.Column("valid_until", UtcDateTime, nullable=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("revoked_at", UtcDateTime, nullable=True),
    sa.Column("revoked_by", sa.String(64), nullable=True),
    sa.CheckConstraint("capacity IN ('TM', 'Q', 'KT', 'TL', 'TUQ')", name="capacity"),
    sa.CheckConstraint("(unit_id IS NULL) <> (on_behalf_id IS NULL)", name="one_principal"),
    sa.Index("ix_mandates_person_id", "person_id", "id"),
    info=part_of("person", "person_id"),
)
