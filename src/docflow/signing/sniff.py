"""What a file is, found from its first bytes and never from its name or what its sender says.

Rules:
- Pure: bytes in, media type out; never fails.
- In doubt the answer is `application/octet-stream`, which nothing downstream opens.
"""

import base64
import re
import zlib

SNIFF_BYTES = 4096  # how much of the head of a file is enough
OCTETS = "application/octet-stream"

_MAGIC = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),
    (b"MM\x00+", "image/tiff"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage"),
    (b"{\\rtf", "application/rtf"),
)
_CMS_ARMOUR = (b"-----BEGIN PKCS7-----", b"-----BEGIN CMS-----", b"-----BEGIN PKCS #7")
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")  # the OID of id-signedData, as DER has it
_ENCRYPTED_DATA = (  # likewise id-envelopedData, id-encryptedData and id-ct-authEnvelopedData (RFC 5083)
    bytes.fromhex("06092a864886f70d010703"),
    bytes.fromhex("06092a864886f70d010706"),
    bytes.fromhex("060b2a864886f70d0109100117"),
)
_ARMOURED_CHARS = 64  # a whole number of groups of four
_PDF_WITHIN = 1024  # ISO 32000-1 annex H: readers look for the header in the first 1,024 bytes
_MAIL = re.compile(
    rb"\s*(mime-version|content-type|received|return-path|delivered-to|dkim-signature|message-id|from|to|"
    rb"date|subject|x-[a-z-]{1,40}):[ \t]",
    re.IGNORECASE,
)
_ZIP_LOCAL = b"PK\x03\x04"
_ZIP_EMPTY = b"PK\x05\x06"
_ZIP_HEADER_BYTES = 30
_STORED, _DEFLATED = 0, 8
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OFFICE_FOLDERS = (
    (b"word/", _OFFICE + "wordprocessingml.document"),
    (b"xl/", _OFFICE + "spreadsheetml.sheet"),
    (b"ppt/", _OFFICE + "presentationml.presentation"),
)
_OFFICE_MARKS = (
    (b"wordprocessingml.document.main", _OFFICE_FOLDERS[0][1]),
    (b"spreadsheetml.sheet.main", _OFFICE_FOLDERS[1][1]),
    (b"presentationml.presentation.main", _OFFICE_FOLDERS[2][1]),
)
_DECLARED = (
    "application/vnd.oasis.opendocument.",
    "application/vnd.etsi.asic-",
    "application/epub",
)
_WORDS = (
    ("text/html", "a web page"),
    ("text/", "text"),
    ("image/", "an image"),
    ("application/pdf", "a PDF"),
    ("application/vnd.etsi.asic", "a signature container"),
    ("application/zip", "a ZIP"),
    ("application/vnd.", "an office document"),
    ("application/x-ole-storage", "an office document"),
    ("application/rtf", "an office document"),
    ("application/epub", "an electronic book"),
)
_TEXT_CONTROLS = frozenset(b"\t\n\r\x0c")
_FIRST_PRINTABLE, _DELETE = 0x20, 0x7F
_LONGEST_UTF8_TAIL = 3  # bytes of a character that the end of the head may have cut


def sniff(head: bytes) -> str:
    """Return the media type of a file that begins with `head` (give `SNIFF_BYTES` of it)."""
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type
    if head.startswith((_ZIP_LOCAL, _ZIP_EMPTY)):
        return _zip_type(head)
    return _text_type(head)


def is_cms(head: bytes) -> bool:
    """Tell whether a file that begins with `head` is a CMS SignedData, in DER, BER or PEM.

    Whatever else is in the armour of CMS counts too, unless it is known to be encrypted.
    """
    if head.lstrip().startswith(_CMS_ARMOUR):
        return not is_encrypted_cms(head)
    return head.startswith(b"\x30") and _SIGNED_DATA in head[:24]


def is_encrypted_cms(head: bytes) -> bool:
    """Tell whether a file that begins with `head` is a CMS message that only its reader opens.

    In DER, BER or PEM.
    """
    if head.lstrip().startswith(_CMS_ARMOUR):
        head = _within_armour(head)
    return head.startswith(b"\x30") and any(oid in head[:24] for oid in _ENCRYPTED_DATA)


