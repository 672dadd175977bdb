"""Passwords: Argon2id (RFC 9106), what makes one acceptable, and checks that take equally long.

Rules (NIST SP 800-63B 5.1.1.2, OWASP ASVS 2.1): at least 12 characters and at most 128, any
characters but control ones, no composition rules, no expiry; not the login and not a very common
one. Text is normalised (NFKC) before hashing, so that the same keys give the same password on
every keyboard. A login that does not exist costs one hash too.
"""

import secrets
import unicodedata
from functools import cached_property
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from docflow.kernel.errors import FieldProblem, InvalidInputError

MIN_LENGTH: Final = 12  # characters
MAX_LENGTH: Final = 128  # characters

_RUN: Final = 3  # a password of so few different characters is no password
_COMMON: Final = frozenset(
    {
        "000000000000", "111111111111", "121212121212", "123123123123", "1234567890123",
        "123456789012", "123456789123", "1234567891011", "1q2w3e4r5t6y", "abcdefghijkl",
        "administrator", "adminadminadmin", "changemechangeme", "correcthorsebatterystaple",
        "iloveyou1234", "letmeinletmein", "matkhaumatkhau", "motdenchinmuoi", "p@ssw0rd1234",
        "password1234", "password12345", "password123456", "passwordpassword", "q1w2e3r4t5y6",
        "qwerty123456", "qwertyuiop12", "qwertyuiop123", "qwertyuiopas", "vanphong1234",
        "welcome12345", "zxcvbnm12345",
    }
)  # fmt: skip


class Passwords:
    """Hashes and checks passwords with one set of Argon2id parameters."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """Use `hasher`, or Argon2id with argon2-cffi's defaults (RFC 9106, low memory)."""
        self._hasher = hasher or PasswordHasher()

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        """Return the encoded hash of a password."""
        return self._hasher.hash(_normal(password))

    def verify(self, stored: str | None, password: str) -> bool:
        """Tell whether the password is right; without a stored hash, take as long and say no."""
        nobody = self._nobody  # made before the first check of either kind, so both wait for it
        try:
            self._hasher.verify(stored or nobody, _normal(password)[: MAX_LENGTH * 4])
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def outdated(self, stored: str) -> bool:
        """Tell whether a hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)


def check_new_password(password: str, login: str, *, pointer: str = "/password") -> None:
    """Refuse a password that is too easy to guess; the refusal never repeats it.

    Raises:
        InvalidInputError: with code `weak-password` and what would be right.
    """
    problem = _problem(_normal(password), login)
    if problem is not None:
        raise InvalidInputError(
            f"This password cannot be used: {problem}.",
            code="weak-password",
            rule="password-policy",
            satisfied_by=f"Choose {MIN_LENGTH} to {MAX_LENGTH} characters that are not common "
            "and not the login; a few words in a row do well.",
            fields=[FieldProblem(pointer, problem)],
        )


def _problem(password: str, login: str) -> str | None:
    folded = password.casefold()
    if len(password) < MIN_LENGTH:
        return f"it has fewer than {MIN_LENGTH} characters"
    if len(password) > MAX_LENGTH:
        return f"it has more than {MAX_LENGTH} characters"
    if any(unicodedata.category(char) in {"Cc", "Cs"} for char in password):
        return "it holds control characters"
    if folded.strip() == login.casefold():
        return "it is the login itself"
    if folded in _COMMON or len(set(folded)) < _RUN:
        return "it is one of the first that anyone would try"
    return None


def _normal(password: str) -> str:
    # a lone surrogate cannot be encoded; it becomes what no acceptable password holds
    clean = password.encode("utf-8", "replace").decode("utf-8")
    return unicodedata.normalize("NFKC", clean)
