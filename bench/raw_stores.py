"""The bare stores: what a program does that wants its bytes durable and nothing more.

Neither seals, asks whether the object is there, keeps its digest, nor compares what it reads. The folder
hashes nothing; the client hashes what it sends (SHA-256 over plain HTTP, MD5 over TLS).
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from minio import Minio

from bench.content import CHUNK_BYTES, Content

PART_BYTES = 8 * 2**20  # as docflow's own


class RawFolder:
    """Write, fsync, rename, fsync of the folder; read from the front."""

    name = "write, fsync, rename; read"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder

    def put(self, content: Content) -> Path:
        target = self._folder / secrets.token_hex(16)
        partial = target.with_suffix(".part")
        with partial.open("xb", buffering=0) as file:
            for chunk in content.chunks():
                left = chunk
                while left:
                    left = left[file.write(left) :]
            os.fsync(file.fileno())
        partial.rename(target)
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(descriptor)
        os.close(descriptor)
        return target

    def get(self, handle: Path) -> Iterator[bytes]:
        with handle.open("rb", buffering=0) as file:
            while data := file.read(CHUNK_BYTES):
                yield data

    def delete(self, handle: Path) -> None:
        handle.unlink()


class RawBucket:
    """The `minio` client alone, as its documentation shows it; large objects go up three parts at once."""

    name = "minio client alone"

    def __init__(self, client: Minio, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def put(self, content: Content) -> str:
        name = secrets.token_hex(16)
        reader = _Reader(content)
        self._client.put_object(
            self._bucket,
            name,
            reader,  # type: ignore[arg-type]
            content.size,
            part_size=PART_BYTES,
        )
        return name

    def get(self, handle: str) -> Iterator[bytes]:
        with closing(self._client.get_object(self._bucket, handle)) as answer:
            while data := answer.read(CHUNK_BYTES):
                yield data
            answer.release_conn()

    def delete(self, handle: str) -> None:
        self._client.remove_object(self._bucket, handle)


class _Reader:
    """Content as a file that gives exactly what is asked for (the client joins short reads slowly)."""

    def __init__(self, content: Content) -> None:
        self._segments = iter(content.segments)
        self._left = b""

    def read(self, size: int) -> bytes:
        pieces, have = [], 0
        while have < size:
            if not self._left:
                self._left = next(self._segments, b"")
                if not self._left:
                    break
            piece = self._left[: size - have]  # a whole segment is not copied
            self._left = self._left[len(piece) :]
            pieces.append(piece)
            have += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
