"""CAdES and plain CMS: detached with the file that was signed, or with the file inside.

Rules:
- Every signer of a SignedData is judged; none is hidden.
- A detached signature without its file is INDETERMINATE / SIGNED_DATA_NOT_FOUND.

Source: RFC 5652 (CMS), ETSI EN 319 122-1 (CAdES), RFC 3161 (timestamps).
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from asn1crypto import cms, pem
from pyhanko.sign.validation.errors import SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_certs_for_validation

from docflow.signing import judgement
from docflow.signing.blocking import blocking
from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    PASSED,
    SignatureReport,
    VerificationReport,
    failure,
    overall,
    without_signature,
)
from docflow.signing.verifying import description, evidence
from docflow.signing.verifying.revocation import want, with_fetched
from docflow.signing.verifying.terms import Terms
from docflow.signing.verifying.timed import judged_cms, judged_stamp

MAX_CMS_BYTES = 64 << 20
MAX_SIGNERS = 64
_ARMOUR = b"-----BEGIN"
_DIGESTS = {
    "md5", "sha1", "sha224", "sha256", "sha384", "sha512",
    "sha3_224", "sha3_256", "sha3_384", "sha3_512",
}  # fmt: skip

Digest = Callable[[str], bytes]  # name of an algorithm → digest of what was signed


@dataclass(frozen=True, slots=True)
class Around:
    """What is known of a signature from around it: archive time stamps, and what they carry.

    Attributes:
        archived_at: when a good archive time stamp proves that the signature and all it signs existed.
        carried: by the archive time stamps over it.
    """

    archived_at: datetime | None
    carried: evidence.Carried


ALONE = Around(None, evidence.Carried())


def verify_cms(file: BinaryIO, data: BinaryIO | None, terms: Terms) -> VerificationReport:
    """Judge a signature file; `data` is what it signs, unless that is inside."""
    try:
        signed = load(read_bounded(file))
        inside = has_content(signed)
        digest = digest_of_file(data) if data is not None else None
        token = signed["encap_content_info"]["content_type"].native == "tst_info"
        signatures = (
            (_alone(signed, digest, terms),) if token else tuple(judge(signed, digest, terms))
        )
    except Exception as error:  # noqa: BLE001 - the parser throws anything on a stranger's file
        reason = f"The file is not a well-formed signature: {judgement.one_line(error)}."
        return failure(reason, now=terms.now)
    indication, sub_indication = overall(signatures)
    reasons = without_signature(signatures, "The file holds no signature.")
    if inside and data is not None and not token:
        reasons = (*reasons, "The signature holds its own data, which was compared with the file.")
    return VerificationReport(
        indication=indication,
        sub_indication=sub_indication,
        signatures=signatures,
        reasons=reasons,
        form="cades",
        verified_at=terms.now,
    )


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
        if algorithm not in _DIGESTS:
            raise ValueError(f"the digest {algorithm} is not known")
        if algorithm not in known:
            file.seek(0)
            known[algorithm] = hashlib.file_digest(file, algorithm).digest()  # type: ignore[arg-type]
        return known[algorithm]

    return digest


def digest_of_bytes(content: bytes) -> Digest:
    """Return a function that hashes `content`."""

    def digest(algorithm: str) -> bytes:
        if algorithm not in _DIGESTS:
            raise ValueError(f"the digest {algorithm} is not known")
        return hashlib.new(algorithm, content).digest()

    return digest


def judge(
    signed: cms.SignedData,
    digest: Digest | None,
    terms: Terms,
    *,
    name: str = "",
    covers: tuple[str, ...] = (),
    around: Around = ALONE,
) -> Iterable[SignatureReport]:
    """Yield a report for each signer.

    Args:
        signed: the SignedData.
        digest: of the data that was signed; None if only what is inside is judged.
        terms: the terms.
        name: of the signature file, in a container.
        covers: the names of the files that it signs.
        around: what archive time stamps of the container prove of it.
    """
    for position, alone in enumerate(_each(signed), start=1):
        field = f"{name}#{position}" if name and len(signed["signer_infos"]) > 1 else name
        yield _one(alone, digest, terms, field or f"signer {position}", covers, around)


def _each(signed: cms.SignedData) -> Iterable[cms.SignedData]:
    signers = list(signed["signer_infos"])
    if len(signers) == 1:
        yield signed
        return
    for signer in signers:
        alone = signed.copy()
        alone["signer_infos"] = cms.SignerInfos([signer])
        yield alone


def _one(
    signed: cms.SignedData,
    digest: Digest | None,
    terms: Terms,
    field: str,
    covers: tuple[str, ...],
    around: Around,
) -> SignatureReport:
    try:
        told = _description(signed, terms) | {"covers": covers}
    except SignatureValidationError as error:
        return judgement.unjudged(field, error, {})
    except Exception as error:  # noqa: BLE001 - as above
        return judgement.unreadable(field, error)
    try:
        return _judged(signed, digest, terms, field, told, around)
    except Exception as error:  # noqa: BLE001 - as above
        return judgement.unjudged(field, error, told)


def _judged(
    signed: cms.SignedData,
    digest: Digest | None,
    terms: Terms,
    field: str,
    told: dict[str, Any],
    around: Around,
) -> SignatureReport:
    inside = has_content(signed)
    if not inside and digest is None:
        return SignatureReport(
            field=field,
            indication=INDETERMINATE,
            sub_indication="SIGNED_DATA_NOT_FOUND",
            reasons=("The signature is detached; give the file that was signed along with it.",),
            **told,
        )
    algorithm = str(signed["signer_infos"][0]["digest_algorithm"]["algorithm"].native)
    if inside and digest is not None and digest(algorithm) != _inner_digest(signed, algorithm):
        return SignatureReport(
            field=field,
            indication=FAILED,
            sub_indication="HASH_FAILURE",
            reasons=("The file is not the one that the signature holds.",),
            **told,
        )
    raw = digest(algorithm) if digest is not None and not inside else None
    own = evidence.of_cms(signed).and_also(around.carried).issued_by(terms.now)
    carried = with_fetched(own, terms)
    archived = around.archived_at
    outcome = blocking(judged_cms(signed, raw, carried, terms, archived))
    if outcome.status is None:
        raise SignatureValidationError(
            outcome.message or "The signature cannot be validated.",
            ades_subindication=outcome.sub_indication,
        )
    want(outcome, carried, terms)
    told = told | _algorithm(signed, terms, outcome, archived)
    told |= description.evidence_of(outcome, signed, own, terms, archived=archived)
    if archived is not None and not _stamped(told):
        told["level"] = "B-B" if told["level"] != "none" else "none"
    if told["level"] == "B-LTA" and told["revocation"] != "good":  # what it carries does not tell
        told["level"] = "B-T"
    found = judgement.verdict(outcome.status, terms.own_roots, told, outcome=outcome)
    return SignatureReport(field=field, **{**told, **judgement.unbound(found, told)})


def _stamped(told: dict[str, Any]) -> bool:
    """Tell whether a good time stamp is in the signature itself, as CAdES demands from B-T on."""
    return any(one.kind == "signature" and one.indication == PASSED for one in told["timestamps"])


def _inner_digest(signed: cms.SignedData, algorithm: str) -> bytes:
    if algorithm not in _DIGESTS:
        raise ValueError(f"the digest {algorithm} is not known")
    return hashlib.new(algorithm, bytes(signed["encap_content_info"]["content"])).digest()


def _description(signed: cms.SignedData, terms: Terms) -> dict[str, Any]:
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
        **_algorithm(signed, terms, None),
    }


def _algorithm(
    signed: cms.SignedData,
    terms: Terms,
    outcome: evidence.Outcome | None,
    archived: datetime | None = None,
) -> dict[str, Any]:
    signer = signed["signer_infos"][0]
    certificate = extract_certs_for_validation(signed).signer_cert
    digest = str(signer["digest_algorithm"]["algorithm"].native)
    stamped = outcome.proven_at if outcome is not None else None
    proven = min(filter(None, (stamped, archived)), default=None)
    return description.algorithm_of(signer, certificate, digest, terms, proven)


def _alone(token: cms.SignedData, digest: Digest | None, terms: Terms) -> SignatureReport:
    """Judge a timestamp token that is a file of its own: what it stamps must come along."""
    if digest is not None:
        return judge_timestamp(token, digest, terms, name="timestamp", covers=())
    told = _description(token, terms) | {"kind": "timestamp", "format": "RFC 3161"}
    return SignatureReport(
        field="timestamp",
        indication=INDETERMINATE,
        sub_indication="SIGNED_DATA_NOT_FOUND",
        reasons=("It is a timestamp; give the file that was stamped along with it.",),
        **told,
    )


def judge_timestamp(
    token: bytes | cms.SignedData,
    digest: Digest,
    terms: Terms,
    *,
    name: str,
    covers: tuple[str, ...],
    at: datetime | None = None,
    also: evidence.Carried = ALONE.carried,
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
    try:
        signed = load(token) if isinstance(token, bytes) else token
        carried = with_fetched(evidence.of_cms(signed).and_also(also), terms)
        told = _description(signed, terms) | {"kind": "timestamp", "covers": covers}
        told["format"] = "RFC 3161"

        outcome = blocking(judged_stamp(signed, digest, carried, terms, moment))
        if outcome.status is None:
            raise SignatureValidationError(
                outcome.message or "The timestamp cannot be validated.",
                ades_subindication=outcome.sub_indication,
            )
    except Exception as error:  # noqa: BLE001 - as above
        return judgement.unreadable(name, error)
    want(outcome, carried, terms)
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
