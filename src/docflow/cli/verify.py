"""`docflow verify`: check a proof of history, or the signatures in a file. No server, no database.

The two are told apart by content. Exit codes: 0 it holds, 1 it does not (or cannot be told), 2 wrong
usage.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from docflow.cli import audit
from docflow.cli.instance import settings_for
from docflow.cli.output import CONSOLE, fail, show_table

if TYPE_CHECKING:
    from docflow.settings import Settings
    from docflow.signing.outside.asking import Asker
    from docflow.signing.report import VerificationReport
    from docflow.signing.verifying.verifier import Verifier

Format = Literal["text", "json", "html", "etsi"]
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
            help="A signed file (PDF, CMS, ASiC) or a .tlog-proof; - reads a proof from stdin."
        ),
    ],
    data: Annotated[
        Path | None, typer.Option("--data", help="What a detached signature signs.")
    ] = None,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            "--trust",
            help="Trust anchors: a PEM file, a trusted list (.xml) or a folder of them. Repeatable; "
            "default: DOCFLOW_TRUST_DIR.",
        ),
    ] = None,
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
    if _is_proof(file) or key is not None or key_file is not None:
        audit.verify_proof(file, key, key_file, origin, as_json or form == "json")
        return
    verifier = _verifier(trust or [], list_signer or [], at, unsigned_lists=unsigned_lists)
    report = _report(verifier, file, data, at)
    _show(report, "json" if as_json else form)
    raise typer.Exit(0 if report.indication == "TOTAL-PASSED" else 1)


def _is_proof(file: Path) -> bool:
    from docflow.transparency.proof import HEADER

    if str(file) == "-":
        return True
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
    return Verifier.make(
        none,
        none,
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
        fail(f"{error} cannot be read (there is no such file).")


def _asker(settings: "Settings") -> "Asker | None":
    if not settings.verification_hosts:
        return None
    from docflow.bootstrap.parts import asker_of

    return asker_of(settings)


def _show(report: "VerificationReport", form: Format) -> None:
    from docflow.signing.verifying import etsi, page

    if form == "json":
        print(json.dumps(report.to_dict(), ensure_ascii=False, indent=2))
    elif form == "html":
        print(page.html_page(report))
    elif form == "etsi":
        print(etsi.etsi_xml(report).decode())
    else:
        _print(report)


def _print(report: "VerificationReport") -> None:
    colour = {"TOTAL-PASSED": "green", "TOTAL-FAILED": "red"}.get(report.indication, "yellow")
    CONSOLE.print(_verdict(report.indication, report.sub_indication), style=f"bold {colour}")
    for reason in report.reasons:
        CONSOLE.print(reason, markup=False)
    for one in report.signatures:
        table = Table.grid(padding=(0, 2))
        table.add_row(one.kind, f"{one.field}: {_verdict(one.indication, one.sub_indication)}")
        time = f"{one.signed_at:%Y-%m-%d %H:%M:%S} UTC" if one.signed_at else "not known"
        table.add_row("signer", one.subject or "not known")
        table.add_row("time", f"{time} ({'proven' if one.time_is_proven else 'claimed'})")
        table.add_row("level", one.level)
        table.add_row("algorithm", f"{one.algorithm or 'not known'} ({one.strength})")
        for reason in one.reasons:
            table.add_row("", reason)
        CONSOLE.print()
        show_table(table, markup=False)


def _verdict(indication: str, sub_indication: str | None) -> str:
    return f"{indication} / {sub_indication}" if sub_indication else indication
