"""Receives multipart/form-data as a stream, in bounded memory, straight into sinks.

Rules:
- For a document: exactly one part `metadata` (JSON, held in memory), exactly one `main` and at most
  `Limits.annexes` parts `annex` (files), in any order. Anything else is refused by name. `Parts` names
  others, with or without metadata.
- A file part never lies in memory or in a file of this module: its bytes go to the sink that
  `open_sink` gave, which hashes and, where it must, seals them.
- Every sink that was opened is finished, once, if the whole body was good, and is aborted, once,
  if anything failed, even after `finish` (of this or another part) was called.
- What goes wrong in the body is a `DocflowError`; what a sink raises is passed on as it is.

Source: RFC 7578, RFC 2046 5.1. The byte machine is python-multipart's low-level parser.
"""

import re
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, NoReturn, Protocol, TypeVar

import anyio.to_thread
from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError

from docflow.api.disposition import (
    clean_file_name,
    content_disposition,
    header_parameters,
    uploaded_name,
)
from docflow.kernel.errors import (
    InvalidInputError,
    MalformedError,
    TooLargeError,
    UnsupportedContentError,
)

__all__ = [
    "Limits",
    "MultipartReceiver",
    "Parts",
    "Received",
    "ReceivedFile",
    "Sink",
    "clean_file_name",
    "content_disposition",
    "receive",
]

_MAX_HEADERS = 8  # per part
_MAX_HEADER_BYTES = 4096
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046 5.1.1
_IDENTITY = {"", "7bit", "8bit", "binary"}

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Sink(Protocol[T_co]):
    """Where one file's bytes go."""

    def write(self, data: bytes, /) -> object:
        """Take the next bytes of the file."""
        ...

    def finish(self) -> T_co:
        """Make the file durable and return what the caller wants to know of it."""
        ...

    def abort(self) -> object:
        """Throw the file away; also called after `finish` when another part failed."""
        ...


OpenSink = Callable[[str, str | None, bytes | None], Sink[T]]
"""From a file part's name, its file's name and the metadata (None if it has not come yet) to a sink."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may carry, in bytes and parts."""

    file_bytes: int = 100 * 2**20
    total_bytes: int = 500 * 2**20
    metadata_bytes: int = 256 * 2**10
    annexes: int = 20


@dataclass(frozen=True, slots=True)
class Parts:
    """What the parts of a body are called; `metadata` is None where there is none."""

    metadata: str | None = "metadata"
    main: str = "main"
    annex: str = "annex"

    @property
    def needed(self) -> tuple[str, ...]:
        """The parts that a body must have."""
        return (self.main,) if self.metadata is None else (self.metadata, self.main)

    @property
    def in_words(self) -> str:
        """What a body has, for a refusal."""
        return f"a body has {' and '.join(map(repr, self.needed))} and may have {self.annex!r}"


@dataclass(frozen=True, slots=True)
class ReceivedFile(Generic[T]):
    """One file part: what it was called, what its sender says it is, and what its sink returned."""

    part: str
    name: str | None
    declared_type: str | None
    size: int
    result: T


@dataclass(frozen=True, slots=True)
class Received(Generic[T]):
    """A whole body: the metadata as sent, the main file and the annexes in the order sent."""

    metadata: bytes
    main: ReceivedFile[T]
    annexes: tuple[ReceivedFile[T], ...]


class _Part(Generic[T]):
    """The part that is being received; `sink` is None for the metadata."""

    def __init__(self, name: str, file_name: str | None, declared_type: str | None) -> None:
        self.name = name
        self.file_name = file_name
        self.declared_type = declared_type
        self.size = 0
        self.sink: Sink[T] | None = None


