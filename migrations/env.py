"""Alembic environment; docflow.db.migrate hands over the connection."""

from alembic import context

from docflow.db.base import METADATA
from docflow.db.migrate import include_name

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=METADATA,
    include_name=include_name,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    transaction_per_migration=False,
)
context.run_migrations()
