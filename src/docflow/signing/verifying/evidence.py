"""The proof of time and of non-revocation that goes with a signature, and what it makes of the verdict.

Rules:
- The process of EN 319 102-1 is picked by what is there: basic, with time, or long-term (5.3, 5.5, 5.6).
- Revocation is demanded where the file carries any; where it carries none, or not enough, the policy
  decides whether that is accepted, and the report says `unknown`.
- Nothing is fetched.

Source: ETSI EN 319 102-1 (processes), EN 319 142-1 and 319 122-1 (levels).
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from asn1crypto import cms, x509
from asn1crypto.crl import CertificateList
from asn1crypto.ocsp import OCSPResponse
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESIndeterminate, AdESPassed
from pyhanko.sign.general import (
    MultivaluedAttributeError,
    NonexistentAttributeError,
    extract_signer_info,
    find_unique_cms_attribute,
)
from pyhanko.sign.validation import DocumentSecurityStore
from pyhanko.sign.validation.ades import ades_basic_validation, ades_with_time_validation
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.sign.validation.policy_decl import (
    CertificateFetchingRule,
    LocalKnowledge,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import (
    REQUIRE_REVINFO,
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from docflow.signing.report import CertificateReport
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.algorithms import DatedAlgorithms
from docflow.signing.verifying.terms import Terms

MAX_VALIDATION_OBJECTS = 1_000  # certificates, lists and answers that one file may carry
SIGNER_USAGE = KeyUsageConstraints(key_usage={"digital_signature", "non_repudiation"})
_IF_DECLARED = RevocationCheckingRule.CHECK_IF_DECLARED_SOFT
_DEMAND_NONE = RevocationCheckingPolicy(_IF_DECLARED, _IF_DECLARED)
# Of the signer alone: where an authority's list is missing, the signer's own still counts.
_DEMAND_SIGNER = RevocationCheckingPolicy(RevocationCheckingRule.CRL_OR_OCSP_REQUIRED, _IF_DECLARED)
# What another try without demanding revocation data may turn into a pass.
_FOR_WANT_OF_REVOCATION = frozenset(
    {
        AdESIndeterminate.TRY_LATER,
        AdESIndeterminate.REVOCATION_OUT_OF_BOUNDS_NO_POE,
        AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE,
        AdESIndeterminate.NO_POE,
    }
)


@dataclass(frozen=True, slots=True)
class Carried:
    """The validation data that a file carries."""

    certificates: list[x509.Certificate] = field(default_factory=list)
    crls: list[CertificateList] = field(default_factory=list)
    answers: list[OCSPResponse] = field(default_factory=list)

    @property
    def revocation(self) -> bool:
        """Tell whether there is anything about revocation."""
        return bool(self.crls or self.answers)

    def knowledge(self) -> LocalKnowledge:
        """Return the data as pyHanko wants it."""
        return LocalKnowledge(
            known_ocsps=[
                one for answer in self.answers for one in OCSPContainer.load_multi(answer)
            ],
            known_crls=[CRLContainer(crl) for crl in self.crls],
            known_certs=self.certificates,
        )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What validation found: pyHanko's status, its sub-indication, and the proven time."""

    status: Any
    sub_indication: Any
    message: str | None
    proven_at: datetime | None

    @property
    def passed(self) -> bool:
        """Tell whether the signature passed."""
        return isinstance(self.sub_indication, AdESPassed)


def of_pdf(reader: PdfFileReader) -> Carried:
    """Return what the document security store (DSS) of a PDF holds.

    Raises:
        ValueError: if it holds more than is bearable.
    """
    try:
        store = DocumentSecurityStore.read_dss(reader)
    except NoDSSFoundError:
        return Carried()
    if len(store.ocsps) + len(store.crls) + len(store.certs) > MAX_VALIDATION_OBJECTS:
        raise ValueError("the document security store holds too many objects")
    return Carried(
        list(store.load_certs()),
        [CertificateList.load(one.get_object().data) for one in store.crls],
        [OCSPResponse.load(one.get_object().data) for one in store.ocsps],
    )


def of_cms(signed_data: cms.SignedData) -> Carried:
    """Return the certificates and revocation data inside a SignedData (RFC 5652, RFC 5940).

    Raises:
        ValueError: if it holds more than is bearable.
    """
    crls: list[CertificateList] = []
    answers: list[OCSPResponse] = []
    certificates = [
        one.chosen for one in signed_data["certificates"] or () if one.name == "certificate"
    ]
    for one in signed_data["crls"] or ():
        if one.name == "crl":
            crls.append(one.chosen)
        elif one.chosen["other_rev_info_format"].native == "ocsp_response":
            answers.append(one.chosen["other_rev_info"].parse(OCSPResponse))
    archived = _attribute(extract_signer_info(signed_data), "adobe_revocation_info_archival")
    if archived is not None:
        crls += list(archived["crl"] or ())
        answers += list(archived["ocsp"] or ())
    if len(crls) + len(answers) + len(certificates) > MAX_VALIDATION_OBJECTS:
        raise ValueError("the signature carries too many certificates and revocation lists")
    return Carried(certificates, crls, answers)


