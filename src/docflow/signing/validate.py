"""What the signatures in a PDF are worth: who, when, over what, unchanged or not, ours or not.

Rules:
- Nothing is fetched. Roots are given; what the file does not carry is not known.
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
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from asn1crypto import parser
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import FieldMDPAction, MDPPerm, enumerate_sig_fields
from pyhanko.sign.validation.pdf_embedded import (
    EmbeddedPdfSignature,
    async_validate_pdf_signature,
    async_validate_pdf_timestamp,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints

from docflow.signing import judgement
from docflow.signing.blocking import blocking
from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    SignatureReport,
    VerificationReport,
    failure,
    overall,
)
from docflow.signing.trust import TrustRoots

MAX_SIGNATURES = 64
MAX_REVISIONS = 256
_SIGNER_USAGE = KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"})
_PERMITS = {
    MDPPerm.NO_CHANGES: "no-changes",
    MDPPerm.FILL_FORMS: "form-filling",
    MDPPerm.ANNOTATE: "annotations",
}

# pyHanko logs, with tracebacks, what is in the report anyway.
for _name in ("pyhanko", "pyhanko_certvalidator"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def verify(
    source: Path | BinaryIO, roots: TrustRoots, *, now: datetime, own_roots: TrustRoots
) -> VerificationReport:
    """Judge every signature in `source` at the instant `now`.

    Args:
        source: a path or a seekable binary stream.
        roots: further roots to trust (national authorities, partners).
        now: the validation time.
        own_roots: this organisation's roots; trusted, and what leads to them is `ours`.

    Raises:
        FileNotFoundError: if `source` is a path and there is nothing.
    """
    terms = _Terms(roots + own_roots, own_roots, now)
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _verify(file, terms)
    return _verify(source, terms)


@dataclass(frozen=True, slots=True)
class _Terms:
    """On what terms the file is judged."""

    roots: TrustRoots
    own_roots: TrustRoots
    now: datetime


def _verify(file: BinaryIO, terms: _Terms) -> VerificationReport:
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    report = _report(file, terms)
    return dataclasses.replace(report, sha256=sha256, size_bytes=file.seek(0, 2))


def _report(file: BinaryIO, terms: _Terms) -> VerificationReport:
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
        judged = [_judge(reader, name, field, terms) for name, field, filled in fields if filled]
        judged.sort(key=lambda one: -1 if one.revision is None else one.revision)
    except Exception as error:  # noqa: BLE001 - the parser throws anything on a stranger's file
        reason = f"The file is not a well-formed PDF: {judgement.one_line(error)}."
        return failure(reason, now=terms.now)
    signatures = tuple(judged)
    indication, sub_indication = overall(signatures)
    return VerificationReport(
        indication=indication,
        sub_indication=sub_indication,
        signatures=signatures,
        reasons=() if signatures else ("The file is not signed.",),
        field_names=tuple(sorted(name for name, _, _ in fields)),
        revisions=revisions,
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


def _judge(reader: PdfFileReader, name: str, field: Any, terms: _Terms) -> SignatureReport:
    try:
        embedded = EmbeddedPdfSignature(reader, field, name)
        known = _description(embedded)
    except Exception as error:  # noqa: BLE001 - as above
        return _unreadable(name, error)
    try:
        status = blocking(_checked(embedded, terms))
        found = judgement.verdict(status, terms.own_roots, known)
        return SignatureReport(field=name, **{**known, **found})
    except Exception as error:  # noqa: BLE001 - as above
        return _unjudged(name, error, known)


async def _checked(embedded: EmbeddedPdfSignature, terms: _Terms) -> Any:
    context = terms.roots.validation_context(terms.now)
    if embedded.sig_object_type == "/DocTimeStamp":
        return await async_validate_pdf_timestamp(embedded, context)
    return await async_validate_pdf_signature(embedded, context, key_usage_settings=_SIGNER_USAGE)


def _description(embedded: EmbeddedPdfSignature) -> dict[str, Any]:
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
        **judgement.describe_algorithm(embedded),
    }


def _certified(embedded: EmbeddedPdfSignature) -> Iterator[str]:
    """Yield the transform methods of the catalogue's certification, if this signature is it."""
    permissions = embedded.reader.root.get("/Perms", {})
    for key in permissions:
        if permissions.raw_get(key) == embedded.sig_field.raw_get("/V"):
            yield key


def _padding_is_empty(content: bytes) -> bool:
    """Tell whether only zeros follow the signature's own DER: no signature covers that room."""
    return not content[parser.peek(content) :].strip(b"\0")


def _text(dictionary: Any, key: str) -> str:
    return str(dictionary.get(key, ""))[:500]


def _unreadable(name: str, error: Exception) -> SignatureReport:
    return SignatureReport(
        field=name,
        indication=FAILED,
        sub_indication="FORMAT_FAILURE",
        reasons=(f"The signature cannot be read: {judgement.one_line(error)}.",),
    )


def _unjudged(name: str, error: Exception, known: dict[str, Any]) -> SignatureReport:
    """Report a signature whose validation broke off; pyHanko's own errors name the indication."""
    indication, sub_indication = judgement.indication_of_error(error)
    return SignatureReport(
        field=name,
        indication=indication,
        sub_indication=sub_indication,
        reasons=(f"The signature cannot be judged: {judgement.one_line(error)}.",),
        **known,
    )
