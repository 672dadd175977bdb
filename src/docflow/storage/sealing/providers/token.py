"""Key-encryption keys in a PKCS#11 token (an HSM, a smart card, SoftHSM): they never leave it.

Keys are AES-256 objects made in the token: sensitive, not extractable, for encryption only, labelled
`docflow:ORGANISATION/CLASSIFICATION:vN`, with a random CKA_ID. Tokens do not keep labels unique, so
two processes that rotate at once may both make version N; wrapped bytes begin with the CKA_ID of the
very key, and both stay good. Wrapping is CKM_AES_GCM, so the token must offer it.

How a token is reached, its PIN, lost sessions, turns and the time limit are those of `storage.tokens`.
"""

import re
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from docflow.kernel.errors import (
    ConfigurationError,
    DocflowError,
    IntegrityError,
    OutsideUnavailableError,
    UnavailableError,
)
from docflow.storage.sealing.context import check_key_id
from docflow.storage.sealing.format import KEY_BYTES
from docflow.storage.sealing.keys import NONCE_BYTES, WRAPPED_BYTES, key_missing, refused
from docflow.storage.tokens import CALL_SECONDS, Token, binding, lost, objects, secret_in

_LABEL = re.compile(r"docflow:(?P<key_id>.+):v(?P<version>[1-9][0-9]{0,5})")
_TAG_BITS = 128
_ID_BYTES = 16  # CKA_ID
_T = TypeVar("_T")


class _NoKeyError(Exception):
    """The token shows no such key."""


class TokenKeys(Token):
    """A `KeyProvider` over one PKCS#11 token."""

    writes = True

    def __init__(
        self, module: Path, token_label: str, pin_file: Path, *, seconds: float = CALL_SECONDS
    ) -> None:
        """Log in to a token.

        Args:
            module: the vendor's PKCS#11 library.
            token_label: the token's label.
            pin_file: file with the user PIN on its first line.
            seconds: how long one call may take.

        Raises:
            ConfigurationError: if the library, the token or the PIN is not there or not right.
            UnavailableError: if the token does not answer.
        """
        pin = partial(secret_in, pin_file, "PIN", _unreadable)
        super().__init__(module, token_label, pin, seconds=seconds)
        self._pin_file = pin_file
        self.run(lambda _session: None)

    @property
    def name(self) -> str:
        """See `KeyProvider.name`."""
        return "pkcs11"

    def key_ids(self) -> list[str]:
        """See `KeyProvider.key_ids`."""
        return sorted({key_id for key_id, _ in self._known()})

    def versions(self, key_id: str) -> list[int]:
        """See `KeyProvider.versions`."""
        check_key_id(key_id)
        return sorted({version for known, version in self._known(key_id) if known == key_id})

    def _known(self, key_id: str | None = None) -> list[tuple[str, int]]:
        """Return names and versions of all keys; look twice before there is none of a name."""
        listed = self.run(_listed)
        if not any(key_id in {None, known} for known, _ in listed):
            self.forget()  # who was logged out sees no keys
            listed = self.run(_listed)
        return listed

    def create_next(self, key_id: str) -> int:
        """See `KeyProvider.create_next`."""
        check_key_id(key_id)
        version = max(self.versions(key_id), default=0) + 1
        self.run(lambda session: _make(session, key_id, version))
        return version

    def wrap(self, key_id: str, version: int, data_key: bytes, context: bytes) -> bytes:
        """See `KeyProvider.wrap`."""
        nonce = secrets.token_bytes(NONCE_BYTES)

        def encrypt(session: Any) -> bytes:
            key = self._find(session, key_id, version)
            return bytes(key.id) + nonce + bytes(key.encrypt(data_key, **_gcm(nonce, context)))

        return self._run_with_key(encrypt, key_id, version)

    def unwrap(self, key_id: str, version: int, wrapped: bytes, context: bytes) -> bytes:
        """See `KeyProvider.unwrap`."""
        own, wrapped = wrapped[:_ID_BYTES], wrapped[_ID_BYTES:]
        if len(wrapped) != WRAPPED_BYTES:
            raise refused(key_id, version)

        def decrypt(session: Any) -> bytes:
            key = self._find(session, key_id, version, own)
            return _decrypt(key, wrapped, context, refused(key_id, version))

        return self._run_with_key(decrypt, key_id, version)

    def _run_with_key(self, action: Callable[[Any], _T], key_id: str, version: int) -> _T:
        """Run an action that needs a key; tell a key that is not there from a lost login."""
        try:
            return self.run(action)
        except _NoKeyError:
            self.forget()  # who was logged out sees no keys
        try:
            return self.run(action)
        except _NoKeyError:
            raise key_missing(self.name, key_id, version) from None

    def _find(self, session: Any, key_id: str, version: int, own: bytes | None = None) -> Any:
        """Return a key by label and, where known, CKA_ID; handles are kept while the session lives."""
        name = (key_id, version, own)
        if name not in self.handles:
            found = sorted(_labelled(session, key_id, version, own), key=lambda key: bytes(key.id))
            if not found:
                raise _NoKeyError
            self.handles[name] = found[0]
        return self.handles[name]

    def no_library(self) -> DocflowError:
        """See `Token.no_library`."""
        return ConfigurationError(
            self.library_lacking,
            code="key-provider-missing",
            satisfied_by="Install the token's library, or name the right file.",
        )

    def no_token(self, shown: int) -> DocflowError:
        """See `Token.no_token`."""
        return ConfigurationError(
            f"{self.module} shows {shown or 'no'} tokens labelled {self.label!r}.",
            code="key-token-missing",
            satisfied_by="Put the token in, or name the right one; labels must be unique.",
        )

    def wrong_pin(self, why: str) -> DocflowError:
        """See `Token.wrong_pin`."""
        return ConfigurationError(
            f"The PIN in {self._pin_file} {why} (token {self.label!r}).",
            code="key-pin-refused",
            satisfied_by="Write the right PIN into that file; the token may need its PIN reset.",
        )

    def away(self, why: str) -> UnavailableError:
        """See `Token.away`."""
        return OutsideUnavailableError(
            f"The token {self.label!r} does not answer ({why}); confidential items cannot be opened or "
            "sealed until it does.",
            code="key-provider-unavailable",
        )

    def check(self, token: Any) -> None:
        """See `Token.check`."""
        if binding().Mechanism.AES_GCM not in token.slot.get_mechanisms():
            raise ConfigurationError(
                f"The token {self.label!r} does not offer CKM_AES_GCM, which wrapping needs.",
                code="key-token-unsuitable",
                satisfied_by="Use a token that offers AES-GCM.",
            )


