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


_S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_P = "http://schemas.openxmlformats.org/presentationml/2006/main"
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"
_TYPE = "application/vnd.openxmlformats-officedocument."


def _types(**parts: str) -> str:
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="{_TYPE}{kind}+xml"/>'
        for name, kind in parts.items()
    )
    return (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Default Extension="xml" ContentType="application/xml"/>{overrides}</Types>'
    )


def xlsx(formula: str = "1+1", extra: dict[str, str] | None = None) -> bytes:
    """A workbook of one sheet: a text, and a cell with a formula."""
    sheet = "spreadsheetml.worksheet"
    entries = {
        "[Content_Types].xml": _types(
            **{"xl/workbook.xml": "spreadsheetml.sheet.main", "xl/worksheets/sheet1.xml": sheet}
        ),
        "_rels/.rels": relationships(relationship("officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{_S}" xmlns:r="{_REL}"><sheets>'
        '<sheet name="Bảng" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relationships(
            relationship("worksheet", "worksheets/sheet1.xml")
        ),
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_S}"><sheetData><row r="1">'
        f'<c r="A1" t="inlineStr"><is><t>{TEXT}</t></is></c></row>'
        f'<row r="2"><c r="A2"><f>{formula}</f></c></row>'
        "</sheetData></worksheet>",
    }
    return _zip(entries, extra)


def pptx(extra: dict[str, str] | None = None) -> bytes:
    """A presentation of one slide with one text."""
    tree = (
        '<p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr>'
        "<p:grpSpPr/>{}</p:spTree></p:cSld>"
    )
    shape = (
        '<p:sp><p:nvSpPr><p:cNvPr id="2" name="t"/><p:cNvSpPr txBox="1"/><p:nvPr/></p:nvSpPr><p:spPr>'
        '<a:xfrm><a:off x="500000" y="500000"/><a:ext cx="8000000" cy="900000"/></a:xfrm>'
        '<a:prstGeom prst="rect"/></p:spPr><p:txBody><a:bodyPr/><a:p><a:r>'
        f"<a:t>{TEXT}</a:t></a:r></a:p></p:txBody></p:sp>"
    )
    spaces = f'xmlns:p="{_P}" xmlns:a="{_A}" xmlns:r="{_REL}"'
    entries = {
        "[Content_Types].xml": _types(
            **{
                "ppt/presentation.xml": "presentationml.presentation.main",
                "ppt/slides/slide1.xml": "presentationml.slide",
            }
        ),
        "_rels/.rels": relationships(relationship("officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f"<p:presentation {spaces}><p:sldIdLst>"
        '<p:sldId id="256" r:id="r1"/></p:sldIdLst><p:sldSz cx="9144000" cy="6858000"/>'
        '<p:notesSz cx="6858000" cy="9144000"/></p:presentation>',
        "ppt/_rels/presentation.xml.rels": relationships(
            relationship("slide", "slides/slide1.xml")
        ),
        "ppt/slides/slide1.xml": f"<p:sld {spaces}>{tree.format(shape)}</p:sld>",
    }
    return _zip(entries, extra)


def ods(attributes: str = 'table:formula="of:=1+1"', body: str = "") -> bytes:
    """A spreadsheet with one text, and a cell with these attributes."""
    return _odf(
        "spreadsheet",
        f'<table:table table:name="Bảng"><table:table-row><table:table-cell '
        f'office:value-type="string"><text:p>{TEXT}</text:p></table:table-cell>'
        "</table:table-row><table:table-row>"
        f'<table:table-cell office:value-type="float" office:value="2" {attributes}/>'
        f"</table:table-row></table:table>{body}",
    )


def odp(body: str = "") -> bytes:
    """A presentation of one slide with one text, and `body` on it."""
    return _odf(
        "presentation",
        '<draw:page draw:name="p"><draw:frame svg:width="20cm" svg:height="3cm" svg:x="1cm" '
        f'svg:y="1cm"><draw:text-box><text:p>{TEXT}</text:p></draw:text-box></draw:frame>{body}'
        "</draw:page>",
    )


def _odf(kind: str, body: str) -> bytes:
    media_type = f"application/vnd.oasis.opendocument.{kind}"
    spaces = " ".join(
        f'xmlns:{name}="{_O}:{name}:1.0"'
        for name in ("office", "text", "table", "presentation", "script", "form")
    )
    entries = {
        "mimetype": media_type,
        "content.xml": f"<office:document-content {spaces} "
        f'xmlns:draw="{_O}:drawing:1.0" xmlns:svg="{_O}:svg-compatible:1.0" '
        'xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'xmlns:of="{_O}:of:1.2" office:version="1.3"><office:body><office:{kind}>{body}'
        f"</office:{kind}></office:body></office:document-content>",
        "META-INF/manifest.xml": f'<manifest:manifest xmlns:manifest="{_O}:manifest:1.0" '
        'manifest:version="1.3"><manifest:file-entry manifest:full-path="/" '
        f'manifest:media-type="{media_type}"/><manifest:file-entry '
        'manifest:full-path="content.xml" manifest:media-type="text/xml"/></manifest:manifest>',
    }
    return _zip(entries, None)


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
