"""Remote signing: a key held by a trust service that speaks the Cloud Signature Consortium's API, v2.

Rules:
- Each signature is authorised by itself, for exactly its hash; nothing of the authorisation is kept.
- Access token and PIN are read from their files each time and are in no error, log or URL. A PIN that
  the service refused is not sent again until its file changes, for services lock after a few tries.
- https only (plain http to this machine), the machine's roots or a CA of one's own, no redirects;
  times and sizes of answers are bounded.
- What comes back is verified under the certificate before it is used.

Source: Cloud Signature Consortium API v2: credentials/info, credentials/authorize, signatures/signHash.
"""

import base64
import binascii
import hashlib
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2
from asn1crypto import algos
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from docflow.kernel.errors import ConfigurationError, UnavailableError
from docflow.signing.keysigner import IdentitySigner, VerifyingKey, verifies
from docflow.signing.token import secret_from_file

MOST_ANSWER_BYTES: Final = 256 * 1024
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
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_OK: Final = 200
_WAIT: Final = (408, 425, 429)  # and everything from 500
_PIN_ERRORS: Final = frozenset({"invalid_pin", "locked_pin", "invalid_grant"})
_MOST_CERTIFICATES: Final = 8
_LONGEST_WORD: Final = 60


@dataclass(frozen=True, slots=True)
class RemoteOptions:
    """Where a remote key is, and what it takes to use it.

    Args:
        url: the API's base, as `https://sign.example/csc/v2`.
        credential: the credential's id.
        token_file: file with the access token.
        pin_file: file with the PIN, if the credential has one.
        ca_file: PEM roots to trust instead of the machine's.
        timeout_seconds: longest silence of the service.
    """

    url: str
    credential: str
    token_file: Path
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
        url = httpx2.URL(options.url)
        if url.scheme != "https" and not (url.scheme == "http" and url.host in _LOOPBACK):
            raise ConfigurationError(
                f"The remote signing service {options.url} is not reached by https.",
                code="remote-signer-refused",
            )
        self._options = options
        self._url = options.url.rstrip("/")
        self._trust = _trust(options.ca_file)
        self._token = secret_from_file(options.token_file, "token")
        self._pin = secret_from_file(options.pin_file) if options.pin_file else None
        self._refused: int | None = None

    def __repr__(self) -> str:
        return f"RemoteCredential({self._options.credential!r} at {self._url!r})"

    def certificates(self) -> list[x509.Certificate]:
        """Return the credential's certificate and the authorities above it.

        Raises:
            UnavailableError: if the service does not answer.
            ConfigurationError: if it refuses, the key is not enabled, or the answer is no chain.
        """
        asked = {
            "credentialID": self._options.credential,
            "certificates": "chain",
            "certInfo": False,
            "authInfo": False,
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
        return found

    def sign_hash(self, digest_name: str, digest: bytes, algorithm: dict[str, str]) -> bytes:
        """Authorise and make one signature over a digest.

        Args:
            digest_name: sha256, sha384 or sha512.
            digest: what to sign.
            algorithm: `signAlgo`, and `signAlgoParams` where it has any.

        Raises:
            UnavailableError: if the service does not answer.
            ConfigurationError: if it refuses.
        """
        hashed = {
            "credentialID": self._options.credential,
            "hashes": [base64.b64encode(digest).decode()],
            "hashAlgorithmOID": _HASHES[digest_name],
        }
        authorised = self._authorise({**hashed, "numSignatures": 1})
        answer = self._post("signatures/signHash", {**hashed, **algorithm, "SAD": authorised})
        try:
            (signature,) = answer["signatures"]
            return base64.b64decode(signature, validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise self._refusal("it gives no signature") from None

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
    ) -> dict[str, Any]:
        token, _ = self._token()
        try:
            with (
                httpx2.Client(
                    timeout=self._options.timeout_seconds, verify=self._trust, trust_env=False
                ) as client,
                client.stream(
                    "POST",
                    f"{self._url}/{path}",
                    json=body,
                    headers={"Authorization": f"Bearer {token}"},
                ) as answer,
            ):
                content = self._read(answer)
                status = answer.status_code
        except (httpx2.HTTPError, ssl.SSLError) as error:
            raise self._away(type(error).__name__) from None
        if status in _WAIT or status >= 500:  # noqa: PLR2004 - the server's own fault
            raise self._away(f"status {status}")
        told = _object(content)
        if status == _OK and told is not None:
            return told
        word = _word((told or {}).get("error"))
        if pin_written is not None and word in _PIN_ERRORS:
            self._refused = pin_written
            raise ConfigurationError(
                f"The PIN of the remote credential {self._options.credential!r} is refused ({word}).",
                code="signer-pin-refused",
                satisfied_by="Write the right PIN into its file; it may need to be unblocked.",
            )
        raise self._refusal(f"{path} is answered with {status} {word}")

    def _read(self, answer: httpx2.Response) -> bytes:
        content = b""
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > MOST_ANSWER_BYTES:
                raise self._refusal(f"an answer is over {MOST_ANSWER_BYTES} bytes")
        return content

    def _refusal(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"The remote signing service {self._url} cannot be used: {why}.",
            code="remote-signer-refused",
            satisfied_by="Check the credential, its access token and what the service allows.",
        )

    def _away(self, why: str) -> UnavailableError:
        return UnavailableError(
            f"The remote signing service {self._url} does not answer ({why}).",
            code="remote-signer-unavailable",
        )


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
                f"{self._credential!r} gives signatures that are not by the certificate's key.",
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


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise ConfigurationError(
            f"The CA file {ca_file} cannot be read as PEM certificates "
            f"({error.strerror or type(error).__name__}).",
            code="remote-signer-refused",
        ) from None


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None


def _word(value: object) -> str:
    """Return a service's error code, as far as it can be shown."""
    text = value if isinstance(value, str) else ""
    return "".join(char for char in text if char.isalnum() or char in "_-")[:_LONGEST_WORD]
