"""From what pyHanko found about one signature to a verdict with reasons in sentences.

Rules:
- Order of judgement as EN 319 102-1: format and coverage, bytes, signature, chain, algorithms.
- Every verdict other than TOTAL-PASSED has a sentence that says why.
"""

import re
from datetime import UTC, datetime
from errno import ENOMEM
from itertools import pairwise
from typing import Any

from asn1crypto import x509
from lxml import etree
from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate, AdESStatus
from pyhanko.sign.diff_analysis import DiffResult, ModificationLevel
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.status import SignatureCoverageLevel

from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    PASSED,
    Changes,
    Coverage,
    Indication,
    SignatureReport,
    TimestampReport,
)
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.additions import Addition
from docflow.signing.verifying.algorithms import in_words
from docflow.signing.verifying.evidence import Outcome, path_of
from docflow.signing.verifying.searching import GIVEN_UP

_MOST_CAUSES = 20  # of one error
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
    "NOT_YET_VALID": "The signer's certificate begins after the time at which the signature is proven to "
    "exist.",
    "TIMESTAMP_ORDER_FAILURE": "The times that its timestamps tell contradict each other.",
    "REVOKED": "The signer's certificate was revoked.",
    "REVOKED_NO_POE": "The signer's certificate was revoked, and no timestamp proves that the "
    "signature was made before.",
    "REVOKED_CA_NO_POE": "The certificate of an authority in the chain was revoked.",
    "CRYPTO_CONSTRAINTS_FAILURE": "The signature or its chain uses an algorithm that is broken.",
    "CRYPTO_CONSTRAINTS_FAILURE_NO_POE": "The signature or its chain uses an algorithm that is no "
    "longer safe.",
    "TRY_LATER": "Whether a certificate was revoked cannot be told from what the file carries.",
}
_STAMP = {
    "NOT_YET_VALID": "The time-stamp authority's certificate begins after the time that it tells.",
    "TIMESTAMP_ORDER_FAILURE": "The time that it tells is later than the one at which it is judged.",
}
_OF_STAMP = (
    ("he signer's certificate", "he time-stamp authority's certificate"),
    ("for signing documents", "for timestamps"),
    ("no timestamp proves that the signature", "nothing proves that the timestamp"),
    ("The signature or", "The timestamp or"),
)
_UNBOUND = (
    "It signs no attributes: such a signature can be made out of one over something else, and does not "
    "bind the signer's certificate."
)
_STANDARD_NAMES = {
    "GENERIC": "CERTIFICATE_CHAIN_GENERAL_FAILURE",
    "EXPIRED": "OUT_OF_BOUNDS_NO_POE",
}


def why(name: str, kind: str = "signature") -> str:
    """Return the sentence on a sub-indication about the chain of a signature or a timestamp."""
    sentence = _CHAIN.get(name, f"The chain of the certificate failed: {name}.")
    if kind == "timestamp":
        sentence = _STAMP.get(name, sentence)
        for of_signature, of_stamp in _OF_STAMP:
            sentence = sentence.replace(of_signature, of_stamp)
    return sentence


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
    in_pdf = hasattr(status, "coverage")  # else the signature covers its data, and nothing follows
    coverage: Coverage = _COVERAGE.get(status.coverage, "unclear") if in_pdf else "entire-file"
    changes: Changes = _CHANGES[status.modification_level] if in_pdf else "none"
    problem = _problem(status, outcome)
    indication, sub_indication, reasons = _indication(status, coverage, changes, known, problem)
    if hidden and indication == PASSED:
        indication, sub_indication, reasons = FAILED, "FORMAT_FAILURE", [hidden]
    if sub_indication == "CERTIFICATE_CHAIN_GENERAL_FAILURE":
        reasons = [*reasons, *_not_begun(status, known)]
    if outcome is not None and outcome.lost and indication != PASSED:
        reasons = [*reasons, GIVEN_UP]
    trusted = problem is None
    timestamp: Any = getattr(status, "timestamp_validity", None)
    proven = timestamp is not None and timestamp.valid and timestamp.intact and timestamp.trusted
    difference = getattr(status, "diff_result", None)
    changed = difference.changed_form_fields if isinstance(difference, DiffResult) else ()
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
        "time_is_proven": proven
        or bool(known.get("proven_at"))
        or (known.get("kind") == "timestamp" and trusted),
        "signed_at": aware(timestamp.timestamp) if proven else aware(moment),
        "reasons": (*reasons, *_scope(status, coverage, changes, known), *_notes(proven, known)),
    }


