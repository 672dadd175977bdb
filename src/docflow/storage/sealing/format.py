"""The sealed file format: C2SP chunked-encryption v1 with SHA-512 and AES-256-GCM (Cobblestone-256).

A sealed file is a salt (24 bytes), a key commitment (32) and chunks of 16 KiB, each with a tag (16);
the last chunk is always shorter, so a file cut at a chunk's end is seen to be cut. Source:
https://c2sp.org/chunked-encryption (read in its text of 2026).

Writing is done by `cryptography.cobblestone`. Reading is done here, since that library (50.0) reads
from the front only. Rules of `SealedReader`:
1. The commitment is compared before any chunk is decrypted: a wrong key or context ends there.
2. The last chunk is decrypted before any byte is returned: the length is authentic, for ranges too.
3. No byte is returned whose chunk has not authenticated, and after a failure none is any more.
"""

import hmac
import io
import os
from typing import BinaryIO, Final, NoReturn

from cryptography.cobblestone import Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from docflow.kernel.errors import IntegrityError

KEY_BYTES: Final = 32
CHUNK_BYTES: Final = 16 * 1024
TAG_BYTES: Final = 16
SALT_BYTES: Final = 24
COMMITMENT_BYTES: Final = 32
HEADER_BYTES: Final = SALT_BYTES + COMMITMENT_BYTES
SEALED_CHUNK_BYTES: Final = CHUNK_BYTES + TAG_BYTES
MAX_CHUNKS: Final = 2**38  # 4 PiB

_NONCE_BYTES = 12
_INFO = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
_READ_AHEAD_CHUNKS = 16  # 256 KiB: what a reader from front to back holds


def derive(key: bytes, salt: bytes, context: bytes) -> tuple[bytes, bytes, bytes]:
    """Return message key (32 bytes), base nonce (12) and commitment (32) of one sealed file.

    Raises:
        ValueError: if the key is not of 32 bytes.
    """
    if len(key) != KEY_BYTES:
        raise ValueError(f"a data key has {KEY_BYTES} bytes, not {len(key)}")
    length = KEY_BYTES + _NONCE_BYTES + COMMITMENT_BYTES
    derived = HKDFExpand(SHA512(), length, _INFO + salt + context).derive(key)
    return (
        derived[:KEY_BYTES],
        derived[KEY_BYTES : KEY_BYTES + _NONCE_BYTES],
        derived[KEY_BYTES + _NONCE_BYTES :],
    )


