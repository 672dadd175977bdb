"""Keys of sealed items for the operator: what depends on what, and rotation.

The commands work on a `KeyRoom`: the keyring and every table that keeps envelopes. `keys_app` takes
the function that opens it, so that this module knows neither the database nor its tables.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Protocol

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from docflow.cli.instance import instance_settings
from docflow.cli.output import CONSOLE, fail, show_table
from docflow.storage.sealing import (
    Envelope,
    KeyRecord,
    Keyring,
    KeyUse,
    Rewrapped,
    rewrap,
    usage,
)

_DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Overrides DOCFLOW_DATA_DIR (default: var).")
]
_KeyIds = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY]...", help="ORGANISATION/CLASSIFICATION; default: all."),
]


class KeyRoom(Protocol):
    """What the commands need of an instance."""

    keyring: Keyring

    def envelopes(self) -> Iterable[Envelope]:
        """Return the envelope of every record."""
        ...

    def records(self) -> Iterable[KeyRecord]:
        """Return every record, in pages; rows may change meanwhile."""
        ...

    def save(self, record: KeyRecord, envelope: Envelope) -> bool:
        """Store a new envelope; see `docflow.storage.sealing.rewrap`."""
        ...


@contextmanager
def open_instance(data_dir: Path | None) -> Iterator[KeyRoom]:
    """Open the keys of an instance."""
    from docflow import bootstrap
    from docflow.db import migrate
    from docflow.documents import keyroom
    from docflow.documents.catalogue import Catalogue

    settings = instance_settings(data_dir)
    database = bootstrap.open_database(settings)
    try:
        migrate.require_current(database)
        office = Catalogue(bootstrap.office_of(settings))
        keyring = bootstrap.open_keyring(settings, office)
        if keyring is None:
            fail("This instance has no key provider: nothing is sealed. Set DOCFLOW_KEY_PROVIDER.")
        yield keyroom.KeyRoom(database, keyring, office.organisation)
    finally:
        database.dispose()


OpenRoom = Callable[[Path | None], AbstractContextManager[KeyRoom]]


def keys_app(open_room: OpenRoom) -> typer.Typer:
    """Return the commands, for an instance that `open_room` opens from its data folder."""
    app = typer.Typer(help="Keys of sealed items.", no_args_is_help=True, add_completion=False)

    @app.command()
    def status(data_dir: _DataDir = None) -> None:
        """Show each version of each key, how many records depend on it, and whether it is there.

        Ends with 1 if records depend on a key that is missing.
        """
        with open_room(data_dir) as room:
            uses = usage(room.keyring, room.envelopes())
        show(uses)

    @app.command()
    def rotate(key_ids: _KeyIds = None, data_dir: _DataDir = None) -> None:
        """Make the next version of a key and wrap the data keys of its records by it.

        Content is not touched, and the service may run meanwhile. A rotation that was interrupted is
        finished instead of beginning another; old versions stay in the key provider.
        """
        with open_room(data_dir) as room:
            turn(room, key_ids)

    return app


def show(uses: list[KeyUse]) -> None:
    """Print what depends on what; fail if a key is missing."""
    table = Table("key", "version", "provider", "records", "", box=None)
    for use in uses:
        told = "newest" if use.newest else "" if use.present else "MISSING"
        table.add_row(use.key_id, str(use.version), use.provider, f"{use.records}", told)
    if uses:
        show_table(table)
    else:
        CONSOLE.print("There are no keys yet; the first sealed item makes one.")
    require_present(uses)
    if _unfinished(uses):
        CONSOLE.print("Some records are wrapped by older keys; `docflow keys rotate` moves them.")


def require_present(uses: list[KeyUse]) -> None:
    """Fail if records depend on a key that is missing: a new one must not take its place."""
    lost = [use for use in uses if use.records and not use.present]
    if lost:
        names = ", ".join(f"{use.key_id} version {use.version} ({use.provider})" for use in lost)
        fail(
            f"{sum(use.records for use in lost)} records cannot be opened: {names} is missing. "
            "Restore it from its copy."
        )


def turn(room: KeyRoom, key_ids: list[str] | None) -> None:
    """Rotate keys, or finish a rotation; fail if a record could not be wrapped anew."""
    uses = usage(room.keyring, room.envelopes())
    known = {use.key_id for use in uses}
    wanted = set(key_ids or known)
    if unknown := sorted(wanted - known):
        fail(f"There is no key {unknown[0]!r}; one of {', '.join(sorted(known)) or 'none yet'}.")
    require_present([use for use in uses if use.key_id in wanted])
    unfinished = {use.key_id for use in _unfinished(uses)}
    for key_id in sorted(wanted):
        if key_id in unfinished:
            CONSOLE.print(f"{key_id}: finishing a rotation.")
        else:
            CONSOLE.print(f"{key_id}: version {room.keyring.rotate(key_id)} made.")
    total = sum(use.records for use in uses if use.key_id in wanted)
    done = _rewrap(room, wanted, total)
    CONSOLE.print(
        f"{done.rewrapped} records wrapped anew, {done.newest_already} were already, "
        f"{done.changed_meanwhile} changed meanwhile."
    )
    for place, why in done.reasons:
        CONSOLE.print(f"{place}: {why}", markup=False)
    if done.failed:
        fail(f"{done.failed} records could not be wrapped anew; they are as they were.")


def _unfinished(uses: list[KeyUse]) -> list[KeyUse]:
    """Return what records depend on although a newer key is there in the provider in use."""
    turned = {use.key_id for use in uses if use.newest}
    return [use for use in uses if use.records and not use.newest and use.key_id in turned]


def _rewrap(room: KeyRoom, wanted: set[str], total: int) -> Rewrapped:
    records = (each for each in room.records() if each.envelope.key_id in wanted)
    done = Rewrapped()
    columns = (TextColumn("wrapping"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=CONSOLE) as progress:
        task = progress.add_task("", total=total)
        for done in rewrap(room.keyring, records, room.save):
            progress.update(task, completed=done.seen)
    return done
