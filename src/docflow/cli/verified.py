"""A verification report as text that fits a terminal.

Rule: what strangers wrote (names, fields, file names, reasons that quote them) is escaped before it is
printed, line ends too: a certificate's name must not draw a verdict of its own.
"""

from collections.abc import Iterable
from datetime import datetime

from rich.table import Table

from docflow.cli.output import CONSOLE, show_table
from docflow.kernel.text import shown
from docflow.signing.report import SignatureReport, VerificationReport

_COLOURS = {"TOTAL-PASSED": "green", "TOTAL-FAILED": "red"}
_MOST_FILES = 10  # named in one line
_HINT = (
    "Nobody named here vouches for this signer. Name whom you trust with --trust (a certificate, a "
    "trusted list or a folder of them)."
)


def print_report(report: VerificationReport) -> None:
    """Print the verdict, and for each signature a table with all that it rests on."""
    colour = _COLOURS.get(report.indication, "yellow")
    CONSOLE.print(_verdict(report.indication, report.sub_indication), style=f"bold {colour}")
    for reason in report.reasons:
        CONSOLE.print(shown(reason), markup=False)
    for one in report.signatures:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in _rows(one, report):
            table.add_row(name, shown(value))
        CONSOLE.print()
        show_table(table, markup=False)
    if any(one.sub_indication == "NO_CERTIFICATE_CHAIN_FOUND" for one in report.signatures):
        CONSOLE.print()
        CONSOLE.print(_HINT, markup=False)


def _rows(one: SignatureReport, report: VerificationReport) -> Iterable[tuple[str, str]]:
    yield one.kind, f"{one.field}: {_verdict(one.indication, one.sub_indication)}"
    yield "signer", one.subject or "not known"
    yield "time", f"{_instant(one.signed_at)} ({'proven' if one.time_is_proven else 'claimed'})"
    if one.kind == "signature":
        yield "level", one.level
    yield "algorithm", f"{one.algorithm or 'not known'} ({one.strength})"
    yield "covers", _scope(one, report)
    for position, each in enumerate(one.path):
        until = f"{each.not_before:%Y-%m-%d} to {each.not_after:%Y-%m-%d}"
        yield ("" if position else "path"), f"{each.subject} ({until})"
    if not one.path:
        yield "path", f"none found; issued by {one.issuer or 'not known'}"
    yield "revocation", one.revocation
    for position, stamp in enumerate(one.timestamps):
        verdict = _verdict(stamp.indication, stamp.sub_indication)
        by = f" by {stamp.authority}" if stamp.authority else ""
        told = f"{stamp.kind}, {_instant(stamp.at)}{by}: {verdict}"
        yield ("" if position else "timestamps"), told
    for position, reason in enumerate(one.reasons):
        yield ("" if position else "why"), reason


def _scope(one: SignatureReport, report: VerificationReport) -> str:
    if one.covers:
        more = len(one.covers) - _MOST_FILES
        named = ", ".join(one.covers[:_MOST_FILES])
        return f"{named} and {more:,} more files" if more > 0 else named
    if one.covered_bytes is None:
        return one.coverage
    size = f" of {report.size_bytes:,}" if report.size_bytes is not None else ""
    told = f"{one.coverage}, the first {one.covered_bytes:,} bytes{size}"
    if one.revision is not None:
        told += f"; revision {one.revision + 1} of {report.revisions}"
    return f"{told}; changed after it: {one.changes_after}"


def _instant(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "not known"


def _verdict(indication: str, sub_indication: str | None) -> str:
    return f"{indication} / {sub_indication}" if sub_indication else indication
