"""`docflow open`: decrypt a delivered file with the recipient's private key. No server, no database.

Rules:
- The result appears under its name only when it is whole: it is written beside it, readable by its
  owner only, and renamed. On any failure nothing of it is left.
- Nothing is written before the whole file has proved authentic.
- What exists is not overwritten unless `--force` says so.

Exit codes: 0 opened, 1 refused, 2 wrong usage.
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from docflow.cli.output import CONSOLE, fail

if TYPE_CHECKING:
    from cryptography import x509

    from docflow.signing.envelope.unwrap import PrivateKey


def open_file(
    file: Annotated[Path, typer.Argument(help="The encrypted file (CMS, .p7m).")],
    key: Annotated[
        Path, typer.Option("--key", help="Your private key: PKCS#12 (.p12, .pfx), PEM or DER.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write it; - is stdout.")],
    cert: Annotated[
        Path | None, typer.Option("--cert", help="Your certificate, if the key file has none.")
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", help="Holds the key's passphrase; else it is asked for."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output.")] = False,
) -> None:
    """Open a file that was encrypted to your certificate."""
    from docflow.signing.envelope import keyfile

    to_stdout = str(out) == "-"
    if not to_stdout and out.exists() and not force:
        fail(f"{out} exists already; name another file, or overwrite it with --force.")
    private, certificate = keyfile.load_key(key, lambda: _passphrase(key, passphrase_file))
    if cert is not None:
        certificate = keyfile.load_certificate(cert)
    try:
        source = file.open("rb")
    except OSError as error:
        fail(f"{file} cannot be read ({error.strerror}).")
    with source:
        if to_stdout:
            _decrypt(source, sys.stdout.buffer, private, certificate)
            sys.stdout.buffer.flush()
        else:
            _write_whole(out, source, private, certificate)
            CONSOLE.print(f"{out}: {out.stat().st_size} bytes", markup=False)


def _decrypt(
    source: BinaryIO,
    target: BinaryIO,
    key: "PrivateKey",
    certificate: "x509.Certificate | None",
) -> None:
    from docflow.signing.envelope import decrypt

    decrypt(source, target, key, certificate)


def _write_whole(
    out: Path, source: BinaryIO, key: "PrivateKey", certificate: "x509.Certificate | None"
) -> None:
    """Write the plaintext to `out`, all of it or nothing."""
    try:
        handle, name = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.")  # mode 0600
    except OSError as error:
        fail(f"Nothing can be written in {out.parent} ({error.strerror}).")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as target:
            _decrypt(source, target, key, certificate)
            target.flush()
            os.fsync(target.fileno())
        temporary.replace(out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        fail(f"{out} was not written ({error.strerror}).")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _passphrase(key: Path, file: Path | None) -> bytes:
    if file is not None:
        try:
            return file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            fail(f"{file} cannot be read ({error.strerror}).")
    if not sys.stdin.isatty():
        fail(f"{key} is encrypted; name a file with its passphrase by --passphrase-file.")
    return str(typer.prompt(f"Passphrase of {key}", hide_input=True, err=True)).encode()