def _attribute(signer: cms.SignerInfo, name: str) -> Any:
    try:
        return find_unique_cms_attribute(signer["signed_attrs"], name)
    except (NonexistentAttributeError, MultivaluedAttributeError):
        return None


def tokens(signed_data: cms.SignedData) -> list[cms.SignedData]:
    """Return the timestamp tokens over the signature."""
    return list(extract_tst_data_iter(extract_signer_info(signed_data), signed=False))


def is_baseline(signed_data: cms.SignedData) -> bool:
    """Tell whether the signer's certificate is bound in, as every baseline level demands."""
    signer = extract_signer_info(signed_data)
    return any(
        _attribute(signer, name) is not None
        for name in ("signing_certificate_v2", "signing_certificate")
    )


def specification(
    terms: Terms, carried: Carried, checking: RevocationCheckingPolicy
) -> SignatureValidationSpec:
    """Return the rules for one validation; `checking` says what revocation data it demands."""
    algorithms = DatedAlgorithms(terms.policy.algorithms, terms.now)

    def rules(roots: TrustRoots) -> CertValidationPolicySpec:
        return CertValidationPolicySpec(
            trust_manager=SimpleTrustManager.build(trust_roots=list(roots.asn1)),
            # A list that was issued after the signature tells about the time before as well.
            revinfo_policy=CertRevTrustPolicy(checking, retroactive_revinfo=True),
            algorithm_usage_policy=algorithms,
        )

    return SignatureValidationSpec(
        cert_validation_policy=rules(terms.roots),
        ts_cert_validation_policy=rules(terms.roots + terms.policy.timestamp_roots),
        revinfo_gathering_policy=RevocationInfoGatheringSpec(
            RevinfoOnlineFetchingRule.LOCAL_ONLY,
            certificate_fetching_rule=CertificateFetchingRule.NEVER_FETCH,
        ),
        local_knowledge=carried.knowledge(),
        key_usage_settings=SIGNER_USAGE,
    )


def timing(now: datetime) -> ValidationTimingInfo:
    """Return the validation time as pyHanko wants it."""
    return ValidationTimingInfo(now, now, point_in_time_validation=True)


def demands(terms: Terms, carried: Carried) -> Iterator[RevocationCheckingPolicy]:
    """Yield what revocation data to demand, try after try: ever less, as far as the policy allows."""
    required = terms.policy.revocation == "required"
    if required or carried.revocation:
        yield REQUIRE_REVINFO
    if not required and carried.revocation:
        yield _DEMAND_SIGNER
    if not required:
        yield _DEMAND_NONE


async def judged_cms(
    signed_data: cms.SignedData,
    raw_digest: bytes | None,
    carried: Carried,
    terms: Terms,
) -> Outcome:
    """Judge one signature by the basic process, or the one with time where there is a timestamp.

    Args:
        signed_data: with exactly one signer.
        raw_digest: of the detached data, by the signer's digest; None if the data is inside.
        carried: the validation data at hand.
        terms: the terms.
    """
    timed = bool(tokens(signed_data))
    validate = ades_with_time_validation if timed else ades_basic_validation

    async def once(checking: RevocationCheckingPolicy) -> Any:
        return await validate(
            signed_data,
            specification(terms, carried, checking),
            timing_info=timing(terms.now),
            raw_digest=raw_digest,
        )

    return await tried(once, terms, carried)


async def tried(
    once: Callable[[RevocationCheckingPolicy], Awaitable[Any]], terms: Terms, carried: Carried
) -> Outcome:
    """Validate by `once`, with ever smaller demands while only revocation data is missing."""
    for checking in demands(terms, carried):
        result = await once(checking)
        if result.ades_subindic not in _FOR_WANT_OF_REVOCATION:
            break
    proven = getattr(result, "best_signature_time", None)
    return Outcome(
        result.api_status,
        result.ades_subindic,
        result.failure_msg,
        proven if proven is not None and proven < terms.now else None,
    )


def revocation_known(certificates: Iterable[x509.Certificate], carried: Carried) -> bool:
    """Tell whether for each certificate below the anchor there is a list or an answer.

    Args:
        certificates: a path, the anchor first.
        carried: what the file carries.
    """
    issuers = {crl.issuer.hashable for crl in carried.crls}
    serials: set[int] = set()
    for answer in carried.answers:
        if answer["response_status"].native == "successful":
            for one in answer.response_data["responses"]:
                serials.add(one["cert_id"]["serial_number"].native)
    return all(
        one.issuer.hashable in issuers
        or one.serial_number in serials
        or one.ocsp_no_check_value is not None
        for one in list(certificates)[1:]
    )


def path_of(status: Any) -> list[x509.Certificate]:
    """Return the certificates of the path that was found, the anchor first; none if none was."""
    path = getattr(status, "validation_path", None)
    if path is None:
        return []
    anchor = getattr(path.trust_anchor, "certificate", None)
    found = [anchor] if anchor is not None else []
    found += [one for one in path.iter_certs(include_root=False) if one is not anchor]
    return found


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
