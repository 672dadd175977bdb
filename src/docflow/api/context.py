"""What a route needs: the services, and who is asking.

Authentication happens in the route's own thread (a query is no work for the event loop), at the
first use of `caller.actor`; every route but log-in, health and the public look-up uses it.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.security import HTTPBearer

from docflow.bootstrap import Services
from docflow.db.idempotency import Claim
from docflow.kernel.actor import Actor
from docflow.kernel.canonical import sha256_hex
from docflow.kernel.errors import (
    FieldProblem,
    InvalidInputError,
    MalformedError,
    StaleVersionError,
    UnauthenticatedError,
    VersionRequiredError,
)

_ETAG = re.compile(r'"(\d{1,9})"')
_MAX_KEY = 255


class Caller:
    """The services and the token of one request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.services: Services = request.app.state.services
        self.threads: ThreadPoolExecutor = request.app.state.threads
        self._actor: Actor | None = None

    @property
    def token(self) -> str:
        """The bearer token.

        Raises:
            UnauthenticatedError: if there is none.
        """
        scheme, _, token = self.request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise UnauthenticatedError(
                "Send `Authorization: Bearer …` with a session token or an API key.",
                satisfied_by="Log in with POST /v1/sessions, or use an API key.",
            )
        return token.strip()

    @property
    def actor(self) -> Actor:
        """Who asks; authenticated at the first use.

        Raises:
            UnauthenticatedError: if the token is missing, unknown, expired or revoked.
        """
        if self._actor is None:
            self._actor = self.services.authenticator.authenticate(self.token)
            self.request.scope["state"]["actor_id"] = self._actor.id
        return self._actor

    def claim(self, key: str | None, content: bytes) -> Claim | None:
        """Return the claim of an Idempotency-Key for this request, None if there is no key.

        Raises:
            InvalidInputError: if the key is empty or too long.
        """
        if key is None:
            return None
        if not 1 <= len(key) <= _MAX_KEY or not key.isprintable():
            raise InvalidInputError(
                f"An Idempotency-Key has 1 to {_MAX_KEY} printable characters.",
                fields=[FieldProblem("header:idempotency-key", "1 to 255 printable characters")],
            )
        operation = f"{self.request.method} {self.request.url.path}"[:128]
        return Claim(operation, key, sha256_hex(content))


async def _caller(request: Request) -> Caller:
    caller = Caller(request)
    _ = caller.token  # an anonymous request is told so before anything else about it
    return caller


CallerDep = Annotated[Caller, Depends(_caller)]
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description='The version the change is based on, as `"3"`.'),
]
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Repeat a request with the same key to be sure that it is carried out once.",
    ),
]

bearer = HTTPBearer(
    auto_error=False, description="A session token (`dfs_…`) or an API key (`dfk_…`)."
)


def etag(version: int) -> str:
    """Return the strong entity tag of a version."""
    return f'"{version}"'


def required_version(if_match: str | None) -> int:
    """Return the version in an If-Match header.

    Raises:
        VersionRequiredError: if the header is missing.
        MalformedError: if it is not one strong entity tag.
        StaleVersionError: if it is an entity tag that docflow never gave.
    """
    if if_match is None:
        raise VersionRequiredError(
            "Say with If-Match which version the change is based on.",
            satisfied_by="Send the ETag of the document as you read it.",
        )
    if (match := _ETAG.fullmatch(if_match.strip())) is not None:
        return int(match[1])
    if if_match.strip().startswith('"'):
        raise StaleVersionError("The If-Match header names no version of this document.")
    raise MalformedError(
        'The If-Match header must be one strong entity tag, as "3".', code="malformed-if-match"
    )
