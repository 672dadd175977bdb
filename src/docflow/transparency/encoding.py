"""Strict text forms shared by notes, checkpoints and proof files: base64 and decimal numbers.

One value has one form: padding bits must be zero and a number has no sign and no leading zero, so
nobody can make a second file that means the same.
"""

import base64
import re

MAX_SIZE = 2**63 - 1  # of a log, in leaves

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def to_base64(data: bytes) -> str:
    """Return the padded standard base64 of `data` (RFC 4648 section 4)."""
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    """Return what `to_base64` encoded.

    Raises:
        ValueError: if `text` is not the one canonical form.
    """
    data = base64.b64decode(text, validate=True)
    if to_base64(data) != text:
        raise ValueError("not canonical base64")
    return data


def from_decimal(text: str) -> int:
    """Return the number that `text` writes in ASCII digits without leading zeros.

    Raises:
        ValueError: if `text` is anything else, or beyond 2^63-1.
    """
    if _DECIMAL.fullmatch(text) is None or (number := int(text)) > MAX_SIZE:
        raise ValueError("not a decimal number without leading zeros")
    return number
