"""Units, people and their offices, accounts, sessions, API keys and the directory of recipients."""

import sqlalchemy as sa

from docflow.db.base import METADATA, JsonColumn, UtcDateTime, audit_columns, audited, part_of

units = sa.Table(
    "units",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("code", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("parent_id", sa.String(36), sa.ForeignKey("units.id"), nullable=True),
    *audit_columns(),
    info=audited("unit"),
)

people = sa.Table(
    "people",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(16), nullable=False),  # person | system
    sa.Column("login", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    *audit_columns(),
    sa.CheckConstraint("kind IN ('person', 'system')", name="kind"),
    info=audited("person"),
)

offices = sa.Table(
    "offices",
    METADATA,
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), primary_key=True),
    sa.Column("unit_id", sa.String(36), sa.ForeignKey("units.id"), primary_key=True),
    sa.Column("role", sa.String(16), primary_key=True),
    sa.Index("ix_offices_unit_id", "unit_id"),
    info=part_of("person", "person_id"),
)

# What a person or system is cleared for; one at a time, what was before is told by history.
clearances = sa.Table(
    "clearances",
    METADATA,
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), primary_key=True),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("granted_by", sa.String(64), nullable=False),
    info=part_of("person", "person_id"),
)

# Documents that two people opened to a third for a time (break-glass); written by `custody`, read
# here because who comes in brings them. The document's history tells of each.
openings = sa.Table(
    "openings",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),  # of the request that was approved
    sa.Column("document_id", sa.String(36), sa.ForeignKey("documents.id"), nullable=False),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=False),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),  # set to the moment when it is ended early
    sa.Index("ix_openings_person_id_until", "person_id", "until"),
    sa.Index("ix_openings_document_id", "document_id"),
    info=part_of("document", "document_id"),
)

recipients = sa.Table(
    "recipients",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("code", sa.String(64), nullable=False, unique=True),
    sa.Column("name", sa.String(300), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),  # organisation | person
    sa.Column("external", sa.Boolean, nullable=False),
    # an internal recipient may be a unit (its clerks and heads receive) or a person of this office
    sa.Column("unit_id", sa.String(36), sa.ForeignKey("units.id"), nullable=True),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=True),
    sa.Column("active", sa.Boolean, nullable=False),
    *audit_columns(),
    sa.CheckConstraint("kind IN ('organisation', 'person')", name="kind"),
    sa.Index("ix_recipients_unit_id", "unit_id"),
    sa.Index("ix_recipients_person_id", "person_id"),
    info=audited("recipient"),
)

recipient_certificates = sa.Table(
    "recipient_certificates",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("recipient_id", sa.String(36), sa.ForeignKey("recipients.id"), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("pem", sa.Text, nullable=False),  # the certificate, then the authorities sent with it
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("issuer", sa.Text, nullable=False),
    sa.Column("serial", sa.String(64), nullable=False),
    sa.Column("key_kind", sa.String(32), nullable=False),  # rsa, or the name of a curve
    sa.Column("key_bits", sa.Integer, nullable=False),
    sa.Column("not_before", UtcDateTime, nullable=False),
    sa.Column("not_after", UtcDateTime, nullable=False),
    sa.Column("added_by", sa.String(64), nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
    sa.Column("revoked_by", sa.String(64), nullable=True),
    sa.Column("revoked_at", UtcDateTime, nullable=True),
    sa.Column("reason", sa.Text, nullable=True),  # of the revocation
    sa.UniqueConstraint("recipient_id", "sha256"),
    sa.CheckConstraint("length(sha256) = 64", name="sha256"),
    sa.CheckConstraint("(revoked_at IS NULL) = (reason IS NULL)", name="revoked_has_reason"),
    sa.Index("ix_recipient_certificates_not_after", "not_after"),
    info=part_of("recipient", "recipient_id"),
)

# An account or key belongs to a person (or system), or to a recipient; exactly one of the two.
_ONE_OWNER = "(person_id IS NULL) <> (recipient_id IS NULL)"

accounts = sa.Table(
    "accounts",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("login", sa.String(64), nullable=False, unique=True),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=True),
    sa.Column("recipient_id", sa.String(36), sa.ForeignKey("recipients.id"), nullable=True),
    sa.Column("password_hash", sa.String(255), nullable=False),
    sa.Column("active", sa.Boolean, nullable=False),
    *audit_columns(),
    sa.CheckConstraint(_ONE_OWNER, name="one_owner"),
    info=audited("account"),
)

# Failed attempts are counted apart from the account: they are noise, the lock itself is history.
# They are counted per login asked for, known or not, or a lock-out would tell which logins exist.
login_attempts = sa.Table(
    "login_attempts",
    METADATA,
    sa.Column("login_hash", sa.String(64), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("last_failure_at", UtcDateTime, nullable=False),
    sa.Column("locked_until", UtcDateTime, nullable=True),
    sa.Index("ix_login_attempts_last_failure_at", "last_failure_at"),
)

sessions = sa.Table(
    "sessions",
    METADATA,
    sa.Column("token_hash", sa.String(64), primary_key=True),
    sa.Column("account_id", sa.String(36), sa.ForeignKey("accounts.id"), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    # when the password was given last: what signs in a person's name needs it to be recent
    sa.Column("authenticated_at", UtcDateTime, nullable=True),
    sa.Index("ix_sessions_account_id", "account_id"),
    sa.Index("ix_sessions_expires_at", "expires_at"),
)

api_keys = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("person_id", sa.String(36), sa.ForeignKey("people.id"), nullable=True),
    sa.Column("recipient_id", sa.String(36), sa.ForeignKey("recipients.id"), nullable=True),
    sa.Column("secret_hash", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", JsonColumn, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=True),
    sa.Column("revoked_at", UtcDateTime, nullable=True),
    *audit_columns(),
    sa.CheckConstraint(_ONE_OWNER, name="one_owner"),
    info=audited("api_key"),
)
