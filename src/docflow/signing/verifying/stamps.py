"""The timestamps over one signature: its tokens, and how an instant is told to pyHanko.

Source: RFC 3161; ETSI EN 319 102-1 5.4.
"""

from datetime import datetime

from asn1crypto import cms
from pyhanko.sign.general import extract_signer_info
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo

MOST_TOKENS = 8
"""How many are validated by themselves; more prove nothing more."""


def timing(now: datetime) -> ValidationTimingInfo:
    """Return the validation time as pyHanko wants it."""
    return ValidationTimingInfo(now, now, point_in_time_validation=True)


def tokens(signed_data: cms.SignedData) -> list[cms.SignedData]:
    """Return the timestamp tokens over the signature."""
    return list(extract_tst_data_iter(extract_signer_info(signed_data), signed=False))


def time_told(token: cms.SignedData) -> datetime:
    """Return the instant that a timestamp token tells; whether it is to be believed is not asked."""
    told: datetime = token["encap_content_info"]["content"].parsed["gen_time"].native
    return told
