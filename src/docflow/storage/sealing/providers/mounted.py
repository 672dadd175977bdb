"""Key-encryption keys that the environment mounts: Kubernetes secrets, systemd credentials, a RAM disk.

docflow reads them and never writes. A new version is one more file, put there by whoever keeps the
keys; it is used as soon as every process sees it.
"""

from pathlib import Path

from docflow.kernel.errors import ConfigurationError
from docflow.storage.sealing.providers.folder import FolderKeys


class MountedKeys(FolderKeys):
    """A `KeyProvider` over a read-only folder; key files must not be writable by others."""

    def __init__(self, folder: Path) -> None:
        """Open the folder.

        Raises:
            ConfigurationError: if it is not there.
        """
        super().__init__(folder, "mounted", forbidden_mode=0o022)
        self.key_ids()

    def create_next(self, key_id: str) -> int:
        """Refuse; see `KeyProvider.create_next`."""
        version = max(self.versions(key_id), default=0) + 1
        raise ConfigurationError(
            f"Version {version} of the key-encryption key {key_id} is not mounted; docflow does not "
            "make mounted keys.",
            code="key-not-made-here",
            satisfied_by=f"Mount 32 random bytes as {self.path(key_id, version)}.",
        )
