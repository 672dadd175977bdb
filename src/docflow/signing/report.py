"""What a verification found, as plain values that a person, a program or another process can read.

Rules:
- Indications and sub-indications are those of ETSI EN 319 102-1; `NOT-SIGNED` is our word for a file
  without any signature, which that standard does not judge.
- A time is always aware; in JSON it is RFC 3339 UTC.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from docflow.kernel.clock import parse_rfc3339, rfc3339

Indication = Literal["TOTAL-PASSED", "TOTAL-FAILED", "INDETERMINATE", "NOT-SIGNED"]
PASSED: Indication = "TOTAL-PASSED"
FAILED: Indication = "TOTAL-FAILED"
INDETERMINATE: Indication = "INDETERMINATE"
NOT_SIGNED: Indication = "NOT-SIGNED"

Coverage = Literal["entire-file", "entire-revision", "contiguous-block", "unclear"]
Changes = Literal["none", "long-term-validation", "form-filling", "annotations", "other", "unknown"]
Strength = Literal["recommended", "legacy", "weak", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureReport:
    """One signature or document timestamp in a PDF."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationReport:
    """The whole file: its verdict is that of its worst signature."""

    indication: Indication
    sub_indication: str | None = None
    signatures: tuple[SignatureReport, ...] = ()
    reasons: tuple[str, ...] = ()
    field_names: tuple[str, ...] = ()  # of all signature fields, signed or empty
    revisions: int = 0
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
        for key in ("reasons", "field_names"):
            values[key] = tuple(values[key])
        return cls(**values)


def overall(signatures: tuple[SignatureReport, ...]) -> tuple[Indication, str | None]:
    """Return the verdict over a file with these signatures: that of the worst one."""
    for indication in (FAILED, INDETERMINATE):
        for one in signatures:
            if one.indication == indication:
                return indication, one.sub_indication
    return (PASSED if signatures else NOT_SIGNED), None


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


def _signature(data: Mapping[str, Any]) -> SignatureReport:
    values = dict(data)
    if values["signed_at"] is not None:
        values["signed_at"] = parse_rfc3339(values["signed_at"])
    for key in ("reasons", "changed_fields"):
        values[key] = tuple(values[key])
    return SignatureReport(**values)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, SignatureReport | VerificationReport):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return value
