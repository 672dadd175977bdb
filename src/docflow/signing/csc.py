"""Remote signing: a key held by a trust service that speaks the Cloud Signature Consortium's API, v2.

Rules:
- What is signed is authorised by itself: for exactly these hashes, and their number; nothing of the
  authorisation is kept, and it is used once.
- Secrets are read from their files each time and are in no error, log or URL. A PIN that the service
  refused is not sent again until its file changes, for services lock after a few tries.
- A credential that asks for what no service can give by itself (a one-time password, its owner's
  browser) is refused at the start, by name.
- What comes back is verified under the certificate before it is used.

How the service is reached, and by whose token, is in `cscaccess`.
Source: Cloud Signature Consortium API v2: credentials/info (auth, multisign), credentials/authorize,
signatures/signHash.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from asn1crypto import algos
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from docflow.kernel.errors import ConfigurationError
from docflow.signing.cscaccess import (
    OK,
    UNAUTHORIZED,
    Access,
    Answer,
    Channel,
    Client,
    ClientCredentials,
    TokenFile,
)
from docflow.signing.keysigner import IdentitySigner, VerifyingKey, verifies
from docflow.signing.token import secret_from_file

_HASHES: Final = {
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_ECDSA: Final = {
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
_PSS: Final = "1.2.840.113549.1.1.10"
_PIN_ERRORS: Final = frozenset({"invalid_pin", "locked_pin", "invalid_grant"})
_MOST_CERTIFICATES: Final = 8
_MOST_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Where a remote key is, and what it takes to use it.

    Args:
        url: the API's base, as `https://sign.example/csc/v2`.
        credential: the credential's id.
        access: file with an access token, or the OAuth client that gets tokens.
        pin_file: file with the PIN, if the credential has one.
        ca_file: PEM roots to trust instead of the machine's.
        timeout_seconds: longest silence of the service.
    """

    url: str
    credential: str
    access: Path | Client
    pin_file: Path | None = None
    ca_file: Path | None = None
    timeout_seconds: float = 20.0


