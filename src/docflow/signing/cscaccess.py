"""How a remote signing service is reached: its answers within bounds, and who is asking.

Rules:
- https only (plain http to this machine), the machine's roots or a CA of one's own, no redirects;
  times and sizes of answers are bounded.
- Access is by a token from a file, or by OAuth 2.0 client credentials. The client secret is read from its
  file each time a token is asked for, goes to the token endpoint alone, and is in no error, log or URL.
- A token is kept in memory until shortly before its end, and given up once the service no longer takes it.

Source: RFC 6749 2.3.1, 4.4 and 5; RFC 6750; Cloud Signature Consortium API v2: info, oauth2/token.
"""

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote_plus

import httpx2

from docflow.kernel.errors import ConfigurationError, OutsideUnavailableError, UnavailableError
from docflow.signing.token import secret_from_file

MOST_ANSWER_BYTES: Final = 256 * 1024
OK: Final = 200
UNAUTHORIZED: Final = 401
_WAIT: Final = (408, 425, 429)  # and everything from 500
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_LONGEST_WORD: Final = 60
_MOST_TOKEN_CHARS: Final = 8_000
_UNTOLD_SECONDS: Final = 300.0  # of a token whose end the service does not tell
_LONGEST_SECONDS: Final = 24 * 3600.0
_EARLY_SECONDS: Final = 30.0  # so that a token does not end on its way

Secret = Callable[[], tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service said: a status, and an object if it sent one."""

    status: int
    told: Mapping[str, Any] | None

    @property
    def error(self) -> str:
        """The service's error code, as far as it can be shown."""
        return word((self.told or {}).get("error"))


class Channel:
    """Asks one service. Holds no connection; threads share it."""

    def __init__(self, url: str, ca_file: Path | None, timeout_seconds: float) -> None:
        """Hold where it is.

        Raises:
            ConfigurationError: if the address or the CA file is wrong.
        """
        require_secure(url)
        self.url = url.rstrip("/")
        self._trust = _trust(ca_file)
        self._timeout = timeout_seconds

    def post(self, url: str, headers: Mapping[str, str], **body: Any) -> Answer:
        """Return the answer to a POST of `json` or `data`.

        Raises:
            UnavailableError: if the service does not answer or is not trusted, or asks to come back later.
            ConfigurationError: if the answer is too large, or is no JSON object though all went well.
        """
        try:
            with (
                httpx2.Client(timeout=self._timeout, verify=self._trust, trust_env=False) as client,
                client.stream("POST", url, headers=headers, **body) as answer,
            ):
                content = self._read(answer)
                status = answer.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError) as error:
            if (distrust := _distrust(error)) is not None:
                raise self._not_trusted(distrust.verify_message) from None
            raise self._away(type(error).__name__) from None
        if status in _WAIT or status >= 500:  # noqa: PLR2004 - the server's own fault
            raise self._away(f"status {status}")
        told = _object(content)
        if status == OK and told is None:
            asked = word(url.rstrip("/").rpartition("/")[2])
            raise self.refusal(f"what it answers to {asked} is no JSON object")
        return Answer(status, told)

    def refusal(self, why: str) -> ConfigurationError:
        """Return the error of a service that cannot be used, however long one waits."""
        return ConfigurationError(
            f"The remote signing service {self.url} cannot be used: {why}.",
            code="remote-signer-refused",
            satisfied_by="Check the credential, its access and what the service allows.",
        )

    def _read(self, answer: httpx2.Response) -> bytes:
        content = b""
        for chunk in answer.iter_bytes():
            content += chunk
            if len(content) > MOST_ANSWER_BYTES:
                raise self.refusal(f"an answer is over {MOST_ANSWER_BYTES} bytes")
        return content

    def _not_trusted(self, why: str) -> UnavailableError:
        """Return the error of a service whose certificate is refused; `why` is the TLS library's word."""
        return UnavailableError(
            f"The TLS certificate of the remote signing service {self.url} is not trusted ({why}).",
            code="remote-signer-unavailable",
            satisfied_by="Name the authority that issued it with `ca_file` in the signers file, and the "
            "service by the host of its certificate.",
        )

    def _away(self, why: str) -> UnavailableError:
        return OutsideUnavailableError(
            f"The remote signing service {self.url} does not answer ({why}).",
            code="remote-signer-unavailable",
        )


class Access(Protocol):
    """Gives the token that goes with each request."""

    def token(self) -> str:
        """Return a token that should be good now."""
        ...

    def refused(self, token: str) -> bool:
        """Hear that the service did not take `token`; tell whether asking again may help."""
        ...


class TokenFile:
    """A token that somebody else keeps fresh in a file."""

    def __init__(self, path: Path) -> None:
        """Hold the file; it is read each time."""
        self._secret = secret_from_file(path, "token")

    def token(self) -> str:
        """See `Access.token`.

        Raises:
            ConfigurationError: if the file cannot be read or is empty.
        """
        return self._secret()[0]

    def refused(self, token: str) -> bool:
        """See `Access.refused`: another one may have been written meanwhile."""
        return self.token() != token


