"""What is encrypted of a release may be a container: a file made of the main file, and not the main file.

Step: expand
"""

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
    # what was encrypted in a container has to go: there is no place for it in the tables before
    op.execute(
        "DELETE FROM delivery_files WHERE role = 'annex' AND file_id IN "
        "(SELECT id FROM files WHERE role = 'main')"
    )
    with op.batch_alter_table("delivery_files") as batch:
        batch.drop_constraint(op.f(_AFTER), type_="unique")
        batch.create_unique_constraint(op.f(_BEFORE), _COLUMNS)
