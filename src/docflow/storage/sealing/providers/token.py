"""Key-encryption keys in a PKCS#11 token (an HSM, a smart card, SoftHSM): they never leave it.

Keys are AES-256 objects made in the token: sensitive, not extractable, for encryption only, labelled
`docflow:ORGANISATION/CLASSIFICATION:vN`, with a random CKA_ID. Tokens do not keep labels unique, so
two processes that rotate at once may both make version N; wrapped bytes begin with the CKA_ID of the
very key, and both stay good. Wrapping is CKM_AES_GCM, so the token must offer it.

Rules: the PIN is read from its file at each login and is in no error, log or representation. A PIN
that the token refused is not tried again until its file changes, for tokens lock after a few tries.
A session that is lost is opened again once per call. Calls into the library take turns, because it is
initialised without locking; use a token apart from the one that signs, for a logout is the token's.
"""

import re
import secrets
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from docflow.kernel.errors import ConfigurationError, IntegrityError, UnavailableError
from docflow.storage.sealing.context import check_key_id
from docflow.storage.sealing.format import KEY_BYTES
from docflow.storage.sealing.keys import NONCE_BYTES, WRAPPED_BYTES, key_missing, refused

_LABEL = re.compile(r"docflow:(?P<key_id>.+):v(?P<version>[1-9][0-9]{0,5})")
_TAG_BITS = 128
_ID_BYTES = 16  # CKA_ID
LIBRARY = threading.RLock()  # one for all PKCS#11 libraries of a process; signing takes it too
_T = TypeVar("_T")


class _NoKeyError(Exception):
    """The token shows no such key."""


