"""Metadata, column types and the marks that say which tables are audited.

Two marks exist. `audited("document")`: each row is a subject of its own, with its running number and
chain head in the columns `history_seq` and `history_hash`, and an optimistic `version`.
`part_of("document", "document_id")`: a row belongs to a subject; changing it needs an entry for that
subject in the same transaction. Tables with neither mark hold nothing that history must tell.
"""

import json
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator

from docflow.kernel.clock import parse_rfc3339, rfc3339

METADATA = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

JsonColumn = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")

NO_PREVIOUS = "0" * 64  # the `prev` of a subject's first entry


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC instant: `timestamptz` on PostgreSQL, RFC 3339 text on SQLite.

    Text with a fixed number of digits sorts as time does.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """Use text where the database has no instants."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.String(27))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse naive values; write text for SQLite."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("refusing to store a naive datetime")
        return rfc3339(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, _dialect: Dialect) -> datetime | None:
        """Return an aware UTC instant."""
        if value is None:
            return None
        return parse_rfc3339(value) if isinstance(value, str) else value.astimezone(UTC)


def audited(kind: str) -> dict[str, Any]:
    """Mark a table's rows as history subjects of this kind (for `Table(info=...)`)."""
    return {"audited": kind}


def part_of(kind: str, column: str) -> dict[str, Any]:
    """Mark a table's rows as parts of the subject whose id is in `column`."""
    return {"part_of": (kind, column)}


def audit_columns() -> tuple[sa.Column[Any], ...]:
    """Return the columns that every audited table carries."""
    return (
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("history_seq", sa.Integer, nullable=False),
        sa.Column("history_hash", sa.String(64), nullable=False),
    )


def dumps(value: Any) -> str:
    """Serialise a JSON column; text stays readable."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
