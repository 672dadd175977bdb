"""`docflow open`: decrypt a delivered file with the recipient's private key. No server, no database.

Rules:
- The result appears under its name only when it is whole: it is written beside it, readable by its
  owner only, and renamed. On any failure nothing of it is left.
- Nothing is written before the whole file has proved authentic.
- What exists is not overwritten unless `--force` says so.
- With `--verify`, the result appears only if it is a PDF whose signatures are all good and lead to the
  roots given: encryption says who can read a file, not who wrote it.

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
    verify: Annotated[
        Path | None,
        typer.Option("--verify", help="PEM roots; write only what is signed under one of them."),
    ] = None,
) -> None:
    """Open a file that was encrypted to your certificate."""
    from docflow.signing.envelope import keyfile

    to_stdout = str(out) == "-"
    if to_stdout and verify is not None:
        fail("What --verify refuses must not be out already; name a file instead of -.")
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
            _write_whole(out, source, private, certificate, verify)
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
    out: Path,
    source: BinaryIO,
    key: "PrivateKey",
    certificate: "x509.Certificate | None",
    roots: Path | None,
) -> None:
    """Write the plaintext to `out`, all of it or nothing; with `roots`, only if it is well signed."""
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
        if roots is not None:
            _require_signed(temporary, roots)
        temporary.replace(out)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        fail(f"{out} was not written ({error.strerror}).")
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _require_signed(path: Path, roots: Path) -> None:
    """Name each signature; refuse a file with a bad one, or with none."""
    from docflow.kernel.clock import SystemClock
    from docflow.kernel.text import shown
    from docflow.signing.isolated import verify_isolated
    from docflow.signing.report import PASSED
    from docflow.signing.trust import TrustRoots

    trusted = TrustRoots.from_files([roots])
    report = verify_isolated(path, trusted, now=SystemClock().now(), own_roots=TrustRoots(()))
    for one in report.signatures:
        CONSOLE.print(shown(f"{one.field}: {one.signer}: {one.indication}"), markup=False)
    if report.indication != PASSED:
        why = [*report.reasons, *(said for one in report.signatures for said in one.reasons)]
        told = shown(" ".join(why))
        fail(f"The file inside is not well signed; it was not written. {told}".strip())


def _passphrase(key: Path, file: Path | None) -> bytes:
    if file is not None:
        try:
            return file.read_bytes().rstrip(b"\r\n")
        except OSError as error:
            fail(f"{file} cannot be read ({error.strerror}).")
    if not sys.stdin.isatty():
        fail(f"{key} is encrypted; name a file with its passphrase by --passphrase-file.")
    return str(typer.prompt(f"Passphrase of {key}", hide_input=True, err=True)).encode()
