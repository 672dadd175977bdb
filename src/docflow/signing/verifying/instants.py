"""What the instant that a timestamp proves makes of certificates, and what makes a timestamp's time absurd.

Rules:
- What existed before its signer's certificate began is not that signer's, and what is first proven after a
  certificate of its chain ended may have been made with a key that nobody guards any more.
- A timestamp of a time that had not come, or from before its own authority's certificate, proves nothing.
- Clocks differ a little.

pyHanko's process with time takes a timestamp for the cure of an ended certificate without comparing both,
and asks of a certificate that has begun by now nothing about the past (0.38).

Source: ETSI EN 319 102-1 5.5.4 (issuance of the signing certificate), 5.6.2.4 (end of a certificate).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from asn1crypto import x509
from pyhanko.sign.ades.report import AdESFailure, AdESIndeterminate

CLOCK_TOLERANCE: Final = timedelta(minutes=5)

Fault = AdESFailure | AdESIndeterminate
OUT_OF_TIME: Final = frozenset({AdESFailure.NOT_YET_VALID, AdESIndeterminate.OUT_OF_BOUNDS_NO_POE})


def fault_of_signature(path: Sequence[x509.Certificate], proven: datetime) -> Fault | None:
    """Return what is wrong with certificates for a signature first proven to exist at `proven`.

    Args:
        path: the signer's, the anchor first; an anchor has no end here, as in validation.
        proven: the earliest instant that is proven.
    """
    if _not_begun(path, proven):
        return AdESFailure.NOT_YET_VALID
    if any(one.not_valid_after < proven for one in path[1:]):
        return AdESIndeterminate.OUT_OF_BOUNDS_NO_POE
    return None


def fault_of_stamp(path: Sequence[x509.Certificate], told: datetime, at: datetime) -> Fault | None:
    """Return what is wrong with the time that a timestamp tells.

    Args:
        path: its authority's, the anchor first.
        told: the time that it tells.
        at: when it is known to exist: at validation, or when a later timestamp proves it.
    """
    if told > at + CLOCK_TOLERANCE:
        return AdESIndeterminate.TIMESTAMP_ORDER_FAILURE
    return AdESFailure.NOT_YET_VALID if _not_begun(path, told) else None


def _not_begun(path: Sequence[x509.Certificate], moment: datetime) -> bool:
    return bool(path) and moment + CLOCK_TOLERANCE < path[-1].not_valid_before
