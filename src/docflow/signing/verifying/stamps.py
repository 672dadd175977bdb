"""The timestamps over one signature: its tokens, and the validation of one of them by itself.

Source: RFC 3161; ETSI EN 319 102-1 5.4.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from asn1crypto import cms
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation.ades import ades_timestamp_validation
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter, message_imprint_checker
from pyhanko.sign.validation.policy_decl import SignatureValidationSpec
from pyhanko.sign.validation.status import TimestampSignatureStatus
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo

MOST_TOKENS = 8
"""How many are validated by themselves; more prove nothing more."""


def timing(now: datetime) -> ValidationTimingInfo:
    """Return the validation time as pyHanko wants it."""
    return ValidationTimingInfo(now, now, point_in_time_validation=True)


def tokens(signed_data: cms.SignedData) -> list[cms.SignedData]:
    """Return the timestamp tokens over the signature."""
    return list(extract_tst_data_iter(extract_signer_info(signed_data), signed=False))


def validation_of(
    token: cms.SignedData, signed_data: cms.SignedData, at: datetime
) -> Callable[[SignatureValidationSpec], Awaitable[Any]]:
    """Return what validates a token over the signature of `signed_data` at the instant `at`."""
    imprint = message_imprint_checker(extract_signer_info(signed_data))

    async def validate(spec: SignatureValidationSpec) -> Any:
        return await ades_timestamp_validation(
            token, spec, imprint, timing_info=timing(at), status_cls=TimestampSignatureStatus
        )

    return validate
