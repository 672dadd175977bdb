"""Bearer tokens: how they look, and the digest that is all the database ever holds of one.

`dfs_` is a session, `dfk_` an API key; 43 characters of base64url follow, which are 256 random bits.
With that many bits a plain SHA-256 is enough to store; slow hashing is for what people choose.
"""

import re
import secrets
from typing import Final, Literal

from docflow.kernel.canonical import sha256_hex

TokenKind = Literal["session", "key"]

_PREFIXES: Final[dict[TokenKind, str]] = {"session": "dfs_", "key": "dfk_"}
_RANDOM_BYTES: Final = 32
_FORM: Final = re.compile(r"(df[sk]_)[A-Za-z0-9_-]{43}")


def new_token(kind: TokenKind) -> str:
    """Return a new random token; it is shown once and never stored."""
    return _PREFIXES[kind] + secrets.token_urlsafe(_RANDOM_BYTES)


def token_digest(token: str) -> str:
    """Return the SHA-256 under which a token is stored, as 64 hexadecimal digits."""
    return sha256_hex(token.encode())


def kind_of(token: str) -> TokenKind | None:
    """Return what a text claims to be a token for, None if it has no token's form."""
    match = _FORM.fullmatch(token)
    if match is None:
        return None
    return "session" if match[1] == _PREFIXES["session"] else "key"
