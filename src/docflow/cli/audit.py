"""`docflow audit`: recompute the whole history; and what `docflow verify` does with a proof.

Exit codes: 0 everything holds, 1 something does not (or could not be checked), 2 wrong usage.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table

from docflow.cli.instance import instance_settings, settings_for
from docflow.cli.output import CONSOLE, fail, json_text, show_table
from docflow.kernel.errors import (
    ConfigurationError,
    DevelopmentModeWarning,
    DocflowError,
    UnavailableError,
)
from docflow.kernel.text import shown

if TYPE_CHECKING:
    from docflow.audit.report import AuditReport, Progress
    from docflow.db import Database
    from docflow.documents.vault import Vault
    from docflow.settings import Settings
    from docflow.transparency.note import VerifierKey
    from docflow.transparency.proof import VerifiedEntry

app = typer.Typer(
    help="The history and its proofs: verify everything, show the log's public key.",
    no_args_is_help=True,
    add_completion=False,
)
_DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Overrides DOCFLOW_DATA_DIR (default: var).")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_Key = Annotated[
    str | None, typer.Option("--key", metavar="VKEY", help="The log's public key, name+id+base64.")
]
_KeyFile = Annotated[
    Path | None, typer.Option("--key-file", help="A file that holds the log's public key.")
]


@app.command()
def verify(
    data_dir: _DataDir = None,
    key: _Key = None,
    key_file: _KeyFile = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(help="A checkpoint kept earlier; the log must still extend it. Repeatable."),
    ] = None,
    contents: Annotated[
        bool, typer.Option("--contents", help="Also read and hash every stored file.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Recompute everything that history says from the database, and say what does not hold.

    The public key is the instance's own unless one is given; an auditor gives the one they keep.
    """
    from docflow import bootstrap
    from docflow.audit.verify import verify_everything
    from docflow.db import migrate

    settings = instance_settings(data_dir)
    verifier = _verifier(key, key_file)
    kept = [_read(path) for path in checkpoint or ()]
    database = bootstrap.open_database(settings)
    try:
        migrate.require_current(database)
        verifier = verifier or _own_key(settings)
        with _bars(quiet=as_json) as bars:
            report = verify_everything(
                database,
                bootstrap.open_store(settings),
                verifier,
                _shown_in(bars),
                kept=kept,
                contents=contents,
                vault=_vault(settings, database),
            )
    finally:
        database.dispose()
    if as_json:
        print(json_text(report.as_json()))
    else:
        _show(report)
    raise typer.Exit(0 if report.ok else 1)


@app.command("key")
def show_key(
    data_dir: _DataDir = None,
    create: Annotated[
        Path | None,
        typer.Option(help="Make a new private key in this file, for DOCFLOW_LOG_KEY_FILE."),
    ] = None,
) -> None:
    """Print the log's public key, which whoever verifies proofs must have."""
    from docflow.audit.log_key import create_log_key

    settings = settings_for(data_dir)
    if create is None:
        print(_own_key(settings))
        return
    if create.exists():
        fail(f"{create} is there already; a log keeps its key. Name another file.")
    print(create_log_key(create, settings.log_origin).verifier)


