"""Prepare, serve and work an instance: init, migrate, serve, worker."""

import difflib
import errno
import os
import signal
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from docflow.cli.output import CONSOLE, fail, log_to_stderr, warn
from docflow.kernel.errors import ConfigurationError
from docflow.settings import Settings

CREDENTIALS = "credentials.txt"
_DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Overrides DOCFLOW_DATA_DIR (default: var).")
]


def settings_for(data_dir: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings, with what the command line says on top."""
    if data_dir is not None:
        overrides["data_dir"] = data_dir
    return Settings.load(**overrides)


def instance_settings(data_dir: Path | None = None, **overrides: Any) -> Settings:
    """Read the settings of a command that works in the data folder, which is made if it is not there.

    Raises:
        ConfigurationError: if it is no folder, cannot be made, or may not be written to.
    """
    settings = settings_for(data_dir, **overrides)
    _warn_of_unknown_settings()
    folder, why = settings.data_dir, None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            why = "it may not be written to"
    except FileExistsError:
        why = "a file has this name"
    except OSError as error:
        why = error.strerror
    if why is not None:
        raise ConfigurationError(
            f"The data folder {folder} cannot be used ({why}).",
            satisfied_by="Name another with --data-dir or DOCFLOW_DATA_DIR.",
        )
    return settings


def _warn_of_unknown_settings() -> None:
    """Say which variables nobody reads: a setting that is misspelt is not in force."""
    known = [name.upper() for name in Settings.model_fields]
    for variable in sorted(os.environ):
        prefix, _, name = variable.upper().partition("_")
        if prefix == "DOCFLOW" and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            warn(f"{variable} is no setting" + (f"; is it DOCFLOW_{near[0]}?" if near else "."))


def init(
    data_dir: _DataDir = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say only what is new.")] = False,
) -> None:
    """Prepare an instance: schema, office, accounts. Safe to run again.

    First passwords are written to credentials.txt in the data folder, readable by its owner only.
    """
    settings = instance_settings(data_dir)
    made = prepare(settings)
    if made:
        CONSOLE.print(
            f"{made} accounts made; their first passwords are in {settings.data_dir / CREDENTIALS}."
        )
    if not quiet:
        CONSOLE.print(f"The instance in {settings.data_dir} is ready; `docflow serve` runs it.")


def prepare(settings: Settings) -> int:
    """Migrate, load the office, make accounts with first passwords; return how many are new."""
    from docflow import bootstrap
    from docflow.cli.credentials import FirstPasswords

    database = bootstrap.open_database(settings)
    try:
        bootstrap.migrate_database(settings, database)
        with FirstPasswords(settings.data_dir / CREDENTIALS) as passwords:
            seeded = bootstrap.seed_office(settings, database, passwords.give)
        bootstrap.certify_recipients(settings, database)
        return seeded.accounts
    finally:
        database.dispose()


def migrate(
    data_dir: _DataDir = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell whether the schema is this version's.")
    ] = False,
) -> None:
    """Bring the database to this version; safe to run twice and at once."""
    from docflow import bootstrap
    from docflow.db import migrate as schema

    settings = settings_for(data_dir) if check else instance_settings(data_dir)
    url = settings.resolved_database_url
    if check and url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists():
        fail(f"There is no database yet in {settings.data_dir}; `docflow migrate` makes one.")
    database = bootstrap.open_database(settings)
    try:
        if check:
            schema.require_current(database)
            schema.require_schema(database)
        else:
            bootstrap.migrate_database(settings, database)
        CONSOLE.print(f"The database is at revision {schema.current(database)}.")
    finally:
        database.dispose()


def serve(
    data_dir: _DataDir = None,
    host: Annotated[str | None, typer.Option(help="Overrides DOCFLOW_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides DOCFLOW_PORT.")] = None,
) -> None:
    """Serve the API and, unless DOCFLOW_EMBEDDED_WORKER is false, run the jobs too."""
    overrides = {k: v for k, v in (("host", host), ("port", port)) if v is not None}
    settings = instance_settings(data_dir, **overrides)
    log_to_stderr(settings.log_level)
    with listening(settings.host, settings.port) as listener:
        run_server(settings, listener)


def listening(host: str, port: int) -> socket.socket:
    """Take the address, or say clearly that it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            fail(
                f"Port {port} on {host} is taken by another program; "
                f"choose another, as with --port {port + 1}."
            )
        fail(f"Cannot listen on {host} port {port}: {error.strerror}.")
    listener.listen(2048)
    return listener


def run_server(settings: Settings, listener: socket.socket) -> None:
    """Build the services and serve until a signal; the worker runs around the server."""
    import uvicorn

    from docflow.api.app import create_app
    from docflow.bootstrap import build
    from docflow.worker import Worker

    services = build(settings)
    _announce_strangers(services)
    worker = Worker(services.engine, duties(services)) if settings.embedded_worker else None
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(services),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
            timeout_keep_alive=30,
            h11_max_incomplete_event_size=64 * 1024,
        )
    )
    host, bound = listener.getsockname()[:2]
    # uvicorn stops on SIGTERM and then raises it again, which would end the process here, before the
    # worker signs off: so that second one is only asked to stop what has stopped
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    ended = True
    try:
        if worker is not None:
            worker.start()
        CONSOLE.print(f"docflow serves http://{host}:{bound} (data in {settings.data_dir})")
        server.run(sockets=[listener])
    finally:
        if worker is not None:
            ended = worker.stop()
        services.close()
    if not ended:
        os._exit(0)  # a step that still runs is resumed by the next worker


def _announce_strangers(services: Any) -> None:
    """Say which logins of the signers file nobody has; no refusal, for people are made while it serves."""
    for login in services.strangers():
        warn(
            f"the signers file names {login!r}, and nobody has that login; nobody signs with that key"
        )


def duties(services: Any) -> list[Any]:
    """Return the recurring duties as the worker takes them."""
    from docflow.worker import Periodic

    return [Periodic(*duty) for duty in services.duties()]


def worker(data_dir: _DataDir = None) -> None:
    """Run the jobs alone, until a signal."""
    from docflow.bootstrap import build
    from docflow.worker import run_worker

    settings = instance_settings(data_dir)
    log_to_stderr(settings.log_level)
    services = build(settings)
    _announce_strangers(services)
    CONSOLE.print("docflow works on jobs; stop it with Ctrl-C")
    ended = run_worker(services.engine, duties(services))
    services.close()
    if not ended:
        os._exit(0)