class RemoteCredential:
    """One credential of a remote service. Threads share it."""

    def __init__(self, options: RemoteOptions) -> None:
        """Hold the options; nothing is asked yet.

        Raises:
            ConfigurationError: if the address or the CA file is wrong.
        """
        self._options = options
        self._channel = Channel(options.url, options.ca_file, options.timeout_seconds)
        self._access: Access = (
            ClientCredentials(self._channel, options.access)
            if isinstance(options.access, Client)
            else TokenFile(options.access)
        )
        self._pin = secret_from_file(options.pin_file) if options.pin_file else None
        self._refused: int | None = None
        self._at_once = 1

    def __repr__(self) -> str:
        return f"RemoteCredential({self._options.credential!r} at {self._channel.url!r})"

    def __str__(self) -> str:
        return f"the remote credential {self._options.credential!r} at {self._channel.url}"

    def certificates(self) -> list[x509.Certificate]:
        """Return the credential's certificate and the authorities above it.

        Raises:
            UnavailableError: if the service does not answer.
            ConfigurationError: if it refuses, the key is not enabled, the answer is no chain, or the
                credential asks for what is not configured here or cannot be.
        """
        asked = {
            "credentialID": self._options.credential,
            "certificates": "chain",
            "certInfo": False,
            "authInfo": True,
        }
        answer = self._post("credentials/info", asked)
        try:
            if answer["key"]["status"] != "enabled":
                raise self._refusal("the key is not enabled")
            listed = answer["cert"]["certificates"][:_MOST_CERTIFICATES]
            found = [
                x509.load_der_x509_certificate(base64.b64decode(one, validate=True))
                for one in listed
            ]
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise self._refusal("it does not tell the credential's certificates") from None
        if not found:
            raise self._refusal("the credential has no certificate")
        self._heed(answer)
        return found

    def _heed(self, told: Mapping[str, Any]) -> None:
        """Take in how many hashes one authorisation may hold, and refuse what cannot be authorised."""
        several = told.get("multisign")
        if isinstance(several, int) and not isinstance(several, bool):
            self._at_once = max(1, min(several, _MOST_AT_ONCE))
        auth = told.get("auth")
        if not isinstance(auth, dict):
            return
        if auth.get("mode") == "oauth2code":
            raise self._refusal("the credential is authorised in its owner's browser (oauth2code)")
        if auth.get("mode") != "explicit":
            return
        objects = auth.get("objects")
        names = (
            [one.get("id") for one in objects if isinstance(one, dict)]
            if isinstance(objects, list)
            else []
        )
        demanded = str(auth.get("expression") or " ".join(map(str, names)))
        if "OTP" in demanded and "OR" not in demanded.upper().split():
            raise self._refusal("the credential asks for a one-time password at each signature")
        if "PIN" in demanded and self._pin is None:
            raise self._refusal("the credential asks for a PIN; name its file with `pin_file`")

    def sign_hash(self, digest_name: str, digest: bytes, algorithm: dict[str, str]) -> bytes:
        """Authorise and make one signature over a digest; see `sign_hashes`."""
        (signature,) = self.sign_hashes(digest_name, [digest], algorithm)
        return signature

    def sign_hashes(
        self, digest_name: str, digests: Sequence[bytes], algorithm: dict[str, str]
    ) -> list[bytes]:
        """Authorise and make one signature over each digest, as many at once as the credential allows.

        Args:
            digest_name: sha256, sha384 or sha512.
            digests: what to sign.
            algorithm: `signAlgo`, and `signAlgoParams` where it has any.

        Raises:
            UnavailableError: if the service does not answer.
            ConfigurationError: if it refuses.
        """
        made: list[bytes] = []
        for start in range(0, len(digests), self._at_once):
            made += self._sign(digest_name, digests[start : start + self._at_once], algorithm)
        return made

    def _sign(
        self, digest_name: str, digests: Sequence[bytes], algorithm: dict[str, str]
    ) -> list[bytes]:
        hashed = {
            "credentialID": self._options.credential,
            "hashes": [base64.b64encode(digest).decode() for digest in digests],
            "hashAlgorithmOID": _HASHES[digest_name],
        }
        authorised = self._authorise({**hashed, "numSignatures": len(digests)})
        answer = self._post("signatures/signHash", {**hashed, **algorithm, "SAD": authorised})
        try:
            signatures = [base64.b64decode(one, validate=True) for one in answer["signatures"]]
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise self._refusal("it gives no signature") from None
        if len(signatures) != len(digests):
            raise self._refusal(f"it gives {len(signatures)} signatures for {len(digests)} hashes")
        return signatures

    def _authorise(self, asked: dict[str, Any]) -> str:
        written: int | None = None
        if self._pin is not None:
            pin, written = self._pin()
            if written == self._refused:
                raise ConfigurationError(
                    f"The PIN of the remote credential {self._options.credential!r} was refused before "
                    "and is not sent again, or the credential would lock.",
                    code="signer-pin-refused",
                    satisfied_by="Write the right PIN into its file.",
                )
            asked = {**asked, "authData": [{"id": "PIN", "value": pin}]}
        answer = self._post("credentials/authorize", asked, pin_written=written)
        sad = answer.get("SAD")
        if not isinstance(sad, str) or not sad:
            raise self._refusal("it gives no authorisation")
        return sad

    def _post(
        self, path: str, body: dict[str, Any], *, pin_written: int | None = None
    ) -> Mapping[str, Any]:
        answer = self._asked(path, body)
        if answer.status == OK and answer.told is not None:
            return answer.told
        if pin_written is not None and answer.error in _PIN_ERRORS:
            self._refused = pin_written
            raise ConfigurationError(
                f"The PIN of the remote credential {self._options.credential!r} is refused "
                f"({answer.error}).",
                code="signer-pin-refused",
                satisfied_by="Write the right PIN into its file; it may need to be unblocked.",
            )
        raise self._refusal(f"{path} is answered with {answer.status} {answer.error}".rstrip())

    def _asked(self, path: str, body: dict[str, Any]) -> Answer:
        """Return the answer; once more with another token if the service no longer takes this one."""
        for last in (False, True):
            token = self._access.token()
            headers = {"Authorization": f"Bearer {token}"}
            answer = self._channel.post(f"{self._channel.url}/{path}", headers, json=body)
            refused = answer.status == UNAUTHORIZED and answer.error not in _PIN_ERRORS
            if last or not refused or not self._access.refused(token):
                break
        return answer

    def _refusal(self, why: str) -> ConfigurationError:
        return self._channel.refusal(why)


class RemoteSigner(IdentitySigner):
    """Signs with a remote credential."""

    def __init__(
        self,
        credential: RemoteCredential,
        public_key: VerifyingKey,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
    ) -> None:
        """Sign with `credential`."""
        super().__init__(public_key, certificate, chain)
        self._credential = credential

    def sign_bytes(self, data: bytes) -> bytes:
        """See `IdentitySigner.sign_bytes`.

        Raises:
            UnavailableError: if the service does not answer.
            ConfigurationError: if it refuses, or gives a signature of another key.
        """
        digest = hashlib.new(self.digest_name, data).digest()
        signature = self._credential.sign_hash(self.digest_name, digest, self._algorithm())
        if not verifies(self.public_key, self.digest_name, signature, data):
            raise ConfigurationError(
                f"A signature by {self._credential} is not by the certificate's key.",
                code="remote-signer-refused",
                satisfied_by="Name the certificate of this very credential.",
            )
        return signature

    def _algorithm(self) -> dict[str, str]:
        if not isinstance(self.public_key, rsa.RSAPublicKey):
            return {"signAlgo": _ECDSA[self.digest_name]}
        mechanism = self.signature_mechanism
        assert mechanism is not None  # noqa: S101 - IdentitySigner always sets one
        parameters: algos.RSASSAPSSParams = mechanism["parameters"]
        return {
            "signAlgo": _PSS,
            "signAlgoParams": base64.b64encode(parameters.dump()).decode(),
        }
