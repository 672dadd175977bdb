"""Look into an office file before it may come in: texts, tables, slides; without macros and links outside.

Rules:
- A stranger wrote the file: entries and bytes are counted, XML is parsed without entities, nothing
  is written or fetched.
- What runs (macros, ActiveX, OLE objects, DDE) and what would bring other files onto the page
  (linked pictures, sections, templates, tables, formulas that fetch) is refused: the first could act, and
  the second would show the approver something that the sender did not send.

Refusals (InvalidInputError): office-broken, office-encrypted, office-active, office-linked; and
(UnsupportedContentError) not-a-pdf, where a compound file is no document of Word.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO, Final, NoReturn

from lxml import etree

from docflow.conversion.binary import CrookedError, look_at_word
from docflow.kernel.errors import InvalidInputError, UnsupportedContentError

DOCX: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX: Final = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
ODT: Final = "application/vnd.oasis.opendocument.text"
ODS: Final = "application/vnd.oasis.opendocument.spreadsheet"
ODP: Final = "application/vnd.oasis.opendocument.presentation"
RTF: Final = "application/rtf"
DOC: Final = "application/x-ole-storage"
OFFICE_TYPES: Final = {
    DOCX: "docx", ODT: "odt", RTF: "rtf", XLSX: "xlsx", ODS: "ods", PPTX: "pptx", ODP: "odp",
    DOC: "doc",
}  # fmt: skip
"""What can be converted: media type → the ending by which LibreOffice knows it."""

CONFINED_TYPES: Final = frozenset({DOC})
"""What is converted in a sandbox alone, since not all can be found in it at the door."""

_MOST_ENTRIES: Final = 5_000
_MOST_BYTES: Final = 256 << 20  # unpacked, all entries
_MOST_XML_BYTES: Final = 16 << 20  # unpacked, one entry that is parsed
_ACTIVE_ENTRY: Final = re.compile(
    r"(^|/)(vbaproject\.bin|vbadata\.xml|activex/|basic/|scripts/|.*oleobject[^/]*\.bin$)",
    re.IGNORECASE,
)
_ACTIVE_TYPES: Final = ("macroEnabled", "vbaProject", "activeX", "oleObject", "macrosheet")
_LINKED_TYPES: Final = ("externalLink", "connections", "queryTable")  # DDE is among the first
_OOXML: Final = frozenset({DOCX, XLSX, PPTX})
_FORMULAS: Final = frozenset({"f", "formula", "formula1", "formula2", "definedName"})
# Functions that fetch or call, and references into other files ('file:///a.ods'#$Sheet1.A1).
_FETCHING: Final = re.compile(
    r"(?<![A-Z])(WEBSERVICE|RTD|DDE|CALL|EXEC|REGISTER(\.ID)?)\s*\("
    r"|(?<![A-Z])(FILE|HTTPS?|FTPS?|SMB|DAVS?|WEBDAVS?|VND\.[A-Z.]+):[^'\"]*'?#"
)
_OUTSIDE_FIELD: Final = re.compile(
    r"INCLUDE(TEXT|PICTURE)|DDE(AUTO)?\b|IMPORT\b|DATABASE\b|(?<![A-Z])LINK\b|AUTOTEXT|MACROBUTTON"
    r"|(?<![A-Z])RD\s"
)
_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
# What zipfile, zlib and lxml make of crooked headers, bytes and XML.
_CROOKED: Final = (
    zipfile.BadZipFile, zlib.error, etree.XMLSyntaxError, LookupError, NotImplementedError, EOFError,
    OSError, ValueError, RuntimeError, OverflowError,
)  # fmt: skip
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_XLINK: Final = "{http://www.w3.org/1999/xlink}href"
_ODF_ACTIVE: Final = frozenset(
    {"scripts", "event-listeners", "event-listener", "dde-source", "dde-connection-decl", "dde-link",
     "macro-library", "applet", "plugin", "object-ole", "script"}
)  # fmt: skip
_ODF_OUTSIDE: Final = frozenset(
    {"database-source-sql", "database-source-table", "database-source-query", "source-service"}
)
_ODF_FORMULAS: Final = frozenset({"formula", "condition", "expression"})
_ODF_MAY_LINK: Final = frozenset(
    {"a", "template"}
)  # a text's link is only shown; no template is read
_RTF_ACTIVE: Final = re.compile(
    rb"\\(objdata|objautlink|objlink|objocx|objemb|objupdate|datafield)\b"
)
_RTF_OUTSIDE: Final = re.compile(rb"\\(template|nextfile|subdocument\d*)\b")
_RTF_FIELD: Final = re.compile(rb"\\fldinst\b(.{0,400})", re.DOTALL)
_RTF_NOISE: Final = re.compile(rb"\\\*|\\'[0-9a-fA-F]{2}|\\u-?\d+ ?\??|\\[a-zA-Z]+-?\d* ?|[{}\r\n]")
_RTF_FIELDS: Final = frozenset(
    b"AUTHOR COMMENTS CREATEDATE DATE DOCPROPERTY EQ FORMCHECKBOX FORMDROPDOWN FORMTEXT HYPERLINK INDEX "
    b"KEYWORDS LISTNUM NOTEREF NUMPAGES NUMWORDS PAGE PAGEREF PRINTDATE QUOTE REF SAVEDATE SECTION "
    b"SECTIONPAGES SEQ STYLEREF SUBJECT SYMBOL TC TIME TITLE TOC XE".split()
)


def require_convertible(source: BinaryIO, media_type: str) -> None:
    """Refuse an office file that must not be converted.

    Args:
        source: the file, seekable.
        media_type: one of `OFFICE_TYPES`, as told from its content.

    Raises:
        InvalidInputError: with one of the codes above.
        UnsupportedContentError: code `not-a-pdf`.
    """
    source.seek(0)
    if media_type == DOC:
        _look_at_doc(source.read())
        return
    if media_type == RTF:
        _look_at_rtf(source.read())
        return
    try:
        with zipfile.ZipFile(source) as archive:
            _look_at_entries(archive)
            (_look_at_ooxml if media_type in _OOXML else _look_at_odf)(archive)
    except _CROOKED as error:
        raise _broken() from error


def _look_at_entries(archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(entries) > _MOST_ENTRIES or sum(entry.file_size for entry in entries) > _MOST_BYTES:
        raise _broken("it unpacks to more than is accepted")
    if len(set(names)) != len(names):
        raise _broken("it has two entries of one name")
    if any(entry.compress_type not in _METHODS for entry in entries):
        raise _broken("it is packed in a way that office files are not")
    if any(entry.flag_bits & 1 for entry in entries):
        raise _encrypted()
    for name in names:
        if _ACTIVE_ENTRY.search(name):
            _refuse_active("a macro, an ActiveX control or an OLE object")


def _look_at_ooxml(archive: zipfile.ZipFile) -> None:
    declared = _elements(archive, "[Content_Types].xml")
    types = " ".join(element.get("ContentType", "") for element in declared)
    if any(mark in types for mark in _ACTIVE_TYPES):
        _refuse_active("a macro, an ActiveX control or an OLE object")
    if any(mark in types for mark in _LINKED_TYPES):
        _refuse_linked()
    for name in archive.namelist():
        if name.endswith(".rels"):
            _look_at_relationships(archive, name)
        elif name.startswith("word/") and name.endswith(".xml"):
            _look_at_fields(archive, name)
        elif name.startswith("xl/") and name.endswith(".xml"):
            for element in _elements(archive, name):
                if etree.QName(element).localname in _FORMULAS:
                    _look_at_formula(element.text or "")


def _look_at_relationships(archive: zipfile.ZipFile, name: str) -> None:
    for element in _elements(archive, name):
        outside = element.get("TargetMode", "").lower() == "external"
        if outside and not element.get("Type", "").lower().endswith("/hyperlink"):
            _refuse_linked()


def _look_at_formula(formula: str) -> None:
    if _FETCHING.search(formula.upper()):
        _refuse_linked()


def _look_at_fields(archive: zipfile.ZipFile, name: str) -> None:
    told = []
    for element in _elements(archive, name):
        if element.tag == f"{_W}instrText":
            told.append(element.text or "")
        elif element.tag == f"{_W}fldSimple":
            told.append(f" {element.get(f'{_W}instr', '')} ")
        elif element.tag == f"{_W}fldChar":
            told.append(" ")
    if _OUTSIDE_FIELD.search("".join(told).upper()):
        _refuse_linked()


def _look_at_odf(archive: zipfile.ZipFile) -> None:
    names = archive.namelist()
    if b"encryption-data" in _content(archive, "META-INF/manifest.xml"):
        raise _encrypted()
    for name in names:
        if not name.endswith(("content.xml", "styles.xml", "settings.xml")):
            continue
        for element in _elements(archive, name):
            local = etree.QName(element).localname
            if local in _ODF_ACTIVE and (len(element) or element.attrib or element.text):
                _refuse_active("a macro, an event or a link to a program")
            if local in _ODF_OUTSIDE:
                _refuse_linked()
            for key, value in element.attrib.items():
                if etree.QName(key).localname in _ODF_FORMULAS:
                    _look_at_formula(value.partition(":=")[2] or value)
            target = element.get(_XLINK)
            if target and local not in _ODF_MAY_LINK and not _inside(target, names):
                _refuse_linked()


def _inside(target: str, names: list[str]) -> bool:
    """Tell whether an ODF link leads to an entry of the same file."""
    path = target.split("#", maxsplit=1)[0].removeprefix("./").rstrip("/")
    return not path or any(name == path or name.startswith(f"{path}/") for name in names)


def _look_at_rtf(data: bytes) -> None:
    if not data.rstrip(b"\x00 \r\n\t").endswith(b"}"):
        raise _broken("its end is missing")
    if _RTF_ACTIVE.search(data):
        _refuse_active("an OLE object")
    if _RTF_OUTSIDE.search(data):
        _refuse_linked()
    for field in _RTF_FIELD.findall(data):
        words = _RTF_NOISE.sub(b"", field).split()
        if not words or words[0].upper() not in _RTF_FIELDS:
            _refuse_linked()


def _look_at_doc(data: bytes) -> None:
    try:
        facts = look_at_word(data)
    except CrookedError as error:
        raise _broken(str(error)) from error
    if facts.encrypted:
        raise _encrypted()
    if facts.active:
        _refuse_active("a macro, an ActiveX control or an OLE object")
    if facts.linked:
        _refuse_linked()
    if not facts.is_word:
        raise UnsupportedContentError(
            "Of the old office files only documents of Word 97 to 2003 are converted, and this is none.",
            code="not-a-pdf",
            rule="pdf-required",
            satisfied_by="Save it as PDF with the program that made it.",
        )


def _elements(archive: zipfile.ZipFile, name: str) -> Iterator[Any]:
    """Return the elements of an entry, parsed without entities, DTD or network."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False
    )
    root = etree.fromstring(_content(archive, name), parser)
    if root.getroottree().docinfo.doctype:
        raise _broken("its XML has a document type")
    return iter(root.iter(etree.Element))


def _content(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as entry:
        data = entry.read(_MOST_XML_BYTES + 1)
    if len(data) > _MOST_XML_BYTES:
        raise _broken("it unpacks to more than is accepted")
    return data


def _broken(why: str = "it is not well-formed") -> InvalidInputError:
    return InvalidInputError(
        f"The office file is damaged: {why}. Save it again with the program that made it.",
        code="office-broken",
    )


def _encrypted() -> InvalidInputError:
    return InvalidInputError(
        "The office file is protected by a password; give the file without protection.",
        code="office-encrypted",
    )


def _refuse_active(what: str) -> NoReturn:
    raise InvalidInputError(
        f"The office file carries {what}; only documents without active content are accepted. Remove it, "
        "or save the document as PDF.",
        code="office-active",
    )


def _refuse_linked() -> NoReturn:
    raise InvalidInputError(
        "The office file shows content that lies outside of it (a linked picture, section, template, "
        "table, field or formula), so two people could see two documents. Embed it, or save the "
        "document as PDF.",
        code="office-linked",
    )
