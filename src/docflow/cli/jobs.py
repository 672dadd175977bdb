"""Background jobs for the operator: list them, see why one failed, retry it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from docflow.cli.instance import settings_for
from docflow.cli.output import CONSOLE, fail

app = typer.Typer(help="Background jobs.", no_args_is_help=True, add_completion=False)
_DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Overrides DOCFLOW_DATA_DIR (default: var).")
]
_STATES = ("queued", "running", "retrying", "failed", "done", "cancelled")


@app.command("list")
def list_jobs(
    data_dir: _DataDir = None,
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(_STATES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 30,
) -> None:
    """List jobs, newest first."""
    from docflow.bootstrap import build

    if state is not None and state not in _STATES:
        fail(f"There is no state {state!r}; one of {', '.join(_STATES)}.")
    services = build(settings_for(data_dir))
    page = services.engine.list(state=state, limit=limit)  # type: ignore[arg-type]
    table = Table("job", "state", "step", "tries", "changed (UTC)", "error", box=None)
    for job in page.jobs:
        table.add_row(
            job.id,
            job.state,
            job.step or "",
            str(job.attempts),
            f"{job.updated_at:%Y-%m-%d %H:%M:%S}",
            job.error or "",
        )
    CONSOLE.print(table if page.jobs else "There are no such jobs.")
    if page.next_before:
        CONSOLE.print(f"More with --limit {min(limit * 4, 500)}.")
    if any(job.state in {"failed", "retrying"} for job in page.jobs):
        CONSOLE.print("Have one tried at once with `docflow jobs retry JOB`.")
    services.close()


@app.command()
def retry(job_id: str, data_dir: _DataDir = None) -> None:
    """Run a job that failed, or waits for its next try, at once from the step that failed."""
    from docflow.bootstrap import build
    from docflow.kernel.actor import SERVICE
    from docflow.release import failures

    services = build(settings_for(data_dir))
    job = failures.retry(services.desk, services.engine, SERVICE, job_id)
    CONSOLE.print(f"{job.id} is {job.state} (run {job.runs}).")
    services.close()
