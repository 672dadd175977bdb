"""The file that is posted: a page with a line of text and a scan-like picture, 100 KB in all."""

import random

from bench.client import MARKER

BYTES = 100_000
_TEXT = b"BT /F1 12 Tf 72 720 Td (A sample of the bench: nobody decided this.) Tj ET"
_DRAWN = b"q 400 0 0 400 60 200 cm /Im0 Do Q"


def pdf(size_bytes: int = BYTES) -> bytes:
    """Return a flat, unsigned PDF of about `size_bytes` that carries `MARKER` once, as a comment.

    The picture is noise, kept as it is (no filter), so that nothing can compress it.
    """
    side = max(16, int((size_bytes - 1200) ** 0.5))
    noise = random.Random(30).randbytes(side * min(side, 1024))
    picture = (noise * (side * side // len(noise) + 1))[: side * side]
    content = _TEXT + b"\n" + _DRAWN
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> /XObject << /Im0 6 0 R >> >> >>",
        _stream(b"", content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        _stream(
            b"/Type /XObject /Subtype /Image /ColorSpace /DeviceGray /BitsPerComponent 8 "
            b"/Width %d /Height %d " % (side, side),
            picture,
        ),
    ]
    parts = [b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n%" + MARKER + b"\n"]
    offsets, at = [], len(parts[0])
    for number, body in enumerate(objects, 1):
        offsets.append(at)
        parts.append(b"%d 0 obj\n%b\nendobj\n" % (number, body))
        at += len(parts[-1])
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    parts.append(
        b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<< /Size %d /Root 1 0 R "
        b"/ID [<00112233445566778899aabbccddeeff> <00112233445566778899aabbccddeeff>] >>\n"
        b"startxref\n%d\n%%%%EOF\n" % (count, table, count, at)
    )
    return b"".join(parts)


def _stream(entries: bytes, data: bytes) -> bytes:
    return b"<< %b/Length %d >>\nstream\n%b\nendstream" % (entries, len(data), data)