async def receive(
    stream: AsyncIterable[bytes],
    content_type: str | None,
    open_sink: OpenSink[T],
    limits: Limits | None = None,
    parts: Parts | None = None,
) -> Received[T]:
    """Receive a whole body on the event loop; finishing (which may wait for a disk) in a thread.

    Raises:
        DocflowError: as `MultipartReceiver`; every sink has been aborted.
    """
    receiver = MultipartReceiver(content_type, open_sink, limits, parts)
    try:
        async for chunk in stream:
            receiver.feed(chunk)
        receiver.end()
        return await anyio.to_thread.run_sync(receiver.finish)
    except BaseException:  # a client that goes away cancels this; its files go too
        receiver.abort()
        raise


class MultipartReceiver(Generic[T]):
    """Takes a body chunk by chunk: `feed` each, then `end`, then `finish`.

    Any of the three aborts every sink before it raises; call `abort` when no more will come.
    """

    def __init__(
        self,
        content_type: str | None,
        open_sink: OpenSink[T],
        limits: Limits | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Prepare for a body of this Content-Type.

        Raises:
            UnsupportedContentError: if it is not multipart/form-data.
            MalformedError: `multipart-malformed`, if it names no usable boundary.
        """
        self._limits = limits or Limits()
        self._names = parts or Parts()
        self._open_sink = open_sink
        self._parser = MultipartParser(
            _boundary(content_type),
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=_MAX_HEADERS,
            max_header_size=_MAX_HEADER_BYTES,
        )
        self._received_bytes = 0
        self._header_field = b""
        self._header_value = b""
        self._headers: dict[str, str] = {}
        self._part: _Part[T] | None = None
        self._parts: list[_Part[T]] = []
        self._metadata = bytearray()
        self._ended = False
        self._closed = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            MalformedError: `multipart-malformed`.
            InvalidInputError: `multipart-part-unknown`, `multipart-part-duplicate`.
            TooLargeError: `too-large`, `multipart-too-many-parts`.
            UnsupportedContentError: the metadata is declared to be something else than JSON.
        """
        self._check_open()
        try:
            self._received_bytes += len(chunk)
            if self._received_bytes > self._limits.total_bytes:
                _too_large("the request body", self._limits.total_bytes)
            self._parser.write(chunk)
        except FormParserError as error:
            self.abort()
            raise _malformed(f"the body is not multipart/form-data: {error}") from error
        except BaseException:
            self.abort()
            raise

    def end(self) -> None:
        """Say that the body has ended: nothing is missing, or everything is refused.

        Raises:
            MalformedError: `multipart-malformed`, if the closing boundary has not come.
            InvalidInputError: `multipart-part-missing`.
        """
        self._check_open()
        try:
            if not self._ended:
                raise _malformed("the body ends before its closing boundary; it was cut off")
            names = [part.name for part in self._parts]
            for needed in self._names.needed:
                if needed not in names:
                    raise InvalidInputError(
                        f"the part {needed!r} is missing; {self._names.in_words}",
                        code="multipart-part-missing",
                    )
        except BaseException:
            self.abort()
            raise

    def finish(self) -> Received[T]:
        """Finish every sink and return what was received; `end` has been called."""
        self._check_open()
        try:
            files = [
                ReceivedFile(p.name, p.file_name, p.declared_type, p.size, p.sink.finish())
                for p in self._parts
                if p.sink is not None
            ]
        except BaseException:
            self.abort()
            raise
        main = next(file for file in files if file.part == self._names.main)
        annexes = tuple(file for file in files if file.part == self._names.annex)
        self._closed = True
        return Received(bytes(self._metadata), main, annexes)

    def abort(self) -> None:
        """Throw away every file received so far. Calling it again does nothing."""
        self._closed = True
        parts, self._parts = self._parts, []
        for part in parts:
            if part.sink is not None:
                with suppress(OSError):  # staging is swept; the first error is the one to tell
                    part.sink.abort()

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this receiver has finished or failed")

    def _on_part_begin(self) -> None:
        self._headers = {}

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._header_field.decode("latin-1").lower()
        if name in self._headers:
            raise _malformed(f"a part has the header {name!r} twice")
        self._headers[name] = self._header_value.decode("latin-1").strip(" \t")
        self._header_field = self._header_value = b""

    def _on_headers_finished(self) -> None:
        disposition = self._headers.get("content-disposition")
        if disposition is None:
            raise _malformed("a part has no Content-Disposition header, so no name")
        kind, parameters = header_parameters(disposition)
        name = parameters.get("name")
        if kind != "form-data" or name is None:
            raise _malformed('a part is not Content-Disposition: form-data; name="…"')
        encoding = self._headers.get("content-transfer-encoding", "").lower()
        if encoding not in _IDENTITY:
            raise _malformed(
                f"the part {name!r} has the transfer encoding {encoding!r}; send plain bytes"
            )
        self._admit(name)
        declared = self._headers.get("content-type")
        part = _Part[T](name, None, declared)
        if name == self._names.metadata:
            _check_json(declared)
        else:
            part.file_name = uploaded_name(parameters)
            told = any(earlier.name == self._names.metadata for earlier in self._parts)
            metadata = bytes(self._metadata) if told else None
            part.sink = self._open_sink(name, part.file_name, metadata)
        self._parts.append(part)
        self._part = part

    def _admit(self, name: str) -> None:
        if name not in (*self._names.needed, self._names.annex):
            raise InvalidInputError(
                f"there is no part {name!r:.100}; {self._names.in_words}",
                code="multipart-part-unknown",
            )
        count = sum(1 for part in self._parts if part.name == name)
        if name == self._names.annex and count >= self._limits.annexes:
            raise TooLargeError(
                f"there are more than {self._limits.annexes} parts {self._names.annex!r}, the most that "
                "a body may have",
                code="multipart-too-many-parts",
                rule="annexes",
                satisfied_by=f"at most {self._limits.annexes} parts {self._names.annex!r}",
            )
        if name != self._names.annex and count:
            raise InvalidInputError(
                f"the part {name!r} comes twice; a body has exactly one",
                code="multipart-part-duplicate",
            )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._part
        if part is None:  # the parser gives data only after headers
            raise _malformed("a part has data before its headers")
        part.size += end - start
        if part.sink is None:
            if part.size > self._limits.metadata_bytes:
                _too_large(f"the part {self._names.metadata!r}", self._limits.metadata_bytes)
            self._metadata += data[start:end]
            return
        if part.size > self._limits.file_bytes:
            _too_large(
                f"the file {part.file_name or part.name!r} ({part.name})", self._limits.file_bytes
            )
        part.sink.write(data[start:end])

    def _on_part_end(self) -> None:
        self._part = None

    def _on_end(self) -> None:
        self._ended = True


def _boundary(content_type: str | None) -> bytes:
    value, parameters = header_parameters(content_type) if content_type else ("", {})
    if value != "multipart/form-data":
        raise UnsupportedContentError(
            f"the body is {value or 'of no stated type'}; send multipart/form-data",
        )
    boundary = parameters.get("boundary")
    if boundary is None or not _BOUNDARY.fullmatch(boundary):
        raise _malformed(
            "the Content-Type of multipart/form-data needs a boundary of 1 to 70 characters"
        )
    return boundary.encode("ascii")


def _check_json(declared: str | None) -> None:
    """Accept JSON, and a part that does not say (curl sends none for plain values)."""
    if declared is not None and header_parameters(declared)[0] != "application/json":
        raise UnsupportedContentError(f"the metadata is {declared!r:.100}; send application/json")


def _too_large(what: str, limit: int) -> NoReturn:
    raise TooLargeError(
        f"{what} is over {limit} bytes, the most that is accepted",
        limit_bytes=limit,
        satisfied_by=f"at most {limit} bytes",
    )


def _malformed(detail: str) -> MalformedError:
    return MalformedError(detail, code="multipart-malformed")
