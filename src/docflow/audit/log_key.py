"""The history log's signing key: an Ed25519 signed-note key in a file of its own.

Rules: the key's name is the log's origin, so that a proof file and a public key are all that a
stranger needs. In development the key is made on first start, readable by its owner only; in
production it must be there, for a log whose key was made by accident proves nothing.
"""

import os
import warnings
from pathlib import Path

from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning
from docflow.kernel.ids import new_id
from docflow.transparency.errors import KeyFormatError
from docflow.transparency.note import SigningKey

_FORBIDDEN_BITS = 0o077


def load_or_create_log_key(path: Path, origin: str, production: bool) -> SigningKey:
    """Return the log's signing key.

    Args:
        path: the key's file: one line, `PRIVATE+KEY+name+id+base64`.
        origin: the log's name, which the key must have.
        production: refuse to make a key, and a file that others may read.

    Raises:
        ConfigurationError: if the file is missing (in production), unreadable, open to others (in
            production), not a key, or another log's key.
    """
    if not path.exists():
        if production:
            raise ConfigurationError(
                f"The history log's key {path} is missing; production does not make one. Make it "
                f"with `docflow audit key --create {path}`, keep a copy apart, and name it in "
                "DOCFLOW_LOG_KEY_FILE.",
                code="log-key-missing",
            )
        create_log_key(path, origin)
    if not production:
        warnings.warn(
            f"the history log is signed with the development key {path}; not for production",
            DevelopmentModeWarning,
            stacklevel=2,
        )
    return load_log_key(path, origin, production=production)


def load_log_key(path: Path, origin: str, *, production: bool = False) -> SigningKey:
    """Return the key in a file.

    Raises:
        ConfigurationError: as `load_or_create_log_key`.
    """
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The history log's key {path} cannot be read: {error}.", code="log-key-unreadable"
        ) from error
    if production and mode & _FORBIDDEN_BITS:
        raise ConfigurationError(
            f"The history log's key {path} is open to others (mode {mode & 0o777:04o}); "
            "make it readable by the service alone: chmod 600.",
            code="log-key-open",
        )
    try:
        key = SigningKey.parse(text)
    except KeyFormatError as error:
        raise ConfigurationError(
            f"{path} does not hold a history log's key: {error.detail}", code="log-key-malformed"
        ) from error
    if key.verifier.name != origin:
        raise ConfigurationError(
            f"The key {path} is of the log {key.verifier.name!r}, and DOCFLOW_LOG_ORIGIN is "
            f"{origin!r}; a log's key bears the log's name.",
            code="log-key-of-another-log",
        )
    return key


def create_log_key(path: Path, origin: str) -> SigningKey:
    """Make a key, durably, readable by its owner only; if another process was first, take its.

    Raises:
        ConfigurationError: if the origin cannot be a key's name, or the file cannot be written.
    """
    try:
        key = SigningKey.generate(origin)
    except KeyFormatError as error:
        raise ConfigurationError(
            f"DOCFLOW_LOG_ORIGIN {origin!r} cannot name a log: {error.detail}"
        ) from error
    partial = path.with_name(f".{path.name}.{new_id()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(partial, key.export() + "\n")
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        os.link(partial, path)  # whole, or not there; and never over another key
    except FileExistsError:
        return load_log_key(path, origin)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        partial.unlink(missing_ok=True)
    return key


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"The history log's key cannot be written to {path}: {error.strerror}.",
        code="log-key-unwritable",
    )
