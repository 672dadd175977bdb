"""Files that came in another form are converted or cleaned before they count.

Step: expand

Files that are there need nothing. The columns are added in place: other tables refer to `files`, and
SQLite would have to copy it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_CONVERSION = "conversion IN ('pending', 'failed', 'done', 'dropped')"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "ALTER TABLE files ADD COLUMN conversion VARCHAR(8) "
            f"CONSTRAINT ck_files_conversion CHECK ({_CONVERSION})"
        )
    else:
        op.add_column("files", sa.Column("conversion", sa.String(length=8), nullable=True))
        op.create_check_constraint(op.f("ck_files_conversion"), "files", _CONVERSION)
    op.add_column("files", sa.Column("conversion_problem", sa.Text(), nullable=True))


def downgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint(op.f("ck_files_conversion"), "files")
    op.drop_column("files", "conversion_problem")
    op.drop_column("files", "conversion")
