"""Background jobs for the operator: list them, see why one failed, retry it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from docflow.cli.instance import instance_settings
from docflow.cli.output import CONSOLE, UNWRAPPED, fail, show_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from docflow.jobs.model import Job

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
    services = build(instance_settings(data_dir))
    page = services.engine.list(state=state, limit=limit)  # type: ignore[arg-type]
    if not page.jobs:
        CONSOLE.print("There are no such jobs.")
    elif UNWRAPPED:
        show_table(_table(page.jobs), markup=False)
    else:
        for job in page.jobs:
            _show(job)
    if page.next_before:
        CONSOLE.print(f"More with --limit {min(limit * 4, 500)}.")
    if any(job.state in {"failed", "retrying"} for job in page.jobs):
        CONSOLE.print("Have one tried at once with `docflow jobs retry JOB`.")
    services.close()


def _table(jobs: "Sequence[Job]") -> Table:
    """Return one line for each job, however long, for pipes."""
    table = Table("job", "state", "step", "failed tries", "changed (UTC)", "error", box=None)
    for job in jobs:
        told = (job.id, job.state, job.step or "", str(job.attempts), _changed(job))
        table.add_row(*told, " ".join((job.error or "").split()))
    return table


def _show(job: "Job") -> None:
    """Print a job: its id on a line of its own, whole on a terminal of any width."""
    step = f" at {job.step}" if job.step else ""
    tries = "1 failed try" if job.attempts == 1 else f"{job.attempts} failed tries"
    CONSOLE.print(job.id, markup=False, soft_wrap=True)
    CONSOLE.print(
        f"  {job.state}{step}, {f'{tries}, ' if job.attempts else ''}{_changed(job)} UTC",
        markup=False,
    )
    if job.error:
        CONSOLE.print(Padding(Text(job.error), (0, 0, 0, 2)))


def _changed(job: "Job") -> str:
    return f"{job.updated_at:%Y-%m-%d %H:%M:%S}"


@app.command()
def retry(job_id: str, data_dir: _DataDir = None) -> None:
    """Run a job that failed, or waits for its next try, at once from the step that failed."""
    from docflow.bootstrap import build
    from docflow.kernel.actor import SERVICE
    from docflow.release import failures

    services = build(instance_settings(data_dir))
    job = failures.retry(services.desk, services.engine, SERVICE, job_id)
    CONSOLE.print(f"{job.id} is {job.state} (run {job.runs}).")
    services.close()
