"""Key-encryption keys in a folder that docflow writes itself: for development.

Whoever copies the disk has the keys beside what they seal. So this provider announces itself, and
production refuses it unless it was expressly allowed.
"""

import os
import secrets
import warnings
from pathlib import Path

from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning, UnavailableError
from docflow.kernel.ids import new_id
from docflow.storage.sealing.format import KEY_BYTES
from docflow.storage.sealing.providers.folder import FolderKeys


class LocalKeys(FolderKeys):
    """A `KeyProvider` in a folder of its own, readable by its owner only."""

    def __init__(self, folder: Path, *, production: bool = False, allowed: bool = False) -> None:
        """Open the folder, or make it.

        Args:
            folder: the folder; best not on the disk that holds what is sealed.
            production: whether insecure stand-ins are refused.
            allowed: whether this one was expressly allowed all the same.

        Raises:
            ConfigurationError: in production, unless allowed; or if the folder cannot be made.
        """
        if production and not allowed:
            raise ConfigurationError(
                f"Key-encryption keys would lie in files that docflow writes ({folder}); production "
                "keeps them apart.",
                code="local-keys-refused",
                rule="no-development-keys",
                satisfied_by="Set DOCFLOW_KEY_PROVIDER to `pkcs11` or `mounted`, or allow this with "
                "DOCFLOW_KEY_FILES_ALLOWED=true.",
            )
        warnings.warn(
            f"confidential items are sealed with key files in {folder}; not for production",
            DevelopmentModeWarning,
            stacklevel=2,
        )
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise ConfigurationError(
                f"The folder of key-encryption keys {folder} cannot be made: {error.strerror}.",
                code="key-folder-unreadable",
            ) from error
        super().__init__(folder, "file", forbidden_mode=0o077)

    def create_next(self, key_id: str) -> int:
        """See `KeyProvider.create_next`."""
        partial = self.folder / f"{new_id()}.part"
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            version = self._link_next(partial, key_id)
            partial.unlink()
            _sync(self.folder)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise UnavailableError(
                f"A key cannot be written to {self.folder}: {error.strerror}.",
                code="key-unwritable",
            ) from error
        return version

    def _link_next(self, partial: Path, key_id: str) -> int:
        """Give the new key the next free version; a version that another took meanwhile stays."""
        while True:
            version = max(self.versions(key_id), default=0) + 1
            try:
                os.link(partial, self.path(key_id, version))
            except FileExistsError:
                continue
            return version


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
