"""`docflow dev`: the instance on a real S3 service of its own, for development."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from docflow.cli.instance import CREDENTIALS, instance_settings, listening, prepare, run_server
from docflow.cli.output import CONSOLE, fail, log_to_stderr
from docflow.kernel.errors import DevelopmentModeWarning

_BUCKET = "docflow"


def dev(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir", help="Overrides DOCFLOW_DATA_DIR; the instance is below it, in s3."
        ),
    ] = None,
    host: Annotated[str | None, typer.Option(help="Overrides DOCFLOW_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Overrides DOCFLOW_PORT.")] = None,
) -> None:
    """Serve an instance whose files lie in a bucket of SeaweedFS, which starts and stops with it.

    For development: one disk, no TLS. Instance, keys and bucket are in the folder s3 of the data folder.
    """
    from docflow.storage.development import ACCESS_KEY, development_service

    settings = instance_settings(data_dir)
    if settings.production:
        fail("`docflow dev` is not for production; name your bucket in DOCFLOW_S3_ENDPOINT.")
    if settings.s3_endpoint:
        fail("DOCFLOW_S3_ENDPOINT names a service already; `docflow serve` uses it.")
    folder = settings.data_dir / "s3"
    overrides = {k: v for k, v in (("host", host), ("port", port)) if v is not None}
    log_to_stderr(settings.log_level)
    warnings.warn(
        "files lie in an S3 service without TLS on this machine's disk; not for production",
        DevelopmentModeWarning,
        stacklevel=1,
    )
    with (
        listening(host or settings.host, settings.port if port is None else port) as listener,
        _told_at_the_end(),
        development_service(folder / "seaweedfs", _BUCKET) as service,
    ):
        settings = instance_settings(
            folder,
            s3_endpoint=service.endpoint,
            s3_bucket=_BUCKET,
            s3_access_key=ACCESS_KEY,
            s3_secret_key_file=service.secret_key_file,
            **overrides,
        )
        made = prepare(settings)
        if made:
            CONSOLE.print(f"{made} accounts made; passwords are in {folder / CREDENTIALS}.")
        CONSOLE.print(f"SeaweedFS serves {service.endpoint} (bucket {_BUCKET})")
        run_server(settings, listener)


@contextmanager
def _told_at_the_end() -> Iterator[None]:
    try:
        yield
    finally:
        CONSOLE.print("docflow and SeaweedFS have stopped.")