def sealed_size(size: int) -> int:
    """Return how many bytes a file of `size` bytes has once sealed."""
    return HEADER_BYTES + size + TAG_BYTES * (size // CHUNK_BYTES + 1)


def opened_size(size: int) -> int:
    """Return how many bytes a sealed file of `size` bytes holds; not yet authenticated.

    Raises:
        IntegrityError: if no sealed file can have that size: it was cut or added to.
    """
    last = (size - HEADER_BYTES) % SEALED_CHUNK_BYTES
    if size < HEADER_BYTES + TAG_BYTES or last < TAG_BYTES:
        raise _damaged("its length is impossible, so it was cut")
    chunks = (size - HEADER_BYTES) // SEALED_CHUNK_BYTES
    if chunks >= MAX_CHUNKS:
        raise _damaged("it is longer than the format allows")
    return chunks * CHUNK_BYTES + last - TAG_BYTES


class SealingStream:
    """Seals one file, in pieces of any size; constant memory."""

    def __init__(self, key: bytes, context: bytes) -> None:
        self._encryptor = Cobblestone256Encryptor(key, context)
        self._buffer = bytearray()

    def update(self, data: bytes | memoryview) -> memoryview:
        """Seal the next bytes; the result is valid until the next call."""
        # the library says how much room it wants at most
        wanted = len(data) + len(data) // 1024 + HEADER_BYTES + SEALED_CHUNK_BYTES
        if len(self._buffer) < wanted:
            self._buffer = bytearray(wanted)
        return memoryview(self._buffer)[: self._encryptor.update_into(data, self._buffer)]

    def finish(self) -> bytes:
        """Seal what is left, and the end; call it once."""
        return self._encryptor.finalize()


class SealedReader(io.RawIOBase):
    """Reads the plaintext of a sealed file, from anywhere in it. Not for several threads at once."""

    def __init__(self, source: BinaryIO, key: bytes, context: bytes) -> None:
        """Check key, context and length of a sealed file.

        Args:
            source: the sealed bytes, seekable; closed with this reader.
            key: the data key.
            context: the bytes that were bound in when it was sealed.

        Raises:
            IntegrityError: if key or context are not those it was sealed with, or it was changed.
        """
        super().__init__()
        self._source = source
        self._source_at = -1
        self._at = 0
        self._failed = False
        self._window = memoryview(b"")
        self._window_start = 0
        self._ahead = 0
        total = source.seek(0, os.SEEK_END)
        self.size = opened_size(total)
        self._last = self.size // CHUNK_BYTES
        # the end first, then the front: a store that streams is asked to go on from there
        tail_start = HEADER_BYTES + self._last * SEALED_CHUNK_BYTES
        tail = self._fetch(tail_start, total - tail_start)
        header = self._fetch(0, HEADER_BYTES)
        message_key, base, commitment = derive(key, header[:SALT_BYTES], context)
        if not hmac.compare_digest(commitment, header[SALT_BYTES:]):
            raise IntegrityError(
                "The sealed object does not open with this key for this place: the key is another "
                "one, or the object belongs to another document, file or classification.",
                code="sealed-object-mismatch",
            )
        self._cipher = AESGCM(message_key)
        self._base = int.from_bytes(base, "big")
        self._tail = memoryview(self._open_chunks(self._last, tail))

    def readable(self) -> bool:
        """Tell that this can be read."""
        return True

    def seekable(self) -> bool:
        """Tell that any place can be gone to."""
        return True

    def tell(self) -> int:
        """Return the place in the plaintext, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the plaintext; see `io.IOBase.seek`."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}.get(whence)
        if start is None or start + offset < 0:
            raise ValueError(f"cannot seek to {offset} from {whence}")
        self._at = start + offset
        return self._at

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next `size` bytes, fewer only at the end; all that is left without a size.

        Raises:
            IntegrityError: if what was asked for was changed.
        """
        left = max(0, self.size - self._at)
        buffer = bytearray(left if size is None or size < 0 else min(size, left))
        self.readinto(buffer)
        return bytes(buffer)

    def readall(self) -> bytes:
        """Return all that is left."""
        return self.read()

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        """Fill `buffer` as far as there is something to read; return how many bytes.

        Raises:
            IntegrityError: if what was asked for was changed.
        """
        self._check_usable()
        out = memoryview(buffer).cast("B")
        out = out[: max(0, min(len(out), self.size - self._at))]
        done = 0
        while done < len(out):
            done += self._read_some(out[done:])
        return done

    def close(self) -> None:
        """Close the sealed source too."""
        if not self.closed:
            self._source.close()
        super().close()

    def _read_some(self, out: memoryview) -> int:
        chunk, within = divmod(self._at, CHUNK_BYTES)
        whole = min(len(out) // CHUNK_BYTES, _READ_AHEAD_CHUNKS, self._last - chunk)
        if within == 0 and whole > 0:  # straight into the caller's buffer
            taken = whole * CHUNK_BYTES
            self._open_into(chunk, self._fetch_chunks(chunk, whole), out[:taken])
        else:
            window, start = self._window_at(chunk)
            piece = window[self._at - start :][: len(out)]
            taken = len(piece)
            out[:taken] = piece
        self._at += taken
        return taken

    def _window_at(self, chunk: int) -> tuple[memoryview, int]:
        """Return opened bytes that hold a chunk, and where they start in the plaintext."""
        if chunk == self._last:
            return self._tail, self._last * CHUNK_BYTES
        start = chunk * CHUNK_BYTES
        end = self._window_start + len(self._window)
        if not self._window_start <= start < end:
            # who reads on gets more at once, who jumps about gets one chunk
            self._ahead = min(self._ahead * 2 or 1, _READ_AHEAD_CHUNKS) if start == end else 1
            count = min(self._ahead, self._last - chunk)
            self._window = memoryview(self._open_chunks(chunk, self._fetch_chunks(chunk, count)))
            self._window_start = start
        return self._window, self._window_start

    def _fetch_chunks(self, chunk: int, count: int) -> bytes:
        return self._fetch(HEADER_BYTES + chunk * SEALED_CHUNK_BYTES, count * SEALED_CHUNK_BYTES)

    def _fetch(self, start: int, length: int) -> bytes:
        if self._source_at != start:
            self._source.seek(start)
        data = self._source.read(length)
        while len(data) < length:
            more = self._source.read(length - len(data))
            if not more:
                self._fail("it became shorter while it was read")
            data += more
        self._source_at = start + length
        return data

    def _open_chunks(self, chunk: int, sealed: bytes) -> bytearray:
        """Open chunks that follow each other; the last of them may be the short one."""
        count = -(-len(sealed) // SEALED_CHUNK_BYTES)
        plain = bytearray(len(sealed) - count * TAG_BYTES)
        self._open_into(chunk, sealed, memoryview(plain))
        return plain

    def _open_into(self, chunk: int, sealed: bytes, out: memoryview) -> None:
        view = memoryview(sealed)
        at = 0
        try:
            for start in range(0, len(view), SEALED_CHUNK_BYTES):
                nonce = (self._base ^ chunk).to_bytes(_NONCE_BYTES, "big")
                piece = view[start : start + SEALED_CHUNK_BYTES]
                size = len(piece) - TAG_BYTES
                self._cipher.decrypt_into(nonce, piece, None, out[at : at + size])
                at += size
                chunk += 1
        except InvalidTag:
            out[:] = bytes(len(out))  # the library may have left what did not authenticate
            self._fail(f"chunk {chunk} does not authenticate")

    def _check_usable(self) -> None:
        if self.closed:
            raise ValueError("the sealed file is closed")
        if self._failed:
            self._fail("it was found changed before")

    def _fail(self, why: str) -> NoReturn:
        self._failed = True
        raise _damaged(why) from None


def _damaged(why: str) -> IntegrityError:
    return IntegrityError(
        f"The sealed object was changed: {why}. Nothing of it is given out; restore it from a copy.",
        code="sealed-object-damaged",
    )
