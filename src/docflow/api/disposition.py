"""File names as they travel in HTTP headers: read from uploads, written for downloads.

Rules: a name that comes in is only ever a label. It is never a path, holds no control or
direction-changing characters, is NFC and of bounded length; a name that goes out cannot end the
header, and every client gets something it can save. Sources: RFC 6266 (Content-Disposition),
RFC 8187 (`filename*`), RFC 7578 (multipart/form-data), the WHATWG form-data encoding.
"""

import re
import unicodedata
from urllib.parse import quote

from docflow.kernel.errors import MalformedError

MAX_NAME_BYTES = 200  # of UTF-8; file systems stop at 255
MAX_SUFFIX_CHARS = 16
_FALLBACK_NAME = "document"

_ATOM = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE = re.compile(rf"[ \t]*({_ATOM}(?:/{_ATOM})?)[ \t]*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_PARAMETER = re.compile(rf';[ \t]*({_ATOM})=(?:"((?:[^"\\]|\\.)*)"|({_ATOM}))[ \t]*')
_UNSAFE_IN_FALLBACK = re.compile(r"[^A-Za-z0-9 ._()+,=@~-]")
_PERCENT_ESCAPE = re.compile(r"%(?:[0-9A-Fa-f]{2})")
_FORM_ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # WHATWG: what browsers escape


def header_parameters(header: str) -> tuple[str, dict[str, str]]:
    """Split a header such as `form-data; name="main"` into its value and its parameters.

    Args:
        header: the header's bytes as Latin-1 text, as HTTP servers hand it over.

    Returns:
        The value in lower case, and the parameters by lower-case name, unquoted, still Latin-1.

    Raises:
        MalformedError: if it does not follow the grammar or names a parameter twice.
    """
    header = header.rstrip("; \t")
    match = _VALUE.match(header)
    if match is None or _CONTROL.search(header):
        raise _malformed(f"the header {_shown(header)} is not a value with parameters")
    value, position = match[1].lower(), match.end()
    parameters: dict[str, str] = {}
    while position < len(header):
        match = _PARAMETER.match(header, position)
        if match is None:
            raise _malformed(f"the header {_shown(header)} has a parameter that is not NAME=VALUE")
        name = match[1].lower()
        if name in parameters:
            raise _malformed(f"the header {_shown(header)} gives {name!r} twice")
        quoted = match[2]
        parameters[name] = match[3] if quoted is None else re.sub(r'\\(["\\])', r"\1", quoted)
        position = match.end()
    return value, parameters


def uploaded_name(parameters: dict[str, str]) -> str | None:
    """Return the cleaned file name that an upload's Content-Disposition gives, or None.

    `filename*` goes before `filename` (RFC 6266 4.3); a plain `filename` is read as UTF-8, with
    the three escapes that browsers use in forms.

    Raises:
        MalformedError: if the name is not in the encoding it must be in.
    """
    extended = parameters.get("filename*")
    if extended is not None:
        return clean_file_name(_extended_value(extended))
    plain = parameters.get("filename")
    if plain is None:
        return None
    try:
        text = plain.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        raise _malformed("the file name is not UTF-8; send UTF-8 or filename*") from error
    return clean_file_name(
        _PERCENT_ESCAPE.sub(lambda m: _FORM_ESCAPES.get(m[0].upper(), m[0]), text)
    )


def _extended_value(value: str) -> str:
    """Decode an RFC 8187 ext-value: `UTF-8'vi'Quy%E1%BA%BFt.pdf`."""
    charset, quote_mark, rest = value.partition("'")
    _, second_mark, encoded = rest.partition("'")
    if charset.lower() != "utf-8" or not quote_mark or not second_mark:
        raise _malformed(f"filename* {_shown(value)} is not of the form UTF-8''NAME")
    if "%" in _PERCENT_ESCAPE.sub("", encoded):
        raise _malformed(f"filename* {_shown(value)} has a broken percent escape")
    decoded = _PERCENT_ESCAPE.sub(lambda m: chr(int(m[0][1:], 16)), encoded)
    try:
        return decoded.encode("latin-1").decode("utf-8")
    except UnicodeError as error:
        raise _malformed(f"filename* {_shown(value)} is not UTF-8") from error


def clean_file_name(name: str) -> str | None:
    """Make a stranger's file name a harmless label; None if nothing of it is left.

    Keeps the last part of a path, drops control, formatting and unassigned characters (line
    breaks, direction marks), composes to NFC, and shortens to `MAX_NAME_BYTES` of UTF-8 with the
    suffix kept.
    """
    base = re.split(r"[/\\]", name)[-1]
    shown = "".join(
        " " if char.isspace() else char
        for char in unicodedata.normalize("NFC", base)
        if char in "\t\r\n" or not unicodedata.category(char).startswith("C")
    )
    whole = " ".join(shown.split()).strip(". ")
    if not whole:
        return None
    stem, dot, suffix = whole.rpartition(".")
    if not dot or len(suffix) > MAX_SUFFIX_CHARS:
        stem, dot, suffix = whole, "", ""
    tail = dot + suffix
    room = MAX_NAME_BYTES - len(tail.encode())
    if len(stem.encode()) > room:
        stem = stem.encode()[:room].decode("utf-8", errors="ignore").rstrip(". ")
    return unicodedata.normalize("NFC", stem + tail)


def content_disposition(name: str) -> str:
    """Return the Content-Disposition of a download: an ASCII `filename` and the real `filename*`.

    The value is ASCII without control characters whatever `name` holds (RFC 6266, RFC 8187).
    """
    clean = clean_file_name(name) or _FALLBACK_NAME
    letters = unicodedata.normalize("NFKD", clean.replace("đ", "d").replace("Đ", "D"))
    bare = "".join(char for char in letters if not unicodedata.combining(char))
    fallback = _UNSAFE_IN_FALLBACK.sub("_", bare).strip(". ") or _FALLBACK_NAME
    return f"attachment; filename=\"{fallback}\"; filename*=UTF-8''{quote(clean, safe='')}"


def _malformed(detail: str) -> MalformedError:
    return MalformedError(detail, code="multipart-malformed")


def _shown(header: str, limit: int = 80) -> str:
    return repr(header if len(header) <= limit else header[:limit] + "…")
