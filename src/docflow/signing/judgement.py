"""From what pyHanko found about one signature to a verdict with reasons in sentences.

Rules:
- Order of judgement as EN 319 102-1: format and coverage, bytes, signature, chain, algorithms.
- Every verdict other than TOTAL-PASSED has a sentence that says why.
"""

import re
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, x509
from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate, AdESStatus
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.status import SignatureCoverageLevel

from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    PASSED,
    Changes,
    Coverage,
    Indication,
    Level,
    Revocation,
    Strength,
    TimestampReport,
)
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying import evidence
from docflow.signing.verifying.algorithms import in_words, key_facts
from docflow.signing.verifying.evidence import Carried, Outcome
from docflow.signing.verifying.terms import Terms

_COVERAGE: dict[SignatureCoverageLevel, Coverage] = {
    SignatureCoverageLevel.ENTIRE_FILE: "entire-file",
    SignatureCoverageLevel.ENTIRE_REVISION: "entire-revision",
    SignatureCoverageLevel.CONTIGUOUS_BLOCK_FROM_START: "contiguous-block",
    SignatureCoverageLevel.UNCLEAR: "unclear",
}
_CHANGES: dict[ModificationLevel | None, Changes] = {
    ModificationLevel.NONE: "none",
    ModificationLevel.LTA_UPDATES: "long-term-validation",
    ModificationLevel.FORM_FILLING: "form-filling",
    ModificationLevel.ANNOTATIONS: "annotations",
    ModificationLevel.OTHER: "other",
    None: "unknown",
}
_AFTERWARDS: dict[Changes, str] = {
    "none": "Nothing was changed after it.",
    "long-term-validation": "Only data for long-term validation was added after it.",
    "form-filling": "Only forms were filled or signatures added after it.",
    "annotations": "Annotations were added after it.",
    "other": "The document was changed after it.",
    "unknown": "What changed after it could not be found out.",
}
_CHAIN = {
    "NO_CERTIFICATE_CHAIN_FOUND": "The signer's certificate does not lead to a configured root.",
    "CERTIFICATE_CHAIN_GENERAL_FAILURE": "The chain of the signer's certificate is not valid.",
    "CHAIN_CONSTRAINTS_FAILURE": "The signer's certificate may not be used for signing documents.",
    "SIG_CONSTRAINTS_FAILURE": "The signer's certificate may not be used for signing documents.",
    "OUT_OF_BOUNDS_NO_POE": "A certificate of the chain is not valid at the time of validation, and "
    "no timestamp proves that the signature was made before.",
    "NOT_YET_VALID": "A certificate of the chain is not yet valid.",
    "REVOKED": "The signer's certificate was revoked.",
    "REVOKED_NO_POE": "The signer's certificate was revoked, and no timestamp proves that the "
    "signature was made before.",
    "REVOKED_CA_NO_POE": "The certificate of an authority in the chain was revoked.",
    "CRYPTO_CONSTRAINTS_FAILURE": "The signature or its chain uses an algorithm that is broken.",
    "CRYPTO_CONSTRAINTS_FAILURE_NO_POE": "The signature or its chain uses an algorithm that is no "
    "longer safe.",
    "TRY_LATER": "Whether a certificate was revoked cannot be told from what the file carries.",
}
_STANDARD_NAMES = {
    "GENERIC": "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    "EXPIRED": "OUT_OF_BOUNDS_NO_POE",
}
_OTHER = ModificationLevel.OTHER


