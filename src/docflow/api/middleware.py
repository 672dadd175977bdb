"""Around every request: an id, bounded bodies, security headers, one access line in the log.

A plain ASGI class, so that bodies stream through it in both directions. Rules: only the addresses
that take files take anything but JSON, and only there may a body be longer than `MAX_JSON_BYTES`;
whatever goes wrong, the answer is a problem document with the request's id and all headers.
"""

import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from docflow.api import problems
from docflow.api.metrics import Observer
from docflow.kernel.errors import DocflowError, TooLargeError, UnsupportedContentError
from docflow.kernel.ids import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOG = structlog.get_logger("docflow.access")

MAX_JSON_BYTES = 2**20
_TOO_LARGE = f"A JSON body may have at most {MAX_JSON_BYTES} bytes."
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_FILES = re.compile(
    r"/v1/(documents|documents/[^/]+/files(/main)?|verifications|recipients/[^/]+/certificates)"
)
_DOCUMENTS = "/v1/documents"
_JSON_OR_PARTS = "application/json, or multipart/form-data with the files"


class Envelope:
    """Wraps the application."""

    def __init__(self, app: App, production: bool, observe: Observer | None = None) -> None:
        self._app = app
        self._observe = observe
        self._headers = list(_HEADERS)
        if production:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_id()
        scope.setdefault("state", {})["request_id"] = request_id
        instance = problems.instance_of(scope)
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                present = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(pair for pair in self._headers if pair[0] not in present),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            if (refusal := _refuse(scope)) is not None:
                await _answer(send_with_headers, problems.of_error(refusal, instance))
            else:
                await self._app(scope, _bounded(scope, receive), send_with_headers)
        except Exception as error:
            problems.LOG.error("unexpected error", exc_info=error, request_id=request_id)
            if status:  # some of the answer is on its way: the client must see that it broke off
                raise
            await _answer(send_with_headers, problems.unexpected(instance))
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "-")
            _log(scope, route, status, seconds)
            if self._observe is not None:
                self._observe(scope["method"], route, status, seconds)


def takes_file(scope: Scope) -> bool:
    """Tell whether a request's body is streamed to a file, with a limit of its own."""
    kind = _kind(scope)
    if scope["path"] == _DOCUMENTS:
        return kind == "multipart/form-data"
    return _FILES.fullmatch(scope["path"]) is not None


def header(scope: Scope, name: bytes) -> str:
    """Return a request header's value, empty if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def _kind(scope: Scope) -> str:
    return header(scope, b"content-type").split(";")[0].strip().lower()


def _refuse(scope: Scope) -> DocflowError | None:
    """Refuse, before a byte of it is read, a body that no route would read."""
    if scope["method"] not in _BODY_METHODS or takes_file(scope):
        return None
    length = header(scope, b"content-length")
    if length in ("", "0") and not header(scope, b"transfer-encoding"):
        return None
    kind = _kind(scope)
    if kind != "application/json" and not kind.endswith("+json"):
        wanted = _JSON_OR_PARTS if scope["path"] == _DOCUMENTS else "application/json"
        return UnsupportedContentError(
            f"The body is {kind[:100] or 'of no stated type'}; send {wanted}."
        )
    if not length or (length.isdecimal() and int(length[:20]) <= MAX_JSON_BYTES):
        return None
    return TooLargeError(_TOO_LARGE, limit_bytes=MAX_JSON_BYTES)


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Count a JSON body while it comes; a chunked one has no length to refuse beforehand."""
    if scope["method"] not in _BODY_METHODS or takes_file(scope):
        return receive
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_JSON_BYTES:
            raise problems.cut_short(413, _TOO_LARGE)
        return message

    return counted


async def _answer(send: Send, body: dict[str, Any]) -> None:
    data = json.dumps(body, ensure_ascii=False).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(data)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": body["status"], "headers": headers})
    await send({"type": "http.response.body", "body": data})


def _log(scope: Scope, route: str, status: int, seconds: float) -> None:
    LOG.info(
        "request",
        method=scope["method"],
        # the template, not the path: paths and queries may hold what a log must not
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        request_id=scope["state"]["request_id"],
        actor=scope["state"].get("actor_id"),
    )
