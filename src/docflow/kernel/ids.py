"""Identifiers: UUIDv7 (RFC 9562), strictly increasing within a process, as 36-character text.

Rows are listed newest first by their id, so keyset pages need no second column.
"""

import re
import secrets
import threading
import time

_LOCK = threading.Lock()
_last = 0
_PATTERN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

_COUNTER_BITS = 12


def new_id() -> str:
    """Return a new UUIDv7; later calls in this process sort after earlier ones."""
    global _last  # noqa: PLW0603 - the one counter behind strictly increasing ids
    with _LOCK:
        # milliseconds, then a 12-bit fraction of a millisecond as RFC 9562 6.2 method 3 allows
        stamp = (time.time_ns() << _COUNTER_BITS) // 1_000_000
        if stamp <= _last:
            stamp = _last + 1
        _last = stamp
    millis, fraction = stamp >> _COUNTER_BITS, stamp & 0xFFF
    value = (millis & (1 << 48) - 1) << 80 | 0x7 << 76 | fraction << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def is_id(text: str) -> bool:
    """Tell whether `text` has the form of an identifier made by `new_id`."""
    return _PATTERN.fullmatch(text) is not None