def verdict(
    status: Any,
    own_roots: TrustRoots,
    known: dict[str, Any],
    *,
    outcome: Outcome | None = None,
    hidden: str | None = None,
) -> dict[str, Any]:
    """Return the members of a `SignatureReport` that follow from pyHanko's `status`.

    Args:
        status: what pyHanko found.
        own_roots: what makes a signature ours.
        known: what the signature says of itself.
        outcome: how its validation ended, where the trust in it is not `status`'s own.
        hidden: a sentence, if something that came later hides what was signed.
    """
    coverage = _COVERAGE.get(status.coverage, "unclear")
    changes = _CHANGES[status.modification_level]
    problem = _problem(status, outcome)
    indication, sub_indication, reasons = _indication(status, coverage, known["strength"], problem)
    if hidden and indication == PASSED:
        indication, sub_indication, reasons = FAILED, "FORMAT_FAILURE", [hidden]
    trusted = problem is None
    timestamp: Any = getattr(status, "timestamp_validity", None)
    proven = timestamp is not None and timestamp.valid and timestamp.intact and timestamp.trusted
    changed = (
        status.diff_result.changed_form_fields if isinstance(status.diff_result, DiffResult) else ()
    )
    moment = status.timestamp if known.get("kind") == "timestamp" else known["signed_at"]
    return {
        "indication": indication,
        "sub_indication": sub_indication,
        "coverage": coverage,
        "intact": bool(status.intact),
        "valid": bool(status.valid),
        "trusted": trusted,
        "ours": trusted and _anchor(status) in own_roots.fingerprints,
        "changes_after": changes,
        "changed_fields": tuple(sorted(changed)),
        "time_is_proven": proven or (known.get("kind") == "timestamp" and trusted),
        "signed_at": aware(timestamp.timestamp) if proven else aware(moment),
        "reasons": (*reasons, *_notes(coverage, changes, proven, known)),
    }


def _problem(status: Any, outcome: Outcome | None) -> Any:
    """Return what is wrong with the trust in a signature, as pyHanko's sub-indication, or None."""
    if outcome is not None:
        return None if outcome.passed and status.validation_path else outcome.sub_indication
    if status.trusted:
        return None
    return status.trust_problem_indic or AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND


def _indication(
    status: Any, coverage: Coverage, strength: Strength, problem: Any
) -> tuple[Indication, str | None, list[str]]:
    if not status.intact:
        return FAILED, "HASH_FAILURE", ["The signed bytes were changed after signing."]
    if not status.valid:
        return FAILED, "SIG_CRYPTO_FAILURE", ["The signature is not that of the certificate's key."]
    if coverage in {"unclear", "contiguous-block"}:
        return (
            FAILED,
            "FORMAT_FAILURE",
            ["The signature does not cover a whole version of the file."],
        )
    if getattr(status, "docmdp_ok", None) is False or status.modification_level == _OTHER:
        return FAILED, "FORMAT_FAILURE", ["The file was changed in a way the signature forbids."]
    if not getattr(status, "seed_value_ok", True):
        return INDETERMINATE, "SIG_CONSTRAINTS_FAILURE", ["The field's own conditions are not met."]
    if problem is not None:
        indication, name = _named(problem)
        return indication, name, [_CHAIN.get(name, f"The chain of the certificate failed: {name}.")]
    if strength == "weak":
        name = "CRYPTO_CONSTRAINTS_FAILURE"
        return INDETERMINATE, name, [_CHAIN[name]]
    return PASSED, None, []


def _named(problem: Any) -> tuple[Indication, str]:
    """Return indication and standard name of one of pyHanko's sub-indications."""
    name = _STANDARD_NAMES.get(problem.name, problem.name)
    failed = isinstance(problem, AdESFailure) or problem.status == AdESStatus.FAILED
    return (FAILED if failed else INDETERMINATE), name


def _notes(coverage: Coverage, changes: Changes, proven: bool, known: dict[str, Any]) -> list[str]:
    notes = []
    if coverage == "entire-file":
        notes.append("It covers the whole file.")
    elif coverage == "entire-revision":
        notes.append(f"It covers the whole version that was signed. {_AFTERWARDS[changes]}")
    if known.get("kind") != "timestamp" and not proven:
        notes.append("The signing time is what the signer's machine says; no timestamp proves it.")
    if known["strength"] == "legacy":
        notes.append(f"{known['algorithm']} is still accepted, but no longer recommended.")
    return notes


