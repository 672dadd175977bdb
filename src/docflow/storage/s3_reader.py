"""An object of the S3 store as a seekable file, in bounded memory.

The first request fetches the object's first bytes with all that is known of it, so a small file costs
one request. Further bytes are asked for in growing spans: a small read after a seek fetches little, a
download soon runs at full speed. A connection that is lost in mid-body is taken up again where it
ended. A read returns exactly the bytes asked for, or fails.
"""

import hashlib
import io
import time
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus

from urllib3.exceptions import IncompleteRead
from urllib3.response import BaseHTTPResponse

from docflow.kernel.errors import DocflowError, UnavailableError
from docflow.storage.s3_client import Attempts, Head, S3Client, head_of
from docflow.storage.s3_errors import FAILURES, damaged, failure_of, unavailable
from docflow.storage.s3_options import S3Options

FIRST_BYTES = 256 * 2**10
_PIECE_BYTES = 256 * 2**10
_MOST_BYTES = 16 * 2**20  # of one span
_GROWTH = 4
_MIN_BYTES_PER_SECOND = 32 * 2**10  # slower than this counts as an outage
_DOING = "read"


@dataclass(frozen=True, slots=True)
class Opened:
    """What the first request told: the object's head and its first bytes."""

    head: Head
    first: bytes


def open_object(client: S3Client, options: S3Options, calls: Attempts, key: str) -> Opened:
    """Fetch an object's head and its first bytes.

    Raises:
        NotFoundError: if there is no such object.
        UnavailableError, ConfigurationError: as `failure_of` says.
    """

    def action() -> Opened:
        with closing(client.read(key, 0, FIRST_BYTES)) as answer:
            head = head_of(answer)
            size = min(head.size, FIRST_BYTES)
            try:
                first = _take(answer, size, _deadline(options, size))
            except _ShortError as short:
                raise short.cause from None
            if answer.status == HTTPStatus.PARTIAL_CONTENT or head.size == size:
                _release(answer)
            return Opened(head, first)

    try:
        return calls.run(_DOING, action)
    except DocflowError as error:
        if error.code != "storage-range":
            raise
    head = calls.run(_DOING, lambda: client.head(key, sure=True))
    if head is None or head.size:
        raise unavailable(_DOING, "it does not know the object's size")
    return Opened(head, b"")


