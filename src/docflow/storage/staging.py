"""The staging area: bodies are received here, hashed on the way, checked, then stored or dropped.

Writing happens in bounded memory. Nothing here is durable yet: `ObjectStore.put` makes it so. What a
crash leaves behind is swept by age.
"""

import hashlib
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from docflow.kernel.errors import TooLargeError, UnavailableError
from docflow.kernel.ids import new_id

HEAD_BYTES = 4096  # enough to tell a media type from content


@dataclass(frozen=True, slots=True)
class StagedFile:
    """A received file: where it is, how long (bytes), its SHA-256 and its first bytes."""

    path: Path
    size: int
    sha256: str
    head: bytes

    def open(self) -> BinaryIO:
        """Open what was received for checks: seekable, as it was sent."""
        return self.path.open("rb")

    def discard(self) -> None:
        """Delete the staged bytes; silent if they were stored already."""
        self.path.unlink(missing_ok=True)


class StagingFile:
    """A file being received."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._hash = hashlib.sha256()
        self._head = b""
        self._size = 0
        try:
            # read-only from the start, as it will be stored; only this handle writes
            self._file = open(path, "xb", buffering=0, opener=_read_only)  # noqa: SIM115
        except OSError as error:
            raise _no_room(error) from error

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes.

        Raises:
            TooLargeError: as soon as the limit is passed; the caller aborts.
            UnavailableError: if the disk is full or fails.
        """
        self._size += len(data)
        if self._size > self._max_bytes:
            raise file_too_large(self._max_bytes)
        if len(self._head) < HEAD_BYTES:
            self._head += bytes(data[: HEAD_BYTES - len(self._head)])
        self._hash.update(data)
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _no_room(error) from error

    def finish(self) -> StagedFile:
        """Close the file and return what was received."""
        self._file.close()
        return StagedFile(self._path, self._size, self._hash.hexdigest(), self._head)

    def abort(self) -> None:
        """Drop what was received; may be called more than once, and after `finish`."""
        self._file.close()
        self._path.unlink(missing_ok=True)


class Staging:
    """A folder for files that are not stored yet; on the store's own disk where that is local."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self.max_bytes = max_bytes

    def begin(self, max_bytes: int | None = None) -> StagingFile:
        """Start receiving a file of at most `max_bytes` (the staging area's limit if None)."""
        return StagingFile(self.new_path(), max_bytes or self.max_bytes)

    def new_path(self) -> Path:
        """Return a fresh path in the staging area, for steps that write a file themselves."""
        return self.folder / f"{new_id()}.part"

    def adopt(self, path: Path) -> StagedFile:
        """Hash a file that a step wrote at a path of `new_path`."""
        digest = hashlib.sha256()
        size = 0
        head = b""
        with path.open("rb") as file:
            while chunk := file.read(2**18):
                head = head or chunk[:HEAD_BYTES]
                size += len(chunk)
                digest.update(chunk)
        return StagedFile(path, size, digest.hexdigest(), head)

    def sweep(self, older_than_seconds: float) -> int:
        """Delete leftovers of crashed requests; return how many."""
        limit = time.time() - older_than_seconds
        swept = 0
        for path in self.folder.glob("*.part"):
            try:
                if path.stat().st_mtime < limit:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                    swept += 1
            except FileNotFoundError:
                continue
        return swept


def _read_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o400)


def file_too_large(limit_bytes: int) -> TooLargeError:
    """Return the error of a body that is over a limit."""
    return TooLargeError(
        f"The file is over the limit of {limit_bytes} bytes ({limit_bytes / 2**20:.0f} MiB).",
        code="file-too-large",
        rule="max-file-bytes",
        satisfied_by=f"Send at most {limit_bytes} bytes.",
        limit_bytes=limit_bytes,
    )


def _no_room(error: OSError) -> UnavailableError:
    return UnavailableError(
        f"The file cannot be received: {error.strerror or 'the disk does not answer'}. "
        "Nothing was stored; try again later.",
        code="storage-unavailable",
    )
