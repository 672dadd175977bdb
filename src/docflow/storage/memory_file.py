"""Plaintext that tools need as a file and that must not be on a disk: files in memory, with a path.

The path (`/proc/<pid>/fd/<n>`) opens like any other, in this process and in its children, as long as
the file is held. It cannot be renamed or removed; when it is closed, its bytes are gone. Memory can be
swapped out: a machine that handles confidential items has encrypted swap, or none (docs/sealing.md).

Source: memfd_create(2).
"""

import os
from pathlib import Path
from typing import BinaryIO, Self

_CHUNK_BYTES = 2**18


class MemoryFile:
    """A file in memory. Use it as a context manager, or close it."""

    def __init__(self) -> None:
        self._descriptor = os.memfd_create("docflow", os.MFD_CLOEXEC)

    @classmethod
    def of(cls, source: BinaryIO) -> Self:
        """Return a file with what is left to read of `source`, which is left open."""
        file = cls()
        try:
            with file.path.open("wb") as target:
                while data := source.read(_CHUNK_BYTES):
                    target.write(data)
        except BaseException:
            file.close()
            raise
        return file

    @property
    def path(self) -> Path:
        """Where to open it."""
        return Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")

    def close(self) -> None:
        """Give the memory back; may be called more than once."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
