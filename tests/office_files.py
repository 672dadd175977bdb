"""Office files made here, by their formats alone: no office program wrote them."""

import io
import zipfile

TEXT = "Quyết định ban hành Quy chế làm việc"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_O = "urn:oasis:names:tc:opendocument:xmlns"
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
    'officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def _zip(entries: dict[str, str], extra: dict[str, str] | None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (entries | (extra or {})).items():
            stored = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            archive.writestr(name, content, stored)
    return file.getvalue()


def relationships(*items: str) -> str:
    return (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        + "".join(items)
        + "</Relationships>"
    )


def relationship(kind: str, target: str, mode: str = "") -> str:
    mode = f' TargetMode="{mode}"' if mode else ""
    return f'<Relationship Id="r1" Type="{_REL}/{kind}" Target="{target}"{mode}/>'


def docx(body: str = "", extra: dict[str, str] | None = None) -> bytes:
    """A Word document with one paragraph, and `body` (WordprocessingML) after it."""
    document = (
        f'<w:document xmlns:w="{_W}"><w:body><w:p><w:r><w:t>{TEXT}</w:t></w:r></w:p>{body}'
        "</w:body></w:document>"
    )
    entries = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": relationships(relationship("officeDocument", "word/document.xml")),
        "word/document.xml": document,
    }
    return _zip(entries, extra)


def titled(title: str) -> bytes:
    """A Word document whose title lies in the clear in it, as it then does in the PDF made of it."""
    core = (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/'
        'core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<dc:title>{title}</dc:title></cp:coreProperties>"
    )
    kind = "http://schemas.openxmlformats.org/package/2006/relationships/metadata/core-properties"
    properties = f'<Relationship Id="r2" Type="{kind}" Target="docProps/core.xml"/>'
    types = _TYPES.replace(
        "</Types>",
        '<Override PartName="/docProps/core.xml" '
        'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>',
    )
    main = relationship("officeDocument", "word/document.xml")
    data = docx(
        f"<w:p><w:r><w:t>{title}</w:t></w:r></w:p>",
        {"[Content_Types].xml": types, "_rels/.rels": relationships(main, properties)},
    )
    file = io.BytesIO(data)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr("docProps/core.xml", core)
    return file.getvalue()


def odt(body: str = "", extra: dict[str, str] | None = None) -> bytes:
    """An OpenDocument text with one paragraph, and `body` after it."""
    content = (
        f'<office:document-content xmlns:office="{_O}:office:1.0" xmlns:text="{_O}:text:1.0" '
        f'xmlns:draw="{_O}:drawing:1.0" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'xmlns:script="{_O}:script:1.0" office:version="1.3"><office:body><office:text>'
        f"<text:p>{TEXT}</text:p>{body}</office:text></office:body></office:document-content>"
    )
    manifest = (
        f'<manifest:manifest xmlns:manifest="{_O}:manifest:1.0" manifest:version="1.3">'
        '<manifest:file-entry manifest:full-path="/" '
        'manifest:media-type="application/vnd.oasis.opendocument.text"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
        "</manifest:manifest>"
    )
    entries = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": content,
        "META-INF/manifest.xml": manifest,
    }
    return _zip(entries, extra)


def rtf(body: str = "") -> bytes:
    """A Rich Text file with one paragraph, and `body` after it."""
    text = "".join(c if ord(c) < 128 else f"\\u{ord(c)}?" for c in TEXT)
    return f"{{\\rtf1\\ansi {text}\\par {body}}}".encode("ascii")
