"""The file that is posted: a page of text and a scan-like picture, 100 KB in all."""

import io
import random

from bench.client import MARKER

BYTES = 100_000


def pdf(size_bytes: int = BYTES) -> bytes:
    """Return a flat PDF of about `size_bytes` that carries `MARKER` once, as a comment."""
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    chance = random.Random(30)
    side = max(16, int((max(0, size_bytes - 2500) * 0.974) ** 0.5))
    from PIL import Image

    picture = Image.frombytes("L", (side, side), chance.randbytes(side * side))
    target = io.BytesIO()
    canvas = Canvas(target, pageCompression=1, invariant=1)
    canvas.drawImage(ImageReader(picture), 60, 200, 400, 400)
    canvas.drawString(72, 720, "Uy ban nhan dan tinh Lam Giang")
    canvas.drawString(72, 700, "A sample of the bench: nobody decided this.")
    canvas.showPage()
    canvas.save()
    data = target.getvalue()
    # a comment in the room that the header's own comment leaves: no offset moves
    first = data.index(b"\n") + 1
    end = data.index(b"\n", first)
    room = end - first
    comment = (b"%" + MARKER).ljust(room)
    if len(comment) != room:
        raise RuntimeError("the PDF's header has no room for the marker")
    return data[:first] + comment + data[end:]
