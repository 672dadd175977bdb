"""What is encrypted of a release may be a container: a file made of the main file, and not the main file.

Step: expand
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_BEFORE = "uq_delivery_files_job_id_recipient_id_file_id"
_AFTER = f"{_BEFORE}_role"
_COLUMNS = ["job_id", "recipient_id", "file_id"]


def upgrade() -> None:
    with op.batch_alter_table("delivery_files") as batch:
        batch.drop_constraint(op.f(_BEFORE), type_="unique")
        batch.create_unique_constraint(op.f(_AFTER), [*_COLUMNS, "role"])


def downgrade() -> None:
    contained = (
        "SELECT count(*) FROM delivery_files WHERE role = 'annex' AND file_id IN "
        "(SELECT id FROM files WHERE role = 'main')"
    )
    if op.get_bind().execute(sa.text(contained)).scalar_one():
        raise RuntimeError(
            "Containers were delivered to recipients; the tables before have no place for them. "
            "Restore the backup made before the upgrade instead."
        )
    with op.batch_alter_table("delivery_files") as batch:
        batch.drop_constraint(op.f(_AFTER), type_="unique")
        batch.create_unique_constraint(op.f(_BEFORE), _COLUMNS)