class S3Reader(io.RawIOBase):
    """Reads one object; not shared by threads."""

    def __init__(
        self,
        client: S3Client,
        options: S3Options,
        calls: Attempts,
        key: str,
        opened: Opened,
        sha256: str | None,
    ) -> None:
        """Read `opened`; `sha256` is compared when all was read from the start to the end."""
        self._client = client
        self._options = options
        self._calls = calls
        self._key = key
        self._etag = opened.head.etag
        self._size = opened.head.size
        self._first = opened.first
        self._sha256 = sha256
        self._hash = hashlib.sha256()
        self._hashed = 0
        self._at = 0
        self._span: BaseHTTPResponse | None = None
        self._span_at = self._span_end = len(opened.first)
        self._ahead = FIRST_BYTES

    def readable(self) -> bool:
        """Tell that this can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that this can be sought in."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes from the start."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position; costs nothing until bytes are read there."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a position is not below 0")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Fill a buffer; return how many bytes were there."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Return all that is left."""
        return self.read()

    def read(self, size: int | None = -1) -> bytes:
        """Return the next `size` bytes, fewer only at the end.

        Raises:
            UnavailableError: if the service does not give them in time.
            IntegrityError: if the object is not what was stored.
        """
        if self.closed:
            raise ValueError("read of a closed object")
        left = max(self._size - self._at, 0)
        wanted = left if size is None or size < 0 else min(size, left)
        data = self._first[self._at : self._at + wanted]
        if len(data) < wanted:
            rest = self._fetch(self._at + len(data), wanted - len(data))
            data = data + rest if data else rest
        self._check(self._at, data)
        self._at += wanted
        return data

    def close(self) -> None:
        """Let go of the connection."""
        self._drop()
        super().close()

    def _fetch(self, start: int, size: int) -> bytes:
        """Return exactly these bytes, going on where a lost connection ended."""
        pieces: list[bytes] = []
        have = 0
        failed = 0
        deadline = _deadline(self._options, size)
        while have < size:
            span = self._span_from(start + have, size - have)
            try:
                piece = _take(span, min(size - have, self._span_end - self._span_at), deadline)
            except _ShortError as short:
                piece, cause = short.piece, short.cause
                self._drop()
                failed += 1
                failure = failure_of(cause, _DOING, self._options.bucket)
                late = time.monotonic() >= deadline
                if not failure.again or failed >= self._options.attempts or late:
                    raise failure.error from cause
            self._span_at += len(piece)
            have += len(piece)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _span_from(self, start: int, size: int) -> BaseHTTPResponse:
        """Return an answer that goes on at `start`: the one that is open, or a new one."""
        if self._span is not None and self._span_at == start < self._span_end:
            return self._span
        follows = self._span_at == start
        self._drop()
        self._ahead = min(self._ahead * _GROWTH, _MOST_BYTES) if follows else FIRST_BYTES
        end = min(start + max(size, self._ahead), start + _MOST_BYTES, self._size)
        span = self._calls.run(_DOING, lambda: self._client.read(self._key, start, end))
        told = head_of(span)
        exact = span.headers.get("content-range", "") == f"bytes {start}-{end - 1}/{self._size}"
        if told.etag != self._etag or not exact:
            span.close()
            if told.etag != self._etag:
                raise UnavailableError(
                    "The stored object was replaced while it was read; read it again.",
                    code="object-replaced",
                )
            raise damaged("The object storage did not give the range it was asked for.")
        self._span, self._span_at, self._span_end = span, start, end
        return span

    def _drop(self) -> None:
        if self._span is None:
            return
        if self._span_at == self._span_end:
            _release(self._span)
        self._span.close()
        self._span = None

    def _check(self, start: int, data: bytes) -> None:
        """Hash what is read in order; compare when it is the whole."""
        done = self._hashed
        if not start <= done < start + len(data) or self._sha256 is None:
            return
        self._hash.update(memoryview(data)[done - start :])
        self._hashed = start + len(data)
        if self._hashed == self._size and self._hash.hexdigest() != self._sha256:
            raise damaged(
                "The stored object is damaged: its SHA-256 is not the one it was stored with."
            )


class _ShortError(Exception):
    """A body ended early: what there was of it, and why."""

    def __init__(self, piece: bytes, cause: Exception) -> None:
        super().__init__(str(cause))
        self.piece = piece
        self.cause = cause


def _take(answer: BaseHTTPResponse, size: int, deadline: float) -> bytes:
    """Read exactly `size` bytes of a body before `deadline` (monotonic seconds).

    Raises:
        _ShortError: with what came before it failed.
    """
    pieces: list[bytes] = []
    have = 0
    try:
        while have < size:
            if time.monotonic() >= deadline:
                raise TimeoutError
            piece = answer.read1(min(size - have, _PIECE_BYTES), decode_content=False)
            if not piece:
                raise IncompleteRead(have, size - have)
            pieces.append(piece)
            have += len(piece)
    except FAILURES as error:
        raise _ShortError(b"".join(pieces), error) from error
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _release(answer: BaseHTTPResponse) -> None:
    """Give the connection of a body that was read to its end back to the pool."""
    answer.drain_conn()
    answer.release_conn()


def _deadline(options: S3Options, size: int) -> float:
    """Return when reading `size` bytes counts as failed: allowed silence, and a least speed."""
    return time.monotonic() + options.timeout_seconds + size / _MIN_BYTES_PER_SECOND