def _within_armour(head: bytes) -> bytes:
    """Return the first bytes in PEM (RFC 7468; headers as RFC 1421 has them), none if it is broken."""
    lines = head.lstrip().splitlines()[1:]
    body = b"".join(line.strip() for line in lines if b":" not in line)[:_ARMOURED_CHARS]
    try:
        return base64.b64decode(body, validate=True)
    except ValueError:
        return b""


def may_be_pdf(head: bytes) -> bool:
    """Tell whether a PDF's header is where readers look for it."""
    return b"%PDF-" in head[:_PDF_WITHIN]


def is_mail(head: bytes) -> bool:
    """Tell whether a file that begins with `head` begins as an e-mail message does (RFC 5322, 2.2)."""
    return _MAIL.match(head) is not None


def described(head: bytes) -> str:
    """Return in words what a file is that begins with `head`; nothing that it says is repeated."""
    if not head:
        return "empty"
    if is_mail(head):
        return "an e-mail message"
    media_type = sniff(head)
    if media_type == "application/xml" or (b"<" in head[:64] and b"Signature" in head):
        return "XML"
    if media_type == OCTETS and head.startswith(b"\x30"):
        return "DER, but no signature"
    return next(
        (words for start, words in _WORDS if media_type.startswith(start)), "of no known kind"
    )


def _zip_type(head: bytes) -> str:
    entries = _zip_entries(head)
    if entries and entries[0][0] == b"mimetype":
        declared = entries[0][1].decode("ascii", "replace").strip()
        if declared.startswith(_DECLARED):
            return declared
    names = [name for name, _ in entries]
    if b"[Content_Types].xml" in names or b"_rels/.rels" in names:
        types = next((content for name, content in entries if name == b"[Content_Types].xml"), b"")
        for mark, media_type in _OFFICE_MARKS:
            if mark in types:
                return media_type
        for folder, media_type in _OFFICE_FOLDERS:
            if any(name.startswith(folder) for name in names):
                return media_type
    return "application/zip"


def _zip_entries(head: bytes) -> list[tuple[bytes, bytes]]:
    """Read names and what is there of the contents of the entries that begin inside `head`."""
    entries = []
    start = 0
    while start >= 0 and start + _ZIP_HEADER_BYTES <= len(head):
        method = int.from_bytes(head[start + 8 : start + 10], "little")
        size = int.from_bytes(head[start + 18 : start + 22], "little")
        name_size = int.from_bytes(head[start + 26 : start + 28], "little")
        extra_size = int.from_bytes(head[start + 28 : start + 30], "little")
        body = start + _ZIP_HEADER_BYTES + name_size + extra_size
        name = head[start + _ZIP_HEADER_BYTES : start + _ZIP_HEADER_BYTES + name_size]
        after = head.find(_ZIP_LOCAL, body)
        end = body + size if size else after if after >= 0 else len(head)
        entries.append((name, _unpacked(head[body:end], method)))
        start = after
    return entries


def _unpacked(data: bytes, method: int) -> bytes:
    if method == _STORED:
        return data
    if method != _DEFLATED:
        return b""
    try:
        return zlib.decompressobj(-15).decompress(data, 65_536)
    except zlib.error:
        return b""


def _text_type(head: bytes) -> str:
    if not head or not _is_text(head):
        return OCTETS
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:256].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if start.startswith(b"<svg"):
        return "image/svg+xml"
    if start.startswith(b"<?xml"):
        return "image/svg+xml" if b"<svg" in head.lower() else "application/xml"
    return "text/plain"


def _is_text(head: bytes) -> bool:
    if any((b < _FIRST_PRINTABLE and b not in _TEXT_CONTROLS) or b == _DELETE for b in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # a character cut by the end of the head is no fault, if it is the only one
        cut = error.reason == "unexpected end of data"
        return cut and len(head) - error.start <= _LONGEST_UTF8_TAIL and error.start > 0
    return True
