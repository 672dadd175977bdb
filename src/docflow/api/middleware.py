"""Around every request: an id, bounded bodies, security headers, one access line in the log.

A plain ASGI class, so that bodies stream through it in both directions.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog

from docflow.api.problems import document
from docflow.kernel.ids import new_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOG = structlog.get_logger("docflow.access")

MAX_JSON_BYTES = 2**20
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})


class _TooLargeError(Exception):
    """More of a JSON body came than is accepted."""


class Envelope:
    """Wraps the application."""

    def __init__(self, app: App, production: bool) -> None:
        self._app = app
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
            if (refusal := _refuse(scope, request_id)) is not None:
                await _answer(send_with_headers, *refusal)
            else:
                await self._app(scope, _bounded(scope, receive), send_with_headers)
        except _TooLargeError:
            if status == 0:
                await _answer(send_with_headers, 413, _too_large(request_id))
        finally:
            _log(scope, status, started)


def is_upload(scope: Scope) -> bool:
    """Tell whether a request carries a file: such a body is streamed and has its own limit."""
    kind = header(scope, b"content-type").split(";")[0].strip().lower()
    return kind != "application/json" and not kind.endswith("+json")


def header(scope: Scope, name: bytes) -> str:
    """Return a request header's value, empty if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def _refuse(scope: Scope, request_id: str) -> tuple[int, dict[str, Any]] | None:
    if scope["method"] not in _BODY_METHODS or is_upload(scope):
        return None
    length = header(scope, b"content-length")
    if length.isdigit() and int(length) > MAX_JSON_BYTES:
        return 413, _too_large(request_id)
    return None


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """Count a JSON body while it comes; a chunked one has no length to refuse beforehand."""
    if scope["method"] not in _BODY_METHODS or is_upload(scope):
        return receive
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_JSON_BYTES:
            raise _TooLargeError
        return message

    return counted


def _too_large(request_id: str) -> dict[str, Any]:
    return document(
        413,
        "too-large",
        f"A JSON body may have at most {MAX_JSON_BYTES} bytes.",
        instance=f"urn:uuid:{request_id}",
    )


async def _answer(send: Send, status: int, body: dict[str, Any]) -> None:
    import json

    data = json.dumps(body, ensure_ascii=False).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(data)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


def _log(scope: Scope, status: int, started: float) -> None:
    route = scope.get("route")
    LOG.info(
        "request",
        method=scope["method"],
        # the template, not the path: paths and queries may hold what a log must not
        route=getattr(route, "path", "-"),
        status=status,
        ms=round((time.perf_counter() - started) * 1000, 1),
        request_id=scope["state"]["request_id"],
        actor=scope["state"].get("actor_id"),
    )
