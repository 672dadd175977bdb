"""CAdES and plain CMS: detached with the file that was signed, or with the file inside.

Rules:
- Every signer of a SignedData is judged; none is hidden.
- A detached signature without its file is INDETERMINATE / SIGNED_DATA_NOT_FOUND.

Source: RFC 5652 (CMS), ETSI EN 319 122-1 (CAdES), RFC 3161 (timestamps).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

from asn1crypto import cms
from pyhanko.sign.validation.errors import SignatureValidationError

from docflow.signing import judgement
from docflow.signing.blocking import blocking
from docflow.signing.report import (
    FAILED,
    INDETERMINATE,
    PASSED,
    SignatureReport,
    TimestampReport,
    VerificationReport,
    failure,
    overall,
    without_signature,
)
from docflow.signing.verifying import description, evidence
from docflow.signing.verifying.cadesarchives import Archives, Good
from docflow.signing.verifying.cmsparts import (
    MAX_CMS_BYTES,
    NOTHING,
    Digest,
    algorithm_of,
    description_of,
    digest_of_bytes,
    digest_of_file,
    has_content,
    inner_digest,
    judge_timestamp,
    load,
    read_bounded,
)
from docflow.signing.verifying.digests import require_digest
from docflow.signing.verifying.revocation import want, with_fetched
from docflow.signing.verifying.terms import Terms
from docflow.signing.verifying.timed import judged_cms

__all__ = [
    "ALONE",
    "BY_ITSELF",
    "MAX_CMS_BYTES",
    "Around",
    "Digest",
    "digest_of_bytes",
    "digest_of_file",
    "has_content",
    "judge",
    "judge_timestamp",
    "load",
    "verify_cms",
]


@dataclass(frozen=True, slots=True)
class Around:
    """What is known of a signature from around it: archive time stamps, and what they carry.

    Attributes:
        archived_at: when a good archive time stamp proves that the signature and all it signs existed.
        carried: by the archive time stamps over it.
        inner: whether archive time stamps inside it count: where it signs the very data.
    """

    archived_at: datetime | None
    carried: evidence.Carried
    inner: bool = False


ALONE = Around(None, NOTHING)
BY_ITSELF = Around(None, NOTHING, inner=True)


def verify_cms(file: BinaryIO, data: BinaryIO | None, terms: Terms) -> VerificationReport:
    """Judge a signature file; `data` is what it signs, unless that is inside."""
    try:
        signed = load(read_bounded(file))
        inside = has_content(signed)
        digest = digest_of_file(data) if data is not None else None
        token = signed["encap_content_info"]["content_type"].native == "tst_info"
        signatures = (
            (_alone(signed, digest, terms),)
            if token
            else tuple(judge(signed, digest, terms, around=BY_ITSELF))
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
        told = description_of(signed, terms) | {"covers": covers}
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
    require_digest(algorithm)
    if inside and digest is not None and digest(algorithm) != inner_digest(signed, algorithm):
        return SignatureReport(
            field=field,
            indication=FAILED,
            sub_indication="HASH_FAILURE",
            reasons=("The file is not the one that the signature holds.",),
            **told,
        )
    raw = digest(algorithm) if digest is not None and not inside else None
    archives = Archives(signed, digest, terms) if around.inner else None
    own = evidence.of_cms(signed).and_also(around.carried).issued_by(terms.now)
    weighed = _Weighed(raw, terms, told, archives.reports() if archives else ())
    for stamp in archives.good() if archives else ():
        if archived := weighed.at_archive(stamp, own):
            return SignatureReport(field=field, **archived)
    found = weighed.by(signed, own, around.archived_at)
    return SignatureReport(field=field, **found)


@dataclass(frozen=True, slots=True)
class _Weighed:
    """What is said of a signature once it is judged: now, or at the instant of an archive time stamp.

    Attributes:
        raw: as of `timed.judged_cms`.
        terms: the terms.
        told: what the signature says of itself.
        stamps: what is told of the archive time stamps inside it.
    """

    raw: bytes | None
    terms: Terms
    told: dict[str, Any]
    stamps: tuple[TimestampReport, ...]

    def at_archive(self, stamp: Good, own: evidence.Carried) -> dict[str, Any] | None:
        """Return the verdict by what an archive time stamp proves, if all that B-LTA demands holds.

        What came after the stamp acquits nobody, but it still accuses: `own` is all that is carried.
        """
        try:
            proven = stamp.proven()
            carried = evidence.of_cms(proven).issued_by(self.terms.now)
            found = self.by(proven, carried, stamp.at, later=own)
        except Exception:  # noqa: BLE001 - what the stamp leaves out breaks it off, and then it proves nothing
            return None
        return found if found["indication"] == PASSED and found["level"] == "B-LTA" else None

    def by(
        self,
        signed: cms.SignedData,
        own: evidence.Carried,
        archived: datetime | None,
        later: evidence.Carried | None = None,
    ) -> dict[str, Any]:
        """Return the members of the report."""
        terms = self.terms
        carried = with_fetched(own, terms)
        outcome = blocking(judged_cms(signed, self.raw, carried, terms, archived))
        if outcome.status is None:
            raise SignatureValidationError(
                outcome.message or "The signature cannot be validated.",
                ades_subindication=outcome.sub_indication,
            )
        if later is not None and archived is not None and _contradicted(outcome, later, archived):
            raise ValueError("what came after the archive time stamp contradicts it")
        want(outcome, carried, terms)
        told = self.told | algorithm_of(signed, terms, outcome, archived)
        told |= description.evidence_of(outcome, signed, own, terms, archived=archived)
        if self.stamps:
            over = tuple(one for one in told["timestamps"] if one.kind != "document")
            told["timestamps"] = (*over, *self.stamps)
        if archived is not None and not _stamped(told):
            told["level"] = "B-B" if told["level"] != "none" else "none"
        if (
            told["level"] == "B-LTA" and told["revocation"] != "good"
        ):  # what it carries does not tell
            told["level"] = "B-T"
        found = judgement.verdict(outcome.status, terms.own_roots, told, outcome=outcome)
        return {**told, **judgement.unbound(found, told)}


def _contradicted(outcome: evidence.Outcome, later: evidence.Carried, at: datetime) -> bool:
    """Tell whether it was revoked before the proven time, or stamped after the archive time stamp."""
    stamped = outcome.proven_at
    if stamped is not None and stamped > at:
        return True
    return evidence.is_accused(outcome.status, later, stamped or at)


def _stamped(told: dict[str, Any]) -> bool:
    """Tell whether a good time stamp is in the signature itself, as CAdES demands from B-T on."""
    return any(one.kind == "signature" and one.indication == PASSED for one in told["timestamps"])


def _alone(token: cms.SignedData, digest: Digest | None, terms: Terms) -> SignatureReport:
    """Judge a timestamp token that is a file of its own: what it stamps must come along."""
    if digest is not None:
        return judge_timestamp(token, digest, terms, name="timestamp", covers=())
    told = description_of(token, terms) | {"kind": "timestamp", "format": "RFC 3161"}
    return SignatureReport(
        field="timestamp",
        indication=INDETERMINATE,
        sub_indication="SIGNED_DATA_NOT_FOUND",
        reasons=("It is a timestamp; give the file that was stamped along with it.",),
        **told,
    )
