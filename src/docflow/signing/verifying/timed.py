"""A signature with its timestamps, each judged at the instant that counts.

Rules:
- A timestamp counts if it is good and its time can be true; of several, the earliest.
- A timestamp that proves nothing takes nothing away: what is left is the signature without it.
- What is first proven before the signer's certificate began is not the signer's; what is first proven after
  a certificate of the chain ended is not proven to be older than that end.

Source: ETSI EN 319 102-1 5.4 (timestamps), 5.5 (with time), 5.6.2.4 (past validation).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from asn1crypto import cms
from pyhanko.sign.ades.report import AdESIndeterminate, AdESPassed
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation.ades import (
    ades_basic_validation,
    ades_timestamp_validation,
    ades_with_time_validation,
)
from pyhanko.sign.validation.generic_cms import message_imprint_checker
from pyhanko.sign.validation.policy_decl import SignatureValidationSpec
from pyhanko.sign.validation.status import TimestampSignatureStatus

from docflow.signing.verifying.evidence import Carried, Outcome, Validation, path_of, tried
from docflow.signing.verifying.instants import fault_of_signature, fault_of_stamp
from docflow.signing.verifying.stamps import MOST_TOKENS, timing, tokens
from docflow.signing.verifying.terms import Terms

# What a timestamp that cannot be trusted may bring upon a signature that is good without it.
_LESS_THAN_FAILED = frozenset(
    {*AdESPassed, *AdESIndeterminate} - {AdESIndeterminate.TIMESTAMP_ORDER_FAILURE}
)
# What the times of the certificates may have more to say about.
_ABOUT_TIME = frozenset(
    {
        *AdESPassed,
        AdESIndeterminate.CERTIFICATE_CHAIN_GENERAL_FAILURE,
        AdESIndeterminate.OUT_OF_BOUNDS_NO_POE,
    }
)


def bounded(outcome: Outcome, proven: datetime | None) -> Outcome:
    """Return the outcome held against the times of the certificates.

    Args:
        outcome: of a signature.
        proven: the earliest instant at which it is proven to exist; None if there is none.
    """
    if proven is None or outcome.sub_indication not in _ABOUT_TIME:
        return outcome
    fault = fault_of_signature(path_of(outcome.status), proven)
    return replace(outcome, sub_indication=fault) if fault else outcome


async def judged_stamp(
    token: cms.SignedData,
    imprint: Callable[[str], bytes],
    carried: Carried,
    terms: Terms,
    at: datetime,
) -> Outcome:
    """Judge a timestamp of any kind by itself.

    Args:
        token: the token.
        imprint: digest of what it must stamp, by the name of the algorithm.
        carried: the validation data at hand.
        terms: the terms.
        at: the validation time, or one at which a later timestamp proves that this one existed.
    """

    async def validate(spec: SignatureValidationSpec) -> Any:
        return await ades_timestamp_validation(
            token, spec, imprint, timing_info=timing(at), status_cls=TimestampSignatureStatus
        )

    outcome = await tried(validate, terms, carried, at)
    if not outcome.passed:
        return outcome
    fault = fault_of_stamp(path_of(outcome.status), outcome.status.timestamp, at)
    return replace(outcome, sub_indication=fault) if fault else outcome


def judged_over(
    token: cms.SignedData, signed_data: cms.SignedData, carried: Carried, terms: Terms, at: datetime
) -> Any:
    """Judge a timestamp over the signature of `signed_data`; to be awaited."""
    imprint = message_imprint_checker(extract_signer_info(signed_data))
    return judged_stamp(token, imprint, carried, terms, at)


async def judged_cms(
    signed_data: cms.SignedData,
    raw_digest: bytes | None,
    carried: Carried,
    terms: Terms,
    archived: datetime | None,
) -> Outcome:
    """Judge one signature: at validation time, and if need be at the one its timestamp proves.

    What was good at an instant at which it is proven to exist stays good: neither the end of a
    certificate nor a later revocation takes that away (EN 319 102-1 5.6.2.4).

    Args:
        signed_data: with exactly one signer.
        raw_digest: of the detached data, by the signer's digest; None if the data is inside.
        carried: the validation data at hand.
        terms: the terms.
        archived: when an archive timestamp over it proves that it existed, if one does; it is then judged
            at that instant.
    """
    at = archived or terms.now
    found = await _earliest_good(signed_data, carried, terms, at)
    subject = signed_data if found is None else _with_only(signed_data, found[0])

    def by(validate: Any, moment: datetime) -> Validation:
        async def once(spec: SignatureValidationSpec) -> Any:
            return await validate(subject, spec, timing_info=timing(moment), raw_digest=raw_digest)

        return once

    if found is None:
        return bounded(await tried(by(ades_basic_validation, at), terms, carried, at), archived)
    stamp = found[1]
    proven = min(stamp.timestamp, at)  # a clock may be a little ahead of ours
    timed = bounded(await tried(by(ades_with_time_validation, at), terms, carried, at), proven)
    if (timed.passed and timed.checked) or timed.sub_indication not in _LESS_THAN_FAILED:
        return timed.stamped_by(stamp)
    plain = await tried(by(ades_basic_validation, proven), terms, carried, proven)
    plain = bounded(plain, proven)
    better = plain.passed and (plain.checked or not timed.passed)
    return (plain if better else timed).stamped_by(stamp)


async def _earliest_good(
    signed_data: cms.SignedData, carried: Carried, terms: Terms, at: datetime
) -> tuple[cms.SignedData, Any] | None:
    """Return the signature's earliest timestamp that counts, with its status; None if there is none.

    pyHanko's process with time takes the first good one, and breaks off at a signature whose algorithm has
    ended, before it looks at the timestamp that may be older than that end (0.38; EN 319 102-1 5.5.4).
    """
    good = []
    for token in tokens(signed_data)[:MOST_TOKENS]:
        outcome = await judged_over(token, signed_data, carried, terms, at)
        if outcome.passed:
            good.append((token, outcome.status))
    return min(good, key=lambda one: one[1].timestamp, default=None)


def _with_only(signed_data: cms.SignedData, token: cms.SignedData) -> cms.SignedData:
    """Return the SignedData with this timestamp alone over its signature; nothing signed is touched."""
    alone = signed_data.copy()
    kept = cms.ContentInfo({"content_type": "signed_data", "content": token})
    stamp = cms.CMSAttribute({"type": "signature_time_stamp_token", "values": [kept]})
    alone["signer_infos"][0]["unsigned_attrs"] = cms.CMSAttributes([stamp])
    return alone