def indication_of_error(error: Exception) -> tuple[Indication, str]:
    """Return the verdict for a validation that broke off with `error`."""
    if isinstance(error, SignatureValidationError):
        if error.ades_subindication is AdESIndeterminate.GENERIC:  # a format pyHanko does not know
            return INDETERMINATE, "SIG_CONSTRAINTS_FAILURE"
        return _named(error.ades_subindication)
    return FAILED, "FORMAT_FAILURE"


def describe_certificate(certificate: x509.Certificate) -> dict[str, Any]:
    """Return who the certificate names, its issuer, serial number and fingerprint."""
    names = certificate.subject.native
    common = names.get("common_name") or names.get("organization_name")
    if isinstance(common, list):
        common = common[0]
    return {
        "signer": str(common) if common else certificate.subject.human_friendly,
        "subject": certificate.subject.human_friendly,
        "issuer": certificate.issuer.human_friendly,
        "serial": f"{certificate.serial_number:x}",
        "certificate_sha256": certificate.sha256.hex(),
    }


def describe_algorithm(
    embedded: EmbeddedPdfSignature, terms: Terms, proven_at: datetime | None
) -> dict[str, Any]:
    """Return the algorithm in words, and how it stands at `proven_at`, else at validation."""
    return algorithm_of(
        embedded.signer_info, embedded.signer_cert, str(embedded.md_algorithm), terms, proven_at
    )


def algorithm_of(
    signer: cms.SignerInfo,
    certificate: x509.Certificate,
    digest: str,
    terms: Terms,
    proven_at: datetime | None,
) -> dict[str, Any]:
    """Return the algorithm of a signer in words, and how it stands by the dated policy."""
    mechanism = str(signer["signature_algorithm"]["algorithm"].native)
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


def describe_evidence(
    outcome: Outcome, signed_data: cms.SignedData, carried: Carried, *, archived: datetime | None
) -> dict[str, Any]:
    """Return path, revocation, timestamps and the level whose demands are met."""
    status = outcome.status
    path = evidence.path_of(status)
    stamps = [_stamp(one, status.timestamp_validity) for one in evidence.tokens(signed_data)]
    if archived is not None:
        stamps.append(
            TimestampReport(kind="document", at=aware(archived), authority=None, indication=PASSED)
        )
    timed = any(one.indication == PASSED for one in stamps)
    known = bool(path) and evidence.revocation_known(path, carried)
    stamp = status.timestamp_validity
    known_of_stamp = stamp is None or evidence.revocation_known(evidence.path_of(stamp), carried)
    level: Level = "none"
    if evidence.is_baseline(signed_data):
        level = "B-B"
        if timed:
            level = "B-T"
        if timed and known and known_of_stamp:
            level = "B-LTA" if archived is not None else "B-LT"
    return {
        "level": level,
        "timestamps": tuple(stamps),
        "revocation": _revocation(outcome, path, carried),
        "path": evidence.described(path),
    }


def _revocation(outcome: Outcome, path: list[x509.Certificate], carried: Carried) -> Revocation:
    if "REVOKED" in outcome.sub_indication.name:
        return "revoked"
    known = evidence.revocation_known([path[0], path[-1]], carried) if len(path) > 1 else False
    return "good" if outcome.passed and known else "unknown"


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
            indication, name = _named(validity.trust_problem_indic)
    return TimestampReport(
        kind="signature", at=at, authority=authority, indication=indication, sub_indication=name
    )


def _anchor(status: Any) -> bytes:
    """Return the fingerprint of the root at which the chain ends."""
    anchor = status.validation_path.trust_anchor
    return bytes(anchor.certificate.sha256)


def aware(moment: Any) -> datetime | None:
    """Return a time in UTC; one without an offset is taken as UTC, as ISO 32000 allows."""
    if not isinstance(moment, datetime):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def one_line(error: BaseException) -> str:
    """Return what `error` says in one bounded line without addresses of objects."""
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r" at 0x[0-9a-f]+", "", text)[:300].rstrip(".")
