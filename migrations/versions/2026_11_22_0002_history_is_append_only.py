"""History is append-only, new entries queue themselves, subjects can be searched.

Step: expand

The triggers are the third lock of history: whatever code runs, the database itself refuses to change
or delete entries, their places in the log, and checkpoints.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("history_entries", "log_leaves", "log_checkpoints")


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _upgrade_sqlite()
    else:
        _upgrade_postgresql()


def _upgrade_sqlite() -> None:
    for table in APPEND_ONLY:
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
            )
    op.execute(
        "CREATE TRIGGER history_entries_queue AFTER INSERT ON history_entries "
        "BEGIN INSERT INTO history_pending (entry_id) VALUES (NEW.id); END"
    )
    op.execute(
        "CREATE VIRTUAL TABLE documents_search USING fts5("
        "document_id UNINDEXED, subject, tokenize = 'unicode61')"
    )
    op.execute(
        "CREATE TRIGGER documents_search_insert AFTER INSERT ON documents BEGIN "
        "INSERT INTO documents_search (rowid, document_id, subject) "
        "VALUES (NEW.search_id, NEW.id, NEW.subject_folded); END"
    )
    op.execute(
        "CREATE TRIGGER documents_search_update AFTER UPDATE OF subject_folded ON documents "
        "WHEN OLD.subject_folded <> NEW.subject_folded BEGIN "
        "UPDATE documents_search SET subject = NEW.subject_folded WHERE rowid = NEW.search_id; END"
    )


def _upgrade_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION docflow_append_only() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
    )
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION docflow_append_only()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION docflow_append_only()"
        )
    op.execute(
        "CREATE FUNCTION docflow_queue_entry() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN INSERT INTO history_pending (entry_id) VALUES (NEW.id); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER history_entries_queue AFTER INSERT ON history_entries "
        "FOR EACH ROW EXECUTE FUNCTION docflow_queue_entry()"
    )
    op.execute(
        "CREATE INDEX ix_documents_search ON documents "
        "USING gin (to_tsvector('simple', subject_folded))"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table in APPEND_ONLY:
            for act in ("update", "delete"):
                op.execute(f"DROP TRIGGER {table}_no_{act}")
        op.execute("DROP TRIGGER history_entries_queue")
        op.execute("DROP TRIGGER documents_search_insert")
        op.execute("DROP TRIGGER documents_search_update")
        op.execute("DROP TABLE documents_search")
        return
    op.execute("DROP INDEX ix_documents_search")
    op.execute("DROP TRIGGER history_entries_queue ON history_entries")
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
    op.execute("DROP FUNCTION docflow_queue_entry()")
    op.execute("DROP FUNCTION docflow_append_only()")
