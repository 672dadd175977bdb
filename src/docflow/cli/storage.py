"""The object storage for the operator: does it do what docflow needs, is what lies there whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from docflow.cli.instance import instance_settings
from docflow.cli.output import CONSOLE, fail, show_table

if TYPE_CHECKING:
    from docflow.db import Database, Row
    from docflow.settings import Settings
    from docflow.upkeep.report import Report
    from docflow.upkeep.scan import Scanned

app = typer.Typer(help="The object storage.", no_args_is_help=True, add_completion=False)
_DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Overrides DOCFLOW_DATA_DIR (default: var).")
]
_SHOWN = 20
_COLOURS = {"works": "green", "lacks": "red", "failed": "red", "not used": "dim"}


@app.command()
def check(data_dir: _DataDir = None) -> None:
    """Prove that the storage does what docflow needs; say what it lacks.

    Puts small objects below check/ and deletes them again. Ends with 1 if docflow must not be run on it.
    """
    from docflow import bootstrap
    from docflow.storage import Staging
    from docflow.storage.check import check as examine

    settings = instance_settings(data_dir)
    staging = Staging(settings.data_dir / "staging", settings.max_file_bytes)
    findings = examine(bootstrap.open_store(settings), staging)
    table = Table("probe", "result", "what was seen", box=None)
    for finding in findings:
        colour = "yellow" if finding.state == "lacks" and not finding.needed else ""
        colour = colour or _COLOURS[finding.state]
        table.add_row(escape(finding.name), f"[{colour}]{finding.state}[/]", escape(finding.detail))
    show_table(table)
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


@app.command()
def status(data_dir: _DataDir = None) -> None:
    """Show how far the integrity scan is, what is wrong with stored files, what was swept.

    Ends with 1 if anything is wrong.
    """
    settings = instance_settings(data_dir)
    with _database(settings) as database:
        raise typer.Exit(_show(database))


@app.command()
def scan(
    data_dir: _DataDir = None,
    full: Annotated[
        bool, typer.Option("--full", help="Begin with the first file, even in mid-round.")
    ] = False,
) -> None:
    """Read every stored file that a row needs and hold it to its digests, as fast as it goes.

    Goes on where the last scan stopped, and looks again at what was found before. Ends with 1 if
    anything is wrong.
    """
    from docflow import bootstrap
    from docflow.upkeep.duties import Upkeep

    settings = instance_settings(data_dir)
    with _database(settings) as database:
        store = bootstrap.open_store(settings)
        scanner = Upkeep.of(settings, database, store).scanner
        with _bar() as (bars, show):
            done = scanner.run_on(anew=full, progress=show, wait_seconds=30.0)
            bars.update(bars.task_ids[0], completed=1.0 if done.finished else None)
        _tell(done)
        raise typer.Exit(_show(database))


@contextmanager
def _database(settings: "Settings") -> "Iterator[Database]":
    from docflow import bootstrap
    from docflow.db import migrate

    database = bootstrap.open_database(settings)
    try:
        migrate.require_current(database)
        yield database
    finally:
        database.dispose()


@contextmanager
def _bar() -> Iterator[tuple[Bars, Any]]:
    from docflow.upkeep.scan import share_done

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=CONSOLE,
        disable=not CONSOLE.is_terminal,
    )
    with bars:
        task = bars.add_task("scan", total=1.0)

        def show(row: "Row") -> None:
            told = f"{row['objects']:,} files, {_bytes(row['bytes'])}"
            bars.update(task, completed=share_done(row), description=told)

        yield bars, show


def _tell(done: "Scanned") -> None:
    if done.idle:
        fail("A worker scans just now; it was waited for, for 30 seconds. Try again.")
    CONSOLE.print(f"Read {done.objects:,} files, {_bytes(done.bytes)}.")
    if done.away is not None:
        CONSOLE.print(f"The scan ended early: {done.away}", style="red", markup=False)


def _show(database: "Database") -> int:
    """Print how the stored files are; return 1 if anything is wrong."""
    from docflow.upkeep.report import newest, report

    told = report(database)
    show_table(_facts(told))
    wrong = sum(told.open.values())
    if not wrong:
        if told.state != "never":
            CONSOLE.print("Nothing is known to be wrong.", style="bold green")
        return 0
    rows = newest(database, _SHOWN)
    _list(rows)
    if wrong > len(rows):
        CONSOLE.print(f"{wrong - len(rows):,} more: GET /v1/storage/findings.")
    CONSOLE.print(f"{wrong:,} findings are open.", style="bold red")
    return 1


def _facts(told: "Report") -> Table:
    table = Table.grid(padding=(0, 2))
    if told.state == "never":
        table.add_row("scan", "no round was begun yet")
    else:
        table.add_row("scan", f"round {told.round}, {told.state}, {told.share:.0%}")
        table.add_row("began", _time(told.started_at))
        table.add_row("ended", _time(told.finished_at))
        table.add_row("read", f"{told.objects:,} files, {_bytes(told.bytes)}")
    sweeper = told.sweeper
    if sweeper is None:
        table.add_row("sweeper", "never ran yet")
    else:
        swept = f"{sweeper['deleted']:,} files ({_bytes(sweeper['deleted_bytes'])})"
        table.add_row("sweeper", f"deleted {swept} that no row referred to")
        table.add_row("swept last", _time(sweeper["ran_at"]))
    for kind, count in sorted(told.open.items()):
        table.add_row(kind, f"{count:,}", style="red")
    return table


def _list(rows: "list[Row]") -> None:
    """Print findings: a block each, so that keys stay whole on a terminal of any width."""
    for row in rows:
        CONSOLE.print(f"{row['kind']}  found {_time(row['found_at'])}", style="red", markup=False)
        for name, value in (
            ("object", row["key"]),
            ("document", row["document_id"]),
            ("row of", row["source"]),
            ("seen", row["detail"]),
        ):
            if value:
                CONSOLE.print(f"  {name:<9}{value}", markup=False, soft_wrap=True)


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "not yet"


def _bytes(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:  # noqa: PLR2004 - binary units
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
