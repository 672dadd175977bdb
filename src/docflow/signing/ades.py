"""Which baseline level a signature in a PDF really reaches, by pyHanko's AdES validation, offline.

Rules:
- A level is reached if the validation that EN 319 102-1 describes for it passes with what the file
  carries and the roots given, and nothing else: nothing is fetched.
- B-LTA: the signature is good, with evidence, at the instant of the first archive time stamp after it,
  which also proves when it existed if it has no time stamp of its own (EN 319 142-1, 6.3: B-T by a
  document time stamp); each archive time stamp is good, with evidence, at the instant of the next one;
  the newest is good now.
- Revocation: from B-LT on, every certificate of every chain needs evidence in the file. The one
  exception is the newest archive time stamp when judged later than its evidence reaches: whoever
  judges then has to know by other means that its authority was not revoked (`evidence_may_be_old`).

pyHanko's own `ades_lta_validation` agrees where it answers. It takes today's clock for past instants,
and calls good files INDETERMINATE while certificates last but the OCSP answers inside are old (0.38).

Source: ETSI EN 319 102-1, 5.3, 5.5 and 5.6; EN 319 142-1, 6.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from asn1crypto import crl, ocsp, x509
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.validation.ades import (
    ades_basic_validation,
    ades_timestamp_validation,
    ades_with_time_validation,
)
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.policy_decl import (
    CertificateFetchingRule,
    LocalKnowledge,
    RevinfoOnlineFetchingRule,
    RevocationInfoGatheringSpec,
    SignatureValidationSpec,
)
from pyhanko.sign.validation.status import SignatureCoverageLevel
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.policy_decl import (
    CertRevTrustPolicy,
    RevocationCheckingPolicy,
)
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import CRLContainer, OCSPContainer

from docflow.signing.blocking import blocking
from docflow.signing.levels import LEVELS, Level, reaches
from docflow.signing.purpose import SIGNER_USAGE
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.algorithms import AlgorithmPolicy, DatedAlgorithms, shipped_policy
from docflow.signing.verifying.evidence import path_of
from docflow.signing.verifying.instants import fault_of_signature, fault_of_stamp
from docflow.signing.verifying.stamps import time_told, timing, tokens

_OFFLINE = RevocationInfoGatheringSpec(
    online_fetching_rule=RevinfoOnlineFetchingRule.LOCAL_ONLY,
    certificate_fetching_rule=CertificateFetchingRule.NEVER_FETCH,
)


@dataclass(frozen=True, slots=True)
class Reached:
    """What one signature reaches.

    Attributes:
        field: its field.
        level: the highest level, None if not even B-B.
        why_not_more: the sub-indication that the next level fails with; empty at B-LTA.
        existed_at: the earliest instant at which it is proven to have existed.
    """

    field: str
    level: Level | None
    why_not_more: str
    existed_at: datetime | None


def levels_reached(
    source: Path | BinaryIO,
    roots: TrustRoots,
    *,
    now: datetime,
    evidence_may_be_old: bool = False,
    algorithms: AlgorithmPolicy | None = None,
) -> tuple[Reached, ...]:
    """Return the level of every signature in `source`, time stamps of the document left out.

    Args:
        source: a path or a seekable binary stream.
        roots: of signers and time-stamp authorities.
        now: the validation time.
        evidence_may_be_old: accept the newest archive time stamp's certificate without fresh
            evidence that it is not revoked.
        algorithms: the dated policy; by default the shipped one.

    Raises:
        ValueError: if the file cannot be read as PDF.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            return levels_reached(
                file,
                roots,
                now=now,
                evidence_may_be_old=evidence_may_be_old,
                algorithms=algorithms,
            )
    try:
        reader = PdfFileReader(source)
        dated = DatedAlgorithms(algorithms or shipped_policy(), now)
        judge = _Judge(reader, roots, now, evidence_may_be_old, dated)
        return tuple(judge.reached(one) for one in reader.embedded_regular_signatures)
    except PdfError as error:
        raise ValueError(f"the file cannot be read as PDF: {error}") from error


def level_faults(
    path: Path,
    roots: TrustRoots,
    now: datetime,
    expected: Mapping[str, Level],
    algorithms: AlgorithmPolicy | None = None,
) -> list[str]:
    """Say of every signature that does not reach the level expected of its field why it does not."""
    if all(level == "B-B" for level in expected.values()):
        return []  # judged already
    faults = []
    reached = levels_reached(path, roots, now=now, algorithms=algorithms)
    found = {one.field: one for one in reached}
    for field, level in expected.items():
        one = found.get(field)
        if one is None or one.level is None or not reaches(one.level, level):
            least = one.level if one and one.level else "no level"
            why = f" ({one.why_not_more})" if one else ""
            faults.append(f"The signature {field} reaches {least}{why}, and {level} is expected.")
    return faults