@dataclass(frozen=True, slots=True)
class Client:
    """An OAuth client.

    Args:
        client_id: its name at the service.
        secret_file: file with its secret.
        token_url: the token endpoint; None to ask the service's `info` for its base.
        scope: what a token is for; `service` is CSC's word for the API.
    """

    client_id: str
    secret_file: Path
    token_url: str | None = None
    scope: str = "service"


class ClientCredentials:
    """Tokens by the client credentials grant, each used until shortly before its end."""

    def __init__(
        self, channel: Channel, client: Client, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Hold the client; nothing is asked yet.

        Raises:
            ConfigurationError: if the token endpoint is not reached by https.
        """
        if client.token_url is not None:
            require_secure(client.token_url)
        self._channel = channel
        self._client = client
        self._secret = secret_from_file(client.secret_file, "client secret")
        self._clock = clock
        self._lock = threading.Lock()
        self._endpoint = client.token_url
        self._kept: tuple[str, float] | None = None

    def token(self) -> str:
        """Return the token at hand, or a new one.

        Raises:
            UnavailableError: if the token endpoint does not answer.
            ConfigurationError: if it refuses, or the secret cannot be read.
        """
        with self._lock:
            if self._kept is None or self._kept[1] <= self._clock():
                self._kept = self._fetch()
            return self._kept[0]

    def refused(self, token: str) -> bool:
        """Give up a token that the service no longer takes; another may be good."""
        with self._lock:
            if self._kept is not None and self._kept[0] == token:
                self._kept = None
        return True

    def _fetch(self) -> tuple[str, float]:
        asked_at = self._clock()
        answer = self._channel.post(
            self._token_endpoint(),
            {"Authorization": self._basic(), "Accept": "application/json"},
            data={
                "grant_type": "client_credentials",
                "client_id": self._client.client_id,
                "scope": self._client.scope,
            },
        )
        told = answer.told or {}
        token = told.get("access_token")
        if answer.status != OK:
            raise self._channel.refusal(
                f"its token endpoint answers with {answer.status} {answer.error}".rstrip()
            )
        if not isinstance(token, str) or not 0 < len(token) <= _MOST_TOKEN_CHARS:
            raise self._channel.refusal("its token endpoint gives no access token")
        bearer = word(told.get("token_type")).lower() == "bearer"
        if not (bearer and token.isascii() and token.isprintable()):
            raise self._channel.refusal("its token endpoint gives a token that is no bearer token")
        return token, asked_at + _lasts(told.get("expires_in"))

    def _basic(self) -> str:
        """Return the client's authentication (RFC 6749 2.3.1: each part form-encoded, then Basic)."""
        pair = f"{quote_plus(self._client.client_id)}:{quote_plus(self._secret()[0])}"
        return "Basic " + base64.b64encode(pair.encode()).decode()

    def _token_endpoint(self) -> str:
        """Return the endpoint that is configured, or that the service tells of (CSC API v2, info)."""
        if self._endpoint is not None:
            return self._endpoint
        answer = self._channel.post(f"{self._channel.url}/info", {}, json={})
        told = answer.told or {}
        base = told.get("oauth2")
        if answer.status != OK or not isinstance(base, str) or not base:
            raise self._channel.refusal("its `info` tells no OAuth 2.0 address; name `token_url`")
        kinds = told.get("authType")
        if isinstance(kinds, list) and "oauth2client" not in kinds:
            raise self._channel.refusal("it does not offer OAuth 2.0 client credentials")
        endpoint = f"{base.rstrip('/')}/oauth2/token"
        require_secure(endpoint)
        self._endpoint = endpoint
        return endpoint


def _lasts(seconds: object) -> float:
    """Return for how long to use a token that is said to last so many seconds."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds <= 0:
        seconds = _UNTOLD_SECONDS
    lasts = min(float(seconds), _LONGEST_SECONDS)
    return lasts - min(_EARLY_SECONDS, lasts / 10)


def require_secure(url: str) -> None:
    """Refuse an address that a secret must not be sent to.

    Raises:
        ConfigurationError: code `remote-signer-refused`.
    """
    try:
        parts = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError, TypeError):
        parts = httpx2.URL("")
    secure = parts.scheme == "https" and parts.host
    if parts.userinfo or not (secure or (parts.scheme == "http" and parts.host in _LOOPBACK)):
        raise ConfigurationError(
            f"The remote signing service {word(parts.scheme)}://{parts.host} is not reached by https.",
            code="remote-signer-refused",
        )


def word(value: object) -> str:
    """Return a service's error code, as far as it can be shown."""
    text = value if isinstance(value, str) else ""
    return "".join(char for char in text if char.isalnum() or char in "_-")[:_LONGEST_WORD]


def _distrust(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Return the refusal of a TLS certificate, if one is the cause; the client wraps what `ssl` says."""
    for _ in range(8):
        if error is None or isinstance(error, ssl.SSLCertVerificationError):
            return error
        error = error.__cause__ or error.__context__
    return None


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