class TokenKeys:
    """A `KeyProvider` over one PKCS#11 token."""

    def __init__(self, module: Path, token_label: str, pin_file: Path) -> None:
        """Log in to a token.

        Args:
            module: the vendor's PKCS#11 library.
            token_label: the token's label.
            pin_file: file with the user PIN on its first line.

        Raises:
            ConfigurationError: if the library, the token or the PIN is not there or not right.
            UnavailableError: if the token does not answer.
        """
        self._module = module
        self._label = token_label
        self._pin_file = pin_file
        self._session: Any = None
        self._handles: dict[tuple[str, int, bytes | None], Any] = {}
        self._refused_pin: int | None = None  # when the file with the refused PIN was written
        self._run(lambda _session: None)

    @property
    def name(self) -> str:
        """See `KeyProvider.name`."""
        return "pkcs11"

    def __repr__(self) -> str:
        return f"TokenKeys({self._label!r})"

    def close(self) -> None:
        """Log out."""
        with LIBRARY:
            self._drop()

    def key_ids(self) -> list[str]:
        """See `KeyProvider.key_ids`."""
        return sorted({key_id for key_id, _ in self._known()})

    def versions(self, key_id: str) -> list[int]:
        """See `KeyProvider.versions`."""
        check_key_id(key_id)
        return sorted({version for known, version in self._known(key_id) if known == key_id})

    def _known(self, key_id: str | None = None) -> list[tuple[str, int]]:
        """Return names and versions of all keys; look twice before there is none of a name."""
        listed = self._run(_listed)
        if not any(key_id in {None, known} for known, _ in listed):
            with LIBRARY:
                self._drop()  # who was logged out sees no keys
            listed = self._run(_listed)
        return listed

    def create_next(self, key_id: str) -> int:
        """See `KeyProvider.create_next`."""
        check_key_id(key_id)
        version = max(self.versions(key_id), default=0) + 1
        self._run(lambda session: _make(session, key_id, version))
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
            return self._run(action)
        except _NoKeyError:
            with LIBRARY:
                self._drop()  # who was logged out sees no keys
        try:
            return self._run(action)
        except _NoKeyError:
            raise key_missing(self.name, key_id, version) from None

    def _find(self, session: Any, key_id: str, version: int, own: bytes | None = None) -> Any:
        """Return a key by label and, where known, CKA_ID; handles are kept while the session lives."""
        name = (key_id, version, own)
        if name not in self._handles:
            found = sorted(_labelled(session, key_id, version, own), key=lambda key: bytes(key.id))
            if not found:
                raise _NoKeyError
            self._handles[name] = found[0]
        return self._handles[name]

    def _run(self, action: Callable[[Any], _T]) -> _T:
        """Run an action in a session; once more, in a new one, if the session was lost."""
        pkcs11 = _library()
        lost = _lost(pkcs11)
        with LIBRARY:
            fresh = self._session is None
            try:
                return self._try(pkcs11, action)
            except lost as error:
                self._drop()
                if fresh:
                    self._unavailable(error)
            try:
                return self._try(pkcs11, action)
            except lost as error:
                self._drop()
                self._unavailable(error)

    def _try(self, pkcs11: Any, action: Callable[[Any], _T]) -> _T:
        if self._session is None:
            self._session = self._open(pkcs11)
        try:
            return action(self._session)
        except _lost(pkcs11):
            raise
        except pkcs11.PKCS11Error as error:
            self._drop()
            self._unavailable(error)

    def _open(self, pkcs11: Any) -> Any:
        token = self._token(pkcs11)
        pin, written = self._read_pin()
        if written == self._refused_pin:
            raise self._wrong_pin(
                "was refused before and is not tried again, or the token would lock"
            )
        try:
            return token.open(rw=True, user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by another session of this process
            return token.open(rw=True)
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
            self._refused_pin = written
            raise self._wrong_pin("is wrong") from None
        except (pkcs11.PinLocked, pkcs11.PinExpired) as error:
            self._refused_pin = written
            raise self._wrong_pin(f"is no longer accepted ({type(error).__name__})") from None
        except pkcs11.PKCS11Error as error:
            self._unavailable(error)

    def _token(self, pkcs11: Any) -> Any:
        try:
            library = pkcs11.lib(str(self._module))
            found = list(library.get_tokens(token_label=self._label))
        except pkcs11.PKCS11Error as error:
            if not self._module.is_file():
                raise ConfigurationError(
                    f"There is no PKCS#11 library {self._module}.",
                    code="key-provider-missing",
                    satisfied_by="Install the token's library, or name the right file.",
                ) from None
            self._unavailable(error)
        if len(found) != 1:
            raise ConfigurationError(
                f"{self._module} shows {len(found) or 'no'} tokens labelled {self._label!r}.",
                code="key-token-missing",
                satisfied_by="Put the token in, or name the right one; labels must be unique.",
            )
        if pkcs11.Mechanism.AES_GCM not in found[0].slot.get_mechanisms():
            raise ConfigurationError(
                f"The token {self._label!r} does not offer CKM_AES_GCM, which wrapping needs.",
                code="key-token-unsuitable",
                satisfied_by="Use a token that offers AES-GCM.",
            )
        return found[0]

    def _read_pin(self) -> tuple[str, int]:
        try:
            written = self._pin_file.stat().st_mtime_ns
            lines = self._pin_file.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(
                f"The PIN file {self._pin_file} cannot be read: {why}.", code="key-pin-unreadable"
            ) from None
        if not lines or not lines[0]:
            raise ConfigurationError(
                f"The PIN file {self._pin_file} is empty.", code="key-pin-unreadable"
            )
        return lines[0], written

    def _wrong_pin(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"The PIN in {self._pin_file} {why} (token {self._label!r}).",
            code="key-pin-refused",
            satisfied_by="Write the right PIN into that file; the token may need its PIN reset.",
        )

    def _drop(self) -> None:
        session, self._session = self._session, None
        self._handles.clear()
        if session is not None:
            try:
                session.close()
            except _library().PKCS11Error:
                return  # the token is gone, and the session with it

    def _unavailable(self, error: Exception) -> NoReturn:
        raise UnavailableError(
            f"The token {self._label!r} does not answer ({type(error).__name__}); confidential items "
            "cannot be opened or sealed until it does.",
            code="key-provider-unavailable",
        ) from None


def _library() -> Any:
    """Return the binding; it is loaded where a token is used, and nowhere else."""
    import pkcs11

    return pkcs11


def _lost(pkcs11: Any) -> tuple[type[Exception], ...]:
    """What tells that a session or its handles are no longer good, and a new one may be."""
    return (
        pkcs11.DeviceError,
        pkcs11.DeviceRemoved,
        pkcs11.FunctionFailed,
        pkcs11.KeyHandleInvalid,
        pkcs11.ObjectHandleInvalid,
        pkcs11.SessionClosed,
        pkcs11.SessionHandleInvalid,
        pkcs11.TokenNotPresent,
        pkcs11.UserNotLoggedIn,
    )


def _gcm(nonce: bytes, context: bytes) -> dict[str, Any]:
    pkcs11 = _library()
    return {
        "mechanism": pkcs11.Mechanism.AES_GCM,
        "mechanism_param": pkcs11.GCMParams(nonce, context, _TAG_BITS),
    }


def _decrypt(key: Any, wrapped: bytes, context: bytes, refusal: IntegrityError) -> bytes:
    """Open a wrapped key; tell a key that does not fit from a token that does not work.

    Tokens name the failure of a tag as they like (SoftHSM: general error). So where opening fails,
    the key has to open something of its own: if it does, the token works and this does not fit.
    """
    pkcs11 = _library()
    try:
        return bytes(key.decrypt(wrapped[NONCE_BYTES:], **_gcm(wrapped[:NONCE_BYTES], context)))
    except _lost(pkcs11):
        raise
    except pkcs11.PKCS11Error:
        nonce, probe = secrets.token_bytes(NONCE_BYTES), secrets.token_bytes(KEY_BYTES)
        sealed = bytes(key.encrypt(probe, **_gcm(nonce, b"")))
        if bytes(key.decrypt(sealed, **_gcm(nonce, b""))) == probe:
            raise refusal from None
        raise


def _label(key_id: str, version: int) -> str:
    return f"docflow:{key_id}:v{version}"


def _search(session: Any, **wanted: Any) -> list[Any]:
    pkcs11 = _library()
    session.generate_random(8)  # a lost session fails here; a search in it would complain to stderr
    attributes = {pkcs11.Attribute[name.upper()]: value for name, value in wanted.items()}
    return list(
        session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass.SECRET_KEY, **attributes})
    )


def _listed(session: Any) -> list[tuple[str, int]]:
    labels = [match for key in _search(session) if (match := _LABEL.fullmatch(key.label or ""))]
    return [(match["key_id"], int(match["version"])) for match in labels]


def _labelled(session: Any, key_id: str, version: int, own: bytes | None) -> list[Any]:
    label = _label(key_id, version)
    if own is not None:
        return _search(session, label=label, id=own)
    return [key for key in _search(session, label=label) if len(key.id) == _ID_BYTES]


def _make(session: Any, key_id: str, version: int) -> None:
    pkcs11 = _library()
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
