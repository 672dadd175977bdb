"""`docflow verify`: check a proof of history, or the signatures in a file. No server, no database.

The two are told apart by content. Exit codes: 0 it holds, 1 it does not (or cannot be told), 2 wrong
usage.
"""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from docflow.cli import audit
from docflow.cli.instance import settings_for
from docflow.cli.output import fail, json_text
from docflow.kernel.errors import DevelopmentModeWarning

if TYPE_CHECKING:
    from docflow.settings import Settings
    from docflow.signing.outside.asking import Asker
    from docflow.signing.report import VerificationReport
    from docflow.signing.trust import TrustRoots
    from docflow.signing.verifying.verifier import Verifier

_CHUNK_BYTES = 1 << 18
Format = Literal["text", "json", "html", "etsi"]
Trust = Annotated[
    list[Path] | None,
    typer.Option(
        "--trust",
        help="Trust anchors: certificates (PEM or DER), a trusted list (.xml) or a folder of them; "
        "nothing else is trusted then. Repeatable; default: what the instance trusts.",
    ),
]
ListSigner = Annotated[
    list[Path] | None,
    typer.Option(
        "--list-signer",
        help="Certificates (PEM) of those who sign trusted lists. Repeatable; default: "
        "DOCFLOW_TRUST_LIST_SIGNERS.",
    ),
]
UnsignedLists = Annotated[
    bool, typer.Option("--unsigned-lists", help="Vouch for trusted lists that none of them signed.")
]


def verify(
    file: Annotated[
        Path,
        typer.Argument(
            help="A signed file (PDF, CMS, ASiC) or a .tlog-proof; - reads standard input."
        ),
    ],
    data: Annotated[
        Path | None, typer.Option("--data", help="What a detached signature signs.")
    ] = None,
    trust: Trust = None,
    list_signer: ListSigner = None,
    unsigned_lists: UnsignedLists = False,
    at: Annotated[
        datetime | None,
        typer.Option(
            "--at",
            help="Validation time in UTC; default: now.",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"],
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print the report.")] = "text",
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="VKEY", help="For a proof: the log's public key."),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option("--key-file", help="For a proof: a file that holds the key.")
    ] = None,
    origin: Annotated[
        str | None, typer.Option(help="For a proof: the log's name, where it is not the key's.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Check a signed file, or (told apart by content) a proof that an entry is in the history."""
    if str(file) == "-" == str(data):
        raise typer.BadParameter("Standard input is the file or what it signs, not both.")
    with _as_file(file) as held, _as_file(data) if data else nullcontext() as signed:
        if _is_proof(held) or key is not None or key_file is not None:
            audit.verify_proof(held, key, key_file, origin, as_json or form == "json")
            return
        verifier = _verifier(trust or [], list_signer or [], at, unsigned_lists=unsigned_lists)
        report = _report(verifier, held, signed, at)
    _show(report, "json" if as_json else form)
    raise typer.Exit(0 if report.indication == "TOTAL-PASSED" else 1)


@contextmanager
def _as_file(file: Path) -> Iterator[Path]:
    """Yield `file`, or what standard input, a pipe or a device gives, as a file of bounded size."""
    if str(file) != "-" and (file.is_file() or file.is_dir() or not file.exists()):
        yield file
        return
    most = settings_for().max_file_bytes
    with tempfile.NamedTemporaryFile(prefix="docflow-verify-") as held:
        try:
            with sys.stdin.buffer if str(file) == "-" else file.open("rb") as given:
                while chunk := given.read(_CHUNK_BYTES):
                    held.write(chunk)
                    if held.tell() > most:
                        fail(f"{file} gives more than {most:,} bytes (DOCFLOW_MAX_FILE_BYTES).")
        except OSError as error:
            fail(f"{file} cannot be read ({error.strerror}).")
        held.flush()
        yield Path(held.name)


def _is_proof(file: Path) -> bool:
    from docflow.transparency.proof import HEADER

    try:
        with file.open("rb") as opened:
            return opened.read(len(HEADER)) == HEADER.encode()
    except OSError as error:
        fail(f"{file} cannot be read ({error.strerror}).")


def _verifier(
    trust: list[Path], list_signers: list[Path], at: datetime | None, *, unsigned_lists: bool
) -> "Verifier":
    from docflow.signing.trust import TrustRoots
    from docflow.signing.verifying.trusted_lists import ListRules
    from docflow.signing.verifying.verifier import Verifier

    settings = settings_for()
    none = TrustRoots(())
    own, others = (none, none) if trust else _instance_roots(settings)
    return Verifier.make(
        own,
        others,
        trust or _named(settings.trust_dir),
        lists=ListRules.of(
            list_signers or _named(settings.trust_list_signers),
            "accept" if unsigned_lists else settings.trust_lists_unsigned,
        ),
        algorithms_file=settings.algorithms_file,
        changes=settings.verification_changes,
        revocation=settings.verification_revocation,
        timeout_s=settings.verification_seconds,
        asker=_asker(settings) if at is None else None,  # what is answered now is not of then
    )


def _instance_roots(settings: "Settings") -> "tuple[TrustRoots, TrustRoots]":
    """Return the instance's own roots and others': of its signers file, or its throw-away PKI."""
    from docflow.signing.signersfile import roots_from_file
    from docflow.signing.trust import TrustRoots

    none = TrustRoots(())
    if settings.signers_file is not None:
        return roots_from_file(settings.signers_file)
    root = settings.data_dir / "pki" / "root.pem"
    if settings.production or not root.is_file():
        return none, none
    warnings.warn(
        f"trusting the throw-away PKI in {root.parent}; name whom you trust with --trust",
        DevelopmentModeWarning,
        stacklevel=2,
    )
    return TrustRoots.from_files([root]), none


def _named(path: Path | None) -> list[Path]:
    return [path] if path is not None else []


def _report(
    verifier: "Verifier", file: Path, data: Path | None, at: datetime | None
) -> "VerificationReport":
    from docflow.kernel.clock import SystemClock

    clock = SystemClock()
    now = clock.now() if at is None else at.replace(tzinfo=clock.now().tzinfo)
    try:
        return verifier.report(file, now=now, data=data)
    except FileNotFoundError as error:
        fail(f"{error} cannot be read (there is no such file, or it is none).")


def _asker(settings: "Settings") -> "Asker | None":
    if not settings.verification_hosts:
        return None
    from docflow.bootstrap.parts import asker_of

    return asker_of(settings)


def _show(report: "VerificationReport", form: Format) -> None:
    from docflow.cli.verified import print_report
    from docflow.signing.verifying import etsi, page

    if form == "json":
        print(json_text(report.to_dict()))
    elif form == "html":
        print(page.html_page(report))
    elif form == "etsi":
        print(etsi.etsi_xml(report).decode())
    else:
        print_report(report)
