"""What people see of background work. The engine keeps its own tables; these are docflow's."""

import sqlalchemy as sa

from docflow.db.base import METADATA, JsonColumn, UtcDateTime

jobs = sa.Table(
    "jobs",
    METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("subject_id", sa.String(64), nullable=False),
    sa.Column("payload", JsonColumn, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("step", sa.String(32), nullable=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("runs", sa.Integer, nullable=False),  # 1, and one more for each retry by a person
    sa.Column("execution", sa.Integer, nullable=False),  # the engine's; each try and run is one
    sa.Column("error", sa.Text, nullable=True),
    sa.Column("requested_by", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("next_at", UtcDateTime, nullable=True),  # of the next try, while retrying
    sa.CheckConstraint(
        "state IN ('queued', 'running', 'retrying', 'failed', 'done', 'cancelled')", name="state"
    ),
    # job ids are chosen by what asks for the job, so lists run by time and then by id
    sa.Index("ix_jobs_created_at", "created_at", "id"),
    sa.Index("ix_jobs_state", "state", "created_at", "id"),
    sa.Index("ix_jobs_kind", "kind", "created_at", "id"),
    sa.Index("ix_jobs_subject", "subject_id", "created_at", "id"),
)

workers = sa.Table(
    "workers",
    METADATA,
    sa.Column("executor_id", sa.String(128), primary_key=True),
    sa.Column("beat_at", UtcDateTime, nullable=False),
)
