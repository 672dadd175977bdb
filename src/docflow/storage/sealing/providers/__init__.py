"""Places where key-encryption keys live: a local folder, mounted secrets, a PKCS#11 token.

Each is a `docflow.storage.sealing.keys.KeyProvider`. A key management service is one more file here.
"""

from docflow.storage.sealing.providers.local import LocalKeys
from docflow.storage.sealing.providers.mounted import MountedKeys
from docflow.storage.sealing.providers.options import KeyOptions, ProviderName, open_keyring
from docflow.storage.sealing.providers.token import TokenKeys

__all__ = ["KeyOptions", "LocalKeys", "MountedKeys", "ProviderName", "TokenKeys", "open_keyring"]
