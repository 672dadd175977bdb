"""What the signatures in a PDF are worth: who, when, over what, unchanged or not, ours or not.

Rules:
- Nothing is fetched here. Roots are given; what neither the file nor the caller gives is not known.
- Whatever a stranger's file makes the parser throw becomes a verdict (FORMAT_FAILURE), for the whole
  file or for the one signature; no other exception comes out than the ones named.
- No signature is hidden: formats we cannot judge are reported as such.

A hostile file can still take time and memory: callers that serve strangers use `isolated`.

Source: ETSI EN 319 102-1 (indications), ISO 32000-2 12.8 (coverage, DocMDP, FieldMDP),
ETSI TS 119 312 (algorithms).
"""

import dataclasses
import hashlib
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from asn1crypto import parser
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import FieldMDPAction, MDPPerm, enumerate_sig_fields
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from docflow.signing import judgement
from docflow.signing.blocking import blocking
from docflow.signing.report import (
    INDETERMINATE,
    PASSED,
    SignatureReport,
    VerificationReport,
    failure,
    overall,
    without_signature,
)
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying import description, evidence
from docflow.signing.verifying.embedded import judged_signature, judged_timestamp
from docflow.signing.verifying.hiding import ShownField, Shows, follows, hides
from docflow.signing.verifying.revocation import want, with_fetched
from docflow.signing.verifying.terms import Policy, Terms

MAX_SIGNATURES = 64
MAX_REVISIONS = 256
_PERMITS = {
    MDPPerm.NO_CHANGES: "no-changes",
    MDPPerm.FILL_FORMS: "form-filling",
    MDPPerm.ANNOTATE: "annotations",
}

