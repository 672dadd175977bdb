"""Floor 3: durable background work; the only room that imports DBOS.

A service asks for a job in the transaction that needs it, a worker runs its handler in steps, and
`docs/jobs.md` says what that guarantees. Handlers are few lines that call the services' own methods.
"""

from docflow.jobs.engine import JobEngine
from docflow.jobs.model import Job, JobPage, JobRun, JobState

__all__ = ["Job", "JobEngine", "JobPage", "JobRun", "JobState"]
