"""A PKCS#11 token that signs (an HSM, a smart card, SoftHSM): the key never leaves it.

How a token is reached, its PIN, lost sessions, turns and the time limit are those of `storage.tokens`. A
token that stays away is told as `signer-token-unavailable`, for which a job waits.

Source: OASIS PKCS #11 3.0 (CKM_ECDSA, CKM_SHA256_RSA_PKCS_PSS).
"""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from cryptography import x509

from docflow.kernel.errors import (
    ConfigurationError,
    DocflowError,
    OutsideUnavailableError,
    UnavailableError,
)
from docflow.signing.keysigner import PSS_SALT_BYTES, IdentitySigner, VerifyingKey, verifies
from docflow.storage.tokens import Token, binding, objects, secret_in


class SigningToken(Token):
    """One token, logged in while it is used. Threads share it and take turns."""

    def certificates(self) -> dict[str, list[x509.Certificate]]:
        """Return the certificates in the token by label.

        Raises:
            ConfigurationError, UnavailableError: if the token cannot be used.
        """
        return self.run(_certificates)

    def sign(self, key: str, digest_name: str, data: bytes) -> bytes:
        """Return the signature over `data` by the private key with a label: PSS, or DER for ECDSA.

        Raises:
            ConfigurationError: if there is no such key, or the PIN is refused.
            UnavailableError: if the token does not answer.
        """
        return self.run(lambda session: _sign(self._key(session, key), digest_name, data))

    def _key(self, session: Any, label: str) -> Any:
        if label not in self.handles:
            found = objects(session, "PRIVATE_KEY", label=label)
            if len(found) != 1:
                raise ConfigurationError(
                    f"The token {self.label!r} shows {len(found) or 'no'} private keys labelled "
                    f"{label!r}.",
                    code="signer-token-key",
                    satisfied_by="Name the label of one key; labels must be unique.",
                )
            self.handles[label] = found[0]
        return self.handles[label]

    def no_library(self) -> DocflowError:
        """See `Token.no_library`."""
        return ConfigurationError(
            self.library_lacking,
            code="signer-token-missing",
            satisfied_by="Install the token's library, or name the right file.",
        )

    def no_token(self, shown: int) -> DocflowError:
        """See `Token.no_token`; one that is not in may be put in."""
        if shown:
            return ConfigurationError(
                f"{self.module} shows {shown} tokens labelled {self.label!r}.",
                code="signer-token-missing",
                satisfied_by="Give each token a label of its own.",
            )
        return OutsideUnavailableError(
            f"{self.module} shows no token labelled {self.label!r}.",
            code="signer-token-unavailable",
            satisfied_by="Put the token in, or name the right label.",
        )

    def wrong_pin(self, why: str) -> DocflowError:
        """See `Token.wrong_pin`."""
        return ConfigurationError(
            f"The PIN of the token {self.label!r} {why}.",
            code="signer-pin-refused",
            satisfied_by="Give the right PIN; the token may need its PIN unblocked.",
        )

    def away(self, why: str) -> UnavailableError:
        """See `Token.away`."""
        return OutsideUnavailableError(
            f"The token {self.label!r} does not answer ({why}); nothing can be signed with it until it "
            "does.",
            code="signer-token-unavailable",
        )


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

    def unreadable(words: str) -> DocflowError:
        return ConfigurationError(words, code="signer-pin-unreadable")

    return partial(secret_in, path, what, unreadable)


def _certificates(session: Any) -> dict[str, list[x509.Certificate]]:
    pkcs11 = binding()
    found: dict[str, list[x509.Certificate]] = {}
    for item in objects(session, "CERTIFICATE"):
        try:
            certificate = x509.load_der_x509_certificate(bytes(item[pkcs11.Attribute.VALUE]))
        except ValueError:
            continue  # not an X.509 certificate
        found.setdefault(str(item[pkcs11.Attribute.LABEL]), []).append(certificate)
    return found


def _sign(key: Any, digest_name: str, data: bytes) -> bytes:
    pkcs11 = binding()
    if key.key_type == pkcs11.KeyType.RSA:
        parameters = (pkcs11.Mechanism.SHA256, pkcs11.MGF.SHA256, PSS_SALT_BYTES)
        mechanism = pkcs11.Mechanism.SHA256_RSA_PKCS_PSS
        return bytes(key.sign(data, mechanism=mechanism, mechanism_param=parameters))
    from pkcs11.util.ec import encode_ecdsa_signature

    # the raw mechanism, over a digest made here: many tokens offer no other (SoftHSM)
    digest = hashlib.new(digest_name, data).digest()
    return bytes(encode_ecdsa_signature(key.sign(digest, mechanism=pkcs11.Mechanism.ECDSA)))
