"""One bounded HTTP request to an address that may be reached.

Rules:
- A limit on seconds holds for the whole exchange, whatever the other side does; a limit on bytes for
  the body; redirects are counted, and a question with a body is never sent on to another place.
- Only http and https. An address that is not public (loopback, private, link-local, …) is refused
  unless the operator named its host: URLs come out of certificates, and those of strangers could
  name our own network. What was checked is what is connected to: the name is resolved once.
- No proxy, no cookies, no environment. Errors name host and reason, never a credential.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

_CHUNK_BYTES = 65_536
_PORTS = {"http": 80, "https": 443}
_OK = 200
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_URL_CHARS = 2_000


class FetchError(Exception):
    """There is no usable answer; the message is one sentence without a secret."""


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """How much one request may take: seconds in all, bytes of the body, redirects."""

    seconds: float = 10.0
    max_bytes: int = 10 * 2**20
    redirects: int = 3


class Fetcher:
    """Fetches within limits. Holds no connection; safe to share between threads."""

    def __init__(
        self, limits: FetchLimits | None = None, private_hosts: frozenset[str] = frozenset()
    ) -> None:
        """Hold the limits.

        Args:
            limits: of one request.
            private_hosts: `host` or `host:port` that may be at an address that is not public.
        """
        self.limits = limits or FetchLimits()
        self._private_hosts = private_hosts

    def get(self, url: str) -> bytes:
        """Return what is at `url`, following redirects.

        Raises:
            FetchError: if there is no such answer within the limits.
        """
        watch = _Watch(self.limits.seconds)
        with watch:
            for _ in range(self.limits.redirects + 1):
                status, body, location = self._exchange("GET", url, None, {}, watch)
                if status not in _REDIRECTS:
                    return _good(url, status, body)
                url = urljoin(url, location)
        raise FetchError(f"{host_of(url)} redirects more than {self.limits.redirects} times.")

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return the answer to `body`; redirects are not followed.

        Raises:
            FetchError: if there is no such answer within the limits.
        """
        watch = _Watch(self.limits.seconds)
        with watch:
            status, answer, _ = self._exchange("POST", url, body, headers, watch)
        return _good(url, status, answer)

    def _exchange(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], watch: "_Watch"
    ) -> tuple[int, bytes, str]:
        parts = _split(url)
        host = host_of(url)
        try:
            address = self._address(parts)
            connection = _Connection(parts, address, watch)
            try:
                connection.request(
                    method, _target(parts), body=body, headers={"Connection": "close", **headers}
                )
                with connection.getresponse() as response:
                    answer = self._read(response, host)
                    return response.status, answer, response.headers.get("Location") or ""
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            if watch.rang or isinstance(error, TimeoutError):
                raise FetchError(f"{host} did not answer within {watch.seconds:g} s.") from error
            raise FetchError(f"{host} cannot be reached: {_why(error)}.") from error

    def _read(self, response: http.client.HTTPResponse, host: str) -> bytes:
        data = bytearray()
        while chunk := response.read(_CHUNK_BYTES):
            data += chunk
            if len(data) > self.limits.max_bytes:
                raise FetchError(f"{host} answers with more than {self.limits.max_bytes} bytes.")
        return bytes(data)

    def _address(self, parts: SplitResult) -> tuple[str, int]:
        """Resolve the host once and return where to connect."""
        host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        allowed = bool(self._private_hosts & {host, f"{host}:{port}"})
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        for *_, where in found:
            address = str(where[0])
            if allowed or ipaddress.ip_address(address.partition("%")[0]).is_global:
                return address, port
        raise FetchError(
            f"{host} is at an address that is not public; an operator may name the host in the "
            "signing services file."
        )


class _Watch:
    """Cuts the connection when the time is over, whatever is being read then."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.rang = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True

    def __enter__(self) -> "_Watch":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def over(self, connected: socket.socket) -> None:
        """Watch this socket from now on."""
        self._socket = connected
        if self.rang:
            self._ring()

    def _ring(self) -> None:
        self.rang = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


class _Connection(http.client.HTTPConnection):
    """A connection to an address that was checked, under the name that was asked for."""

    def __init__(self, parts: SplitResult, address: tuple[str, int], watch: _Watch) -> None:
        super().__init__(parts.hostname or "", parts.port or _PORTS[parts.scheme])
        self._secure = parts.scheme == "https"
        self._address = address
        self._watch = watch

    def connect(self) -> None:
        """Connect to the address; with TLS the certificate must be that of the name."""
        connected = socket.create_connection(self._address, self._watch.seconds)
        self.sock = connected
        self._watch.over(connected)
        if self._secure:
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(connected, server_hostname=self.host)
            self._watch.over(self.sock)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _PORTS and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or len(url) > _MAX_URL_CHARS or not url.isascii() or not url.isprintable():
        raise FetchError(f"{url[:100]!r} is no http or https address.")
    if parts.username is not None or parts.password is not None:
        raise FetchError("An address must not carry a name or a password.")
    return parts


def _target(parts: SplitResult) -> str:
    return (parts.path or "/").replace(" ", "%20") + (f"?{parts.query}" if parts.query else "")


def host_of(url: str) -> str:
    """Return `host` or `host:port` of an address, as people are told."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)


def _good(url: str, status: int, body: bytes) -> bytes:
    if status != _OK:
        raise FetchError(f"{host_of(url)} answers with HTTP status {status}.")
    return body


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or type(error).__name__})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
