"""Key-encryption keys that the environment mounts: Kubernetes secrets, systemd credentials, a RAM disk.

docflow reads them and never writes. A new version is one more file, put there by whoever keeps the
keys; it is used as soon as every process sees it.

A folder that shows no key at all, where one was seen or something was wrapped, is taken for one that is not
mounted now: that heals by itself, and jobs wait for it. Where other keys are, one that lacks is lost.
"""

from pathlib import Path

from docflow.kernel.errors import ConfigurationError, DocflowError, OutsideUnavailableError
from docflow.storage.sealing.providers.folder import FolderKeys


class MountedKeys(FolderKeys):
    """A `KeyProvider` over a read-only folder; key files must not be writable by others."""

    def __init__(self, folder: Path) -> None:
        """Open the folder.

        Raises:
            ConfigurationError: if it is not there.
        """
        super().__init__(folder, "mounted", forbidden_mode=0o022)
        self._seen = False
        self._seen = bool(self.key_ids())

    def missing(self, key_id: str, version: int) -> DocflowError:
        """See `FolderKeys.missing`: what is asked for by version was there once."""
        self._seen = True
        try:
            self._listed()
        except OutsideUnavailableError as away:
            return away
        return super().missing(key_id, version)

    def _listed(self) -> list[tuple[str, int]]:
        try:
            found = super()._listed()
        except ConfigurationError as error:
            if self._seen:
                raise self._away(error.detail) from None
            raise
        if not found and self._seen:
            raise self._away(f"The folder of key-encryption keys {self.folder} shows no key.")
        self._seen = bool(found)
        return found

    @staticmethod
    def _away(why: str) -> OutsideUnavailableError:
        return OutsideUnavailableError(
            f"{why} Confidential items cannot be opened or sealed until it is mounted again.",
            code="key-provider-unavailable",
        )

    def create_next(self, key_id: str) -> int:
        """Refuse; see `KeyProvider.create_next`."""
        version = max(self.versions(key_id), default=0) + 1
        raise ConfigurationError(
            f"Version {version} of the key-encryption key {key_id} is not mounted; docflow does not "
            "make mounted keys.",
            code="key-not-made-here",
            satisfied_by=f"Mount 32 random bytes as {self.path(key_id, version)}.",
        )
