"""Receiving bodies on the event loop and sending files from a thread, both in bounded memory."""

import base64
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from itertools import chain
from typing import BinaryIO

import anyio.to_thread
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect

from docflow.api.disposition import content_disposition, header_parameters, uploaded_name
from docflow.bootstrap import Services
from docflow.db import Row
from docflow.documents.content import ReceivedFile
from docflow.documents.intake import Intake
from docflow.kernel.errors import (
    MalformedError,
    NotFoundError,
    RangeNotSatisfiableError,
    TooLargeError,
)
from docflow.storage import StagedFile, StagingFile

_CHUNK = 2**18
_RANGE = re.compile(r"(?!-$)([0-9]{0,18})-([0-9]{0,18})")


async def receive_raw(
    request: Request, services: Services, begin: Callable[[], StagingFile] | None = None
) -> StagedFile:
    """Receive a raw body into staging; `begin` starts the file, in a thread.

    Without it nothing is known of the file, and it is encrypted with a key in memory.

    Raises:
        TooLargeError: as soon as the limit is passed, from the length before the first byte.
        MalformedError: if the client goes away before the end.
    """
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > services.staging.max_bytes:
        raise TooLargeError(
            f"The file has {length} bytes; at most {services.staging.max_bytes} are accepted.",
            code="file-too-large",
            limit_bytes=services.staging.max_bytes,
        )
    begin = begin or services.desk.vault.begin_unknown
    receiving = await anyio.to_thread.run_sync(begin)
    try:
        async for chunk in request.stream():
            receiving.write(chunk)
        return receiving.finish()
    except ClientDisconnect as error:
        receiving.abort()
        raise MalformedError("The body was cut off.", code="body-cut-off") from error
    except BaseException:
        receiving.abort()
        raise


async def receive_file(
    request: Request, services: Services, intake: Intake, default_name: str
) -> ReceivedFile:
    """Receive a raw body as a file; its name is that of the Content-Disposition header, if any."""
    disposition = request.headers.get("content-disposition")
    name = uploaded_name(header_parameters(disposition)[1]) if disposition else None
    return ReceivedFile(name or default_name, await receive_raw(request, services, intake.begin))


def discard(*staged: StagedFile | None) -> None:
    """Drop staged files that were not stored."""
    for item in staged:
        if item is not None:
            with suppress(OSError):
                item.discard()


def send_file(request: Request, services: Services, row: Row) -> Response:
    """Stream a stored file, whole or the one range that was asked for (RFC 9110 section 14).

    Raises:
        RangeNotSatisfiableError: if the range lies outside of the file.
        NotFoundError, IntegrityError: if the object is gone, or not what the row says.
        ConfigurationError, UnavailableError: if store or key provider are not there.
    """
    size: int = row["size"]
    headers = {
        "Content-Disposition": content_disposition(row["name"]),
        "ETag": f'"{row["sha256"]}"',
        "Accept-Ranges": "bytes",
        "Repr-Digest": f"sha-256=:{_base64(row['sha256'])}:",
    }
    if _known(request.headers.get("if-none-match"), headers["ETag"]):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    start, end = _range(request, size, headers["ETag"])
    status = HTTPStatus.OK
    if (start, end) != (0, size):
        status = HTTPStatus.PARTIAL_CONTENT
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    chunks = _chunks(services.desk.vault.open(row), start, end)
    first = next(chunks, b"")  # what is wrong with the object is told before an answer is begun
    return StreamingResponse(chain([first], chunks), status, headers, media_type=row["media_type"])


def _known(if_none_match: str | None, etag: str) -> bool:
    """Tell whether the caller has these bytes already (RFC 9110 section 13.1.2)."""
    tags = [tag.strip().removeprefix("W/") for tag in (if_none_match or "").split(",")]
    return "*" in tags or etag in tags


def _chunks(file: BinaryIO, start: int, end: int) -> Iterator[bytes]:
    with file:
        file.seek(start)
        left = end - start
        while left > 0:
            chunk = file.read(min(_CHUNK, left))
            if not chunk:
                raise NotFoundError(
                    "The stored object is shorter than it was.", code="object-missing"
                )
            left -= len(chunk)
            yield chunk


def _range(request: Request, size: int, etag: str) -> tuple[int, int]:
    asked = request.headers.get("range")
    if asked is None or request.headers.get("if-range") not in (None, etag):
        return 0, size
    unit, _, spec = asked.partition("=")
    asked_for = _RANGE.fullmatch(spec.strip())
    if unit.strip() != "bytes" or asked_for is None:
        return 0, size  # a range that is not understood is ignored
    first, last = asked_for.groups()
    if first:
        start, end = int(first), min(int(last) + 1, size) if last else size
    else:
        start, end = max(size - int(last), 0), size
    if start >= end:
        raise RangeNotSatisfiableError(
            f"The file has {size} bytes; the range {asked} lies outside.", size_bytes=size
        )
    return start, end


def _base64(digest: str) -> str:
    return base64.b64encode(bytes.fromhex(digest)).decode()
