"""A column type for sealed text: it stores what was sealed, refuses plaintext, and gives no plaintext.

Sealing is not this room's business: the column is told which class sealed texts are of (it has a
`token` and is made from one, raising where the token is none), and moves tokens to and fro.
"""

from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.types import TypeDecorator


class Sealed(Protocol):
    """A text that was sealed; printing it shows nothing."""

    token: str


class EncryptedText(TypeDecorator[Sealed]):
    """A text column that holds sealed texts only."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, sealed: Callable[[object], Sealed]) -> None:
        """Take the class of sealed texts; it refuses a token that is not sealed."""
        super().__init__()
        self.sealed = sealed

    def process_bind_param(self, value: Sealed | None, _dialect: Dialect) -> str | None:
        """Refuse plaintext, without repeating it.

        Raises:
            TypeError: if the value is not of the class of sealed texts.
        """
        if value is None:
            return None
        if not (isinstance(self.sealed, type) and isinstance(value, self.sealed)):
            raise TypeError(f"a sealed column takes sealed text only, not {type(value).__name__}")
        token: str = self.sealed(value.token).token
        return token

    def process_result_value(self, value: Any, _dialect: Dialect) -> Sealed | None:
        """Return the sealed text; what is not sealed is refused."""
        return None if value is None else self.sealed(value)

    def process_literal_param(self, value: Any, dialect: Dialect) -> str:
        """Refuse plaintext in literals too."""
        token = self.process_bind_param(value, dialect)
        return "NULL" if token is None else f"'{token}'"