def verify_proof(
    proof: Annotated[Path, typer.Argument(help="A .tlog-proof file; - reads standard input.")],
    key: _Key = None,
    key_file: _KeyFile = None,
    origin: Annotated[
        str | None, typer.Option(help="The log's name, where it is not the key's.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Check offline that a history entry is in the log, with its proof and the public key alone."""
    from docflow.transparency.errors import ProofFileError
    from docflow.transparency.proof import verify_proof as check

    verifier = _verifier(key, key_file)
    if verifier is None:
        raise typer.BadParameter("Give the log's public key with --key or --key-file.")
    try:
        verified = check(_read(proof), verifier, origin=origin)
    except ProofFileError as error:
        if as_json:
            print(json.dumps({"ok": False, "step": error.extra["step"], "reason": error.detail}))
            raise typer.Exit(1) from error
        fail(error.detail)
    if as_json:
        print(json_text({"ok": True, **_verified(verified)}))
    else:
        table = Table.grid(padding=(0, 2))
        for name, value in _verified(verified).items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            table.add_row(name, shown(text))
        CONSOLE.print("The entry is in the log.", style="bold green")
        show_table(table, markup=False)


def _verified(entry: "VerifiedEntry") -> dict[str, Any]:
    from docflow.kernel.clock import rfc3339

    fields = entry.fields
    return {
        "entry": fields.id,
        "subject": f"{fields.subject_kind} {fields.subject_id}",
        "number": fields.seq,
        "action": fields.action,
        "actor": f"{fields.actor_kind} {fields.actor_id}",
        "at": rfc3339(fields.at),
        "data": dict(fields.data),
        "leaf": entry.leaf_hash,
        "index": entry.index,
        "log": entry.checkpoint.origin,
        "size": entry.checkpoint.size,
        "root": entry.checkpoint.root.hex(),
        "signed by": list(entry.signed_by),
    }


def _vault(settings: "Settings", database: "Database") -> "Vault | None":
    """Return what opens sealed items, None where the keys are not at hand: much holds without them."""
    from docflow import bootstrap
    from docflow.documents.catalogue import Catalogue
    from docflow.storage import Staging

    try:
        office = Catalogue(bootstrap.office_of(settings))
        staging = Staging(settings.data_dir / "staging", settings.max_file_bytes)
        with warnings.catch_warnings():  # nothing is sealed here, only opened
            warnings.simplefilter("ignore", DevelopmentModeWarning)
            return bootstrap.open_vault(
                settings, database, bootstrap.open_store(settings), staging, office
            )
    except (ConfigurationError, UnavailableError) as error:
        CONSOLE.print(f"Sealed items are checked without opening them: {error.detail}")
        return None


def _own_key(settings: "Settings") -> "VerifierKey":
    """Return the public half of the instance's key, which must be there: nothing is made here."""
    from docflow import bootstrap
    from docflow.audit.log_key import load_log_key

    return load_log_key(bootstrap.log_key_path(settings), settings.log_origin).verifier


def _verifier(key: str | None, key_file: Path | None) -> "VerifierKey | None":
    from docflow.transparency.note import VerifierKey

    if key is not None and key_file is not None:
        raise typer.BadParameter("Give --key or --key-file, not both.")
    if key_file is None:
        return VerifierKey.parse(key) if key is not None else None
    try:
        return VerifierKey.parse(_read(key_file))
    except DocflowError as error:
        fail(f"{key_file} holds no public key of a log: {error.detail}")


def _read(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text("utf-8")
    except OSError as error:
        fail(f"{path} cannot be read ({error.strerror}).")
    except UnicodeDecodeError:
        fail(f"{path} cannot be read (it is no text in UTF-8).")


def _bars(*, quiet: bool) -> Bars:
    return Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=CONSOLE,
        disable=quiet or not CONSOLE.is_terminal,
    )


def _shown_in(bars: Bars) -> "Progress":
    tasks: dict[str, Any] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bars.add_task(what)
        bars.update(tasks[what], completed=done, total=max(done, total))

    return show


def _show(report: "AuditReport") -> None:
    counts = Table("checked", "how many", box=None)
    for name, count in sorted(report.checked.items()):
        counts.add_row(name, f"{count:,}")
    show_table(counts)
    CONSOLE.print(f"log {report.origin}, {report.size:,} leaves, {report.pending:,} pending")
    if report.root is not None:
        CONSOLE.print(f"root {report.root}")
    if report.ok:
        CONSOLE.print("Everything holds.", style="bold green")
        return
    table = Table("check", "finding", box=None)
    for finding in report.findings:
        if CONSOLE.is_terminal:
            table.add_row(finding.check, finding.sentence)
        else:  # one line each, for pipes
            print(shown(f"{finding.check}: {finding.sentence}"))
    if CONSOLE.is_terminal:
        show_table(table, markup=False)
    total = sum(report.found.values())
    if total > len(report.findings):
        CONSOLE.print(f"{total - len(report.findings):,} more of the same kinds.")
    CONSOLE.print(f"{total:,} findings: history does not hold.", style="bold red")
