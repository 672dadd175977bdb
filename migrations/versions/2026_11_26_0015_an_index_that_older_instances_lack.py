"""Instances that took 0007 before its index on stored files was added to it get that index now.

Newer ones have it already. Nothing to take back: it belongs to 0007, which drops it with its table.

Step: expand
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_INDEX, _TABLE = "ix_archive_stamps_storage_key", "archive_stamps"


def upgrade() -> None:
    there = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(_TABLE)}
    if _INDEX not in there:
        op.create_index(_INDEX, _TABLE, ["storage_key"])


def downgrade() -> None:
    pass
