"""Canonical JSON (RFC 8785, JCS) for values without floating-point numbers, and digests.

History entries hold text, integers, booleans, null, lists and objects only; a float is refused
because its canonical form depends on ECMAScript number printing.
"""

import hashlib
from json.encoder import encode_basestring as _text  # quotes and escapes as RFC 8785 3.2.2.2 says
from typing import Any

_MAX_INTEGER = 2**53 - 1  # RFC 8785 3.2.2.3: what an IEEE double holds exactly


def canonical_json(value: Any) -> bytes:
    """Return the canonical UTF-8 form of `value`.

    Raises:
        ValueError: on a float, an integer beyond 2^53-1, a lone surrogate or a non-text key.
        TypeError: on a value that JSON has no form for.
    """
    try:
        return _write(value).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("canonical JSON refuses lone surrogates") from error


def _write(value: Any) -> str:
    match value:
        case str():
            return _text(value)
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            if abs(value) > _MAX_INTEGER:
                raise ValueError(f"{value} is beyond the integers canonical JSON can hold")
            return str(value)
        case float():
            raise ValueError("canonical JSON here holds no floating-point numbers")
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise ValueError("canonical JSON keys are text")
            pairs = sorted(value.items(), key=lambda pair: pair[0].encode("utf-16-be"))
            return "{" + ",".join(f"{_text(k)}:{_write(v)}" for k, v in pairs) + "}"
        case list() | tuple():
            return "[" + ",".join(_write(item) for item in value) + "]"
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical JSON form")


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