def _unreadable(words: str) -> DocflowError:
    return ConfigurationError(words, code="key-pin-unreadable")


def _gcm(nonce: bytes, context: bytes) -> dict[str, Any]:
    pkcs11 = binding()
    return {
        "mechanism": pkcs11.Mechanism.AES_GCM,
        "mechanism_param": pkcs11.GCMParams(nonce, context, _TAG_BITS),
    }


def _decrypt(key: Any, wrapped: bytes, context: bytes, refusal: IntegrityError) -> bytes:
    """Open a wrapped key; tell a key that does not fit from a token that does not work.

    Tokens name the failure of a tag as they like (SoftHSM: general error). So where opening fails,
    the key has to open something of its own: if it does, the token works and this does not fit.
    """
    pkcs11 = binding()
    try:
        return bytes(key.decrypt(wrapped[NONCE_BYTES:], **_gcm(wrapped[:NONCE_BYTES], context)))
    except lost():
        raise
    except pkcs11.PKCS11Error:
        nonce, probe = secrets.token_bytes(NONCE_BYTES), secrets.token_bytes(KEY_BYTES)
        sealed = bytes(key.encrypt(probe, **_gcm(nonce, b"")))
        if bytes(key.decrypt(sealed, **_gcm(nonce, b""))) == probe:
            raise refusal from None
        raise


def _label(key_id: str, version: int) -> str:
    return f"docflow:{key_id}:v{version}"


def _listed(session: Any) -> list[tuple[str, int]]:
    labels = [
        match
        for key in objects(session, "SECRET_KEY")
        if (match := _LABEL.fullmatch(key.label or ""))
    ]
    return [(match["key_id"], int(match["version"])) for match in labels]


def _labelled(session: Any, key_id: str, version: int, own: bytes | None) -> list[Any]:
    label = _label(key_id, version)
    if own is not None:
        return objects(session, "SECRET_KEY", label=label, id=own)
    return [key for key in objects(session, "SECRET_KEY", label=label) if len(key.id) == _ID_BYTES]


def _make(session: Any, key_id: str, version: int) -> None:
    pkcs11 = binding()
    attribute = pkcs11.Attribute
    session.generate_key(
        pkcs11.KeyType.AES,
        KEY_BYTES * 8,
        id=secrets.token_bytes(_ID_BYTES),
        label=_label(key_id, version),
        store=True,
        template={
            attribute.PRIVATE: True,
            attribute.SENSITIVE: True,
            attribute.EXTRACTABLE: False,
            attribute.MODIFIABLE: False,
            attribute.ENCRYPT: True,
            attribute.DECRYPT: True,
            attribute.WRAP: False,
            attribute.UNWRAP: False,
            attribute.SIGN: False,
            attribute.VERIFY: False,
            attribute.DERIVE: False,
        },
    )
