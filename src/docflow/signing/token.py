"""A PKCS#11 token that signs (an HSM, a smart card, SoftHSM): the key never leaves it.

Rules:
- The PIN is read from its file at each login and is in no error, log or representation. A PIN that
  the token refused is not tried again until its file changes, for tokens lock after a few tries.
- A session that is lost is opened again once per call; a token that stays away is told as
  `signer-token-unavailable`, which waiting may heal.
- Calls into a library take turns with those of the sealing keys: it is initialised without locking.

Source: OASIS PKCS #11 3.0 (CKM_ECDSA, CKM_SHA256_RSA_PKCS_PSS).
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from cryptography import x509

from docflow.kernel.errors import ConfigurationError, DocflowError, UnavailableError
from docflow.signing.keysigner import PSS_SALT_BYTES, IdentitySigner, VerifyingKey, verifies
from docflow.storage.sealing.providers.token import LIBRARY

_T = TypeVar("_T")


class SigningToken:
    """One token, logged in while it is used. Threads share it and take turns."""

    def __init__(self, module: Path, label: str, pin: Callable[[], tuple[str, int]]) -> None:
        """Hold what opens a token; nothing is opened yet.

        Args:
            module: the vendor's PKCS#11 library.
            label: the token's label.
            pin: returns the user PIN and a number that changes whenever the PIN may have changed.
        """
        self._module = module
        self.label = label
        self._pin = pin
        self._session: Any = None
        self._keys: dict[str, Any] = {}
        self._refused: int | None = None

    def __repr__(self) -> str:
        return f"SigningToken({self.label!r})"

    def close(self) -> None:
        """Log out."""
        with LIBRARY:
            self._drop()

    def certificates(self) -> dict[str, list[x509.Certificate]]:
        """Return the certificates in the token by label.

        Raises:
            ConfigurationError, UnavailableError: if the token cannot be used.
        """
        return self._run(_certificates)

    def sign(self, key: str, digest_name: str, data: bytes) -> bytes:
        """Return the signature over `data` by the private key with a label: PSS, or DER for ECDSA.

        Raises:
            ConfigurationError: if there is no such key, or the PIN is refused.
            UnavailableError: if the token does not answer.
        """
        return self._run(lambda session: _sign(self._key(session, key), digest_name, data))

    def _key(self, session: Any, label: str) -> Any:
        if label not in self._keys:
            pkcs11 = _binding()
            session.generate_random(8)  # a lost session fails here; a search would only complain
            wanted = {
                pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY,
                pkcs11.Attribute.LABEL: label,
            }
            found = list(session.get_objects(wanted))
            if len(found) != 1:
                raise ConfigurationError(
                    f"The token {self.label!r} shows {len(found) or 'no'} private keys labelled "
                    f"{label!r}.",
                    code="signer-token-key",
                    satisfied_by="Name the label of one key; labels must be unique.",
                )
            self._keys[label] = found[0]
        return self._keys[label]

    def _run(self, action: Callable[[Any], _T]) -> _T:
        """Run an action in a session; once more, in a new one, if the session was lost."""
        with LIBRARY:
            fresh = self._session is None
            try:
                return self._try(action)
            except _lost() as error:
                self._drop()
                if fresh:
                    self._unavailable(error)
            try:
                return self._try(action)
            except _lost() as error:
                self._drop()
                self._unavailable(error)

    def _try(self, action: Callable[[Any], _T]) -> _T:
        if self._session is None:
            self._session = self._open()
        try:
            return action(self._session)
        except _lost():
            raise
        except _binding().PKCS11Error as error:
            self._drop()
            self._unavailable(error)

    def _open(self) -> Any:
        pkcs11 = _binding()
        token = self._token()
        pin, written = self._pin()
        if written == self._refused:
            raise self._wrong_pin(
                "was refused before and is not tried again, or the token would lock"
            )
        try:
            return token.open(user_pin=pin)
        except pkcs11.UserAlreadyLoggedIn:  # by another session of this process
            return token.open()
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
            self._refused = written
            raise self._wrong_pin("is wrong") from None
        except (pkcs11.PinLocked, pkcs11.PinExpired) as error:
            self._refused = written
            raise self._wrong_pin(f"is no longer accepted ({type(error).__name__})") from None
        except pkcs11.PKCS11Error as error:
            self._unavailable(error)

    def _token(self) -> Any:
        pkcs11 = _binding()
        try:
            found = list(pkcs11.lib(str(self._module)).get_tokens(token_label=self.label))
        except pkcs11.PKCS11Error as error:
            if not self._module.is_file():
                raise ConfigurationError(
                    f"There is no PKCS#11 library {self._module}.",
                    code="signer-token-missing",
                    satisfied_by="Install the token's library, or name the right file.",
                ) from None
            self._unavailable(error)
        if len(found) > 1:
            raise ConfigurationError(
                f"{self._module} shows {len(found)} tokens labelled {self.label!r}.",
                code="signer-token-missing",
                satisfied_by="Give each token a label of its own.",
            )
        if not found:
            raise UnavailableError(
                f"{self._module} shows no token labelled {self.label!r}.",
                code="signer-token-unavailable",
                satisfied_by="Put the token in, or name the right label.",
            )
        return found[0]

    def _wrong_pin(self, why: str) -> DocflowError:
        return ConfigurationError(
            f"The PIN of the token {self.label!r} {why}.",
            code="signer-pin-refused",
            satisfied_by="Give the right PIN; the token may need its PIN unblocked.",
        )

    def _drop(self) -> None:
        session, self._session = self._session, None
        self._keys.clear()
        if session is not None:
            try:
                session.close()
            except _binding().PKCS11Error:
                return  # the token is gone, and the session with it

    def _unavailable(self, error: Exception) -> NoReturn:
        raise UnavailableError(
            f"The token {self.label!r} does not answer ({type(error).__name__}); nothing can be signed "
            "with it until it does.",
            code="signer-token-unavailable",
        ) from None


class TokenSigner(IdentitySigner):
    """Signs with a key in a token."""

    def __init__(
        self,
        token: SigningToken,
        key: str,
        public_key: VerifyingKey,
        certificate: x509.Certificate,
        chain: tuple[x509.Certificate, ...],
    ) -> None:
        """Sign with the private key labelled `key`."""
        super().__init__(public_key, certificate, chain)
        self._token = token
        self._label = key

    def sign_bytes(self, data: bytes) -> bytes:
        """See `IdentitySigner.sign_bytes`; a signature of another key is refused here, not later.

        Raises:
            ConfigurationError: if the token has no such key, or one that is not the certificate's.
            UnavailableError: if the token does not answer.
        """
        signature = self._token.sign(self._label, self.digest_name, data)
        if not verifies(self.public_key, self.digest_name, signature, data):
            raise ConfigurationError(
                f"The key {self._label!r} in the token {self._token.label!r} is not the key of the "
                "certificate.",
                code="signer-token-key",
                satisfied_by="Name the certificate and the key that belong together.",
            )
        return signature


def secret_from_file(path: Path, what: str = "PIN") -> Callable[[], tuple[str, int]]:
    """Return what reads a secret from the first line of a file, each time anew, and when it changed.

    Raises:
        ConfigurationError: when called, if the file cannot be read or is empty.
    """

    def read() -> tuple[str, int]:
        try:
            written = path.stat().st_mtime_ns
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(
                f"The {what} file {path} cannot be read: {why}.", code="signer-pin-unreadable"
            ) from None
        if not lines or not lines[0]:
            raise ConfigurationError(
                f"The {what} file {path} is empty.", code="signer-pin-unreadable"
            )
        return lines[0], written

    return read


def _binding() -> Any:
    """Return the PKCS#11 binding; it is loaded where a token is used, and nowhere else."""
    import pkcs11

    return pkcs11


