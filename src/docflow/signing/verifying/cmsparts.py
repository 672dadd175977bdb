"""What is read of a SignedData before it is judged, and the judgement of a timestamp token.

Source: RFC 5652 (CMS), RFC 3161 (timestamps).
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, BinaryIO

from asn1crypto import cms, pem
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_certs_for_validation

from docflow.signing import judgement
from docflow.signing.blocking import blocking
from docflow.signing.report import INDETERMINATE, PASSED, SignatureReport
from docflow.signing.verifying import description, evidence
from docflow.signing.verifying.digests import require_digest
from docflow.signing.verifying.revocation import want, with_fetched
from docflow.signing.verifying.terms import Terms
from docflow.signing.verifying.timed import judged_stamp

MAX_CMS_BYTES = 64 << 20
MAX_SIGNERS = 64
_ARMOUR = b"-----BEGIN"

Digest = Callable[[str], bytes]  # name of an algorithm → digest of what was signed
NOTHING = evidence.Carried()


def read_bounded(file: BinaryIO) -> bytes:
    """Return the whole file.

    Raises:
        ValueError: if it is larger than `MAX_CMS_BYTES`.
    """
    file.seek(0)
    content = file.read(MAX_CMS_BYTES + 1)
    if len(content) > MAX_CMS_BYTES:
        raise ValueError(f"it has more than {MAX_CMS_BYTES} bytes")
    return content


def load(content: bytes) -> cms.SignedData:
    """Return the SignedData in DER or PEM.

    Raises:
        ValueError: if it is none.
    """
    if content.lstrip()[: len(_ARMOUR)] == _ARMOUR:
        _, _, content = pem.unarmor(content)
    info = cms.ContentInfo.load(content, strict=True)
    if info["content_type"].native != "signed_data":
        raise ValueError("it is not SignedData")
    signed = info["content"]
    if len(signed["signer_infos"]) > MAX_SIGNERS:
        raise ValueError(f"it has more than {MAX_SIGNERS} signers")
    return signed


def has_content(signed: cms.SignedData) -> bool:
    """Tell whether what was signed is inside."""
    return signed["encap_content_info"]["content"].native is not None


def digest_of_file(file: BinaryIO) -> Digest:
    """Return a function that hashes `file`, once for each algorithm."""
    known: dict[str, bytes] = {}

    def digest(algorithm: str) -> bytes:
        require_digest(algorithm)
        if algorithm not in known:
            file.seek(0)
            known[algorithm] = hashlib.file_digest(file, algorithm).digest()  # type: ignore[arg-type]
        return known[algorithm]

    return digest


def digest_of_bytes(content: bytes) -> Digest:
    """Return a function that hashes `content`."""

    def digest(algorithm: str) -> bytes:
        require_digest(algorithm)
        return hashlib.new(algorithm, content).digest()

    return digest


def inner_digest(signed: cms.SignedData, algorithm: str) -> bytes:
    """Return the digest of what is signed and inside.

    Raises:
        SignatureValidationError: if the algorithm is not known.
    """
    require_digest(algorithm)
    return hashlib.new(algorithm, bytes(signed["encap_content_info"]["content"])).digest()


def description_of(signed: cms.SignedData, terms: Terms) -> dict[str, Any]:
    """Return what the signature says of itself, before anything is checked."""
    signer = signed["signer_infos"][0]
    certificate = extract_certs_for_validation(signed).signer_cert
    claimed = next(
        (
            attribute["values"][0].native
            for attribute in signer["signed_attrs"] or ()
            if attribute["type"].native == "signing_time"
        ),
        None,
    )
    return {
        "format": "CAdES" if evidence.is_baseline(signed) else "CMS",
        "signed_at": judgement.aware(claimed),
        "padding_is_empty": True,  # strict DER: nothing may follow it
        **judgement.describe_certificate(certificate),
        **algorithm_of(signed, terms, None),
    }


def algorithm_of(
    signed: cms.SignedData,
    terms: Terms,
    outcome: evidence.Outcome | None,
    archived: datetime | None = None,
) -> dict[str, Any]:
    """Return the algorithm of the one signer, judged at the earliest instant that is proven."""
    signer = signed["signer_infos"][0]
    certificate = extract_certs_for_validation(signed).signer_cert
    digest = str(signer["digest_algorithm"]["algorithm"].native)
    stamped = outcome.proven_at if outcome is not None else None
    proven = min(filter(None, (stamped, archived)), default=None)
    return description.algorithm_of(signer, certificate, digest, terms, proven)


def judge_timestamp(
    token: bytes | cms.SignedData,
    digest: Digest,
    terms: Terms,
    *,
    name: str,
    covers: tuple[str, ...],
    at: datetime | None = None,
    also: evidence.Carried = NOTHING,
) -> SignatureReport:
    """Judge a timestamp token over the data that `digest` hashes.

    Args:
        token: the token.
        digest: of what it stamps.
        terms: the terms.
        name: of the token file.
        covers: the names of the files that it stamps.
        at: when a later archive time stamp proves it; else it is judged at the time of validation.
        also: validation data from around it.
    """
    moment = at or terms.now
    told: dict[str, Any] = {}
    try:
        signed = load(token) if isinstance(token, bytes) else token
        carried = with_fetched(evidence.of_cms(signed).and_also(also), terms)
        told = description_of(signed, terms) | {"kind": "timestamp", "covers": covers}
        told["format"] = "RFC 3161"

        outcome = blocking(judged_stamp(signed, digest, carried, terms, moment))
        if outcome.status is None:
            raise SignatureValidationError(
                outcome.message or "The timestamp cannot be validated.",
                ades_subindication=outcome.sub_indication,
            )
    except SignatureValidationError as error:
        return judgement.unjudged(name, error, told)
    except Exception as error:  # noqa: BLE001 - as above
        return judgement.unreadable(name, error)
    want(outcome, carried, terms)
    told |= algorithm_of(signed, terms, None, at)  # as it stood when a later one proves it
    told |= description.timestamp_of(outcome)
    found = judgement.verdict(outcome.status, terms.own_roots, told, outcome=outcome)
    if found["indication"] == PASSED and (weak := _weak_imprint(signed, terms, moment)):
        found |= weak
        told["proven_at"] = None
    return SignatureReport(field=name, **{**told, **found})


def _weak_imprint(token: cms.SignedData, terms: Terms, at: datetime) -> dict[str, Any] | None:
    """Return the verdict if the digest by which a token names its data proves nothing at `at`."""
    info = token["encap_content_info"]["content"].parsed
    used = str(info["message_imprint"]["hash_algorithm"]["algorithm"].native)
    if terms.policy.algorithms.digest(used, at).strength != "weak":
        return None
    return {
        "indication": INDETERMINATE,
        "sub_indication": "CRYPTO_CONSTRAINTS_FAILURE_NO_POE",
        "time_is_proven": False,
        "reasons": (f"What it stamps is bound by {used}, which is broken.",),
    }
