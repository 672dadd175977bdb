"""The object storage for the operator: does it do what docflow needs, and what does it lack."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from docflow.cli.instance import settings_for
from docflow.cli.output import CONSOLE, fail

app = typer.Typer(help="The object storage.", no_args_is_help=True, add_completion=False)
_DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Overrides DOCFLOW_DATA_DIR (default: var).")
]
_COLOURS = {"works": "green", "lacks": "red", "failed": "red", "not used": "dim"}


@app.callback()
def _room() -> None:
    """Keep `check` a word of its own while it is the only one."""


@app.command()
def check(data_dir: _DataDir = None) -> None:
    """Prove that the storage does what docflow needs; say what it lacks.

    Puts small objects below check/ and deletes them again. Ends with 1 if docflow must not be run on it.
    """
    from docflow import bootstrap
    from docflow.storage import Staging
    from docflow.storage.check import check as examine

    settings = settings_for(data_dir)
    staging = Staging(settings.data_dir / "staging", settings.max_file_bytes)
    findings = examine(bootstrap.open_store(settings), staging)
    table = Table("probe", "result", "what was seen", box=None)
    for finding in findings:
        colour = "yellow" if finding.state == "lacks" and not finding.needed else ""
        colour = colour or _COLOURS[finding.state]
        table.add_row(escape(finding.name), f"[{colour}]{finding.state}[/]", escape(finding.detail))
    CONSOLE.print(table)
    stops = [finding.name for finding in findings if finding.stops]
    if stops:
        fail(f"docflow must not be run on this storage: {', '.join(stops)}.")
    lacks = [finding.name for finding in findings if finding.state in {"lacks", "failed"}]
    if lacks:
        CONSOLE.print(
            f"docflow can be run on this storage; read what it lacks: {', '.join(lacks)}."
        )
    else:
        CONSOLE.print("The storage does what docflow needs.")
