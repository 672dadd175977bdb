"""Which key providers an instance uses, and opening them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from docflow.kernel.errors import ConfigurationError
from docflow.storage.sealing.keys import KeyProvider, Keyring
from docflow.storage.sealing.providers.local import LocalKeys
from docflow.storage.sealing.providers.mounted import MountedKeys
from docflow.storage.sealing.providers.token import TokenKeys

ProviderName = Literal["file", "mounted", "pkcs11"]


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """Where key-encryption keys live.

    Args:
        provider: the provider in use.
        earlier: providers that envelopes may still name, until `docflow keys rotate` has moved them.
        local_folder: for `file`.
        mounted_folder: for `mounted`.
        module: for `pkcs11`: the vendor's library.
        token: for `pkcs11`: the token's label.
        pin_file: for `pkcs11`: file with the user PIN.
        production: refuse `file`.
        local_allowed: unless this was said expressly.
    """

    provider: ProviderName = "file"
    earlier: tuple[ProviderName, ...] = ()
    local_folder: Path | None = None
    mounted_folder: Path | None = None
    module: Path | None = None
    token: str = ""
    pin_file: Path | None = None
    production: bool = False
    local_allowed: bool = False


def open_keyring(options: KeyOptions) -> Keyring:
    """Open the provider in use and the earlier ones.

    Raises:
        ConfigurationError: if one is not configured, not there, refuses us, or is refused here.
        UnavailableError: if one does not answer.
    """
    earlier = [_open(name, options) for name in options.earlier if name != options.provider]
    return Keyring(_open(options.provider, options), *earlier)


def _open(name: ProviderName, options: KeyOptions) -> KeyProvider:
    match name:
        case "file" if options.local_folder is not None:
            return LocalKeys(
                options.local_folder,
                production=options.production,
                allowed=options.local_allowed,
            )
        case "mounted" if options.mounted_folder is not None:
            return MountedKeys(options.mounted_folder)
        case "pkcs11" if options.module and options.token and options.pin_file:
            return TokenKeys(options.module, options.token, options.pin_file)
    wanted = {
        "file": "the folder of its key files (DOCFLOW_KEY_FOLDER)",
        "mounted": "the folder where the keys are mounted (DOCFLOW_KEY_MOUNTED_FOLDER)",
        "pkcs11": "the library, the token's label and the PIN file (DOCFLOW_KEY_PKCS11_MODULE, "
        "DOCFLOW_KEY_PKCS11_TOKEN, DOCFLOW_KEY_PKCS11_PIN_FILE)",
    }
    raise ConfigurationError(
        f"The key provider {name!r} is chosen but not set up.",
        code="key-provider-missing",
        satisfied_by=f"Name {wanted[name]}.",
    )
