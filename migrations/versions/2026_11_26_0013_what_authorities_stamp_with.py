"""What each time-stamp authority signs with now, so that its end is seen coming.

Step: expand
"""

import sqlalchemy as sa
from alembic import op

from docflow.db.base import UtcDateTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "stamping_certificates",
        sa.Column("authority", sa.String(length=200), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("authority", name=op.f("pk_stamping_certificates")),
    )


def downgrade() -> None:
    op.drop_table("stamping_certificates")
