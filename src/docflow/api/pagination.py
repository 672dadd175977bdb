"""Keyset pages: an opaque cursor, and `Link: rel="next"` (RFC 8288)."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Query, Request, Response

from docflow.kernel.errors import FieldProblem, InvalidInputError

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_MAX_CURSOR = 400

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(max_length=_MAX_CURSOR, description="`next_cursor` of the page before."),
]


def encode(key: str) -> str:
    """Return the opaque cursor for a key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode(cursor: str | None) -> str | None:
    """Return the key in a cursor, None for the first page.

    Raises:
        InvalidInputError: if it is not a cursor of ours.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise _bad_cursor() from error
    if not key.isprintable() or not key:
        raise _bad_cursor()
    return key


def _bad_cursor() -> InvalidInputError:
    return InvalidInputError(
        "The cursor is not one that this service gave.",
        code="bad-cursor",
        fields=[FieldProblem("query:cursor", "use next_cursor of the page before")],
    )


def cut(rows: Sequence[Any], limit: int, key: str = "id") -> tuple[Sequence[Any], str | None]:
    """Return a page of `limit` from up to `limit + 1` rows, and the cursor of the next page."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], encode(rows[limit - 1][key])


def link_next(request: Request, response: Response, cursor: str | None) -> None:
    """Say where the next page is."""
    if cursor is not None:
        following = request.url.include_query_params(cursor=cursor)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'


def follow(request: Request, response: Response, key: str | None) -> str | None:
    """Say where the page after `key` is, and return its cursor; None after the last page."""
    cursor = encode(key) if key is not None else None
    link_next(request, response, cursor)
    return cursor