def unbound(found: dict[str, Any], known: dict[str, Any]) -> dict[str, Any]:
    """Return a verdict on CMS that passes only if the signer signed attributes (RFC 5652 5.3, 5.4).

    Without them the same value is a signature over two things: a file, and the attributes of another
    signature, of which the DER is taken for a file.
    """
    if known.get("attributes_sha256") is not None:
        return found
    if found["indication"] != PASSED:
        return found | {"reasons": (*found["reasons"], _UNBOUND)}
    return found | {
        "indication": INDETERMINATE,
        "sub_indication": "SIG_CONSTRAINTS_FAILURE",
        "reasons": (_UNBOUND, *found["reasons"]),
    }


def _problem(status: Any, outcome: Outcome | None) -> Any:
    """Return what is wrong with the trust in a signature, as pyHanko's sub-indication, or None."""
    if outcome is not None:
        return None if outcome.passed and status.validation_path else outcome.sub_indication
    if status.trusted:
        return None
    return status.trust_problem_indic or AdESIndeterminate.NO_CERTIFICATE_CHAIN_FOUND


def _indication(
    status: Any, coverage: Coverage, changes: Changes, known: dict[str, Any], problem: Any
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
    if getattr(status, "docmdp_ok", None) is False or changes == "other":
        sentence, found = "The file was changed in a way the signature forbids.", status.diff_result
        added = [str(found)] if isinstance(found, Addition) else []
        return FAILED, "FORMAT_FAILURE", [" ".join([sentence, *added])]
    if not getattr(status, "seed_value_ok", True):
        return INDETERMINATE, "SIG_CONSTRAINTS_FAILURE", ["The field's own conditions are not met."]
    if problem is not None:
        indication, name = named(problem)
        return indication, name, [_reason(name, known, status)]
    if known["strength"] == "weak":
        name = "CRYPTO_CONSTRAINTS_FAILURE"
        return INDETERMINATE, name, [_reason(name, known, status)]
    return PASSED, None, []


def _not_begun(status: Any, known: dict[str, Any]) -> list[str]:
    """Return a sentence for each certificate that begins after validation: pyHanko keeps that to itself."""
    at = aware(getattr(status, "validation_time", None))
    return [
        f"The certificate of {one.subject} is valid from {one.not_before:%Y-%m-%d %H:%M:%S} UTC only, and "
        f"the time of validation is {at:%Y-%m-%d %H:%M:%S} UTC."
        for one in known.get("path", ())
        if at is not None and at < one.not_before
    ]


def _reason(name: str, known: dict[str, Any], status: Any) -> str:
    """Return the sentence on a sub-indication, with the names of the algorithms if it is about them."""
    sentence = why(name, known.get("kind", "signature"))
    if not name.startswith("CRYPTO_CONSTRAINTS_FAILURE"):
        return sentence
    if known["strength"] == "weak" and known.get("algorithm"):
        end = known.get("algorithm_until")
        over = f"proves nothing from {end} on" if end else "the algorithm policy does not accept"
        return f"It uses {known['algorithm']}, which {over}."
    path = path_of(status)
    used = {_signed_with(issuer, one) for issuer, one in pairwise(path)}
    return f"{sentence} Its chain uses {'; '.join(sorted(used))}." if used else sentence


def _signed_with(issuer: x509.Certificate, certificate: x509.Certificate) -> str:
    mechanism = certificate["signature_algorithm"]
    try:
        digest = str(mechanism.hash_algo)
    except ValueError:
        return str(mechanism["algorithm"].native)
    return in_words(issuer.public_key, str(mechanism["algorithm"].native), digest)


def named(problem: Any) -> tuple[Indication, str]:
    """Return indication and standard name of one of pyHanko's sub-indications."""
    name = _STANDARD_NAMES.get(problem.name, problem.name)
    failed = isinstance(problem, AdESFailure) or problem.status == AdESStatus.FAILED
    return (FAILED if failed else INDETERMINATE), name


def _scope(
    status: Any, coverage: Coverage, changes: Changes, known: dict[str, Any]
) -> tuple[str, ...]:
    """Return what is covered, in a sentence, where it is as it was signed; of containers others tell."""
    if not status.intact or known.get("covers"):
        return ()
    if coverage == "entire-file":
        return ("It covers the whole file.",)
    if coverage == "entire-revision":
        return (f"It covers the whole version that was signed. {_AFTERWARDS[changes]}",)
    return ()


def _notes(proven: bool, known: dict[str, Any]) -> list[str]:
    notes = []
    if known.get("kind") != "timestamp" and not proven:
        notes.append("The signing time is what the signer's machine says; no timestamp proves it.")
    notes += [_failed_stamp(one) for one in known.get("timestamps", ()) if one.indication != PASSED]
    if known.get("path") and known.get("revocation") == "unknown":
        notes.append("Whether a certificate was revoked is not known: nothing given says so.")
    if known["strength"] == "legacy":
        notes.append(f"{known['algorithm']} is still accepted, but no longer recommended.")
    return notes


def _failed_stamp(stamp: TimestampReport) -> str:
    by = f" by {stamp.authority}" if stamp.authority else ""
    because = " ".join(stamp.reasons) or f"{stamp.sub_indication}."
    return f"A timestamp{by} proves nothing: {because}"


def indication_of_error(error: Exception) -> tuple[Indication, str]:
    """Return the verdict for a validation that broke off with `error`."""
    if isinstance(error, SignatureValidationError):
        if error.ades_subindication is AdESIndeterminate.GENERIC:  # a format pyHanko does not know
            return INDETERMINATE, "SIG_CONSTRAINTS_FAILURE"
        return named(error.ades_subindication)
    return FAILED, "FORMAT_FAILURE"


def unreadable(name: str, error: Exception) -> SignatureReport:
    """Report a signature that cannot be read at all."""
    return SignatureReport(
        field=name,
        indication=FAILED,
        sub_indication="FORMAT_FAILURE",
        reasons=(f"The signature cannot be read: {one_line(error)}.",),
    )


def unjudged(name: str, error: Exception, known: dict[str, Any]) -> SignatureReport:
    """Report a signature whose validation broke off; pyHanko's own errors name the indication."""
    indication, sub_indication = indication_of_error(error)
    return SignatureReport(
        field=name,
        indication=indication,
        sub_indication=sub_indication,
        reasons=(f"The signature cannot be judged: {one_line(error)}.",),
        **known,
    )


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


def _anchor(status: Any) -> bytes:
    """Return the fingerprint of the root at which the chain ends."""
    anchor = status.validation_path.trust_anchor
    return bytes(anchor.certificate.sha256)


def aware(moment: Any) -> datetime | None:
    """Return a time in UTC; one without an offset is taken as UTC, as ISO 32000 allows."""
    if not isinstance(moment, datetime):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _short_of_memory(error: BaseException) -> bool:
    seen: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if seen is None:
            return False
        if isinstance(seen, MemoryError) or (isinstance(seen, OSError) and seen.errno == ENOMEM):
            return True
        # libxml2 that got no memory has nothing to say, and lxml says so
        if isinstance(seen, etree.XMLSyntaxError) and str(seen).startswith("unknown error"):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def one_line(error: BaseException) -> str:
    """Return what `error` says in one bounded line without addresses of objects.

    What Python or a parser below says of its own workings tells nobody anything about the file. Every
    error that is taken for the file's own comes through here, and one is not: that the process has no
    memory left says nothing about the file.

    Raises:
        MemoryError: if that is what it was, or what it came from.
    """
    if _short_of_memory(error):
        raise MemoryError from error
    if _is_internal(error):
        return "its structure is broken"
    text = " ".join(str(error).split()) or type(error).__name__
    return re.sub(r" at 0x[0-9a-f]+", "", text)[:300].rstrip(".")


def _is_internal(error: BaseException) -> bool:
    """Tell whether `error` is one of Python's own that nobody here raised with a sentence."""
    if type(error).__module__ != "builtins" or isinstance(error, OSError):
        return False
    if not isinstance(error, ValueError) or re.search(r"values? to unpack", str(error)):
        return True
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    return step is not None and not step.tb_frame.f_globals["__name__"].startswith("docflow.")
