"""What a verification found, as plain values that a person, a program or another process can read.

Rules:
- Indications and sub-indications are those of ETSI EN 319 102-1; `NOT-SIGNED` is our word for a file
  without any signature, which that standard does not judge. A timestamp is no signature: it names no
  signer.
- A time is always aware; in JSON it is RFC 3339 UTC.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from docflow.kernel.clock import parse_rfc3339, rfc3339

Indication = Literal["TOTAL-PASSED", "TOTAL-FAILED", "INDETERMINATE", "NOT-SIGNED"]
PASSED: Indication = "TOTAL-PASSED"
FAILED: Indication = "TOTAL-FAILED"
INDETERMINATE: Indication = "INDETERMINATE"
NOT_SIGNED: Indication = "NOT-SIGNED"
UNFINISHED = "GENERIC"  # the sub-indication where judging itself did not come to an end

Coverage = Literal["entire-file", "entire-revision", "contiguous-block", "unclear"]
Changes = Literal["none", "long-term-validation", "form-filling", "annotations", "other", "unknown"]
Level = Literal["none", "B-B", "B-T", "B-LT", "B-LTA"]
Revocation = Literal["good", "revoked", "unknown"]
Form = Literal["unknown", "pdf", "cades", "asic-e", "asic-s"]
Strength = Literal["recommended", "legacy", "weak", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateReport:
    """One certificate of a path."""

    subject: str
    issuer: str
    serial: str
    sha256: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TimestampReport:
    """One timestamp that goes with a signature."""

    kind: Literal["signature", "content", "document"]
    at: datetime | None
    authority: str | None  # as its certificate names it, trusted or not
    indication: Indication
    sub_indication: str | None = None
    reasons: tuple[str, ...] = ()  # why it proves nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureReport:
    """One signature or timestamp: in a PDF, of CMS, or in a container."""

    field: str
    kind: Literal["signature", "timestamp"] = "signature"
    indication: Indication
    sub_indication: str | None = None
    signer: str | None = None
    subject: str | None = None
    issuer: str | None = None
    serial: str | None = None
    certificate_sha256: str | None = None
    signed_at: datetime | None = None  # as the signer claims it (/M), or as a timestamp proves it
    time_is_proven: bool = False
    claimed_reason: str | None = None
    claimed_location: str | None = None
    format: str | None = None  # the PDF's SubFilter
    coverage: Coverage = "unclear"
    revision: int | None = None  # counted from 0; the file has `VerificationReport.revisions`
    intact: bool = False  # the signed bytes are those that were signed
    valid: bool = False  # the signature over them is that of the certificate's key
    trusted: bool = False  # the certificate leads to a configured root, and was valid
    ours: bool = False  # that root is this organisation's own
    algorithm: str | None = None
    strength: Strength = "unknown"
    changes_after: Changes = "unknown"
    changed_fields: tuple[str, ...] = ()
    certifies: bool = False
    permits: Literal["no-changes", "form-filling", "annotations"] | None = None
    locks_all_fields: bool = False
    padding_is_empty: bool = False  # nothing hides in the room kept free behind the signature
    reasons: tuple[str, ...] = ()
    level: Level = "none"  # whose demands are met: a timestamp nobody trusts raises nothing
    proven_at: datetime | None = None  # the earliest instant at which it is proven to exist
    algorithm_until: date | None = None  # from this day on the algorithm proves nothing
    revocation: Revocation = "unknown"
    attributes_sha256: str | None = None  # of the DER of the signed attributes: what was signed
    covered_bytes: int | None = None  # of a PDF, from its start: the version that was signed
    covers: tuple[str, ...] = ()  # of a container: the names of the files
    timestamps: tuple[TimestampReport, ...] = ()
    path: tuple[CertificateReport, ...] = ()  # from the anchor to the signer


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """The whole file: its verdict is that of its worst signature."""

    indication: Indication
    sub_indication: str | None = None
    signatures: tuple[SignatureReport, ...] = ()
    reasons: tuple[str, ...] = ()
    field_names: tuple[str, ...] = ()  # of all signature fields, signed or empty
    revisions: int = 0
    form: Form = "unknown"
    files: tuple[str, ...] = ()  # what a container holds beside its signatures
    sha256: str | None = None
    size_bytes: int | None = None
    verified_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "VerificationReport":
        """Read what `to_dict` wrote.

        Raises:
            ValueError, KeyError, TypeError: if it did not write this.
        """
        values = dict(data)
        values["verified_at"] = parse_rfc3339(values["verified_at"])
        values["signatures"] = tuple(_signature(one) for one in values["signatures"])
        for key in ("reasons", "field_names", "files"):
            values[key] = tuple(values[key])
        return cls(**values)


def overall(signatures: tuple[SignatureReport, ...]) -> tuple[Indication, str | None]:
    """Return the verdict over a file with these signatures: that of the worst one.

    A file that bears timestamps alone is not signed; a timestamp that failed fails it all the same.
    """
    signed = any(one.kind == "signature" for one in signatures)
    for indication in (FAILED, INDETERMINATE) if signed else (FAILED,):
        for one in signatures:
            if one.indication == indication:
                return indication, one.sub_indication
    return (PASSED if signed else NOT_SIGNED), None


def without_signature(signatures: tuple[SignatureReport, ...], what: str) -> tuple[str, ...]:
    """Return a sentence if `what` bears no signature, or timestamps alone."""
    if any(one.kind == "signature" for one in signatures):
        return ()
    stamped = " It bears timestamps, which name no signer." if signatures else ""
    return (f"{what}{stamped}",)


def failure(
    reason: str,
    *,
    now: datetime,
    sub_indication: str = "FORMAT_FAILURE",
    indication: Indication = FAILED,
) -> VerificationReport:
    """Return the report on a file that could not be judged."""
    return VerificationReport(
        indication=indication,
        sub_indication=sub_indication,
        reasons=(reason,),
        verified_at=now,
    )


def unfinished(reason: str, *, now: datetime) -> VerificationReport:
    """Return the report on a file that was not judged to the end: nothing is known about it.

    Source: ETSI EN 319 102-1 5.1.3 (INDETERMINATE: what is at hand does not tell).
    """
    return failure(reason, now=now, indication=INDETERMINATE, sub_indication=UNFINISHED)


def _signature(data: Mapping[str, Any]) -> SignatureReport:
    values = dict(data)
    _read_times(values, "signed_at", "proven_at")
    if values["algorithm_until"] is not None:
        values["algorithm_until"] = date.fromisoformat(values["algorithm_until"])
    for key in ("reasons", "changed_fields", "covers"):
        values[key] = tuple(values[key])
    values["timestamps"] = tuple(
        TimestampReport(**_read_times(dict(one), "at") | {"reasons": tuple(one.get("reasons", ()))})
        for one in values["timestamps"]
    )
    values["path"] = tuple(
        CertificateReport(**_read_times(dict(one), "not_before", "not_after"))
        for one in values["path"]
    )
    return SignatureReport(**values)


def _read_times(values: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        if values[name] is not None:
            values[name] = parse_rfc3339(values[name])
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