# pyHanko logs, with tracebacks, what is in the report anyway.
for _name in ("pyhanko", "pyhanko_certvalidator"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def verify(
    source: Path | BinaryIO,
    roots: TrustRoots,
    *,
    now: datetime,
    own_roots: TrustRoots,
    policy: Policy | None = None,
) -> VerificationReport:
    """Judge every signature in `source` at the instant `now`.

    Args:
        source: a path or a seekable binary stream.
        roots: further roots to trust (national authorities, partners).
        now: the validation time.
        own_roots: this organisation's roots; trusted, and what leads to them is `ours`.
        policy: how strictly; the default admits further signatures after one, and nothing else.

    Raises:
        FileNotFoundError: if `source` is a path and there is nothing.
    """
    terms = Terms(roots + own_roots, own_roots, now, policy or Policy())
    if isinstance(source, Path):
        with source.open("rb") as file:
            return verify_pdf(file, terms)
    return verify_pdf(source, terms)


def verify_pdf(file: BinaryIO, terms: Terms) -> VerificationReport:
    """Judge a PDF on these terms."""
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    report = _report(file, terms)
    return dataclasses.replace(report, sha256=sha256, size_bytes=file.seek(0, 2))


def _report(file: BinaryIO, terms: Terms) -> VerificationReport:
    try:
        reader = PdfFileReader(file)
        if reader.encrypted:
            return failure(
                "The file is encrypted; its signatures cannot be read without the password.",
                now=terms.now,
                indication=INDETERMINATE,
                sub_indication="SIGNED_DATA_NOT_FOUND",
            )
        revisions = reader.xrefs.total_revisions
        fields = _fields(reader)
        if len(fields) > MAX_SIGNATURES or revisions > MAX_REVISIONS:
            raise ValueError(
                f"{len(fields)} signature fields in {revisions} revisions are too many"
            )
        judged = _Judging(file, reader, terms, fields).all()
    except Exception as error:  # noqa: BLE001 - the parser throws anything on a stranger's file
        reason = f"The file is not a well-formed PDF: {judgement.one_line(error)}."
        return failure(reason, now=terms.now)
    signatures = tuple(judged)
    indication, sub_indication = overall(signatures)
    return VerificationReport(
        indication=indication,
        sub_indication=sub_indication,
        signatures=signatures,
        reasons=without_signature(signatures, "The file is not signed."),
        field_names=tuple(sorted(name for name, _, _ in fields)),
        revisions=revisions,
        form="pdf",
        verified_at=terms.now,
    )


def _fields(reader: PdfFileReader) -> list[tuple[str, Any, bool]]:
    """Return name, field and whether it is filled, for every signature field."""
    found: list[tuple[str, Any, bool]] = []
    for name, value, field in enumerate_sig_fields(reader):
        found.append((str(name), field, value is not None))
        if len(found) > MAX_SIGNATURES:
            break
    return found


class _Judging:
    """The judgement of all signatures of one file, the last first: later ones prove earlier ones."""

    def __init__(
        self,
        file: BinaryIO,
        reader: PdfFileReader,
        terms: Terms,
        fields: list[tuple[str, Any, bool]],
    ) -> None:
        self._file = file
        self._reader = reader
        self._terms = terms
        self._fields = fields
        shows = Shows(reader)
        self._shown = [ShownField(name, field, shows) for name, field, _ in fields]
        self._own = evidence.of_pdf(reader).issued_by(terms.now)
        self._carried = with_fetched(self._own, terms)
        self._follows: str | None = None  # what comes after the last version of the file
        self._archived_at: datetime | None = None  # by the good document timestamps so far

    def all(self) -> list[SignatureReport]:
        """Return a report for each field, in the order of the revisions."""
        reports: list[SignatureReport] = []
        unreadable: list[SignatureReport] = []
        known: list[EmbeddedPdfSignature] = []
        for name, field, filled in self._fields:
            if not filled:
                continue
            try:
                known.append(EmbeddedPdfSignature(self._reader, field, name))
            except Exception as error:  # noqa: BLE001 - the parser throws anything
                unreadable.append(judgement.unreadable(name, error))
        known.sort(key=lambda one: one.signed_revision, reverse=True)
        if known:
            self._follows = follows(self._file, self._reader, _covered(known[0]) or 0)
        for position, embedded in enumerate(known):
            reports.insert(0, self._one(embedded, known[:position]))
        return unreadable + reports

    def _one(
        self, embedded: EmbeddedPdfSignature, later: list[EmbeddedPdfSignature]
    ) -> SignatureReport:
        name = embedded.field_name
        try:
            told = _description(embedded, self._terms)
        except Exception as error:  # noqa: BLE001 - as above
            return judgement.unreadable(name, error)
        try:
            if told["kind"] == "timestamp":
                return self._timestamp(embedded, told)
            return self._signature(embedded, told, later)
        except Exception as error:  # noqa: BLE001 - as above
            return judgement.unjudged(name, error, told)

    def _hidden(self, told: dict[str, Any]) -> str | None:
        if not told["padding_is_empty"]:
            return "In the room kept for it stands something beside it, which no signature covers."
        return self._follows

    def _timestamp(self, embedded: EmbeddedPdfSignature, told: dict[str, Any]) -> SignatureReport:
        at = self._archived_at or self._terms.now
        outcome = blocking(judged_timestamp(embedded, self._carried, self._terms, at))
        status = outcome.status
        want(outcome, self._carried, self._terms)
        # how its algorithm stands counts at the instant that a later one proves
        told = told | _algorithm(embedded, self._terms, self._archived_at)
        told |= description.timestamp_of(outcome)
        found = judgement.verdict(
            status, self._terms.own_roots, told, outcome=outcome, hidden=self._hidden(told)
        )
        if found["indication"] == PASSED:
            self._archived_at = min(status.timestamp, at)  # a clock may be a little ahead of ours
        return SignatureReport(field=embedded.field_name, **{**told, **found})

    def _signature(
        self,
        embedded: EmbeddedPdfSignature,
        told: dict[str, Any],
        later: list[EmbeddedPdfSignature],
    ) -> SignatureReport:
        archived = self._archived_at
        outcome = blocking(judged_signature(embedded, self._carried, self._terms, archived))
        want(outcome, self._carried, self._terms)
        proven = min(filter(None, (outcome.proven_at, archived)), default=None)
        told = told | _algorithm(embedded, self._terms, proven)
        hidden = self._hidden(told) or hides(
            self._reader, self._shown, embedded.signed_revision, later
        )
        told |= description.evidence_of(
            outcome, embedded.signed_data, self._own, self._terms, archived=archived
        )
        found = judgement.verdict(
            outcome.status, self._terms.own_roots, told, outcome=outcome, hidden=hidden
        )
        found = judgement.unbound(found, told)
        return SignatureReport(field=embedded.field_name, **{**told, **found})


def _description(embedded: EmbeddedPdfSignature, terms: Terms) -> dict[str, Any]:
    """Return what the signature says of itself, before anything is checked."""
    dictionary = embedded.sig_object
    locks = embedded.fieldmdp
    return {
        "kind": "timestamp" if embedded.sig_object_type == "/DocTimeStamp" else "signature",
        "revision": embedded.signed_revision,
        "format": _text(dictionary, "/SubFilter").removeprefix("/") or None,
        "claimed_reason": _text(dictionary, "/Reason") or None,
        "claimed_location": _text(dictionary, "/Location") or None,
        "signed_at": judgement.aware(embedded.self_reported_timestamp),
        "permits": _PERMITS.get(embedded.docmdp_level) if embedded.docmdp_level else None,
        "locks_all_fields": locks is not None and locks.action == FieldMDPAction.ALL,
        "padding_is_empty": _padding_is_empty(embedded.pkcs7_content),
        "certifies": "/DocMDP" in _certified(embedded),
        **judgement.describe_certificate(embedded.signer_cert),
        "covered_bytes": _covered(embedded),
        **_algorithm(embedded, terms, None),
    }


def _certified(embedded: EmbeddedPdfSignature) -> Iterator[str]:
    """Yield the transform methods of the catalogue's certification, if this signature is it."""
    permissions = embedded.reader.root.get("/Perms", {})
    for key in permissions:
        if permissions.raw_get(key) == embedded.sig_field.raw_get("/V"):
            yield key


def _algorithm(
    embedded: EmbeddedPdfSignature, terms: Terms, proven_at: datetime | None
) -> dict[str, Any]:
    return description.algorithm_of(
        embedded.signer_info, embedded.signer_cert, str(embedded.md_algorithm), terms, proven_at
    )


def _covered(embedded: EmbeddedPdfSignature) -> int | None:
    """Return where the last range of bytes that the signature covers ends."""
    start, length = (int(one) for one in list(embedded.byte_range)[-2:])
    return start + length


def _padding_is_empty(content: bytes) -> bool:
    """Tell whether only zeros follow the signature's own DER: no signature covers that room."""
    return not content[parser.peek(content) :].strip(b"\0")


def _text(dictionary: Any, key: str) -> str:
    return str(dictionary.get(key, ""))[:500]
