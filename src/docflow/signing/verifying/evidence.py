"""The proof of time and of non-revocation that goes with a signature, and what it makes of the verdict.

Rules:
- The basic process, or the one with time where there is a timestamp (EN 319 102-1 5.3, 5.5); for the
  long term (5.6), the same at the instant that the evidence proves.
- Revocation is demanded where the file carries any; where it carries none, or not enough, the policy
  decides whether that is accepted, and the report says `unknown`.
- Nothing is fetched.

Source: ETSI EN 319 102-1 (processes), EN 319 142-1 and 319 122-1 (levels).
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
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
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.policy_decl import (
    CertificateFetchingRule,
    LocalKnowledge,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import (
    REQUIRE_REVINFO,
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
    RevocationCheckingRule,
)
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from docflow.signing.purpose import SIGNER_USAGE
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.accusing import accused
from docflow.signing.verifying.algorithms import DatedAlgorithms
from docflow.signing.verifying.instants import CLOCK_TOLERANCE
from docflow.signing.verifying.searching import BoundedTrust, gave_up
from docflow.signing.verifying.terms import Terms

MAX_VALIDATION_OBJECTS = 1_000  # certificates, lists and answers that one file may carry
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

    def and_also(self, other: "Carried") -> "Carried":
        """Return this, and what is carried elsewhere."""
        return Carried(
            [*self.certificates, *other.certificates],
            [*self.crls, *other.crls],
            [*self.answers, *other.answers],
        )

    def issued_by(self, now: datetime) -> "Carried":
        """Return this without the lists and answers of a time that has not come: they prove nothing."""
        last = now + CLOCK_TOLERANCE
        return Carried(
            self.certificates,
            [one for one in self.crls if one["tbs_cert_list"]["this_update"].native <= last],
            [one for one in self.answers if not _is_of_after(one, last)],
        )

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
    """What validation found.

    Attributes:
        status: pyHanko's status; None if it did not come so far.
        sub_indication: pyHanko's.
        message: what went wrong, in pyHanko's words.
        checked: whether it was found out, from fresh data, that the signer was not revoked.
        lost: whether the search for a chain was given up.
    """

    status: Any
    sub_indication: Any
    message: str | None
    checked: bool
    lost: bool = False

    @property
    def stamped(self) -> bool:
        """Tell whether a good timestamp proves when the signature existed."""
        stamp = getattr(self.status, "timestamp_validity", None)
        return stamp is not None and bool(stamp.valid and stamp.intact and stamp.trusted)

    @property
    def proven_at(self) -> datetime | None:
        """The instant that a good signature timestamp proves."""
        return self.status.timestamp_validity.timestamp if self.stamped else None

    @property
    def passed(self) -> bool:
        """Tell whether the signature passed."""
        return isinstance(self.sub_indication, AdESPassed)

    def stamped_by(self, stamp: Any) -> "Outcome":
        """Return the outcome with the status of a signature timestamp added."""
        if self.status is None or stamp is None:
            return self
        return replace(self, status=replace(self.status, timestamp_validity=stamp))


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
            answers.append(OCSPResponse.load(one.chosen["other_rev_info"].dump()))
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
            trust_manager=BoundedTrust(roots),
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


def _tries(terms: Terms, carried: Carried) -> Iterator[tuple[RevocationCheckingPolicy, Carried]]:
    """Yield what to demand and what to go by, try after try: ever less, as far as the policy allows."""
    required = terms.policy.revocation == "required"
    if required or carried.revocation:
        yield REQUIRE_REVINFO, carried
    if not required and carried.revocation:
        yield _DEMAND_SIGNER, carried
        yield _DEMAND_NONE, carried
    if not required:
        # what is carried is stale, or about others: it proves nothing, and accuses all the same
        yield _DEMAND_NONE, Carried(carried.certificates)


Validation = Callable[[SignatureValidationSpec], Awaitable[Any]]


async def tried(validate: Validation, terms: Terms, carried: Carried, at: datetime) -> Outcome:
    """Validate, with ever smaller demands while only revocation data is missing."""
    for checking, by in _tries(terms, carried):
        rules = specification(terms, by, checking)
        result = await validate(rules)
        lost = gave_up(rules)
        if lost or result.ades_subindic not in _FOR_WANT_OF_REVOCATION:
            break
    if (
        not lost
        and terms.policy.revocation == "required"
        and result.ades_subindic in _FOR_WANT_OF_REVOCATION
    ):
        less = await validate(specification(terms, Carried(carried.certificates), _DEMAND_NONE))
        if isinstance(less.ades_subindic, AdESPassed):  # nothing else is wrong
            if is_accused(less.api_status, carried, at):  # whatever is missing about others
                return Outcome(
                    less.api_status, AdESIndeterminate.REVOKED_NO_POE, None, checked=False
                )
            missing = AdESIndeterminate.TRY_LATER
            return Outcome(less.api_status, missing, "Revocation is not known.", checked=False)
    checked = checking.ee_certificate_rule is RevocationCheckingRule.CRL_OR_OCSP_REQUIRED
    outcome = Outcome(result.api_status, result.ades_subindic, result.failure_msg, checked, lost)
    if outcome.passed and not checked and is_accused(outcome.status, carried, at):
        return replace(outcome, sub_indication=AdESIndeterminate.REVOKED_NO_POE)
    return outcome


def is_accused(status: Any, carried: Carried, at: datetime) -> bool:
    """Tell whether what is carried accuses a certificate of the path of having been revoked by `at`."""
    return accused(path_of(status), carried.certificates, carried.crls, carried.answers, at)


def _is_of_after(answer: OCSPResponse, last: datetime) -> bool:
    return answer["response_status"].native == "successful" and any(
        one["this_update"].native > last for one in answer.response_data["responses"]
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
