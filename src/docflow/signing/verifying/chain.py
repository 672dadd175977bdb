"""The signer's certificate of a signature that is no CMS: its chain, at the instants that count.

pyHanko's processes of EN 319 102-1 take CMS alone. Where the signature itself was checked by others
(XML), what remains of them is this: certificate, chain, revocation and algorithms, by the same rules,
and the timestamps over the signature.

Source: ETSI EN 319 102-1 5.2.6 (X.509), 5.3 and 5.5 (processes).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asn1crypto import cms, x509
from pyhanko.sign.ades.report import AdESIndeterminate, AdESPassed
from pyhanko.sign.validation.generic_cms import validate_cert_usage
from pyhanko.sign.validation.policy_decl import (
    SignatureValidationSpec,
    bootstrap_validation_data_handlers,
)
from pyhanko.sign.validation.status import StandardCMSSignatureStatus

from docflow.signing.judgement import one_line
from docflow.signing.report import TimestampReport
from docflow.signing.verifying import evidence
from docflow.signing.verifying.description import stamp_report
from docflow.signing.verifying.evidence import Carried, Outcome
from docflow.signing.verifying.stamps import timing
from docflow.signing.verifying.terms import Terms
from docflow.signing.verifying.timed import bounded, judged_stamp


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature whose bytes are right, and whose signer is to be judged.

    Attributes:
        certificate: the signer's.
        mechanism: how it was signed, as X.509 names it.
        digest: the digest of that.
        stamps: timestamp tokens, each with the bytes that it must stamp.
        carried: the validation data that came with it.
    """

    certificate: x509.Certificate
    mechanism: str
    digest: str
    stamps: Sequence[tuple[cms.SignedData, bytes]]
    carried: Carried


@dataclass(frozen=True, slots=True)
class _Result:
    """What `evidence.tried` reads of a result of pyHanko's."""

    ades_subindic: Any
    api_status: Any
    failure_msg: str | None = None


async def judged(signed: Signed, terms: Terms) -> tuple[Outcome, list[TimestampReport]]:
    """Judge a signer at validation time, and if need be at the instant that a timestamp proves.

    The order is that of `timed.judged_cms`.
    """
    stamps = [await _stamp(token, data, signed.carried, terms) for token, data in signed.stamps]
    told = [
        stamp_report(outcome, token)
        for outcome, (token, _) in zip(stamps, signed.stamps, strict=True)
    ]
    good = [one.status for one in stamps if one.passed]
    now = await _at(signed, terms, terms.now)
    if not good:
        return now, told
    first = min(good, key=lambda one: one.timestamp)
    proven = min(first.timestamp, terms.now)  # a clock may be a little ahead of ours
    now = bounded(now, proven)
    if not (now.passed and now.checked):
        then = bounded(await _at(signed, terms, proven), proven)
        if then.passed and (then.checked or not now.passed):
            now = then
    return now.stamped_by(first), told


async def _at(signed: Signed, terms: Terms, moment: datetime) -> Outcome:
    async def validate(spec: SignatureValidationSpec) -> _Result:
        at = timing(moment)
        handlers = bootstrap_validation_data_handlers(spec=spec, timing_info=at)
        context = spec.cert_validation_policy.build_validation_context(
            timing_info=at, handlers=handlers
        )
        context.certificate_registry.register_multiple(signed.carried.certificates)
        try:
            found = await validate_cert_usage(
                signed.certificate,
                context,
                key_usage_settings=spec.key_usage_settings,
                paths=context.path_builder.async_build_paths_lazy(signed.certificate),
            )
        except (
            ValueError
        ) as error:  # a certificate that cannot be read, as pyHanko takes it for CMS
            return _Result(
                AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE, None, one_line(error)
            )
        status = StandardCMSSignatureStatus(
            intact=True,
            valid=True,
            trust_problem_indic=found.error_subindic,
            signing_cert=signed.certificate,
            pkcs7_signature_mechanism=signed.mechanism,
            md_algorithm=signed.digest,
            validation_path=found.success_result or found.error_path,
            revocation_details=found.revo_details,
            error_time_horizon=found.error_time_horizon,
            validation_time=moment,
            qualification_result=None,
        )
        return _Result(found.error_subindic or AdESPassed.OK, status)

    return await evidence.tried(validate, terms, signed.carried, moment)


async def _stamp(token: cms.SignedData, data: bytes, carried: Carried, terms: Terms) -> Outcome:
    known = evidence.of_cms(token).and_also(carried).issued_by(terms.now)
    return await judged_stamp(
        token, lambda algorithm: hashlib.new(algorithm, data).digest(), known, terms, terms.now
    )
