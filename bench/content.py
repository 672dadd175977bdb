"""Bytes of any size in little memory: what is sent, and what must come back."""

import random
import secrets
from collections.abc import Iterator
from dataclasses import dataclass

from bench.client import WrongResultError

CHUNK_BYTES = 2**18
_BLOCK = random.Random(30).randbytes(8 * 2**20)  # nothing can compress it


@dataclass(frozen=True, slots=True)
class Content:
    """Segments one after the other; the long ones are one and the same object."""

    segments: list[bytes]

    @property
    def size(self) -> int:
        return sum(map(len, self.segments))

    def chunks(self) -> Iterator[memoryview]:
        """Yield all of it in pieces of at most 256 KiB."""
        for segment in self.segments:
            view = memoryview(segment)
            for start in range(0, len(view), CHUNK_BYTES):
                yield view[start : start + CHUNK_BYTES]


def noise(size: int) -> Content:
    """Return content of `size` bytes that no other content begins like."""
    mark = secrets.token_bytes(min(16, size))
    first = mark + _BLOCK[len(mark) : size]
    whole, rest = divmod(size - len(first), len(_BLOCK))
    return Content([first, *[_BLOCK] * whole, _BLOCK[:rest]])


def large_pdf(size: int) -> Content:
    """Return a flat PDF of about `size` bytes (at least 8 MiB): one page that carries many pictures."""
    count = max(1, size // len(_BLOCK))
    pictures = b" ".join(b"/Im%d %d 0 R" % (n, n + 4) for n in range(count))
    drawn = b"BT /F1 12 Tf 72 720 Td (A sample of the bench.) Tj ET"
    objects = [
        [b"<< /Type /Catalog /Pages 2 0 R >>"],
        [b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"],
        [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents %d 0 R /Resources "
            b"<< /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> "
            b"/XObject << %b >> >> >>" % (count + 4, pictures)
        ],
        *([_picture(), _BLOCK, b"\nendstream"] for _ in range(count)),
        [b"<< /Length %d >>\nstream\n%b\nendstream" % (len(drawn), drawn)],
    ]
    segments = [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n%" + secrets.token_hex(8).encode() + b"\n"]
    at, offsets = len(segments[0]), []
    for number, parts in enumerate(objects, 1):
        offsets.append(at)
        item = [b"%d 0 obj\n" % number, *parts, b"\nendobj\n"]
        segments += item
        at += sum(map(len, item))
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    total = len(objects) + 1
    segments.append(
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R "
        b"/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>] >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (total, table, total, at)
    )
    return Content(segments)


def _picture() -> bytes:
    return (
        b"<< /Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent 8 "
        b"/Width 4096 /Height %d /Length %d >>\nstream\n" % (len(_BLOCK) // 4096, len(_BLOCK))
    )


class Expected:
    """Compares what comes back, piece by piece, with what was sent."""

    def __init__(self, content: Content) -> None:
        self._segments = iter(content.segments)
        self._left = memoryview(b"")

    def feed(self, data: bytes | bytearray) -> None:
        """Take the next bytes.

        Raises:
            WrongResultError: if they are not those that were sent.
        """
        at = 0
        while at < len(data):
            while not self._left:
                following = next(self._segments, None)
                if following is None:
                    raise WrongResultError("more bytes came back than were sent")
                self._left = memoryview(following)
            count = min(len(data) - at, len(self._left))
            if not data.startswith(self._left[:count], at):
                raise WrongResultError("other bytes came back than were sent")
            self._left = self._left[count:]
            at += count

    def end(self) -> None:
        """See that all came back.

        Raises:
            WrongResultError: if not.
        """
        if self._left or any(self._segments):
            raise WrongResultError("fewer bytes came back than were sent")
