"""A renewal of an archive time stamp that failed is tried again by itself, and says when.

Step: expand

Renewals that failed before are tried once more at the next look: nobody wrote down why they failed. The
columns are added in place, as SQLite would have to copy the table otherwise.
"""

import sqlalchemy as sa
from alembic import op

from docflow.db.base import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "archive_stamps", sa.Column("attempts", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column("archive_stamps", sa.Column("next_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    op.drop_column("archive_stamps", "next_at")
    op.drop_column("archive_stamps", "attempts")
