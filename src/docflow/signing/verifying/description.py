"""What a report says of algorithm, timestamps, revocation, path and level of a signature."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, x509

from docflow.signing.judgement import aware, named
from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    PASSED,
    CertificateReport,
    Indication,
    Level,
    Revocation,
    TimestampReport,
)
from docflow.signing.verifying import evidence
from docflow.signing.verifying.algorithms import in_words, key_facts
from docflow.signing.verifying.evidence import Carried, Outcome
from docflow.signing.verifying.stamps import tokens
from docflow.signing.verifying.terms import Terms


def algorithm_of(
    signer: cms.SignerInfo,
    certificate: x509.Certificate,
    digest: str,
    terms: Terms,
    proven_at: datetime | None,
) -> dict[str, Any]:
    """Return the algorithm of a signer in words, and how it stands by the dated policy."""
    mechanism = str(signer["signature_algorithm"]["algorithm"].native)
    return {
        **mechanism_of(mechanism, digest, certificate, terms, proven_at),
        "attributes_sha256": _attributes_digest(signer),
    }


def mechanism_of(
    mechanism: str,
    digest: str,
    certificate: x509.Certificate,
    terms: Terms,
    proven_at: datetime | None,
) -> dict[str, Any]:
    """Return a mechanism with a key in words, and how they stand by the dated policy."""
    family, bits, padding = key_facts(certificate.public_key, mechanism)
    standing = terms.policy.algorithms.signature(
        family, bits, padding, digest, proven_at or terms.now
    )
    return {
        "algorithm": in_words(certificate.public_key, mechanism, digest),
        "strength": standing.strength,
        "algorithm_until": standing.until,
        "proven_at": aware(proven_at),
    }


def _attributes_digest(signer: cms.SignerInfo) -> str | None:
    attributes = signer["signed_attrs"]
    if not attributes:
        return None
    return hashlib.sha256(attributes.untag().dump()).hexdigest()


def evidence_of(
    outcome: Outcome, signed_data: cms.SignedData, carried: Carried, *, archived: datetime | None
) -> dict[str, Any]:
    """Return path, revocation, timestamps and the level whose demands are met by a SignedData."""
    validity = outcome.status.timestamp_validity
    stamps = [_stamp(one, validity) for one in tokens(signed_data)]
    baseline = evidence.is_baseline(signed_data)
    return facts_of(outcome, stamps, carried, baseline=baseline, archived=archived)


def facts_of(
    outcome: Outcome,
    stamps: list[TimestampReport],
    carried: Carried,
    *,
    baseline: bool,
    archived: datetime | None = None,
) -> dict[str, Any]:
    """Return path, revocation, timestamps and the level whose demands are met.

    Args:
        outcome: how the validation ended.
        stamps: what is known of the timestamps over the signature.
        carried: the validation data at hand.
        baseline: whether what every level demands is there.
        archived: when an archive timestamp proves that the file existed.
    """
    status = outcome.status
    path = evidence.path_of(status)
    if archived is not None:
        document = TimestampReport(
            kind="document", at=aware(archived), authority=None, indication=PASSED
        )
        stamps = [*stamps, document]
    timed = any(one.indication == PASSED for one in stamps)
    known = bool(path) and evidence.revocation_known(path, carried)
    stamp = status.timestamp_validity
    known_of_stamp = stamp is None or evidence.revocation_known(evidence.path_of(stamp), carried)
    level: Level = "none"
    if baseline:
        level = "B-B"
        if timed:
            level = "B-T"
        if timed and known and known_of_stamp:
            level = "B-LTA" if archived is not None else "B-LT"
    return {
        "level": level,
        "timestamps": tuple(stamps),
        "revocation": _revocation(outcome),
        "path": described(path),
    }


def timestamp_of(outcome: Outcome) -> dict[str, Any]:
    """Return proven time, path and revocation of a timestamp."""
    return {
        "proven_at": aware(outcome.status.timestamp) if outcome.passed else None,
        "path": described(evidence.path_of(outcome.status)),
        "revocation": _revocation(outcome),
    }


def _revocation(outcome: Outcome) -> Revocation:
    if "REVOKED" in outcome.sub_indication.name:
        return "revoked"
    return "good" if outcome.passed and outcome.checked else "unknown"


def _stamp(token: cms.SignedData, validity: Any) -> TimestampReport:
    """Describe a signature timestamp; the one that pyHanko validated has its verdict."""
    content = token["encap_content_info"]["content"].parsed
    at = aware(content["gen_time"].native)
    authority = None
    indication: Indication = INDETERMINATE
    name: str | None = "NO_CERTIFICATE_CHAIN_FOUND"
    if validity is not None and aware(validity.timestamp) == at:
        authority = validity.signing_cert.subject.human_friendly
        if validity.valid and validity.intact and validity.trusted:
            indication, name = PASSED, None
        elif not (validity.valid and validity.intact):
            indication, name = FAILED, "HASH_FAILURE"
        elif validity.trust_problem_indic is not None:
            indication, name = named(validity.trust_problem_indic)
    return TimestampReport(
        kind="signature", at=at, authority=authority, indication=indication, sub_indication=name
    )


def described(certificates: Iterable[x509.Certificate]) -> tuple[CertificateReport, ...]:
    """Return what the report says of a path."""
    return tuple(
        CertificateReport(
            subject=one.subject.human_friendly,
            issuer=one.issuer.human_friendly,
            serial=f"{one.serial_number:x}",
            sha256=one.sha256.hex(),
            not_before=one.not_valid_before.astimezone(UTC),
            not_after=one.not_valid_after.astimezone(UTC),
        )
        for one in certificates
    )
