"""First passwords of new accounts: random, kept in one file that only its owner can read."""

import os
import secrets
from pathlib import Path
from types import TracebackType

_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is misread
_GROUPS, _GROUP = 4, 5


class FirstPasswords:
    """Gives each new account a password and writes it down before the account exists."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = read_credentials(path)

    def __enter__(self) -> "FirstPasswords":
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        return None

    def give(self, login: str) -> str:
        """Return the password for a new account."""
        if login not in self._known:
            groups = (
                "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS)
            )
            self._known[login] = "-".join(groups)
            self._append(login)
        return self._known[login]

    def _append(self, login: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(f"{login} {self._known[login]}\n")
            file.flush()
            os.fsync(file.fileno())


def read_credentials(path: Path) -> dict[str, str]:
    """Return login → first password from a credentials file; empty if there is none."""
    if not path.exists():
        return {}
    pairs = (line.split() for line in path.read_text("utf-8").splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}  # noqa: PLR2004 - login, password