def _lost() -> tuple[type[Exception], ...]:
    """What tells that a session or its handles are no longer good, and a new one may be."""
    pkcs11 = _binding()
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


def _certificates(session: Any) -> dict[str, list[x509.Certificate]]:
    pkcs11 = _binding()
    session.generate_random(8)
    found: dict[str, list[x509.Certificate]] = {}
    wanted = {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.CERTIFICATE}
    for item in session.get_objects(wanted):
        try:
            certificate = x509.load_der_x509_certificate(bytes(item[pkcs11.Attribute.VALUE]))
        except ValueError:
            continue  # not an X.509 certificate
        found.setdefault(str(item[pkcs11.Attribute.LABEL]), []).append(certificate)
    return found


def _sign(key: Any, digest_name: str, data: bytes) -> bytes:
    pkcs11 = _binding()
    if key.key_type == pkcs11.KeyType.RSA:
        parameters = (pkcs11.Mechanism.SHA256, pkcs11.MGF.SHA256, PSS_SALT_BYTES)
        mechanism = pkcs11.Mechanism.SHA256_RSA_PKCS_PSS
        return bytes(key.sign(data, mechanism=mechanism, mechanism_param=parameters))
    from pkcs11.util.ec import encode_ecdsa_signature

    # the raw mechanism, over a digest made here: many tokens offer no other (SoftHSM)
    digest = hashlib.new(digest_name, data).digest()
    return bytes(encode_ecdsa_signature(key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)))
