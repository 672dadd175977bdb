"""Signatures for the operator: levels, certificates near their end, archive time stamps."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from docflow.cli.instance import instance_settings
from docflow.cli.output import CONSOLE, show_table

if TYPE_CHECKING:
    from docflow.bootstrap import Services

app = typer.Typer(help="Signatures.", no_args_is_help=True, add_completion=False)


@app.callback()
def _root() -> None:
    """Keep `status` a command of its own."""


@app.command()
def status(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Overrides DOCFLOW_DATA_DIR (default: var).")
    ] = None,
) -> None:
    """Show levels, certificates and archive time stamps; ends with 1 if something needs a person."""
    from docflow.bootstrap import build
    from docflow.kernel.actor import SERVICE
    from docflow.release import standing

    services = build(instance_settings(data_dir))
    found = standing.standing(services.keeper, SERVICE, services.studio.verifier.anchors)
    CONSOLE.print(f"Levels: {', '.join(found.levels)}; where none is named: {found.default_level}.")
    table = Table("certificate", "use", "until", "days left", "", box=None)
    for one in found.certificates:
        told = {None: "", 0: "over"}.get(one.warning, f"ends within {one.warning} days")
        table.add_row(one.name, one.use, f"{one.until:%Y-%m-%d}", str(one.days_left), told)
    show_table(table)
    CONSOLE.print(
        f"Archive time stamps: {found.ending} end soon, {found.due} are being renewed, "
        f"{found.failed} failed, {found.retrying} of them are tried again."
    )
    failed = standing.stamps(services.desk, SERVICE, state="failed", after=None, limit=20)
    for row in failed:
        later = f"again {row['next_at']:%Y-%m-%d %H:%M} UTC" if row["next_at"] else "needs a person"
        CONSOLE.print(
            f"{row['id']} of {row['document_id']}, failed {row['attempts']} times, {later}: "
            f"{row['error']}"
        )
    _tell_what_waits(services)
    strangers = services.strangers()
    for login in strangers:
        CONSOLE.print(f"The signers file names {login!r}, and nobody has that login.", markup=False)
    services.close()
    if failed or strangers or any(one.warning is not None for one in found.certificates):
        raise typer.Exit(1)


def _tell_what_waits(services: "Services") -> None:
    """Say of renewals that are under way what they wait for, if a try failed."""
    from docflow.kernel.actor import SERVICE
    from docflow.release import archive, standing

    for row in standing.stamps(services.desk, SERVICE, state="due", after=None, limit=20):
        error = services.engine.get(archive.job_of(row)).error
        if error:
            told = f"{row['id']} of {row['document_id']} is being renewed, and waits: {error}"
            CONSOLE.print(told, markup=False)
