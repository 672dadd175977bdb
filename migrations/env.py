"""Alembic environment; docflow.db.migrate hands over the connection."""

from typing import Any

import sqlalchemy as sa
from alembic import context

from docflow.db.base import METADATA, UtcDateTime
from docflow.db.migrate import include_name


def render_item(kind: str, item: Any, _autogenerate_context: Any) -> str | bool:
    if kind == "type" and isinstance(item, UtcDateTime):
        return "UtcDateTime"
    if kind == "type" and isinstance(item, sa.JSON):
        return "JsonColumn"
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    include_name=include_name,
    render_item=render_item,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
context.run_migrations()
