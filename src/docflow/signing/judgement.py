"""From what pyHanko found about one signature to a verdict with reasons in sentences.

Rules:
- Order of judgement as EN 319 102-1: format and coverage, bytes, signature, chain, algorithms.
- Every verdict other than TOTAL-PASSED has a sentence that says why.
"""

import re
from datetime import UTC, datetime
from typing import Any

from asn1crypto import x509
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
    Strength,
)
from docflow.signing.trust import TrustRoots

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
_SAFE_RSA_BITS, _LEAST_RSA_BITS = 3000, 2048  # TS 119 312
_LEAST_CURVE_BITS = 256
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_BROKEN_DIGESTS = {"md2", "md5", "sha1"}


def verdict(status: Any, own_roots: TrustRoots, known: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a `SignatureReport` that follow from pyHanko's `status`."""
    coverage = _COVERAGE.get(status.coverage, "unclear")
    changes = _CHANGES[status.modification_level]
    indication, sub_indication, reasons = _indication(status, coverage, known["strength"])
    trusted = bool(status.trusted)
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


def _indication(
    status: Any, coverage: Coverage, strength: Strength
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
    if getattr(status, "docmdp_ok", None) is False:
        return FAILED, "FORMAT_FAILURE", ["The file was changed in a way the signature forbids."]
    if not getattr(status, "seed_value_ok", True):
        return INDETERMINATE, "SIG_CONSTRAINTS_FAILURE", ["The field's own conditions are not met."]
    if status.trust_problem_indic is not None or not status.trusted:
        problem = status.trust_problem_indic or AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND
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


def describe_algorithm(embedded: EmbeddedPdfSignature) -> dict[str, Any]:
    """Return the algorithm in words, and how strong it is held to be (TS 119 312)."""
    mechanism = str(embedded.signer_info["signature_algorithm"]["algorithm"].native)
    digest = str(embedded.md_algorithm)
    key = embedded.signer_cert.public_key
    shown_digest = digest.upper().replace("SHA", "SHA-").replace("--", "-")
    strength: Strength
    if key.algorithm in {"rsa", "rsassa_pss"}:
        padding = "PSS" if "pss" in mechanism else "PKCS#1 v1.5"
        text = f"RSA {key.bit_size} ({padding}), {shown_digest}"
        safe = key.bit_size >= _SAFE_RSA_BITS and padding == "PSS"
        strength = (
            "recommended" if safe else "legacy" if key.bit_size >= _LEAST_RSA_BITS else "weak"
        )
    elif key.algorithm == "ec":
        text = (
            f"ECDSA {key.curve[1] if key.curve[0] == 'named' else 'unnamed curve'}, {shown_digest}"
        )
        strength = "recommended" if key.bit_size >= _LEAST_CURVE_BITS else "weak"
    else:
        text, strength = f"{key.algorithm}, {shown_digest}", "unknown"
    return {
        "algorithm": text,
        "strength": "weak" if digest in _BROKEN_DIGESTS else strength,
    }


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
