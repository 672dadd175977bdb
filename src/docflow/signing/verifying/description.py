"""What a report says of algorithm, timestamps, revocation, path and level of a signature."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, x509
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_certs_for_validation

from docflow.signing.blocking import blocking
from docflow.signing.judgement import aware, named, why
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
from docflow.signing.verifying.instants import OUT_OF_TIME
from docflow.signing.verifying.revocation import with_fetched
from docflow.signing.verifying.stamps import MOST_TOKENS, time_told, tokens
from docflow.signing.verifying.terms import Terms
from docflow.signing.verifying.timed import judged_over

_MOST_SAID = 300  # characters of what another program says of an error


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
    outcome: Outcome,
    signed_data: cms.SignedData,
    carried: Carried,
    terms: Terms,
    *,
    archived: datetime | None,
) -> dict[str, Any]:
    """Return path, revocation, timestamps and the level whose demands are met by a SignedData.

    `carried` is what the file carries, without what was asked: no answer raises a level.
    """
    known = with_fetched(carried, terms)
    stamps = blocking(_stamps(outcome, signed_data, known, terms, archived or terms.now))
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
        carried: the validation data that the file carries.
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
    # a timestamp raises a level that is older than the end of the certificate (EN 319 142-1, 6.3)
    timed = (outcome.stamped or archived is not None) and outcome.sub_indication not in OUT_OF_TIME
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


async def _stamps(
    outcome: Outcome, signed_data: cms.SignedData, carried: Carried, terms: Terms, at: datetime
) -> list[TimestampReport]:
    """Describe each signature timestamp by a validation of its own; the first ones, if many."""
    found = tokens(signed_data)
    if len(found) == 1 and outcome.stamped:  # it was validated with the signature
        good = Outcome(outcome.status.timestamp_validity, AdESPassed.OK, None, checked=False)
        return [stamp_report(good, found[0])]
    reports = []
    for token in found[:MOST_TOKENS]:
        judged = await judged_over(token, signed_data, carried, terms, at)
        reports.append(stamp_report(judged, token))
    more = [
        TimestampReport(
            kind="signature",
            at=_time_of(token),
            authority=_authority(token),
            indication=INDETERMINATE,
            sub_indication="SIG_CONSTRAINTS_FAILURE",
            reasons=(f"Only the first {MOST_TOKENS} timestamps are judged.",),
        )
        for token in found[MOST_TOKENS:]
    ]
    return reports + more


def stamp_report(outcome: Outcome, token: cms.SignedData) -> TimestampReport:
    """Describe a signature timestamp after its validation: whose it is, and why it proves nothing."""
    indication, name, reasons = _stamp_verdict(outcome)
    return TimestampReport(
        kind="signature",
        at=_time_of(token),
        authority=_authority(token) or _named_by(outcome),
        indication=indication,
        sub_indication=name,
        reasons=reasons,
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


def _stamp_verdict(outcome: Outcome) -> tuple[Indication, str | None, tuple[str, ...]]:
    if outcome.passed:
        return PASSED, None, ()
    status = outcome.status
    indication, name = named(outcome.sub_indication)
    if status is None:
        said = " ".join((outcome.message or name).split())[:_MOST_SAID].rstrip(".")
        return indication, name, (f"It cannot be validated: {said}.",)
    if not status.intact:
        return FAILED, "HASH_FAILURE", ("It was made over something else.",)
    if not status.valid:
        sentence = "Its signature is not that of its authority's key."
        return FAILED, "SIG_CRYPTO_FAILURE", (sentence,)
    return indication, name, (why(name, "timestamp"),)


def _time_of(token: cms.SignedData) -> datetime | None:
    return aware(time_told(token))


def _authority(token: cms.SignedData) -> str | None:
    """Return the subject of the certificate in a token that signed it, trusted or not."""
    try:
        certificate = extract_certs_for_validation(token).signer_cert
    except (SignatureValidationError, ValueError):
        return None
    return str(certificate.subject.human_friendly)


def _named_by(outcome: Outcome) -> str | None:
    signer = getattr(outcome.status, "signing_cert", None)
    return str(signer.subject.human_friendly) if signer is not None else None