class _Judge:
    def __init__(
        self,
        reader: PdfFileReader,
        roots: TrustRoots,
        now: datetime,
        evidence_may_be_old: bool,
        algorithms: DatedAlgorithms,
    ) -> None:
        self._reader = reader
        self._roots = roots
        self._now = now
        self._evidence_may_be_old = evidence_may_be_old
        self._algorithms = algorithms
        self._knowledge = _knowledge(reader)
        self._stamps = reader.embedded_timestamp_signatures

    def reached(self, embedded: EmbeddedPdfSignature) -> Reached:
        """Try the highest level first: what passes there needs no other check."""
        embedded.compute_integrity_info()  # type: ignore[no-untyped-call]
        checks = (self._archive, self._long_term, self._with_time, self._basic)
        above = ""
        for level, check in zip(reversed(LEVELS), checks, strict=True):
            result, why = check(embedded)
            if not why:
                return Reached(
                    embedded.field_name, level, above, self._existed_at(embedded, level, result)
                )
            above = why
        return Reached(embedded.field_name, None, above, None)

    def _existed_at(
        self, embedded: EmbeddedPdfSignature, level: Level, result: Any
    ) -> datetime | None:
        if level == "B-LTA" and not _has_stamp(embedded):
            return _stamped_at(self._archived(embedded)[0])
        moment: datetime | None = getattr(result, "best_signature_time", None)
        return moment

    def _archived(self, embedded: EmbeddedPdfSignature) -> list[EmbeddedPdfSignature]:
        return [one for one in self._stamps if one.signed_revision > embedded.signed_revision]

    def _basic(self, embedded: EmbeddedPdfSignature) -> tuple[Any, str]:
        return self._plain(embedded, "soft-fail", self._now)

    def _plain(self, embedded: EmbeddedPdfSignature, mode: str, at: datetime) -> tuple[Any, str]:
        result = blocking(
            ades_basic_validation(
                embedded.signed_data,
                self._spec(mode, with_file=mode == "require"),
                timing_info=timing(at),
                raw_digest=embedded.compute_digest(),
            )
        )
        return result, _fault(result)

    def _with_time(self, embedded: EmbeddedPdfSignature) -> tuple[Any, str]:
        if not _has_stamp(embedded):
            return None, "NO_TIME_STAMP"
        return self._timed(embedded, "soft-fail", self._now)

    def _long_term(self, embedded: EmbeddedPdfSignature) -> tuple[Any, str]:
        if not (self._knowledge.known_ocsps or self._knowledge.known_crls):
            return None, "NO_EVIDENCE"
        return self._timed(embedded, "require", self._now)

    def _timed(self, embedded: EmbeddedPdfSignature, mode: str, at: datetime) -> tuple[Any, str]:
        result = blocking(
            ades_with_time_validation(
                embedded.signed_data,
                self._spec(mode, with_file=mode == "require"),
                timing_info=timing(at),
                raw_digest=embedded.compute_digest(),
            )
        )
        return result, _fault(result) or _fault_of_times(result, at)

    def _archive(self, embedded: EmbeddedPdfSignature) -> tuple[Any, str]:
        after = self._archived(embedded)
        if not after:
            return None, "NO_ARCHIVE_TIME_STAMP"
        if self._broken_chain:
            return None, self._broken_chain
        judge = self._timed if _has_stamp(embedded) else self._plain
        return judge(embedded, "require", _stamped_at(after[0]))

    @functools.cached_property
    def _broken_chain(self) -> str:
        """What is wrong with the archive time stamps, nothing if each carries on the one before."""
        for number, stamp in enumerate(self._stamps, 1):
            newest = number == len(self._stamps)
            at = self._now if newest else _stamped_at(self._stamps[number])
            stamp.compute_integrity_info()
            if stamp.coverage < SignatureCoverageLevel.ENTIRE_REVISION:
                return "FORMAT_FAILURE"
            old = newest and self._evidence_may_be_old
            result = blocking(
                ades_timestamp_validation(
                    stamp.signed_data,
                    self._spec("soft-fail" if old else "require", with_file=not old),
                    expected_tst_imprint=stamp.compute_digest,
                    timing_info=timing(at),
                )
            )
            if why := _fault(result) or _fault_of_stamp(result.api_status, at):
                return why
        return ""

    def _spec(self, mode: str, *, with_file: bool) -> SignatureValidationSpec:
        return SignatureValidationSpec(
            cert_validation_policy=self._policy(mode),
            ts_cert_validation_policy=self._policy(mode),
            revinfo_gathering_policy=_OFFLINE,
            local_knowledge=self._knowledge if with_file else LocalKnowledge(),
            key_usage_settings=SIGNER_USAGE,
        )

    def _policy(self, mode: str) -> CertValidationPolicySpec:
        return CertValidationPolicySpec(
            trust_manager=SimpleTrustManager.build(trust_roots=list(self._roots.asn1)),
            revinfo_policy=CertRevTrustPolicy(RevocationCheckingPolicy.from_legacy(mode)),
            algorithm_usage_policy=self._algorithms,
        )


def _stamped_at(stamp: EmbeddedPdfSignature) -> datetime:
    return time_told(stamp.signed_data)


def _has_stamp(embedded: EmbeddedPdfSignature) -> bool:
    return bool(tokens(embedded.signed_data))


def _fault(result: Any) -> str:
    found: Any = result.ades_subindic
    return "" if found == AdESPassed.OK else str(found.name)


def _fault_of_times(result: Any, at: datetime) -> str:
    """Return what is wrong with the times of a good signature's timestamp and certificates."""
    stamp = result.api_status.timestamp_validity
    proven = min(stamp.timestamp, at)
    fault = fault_of_signature(path_of(result.api_status), proven)
    return _fault_of_stamp(stamp, at) or (fault.name if fault else "")


def _fault_of_stamp(status: Any, at: datetime) -> str:
    fault = fault_of_stamp(path_of(status), status.timestamp, at)
    return fault.name if fault else ""


def _knowledge(reader: PdfFileReader) -> LocalKnowledge:
    """Return what the file's own store of evidence holds."""
    try:
        store = DocumentSecurityStore.read_dss(reader)
    except NoDSSFoundError:
        return LocalKnowledge()
    return LocalKnowledge(
        known_ocsps=[
            one
            for ref in store.ocsps
            for one in OCSPContainer.load_multi(ocsp.OCSPResponse.load(ref.get_object().data))
        ],
        known_crls=[
            CRLContainer(crl.CertificateList.load(r.get_object().data)) for r in store.crls
        ],
        known_certs=[x509.Certificate.load(ref.get_object().data) for ref in store.certs.values()],
    )
