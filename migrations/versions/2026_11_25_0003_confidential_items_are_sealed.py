"""Confidential items are sealed: wrapped data keys, sealed texts, names and files.

Step: expand

What is there stays as it is: nothing above `internal` could be posted before, so nothing has to be
sealed. Columns are added in place; SQLite would lose the search triggers if `documents` were copied.

Entries stay append-only, with one exception that takes nothing away: the details of an entry may be
replaced by their sealed form, once, when a document is raised to a classification that is sealed.
"""

import sqlalchemy as sa
from alembic import op

from docflow.db.base import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SEALED = "sealed_content IS NULL OR (subject = '' AND data_key_id IS NOT NULL)"
_SEALED_NAME = "sealed_name IS NULL OR name = ''"
_SAME = (
    "id", "subject_kind", "subject_id", "subject_seq", "action", "actor_id", "actor_kind", "at",
    "leaf", "leaf_hash", "details_key",
)  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "data_keys",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("document_id", sa.String(length=36), nullable=False),
        sa.Column("place", sa.String(length=200), nullable=False),
        sa.Column("classification", sa.String(length=40), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=140), nullable=False),
        sa.Column("key_version", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_data_keys")),
    )
    op.create_index("ix_data_keys_document_id", "data_keys", ["document_id"])
    op.create_index("ix_data_keys_key", "data_keys", ["key", "provider", "key_version", "id"])
    for table in ("documents", "files", "signature_steps"):
        op.add_column(table, sa.Column("data_key_id", sa.String(length=36), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "ALTER TABLE documents ADD COLUMN sealed_content TEXT "
            f"CONSTRAINT ck_documents_sealed CHECK ({_SEALED})"
        )
        op.execute(
            "ALTER TABLE files ADD COLUMN sealed_name TEXT "
            f"CONSTRAINT ck_files_sealed CHECK ({_SEALED_NAME})"
        )
        same = " AND ".join(f"NEW.{name} IS OLD.{name}" for name in _SAME)
        op.execute("DROP TRIGGER history_entries_no_update")
        op.execute(
            "CREATE TRIGGER history_entries_no_update BEFORE UPDATE ON history_entries "
            f"WHEN NOT ({same} AND OLD.details IS NOT NULL "
            "AND json_type(OLD.details, '$.sealed') IS NULL "
            "AND coalesce(json_extract(NEW.details, '$.sealed'), '') LIKE 'sealed:v1:%') "
            "BEGIN SELECT RAISE(ABORT, 'history_entries is append-only'); END"
        )
        return
    op.add_column("documents", sa.Column("sealed_content", sa.Text(), nullable=True))
    op.add_column("files", sa.Column("sealed_name", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_documents_sealed"), "documents", _SEALED)
    op.create_check_constraint(op.f("ck_files_sealed"), "files", _SEALED_NAME)
    same = " AND ".join(f"NEW.{name} IS NOT DISTINCT FROM OLD.{name}" for name in _SAME)
    op.execute(
        "CREATE FUNCTION docflow_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        f"BEGIN IF TG_OP = 'UPDATE' AND {same} AND OLD.details IS NOT NULL "
        "AND NOT OLD.details ? 'sealed' AND coalesce(NEW.details->>'sealed', '') LIKE 'sealed:v1:%' "
        "THEN RETURN NEW; END IF; "
        "RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    op.execute("DROP TRIGGER history_entries_append_only ON history_entries")
    op.execute(
        "CREATE TRIGGER history_entries_append_only BEFORE UPDATE OR DELETE ON history_entries "
        "FOR EACH ROW EXECUTE FUNCTION docflow_entries_append_only()"
    )


def downgrade() -> None:
    count = sa.text("SELECT count(*) FROM data_keys")
    if op.get_bind().execute(count).scalar_one():
        raise RuntimeError(
            "this instance holds sealed items, which the version before cannot open; "
            "the database was left as it is"
        )
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER history_entries_no_update")
        op.execute(
            "CREATE TRIGGER history_entries_no_update BEFORE UPDATE ON history_entries "
            "BEGIN SELECT RAISE(ABORT, 'history_entries is append-only'); END"
        )
    else:
        op.execute("DROP TRIGGER history_entries_append_only ON history_entries")
        op.execute(
            "CREATE TRIGGER history_entries_append_only BEFORE UPDATE OR DELETE ON history_entries "
            "FOR EACH ROW EXECUTE FUNCTION docflow_append_only()"
        )
        op.execute("DROP FUNCTION docflow_entries_append_only()")
        op.drop_constraint(op.f("ck_documents_sealed"), "documents")
        op.drop_constraint(op.f("ck_files_sealed"), "files")
    op.drop_column("documents", "sealed_content")
    op.drop_column("files", "sealed_name")
    for table in ("documents", "files", "signature_steps"):
        op.drop_column(table, "data_key_id")
    op.drop_index("ix_data_keys_key", table_name="data_keys")
    op.drop_index("ix_data_keys_document_id", table_name="data_keys")
    op.drop_table("data_keys")
