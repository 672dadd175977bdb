import io
import zipfile

import pytest

from docflow.conversion import OFFICE_TYPES, require_convertible
from docflow.kernel.errors import InvalidInputError
from docflow.signing.sniff import SNIFF_BYTES, sniff
from tests.office_files import docx, odp, ods, odt, pptx, relationship, relationships, rtf, xlsx


def judged(data: bytes) -> str | None:
    """The code of the refusal, None if there is none; the type is told from the content as uploads do."""
    media_type = sniff(data[:SNIFF_BYTES])
    assert media_type in OFFICE_TYPES
    try:
        require_convertible(io.BytesIO(data), media_type)
    except InvalidInputError as error:
        return error.code
    return None


def field(instruction: str) -> str:
    """A complex field whose instruction is cut into runs of two characters, as Word may do."""
    runs = "".join(
        f"<w:r><w:instrText>{instruction[i : i + 2]}</w:instrText></w:r>"
        for i in range(0, len(instruction), 2)
    )
    return (
        '<w:p><w:r><w:fldChar w:fldCharType="begin"/></w:r>'
        f'{runs}<w:r><w:fldChar w:fldCharType="end"/></w:r></w:p>'
    )


def declaring(content_type: str) -> str:
    """Content types with one more than a workbook has."""
    return (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        f'<Override PartName="/xl/x.xml" ContentType="{content_type}"/>'
        '<Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-'
        'officedocument.spreadsheetml.sheet.main+xml"/></Types>'
    )


HYPERLINK = relationships(relationship("hyperlink", "https://example.vn/", "External"))
PICTURE = relationships(relationship("image", "file:///etc/passwd", "External"))
SECTION = '<text:section text:name="s"><text:section-source xlink:href="{}"/></text:section>'
IMAGE = '<text:p><draw:frame><draw:image xlink:href="{}"/></draw:frame></text:p>'


@pytest.mark.parametrize(
    "data",
    [
        docx(),
        docx(field(" PAGE ")),
        docx(field(' HYPERLINK "https://example.vn/" ')),
        docx(extra={"word/_rels/document.xml.rels": HYPERLINK}),
        odt(),
        odt('<text:p><text:a xlink:href="https://example.vn/">x</text:a></text:p>'),
        odt(IMAGE.format("Pictures/a.png"), {"Pictures/a.png": "x"}),
        odt(IMAGE.format("./Object 1"), {"Object 1/content.xml": "<x/>"}),
        rtf(),
        rtf(r'{\field{\*\fldinst { HYPERLINK "https://example.vn/" }}{\fldrslt x}}'),
        rtf(r"{\field{\*\fldinst {\rtlch\fs20 PAGE }}{\fldrslt 1}}"),
        xlsx(),
        xlsx("SUM(Table1[2020])+Sheet2!A1"),
        xlsx('HYPERLINK("https://example.vn/","x")'),
        ods(),
        ods('table:formula="of:=SUM([.A1:.B2])+[$Khác.A1]+VLOOKUP(1;[.A1:.C3];2)=#REF!"'),
        pptx(),
        pptx({"ppt/slides/_rels/slide1.xml.rels": HYPERLINK}),
        odp(),
        odp('<draw:frame><draw:image xlink:href="mimetype"/></draw:frame>'),
    ],
)
def test_an_office_file_may_be_converted(data: bytes) -> None:
    assert judged(data) is None


@pytest.mark.parametrize(
    "data",
    [
        docx(extra={"word/vbaProject.bin": "x"}),
        docx(extra={"word/activeX/activeX1.xml": "<x/>"}),
        docx(extra={"word/embeddings/oleObject1.bin": "x"}),
        odt(extra={"Basic/Standard/Module1.xml": "<x/>"}),
        odt(extra={"Scripts/python/evil.py": "x"}),
        odt("<script:event-listeners><script:x/></script:event-listeners>"),
        odt('<text:p><draw:object-ole xlink:href="./x"/></text:p>', {"x": "y"}),
        odt('<text:p><draw:applet draw:code="x"/></text:p>'),
        odt('<text:section><office:dde-source office:dde-application="soffice"/></text:section>'),
        rtf(r"{\object\objemb{\*\objdata 0105}}"),
        rtf(r"{\object\objautlink\objupdate}"),
        xlsx(extra={"xl/vbaProject.bin": "x"}),
        xlsx(extra={"[Content_Types].xml": declaring("application/vnd.ms-excel.macrosheet+xml")}),
        xlsx(extra={"[Content_Types].xml": declaring(
            "application/vnd.ms-excel.sheet.macroEnabled.main+xml")}),
        ods(body='<table:dde-links><table:dde-link table:x="y"/></table:dde-links>'),
        pptx({"ppt/embeddings/oleObject1.bin": "x"}),
        pptx({"ppt/activeX/activeX1.xml": "<x/>"}),
        odp('<office:event-listeners><presentation:event-listener xlink:href="x"/>'
            "</office:event-listeners>"),
        odp('<draw:frame><draw:plugin xlink:href="film.mp4"/></draw:frame>'),
    ],
)  # fmt: skip
def test_what_acts_is_refused(data: bytes) -> None:
    assert judged(data) == "office-active"


@pytest.mark.parametrize(
    "data",
    [
        docx(extra={"word/_rels/document.xml.rels": PICTURE}),
        docx(extra={"word/_rels/settings.xml.rels": relationships(
            relationship("attachedTemplate", "http://example.vn/a.dotm", "external"))}),
        docx(field(' INCLUDETEXT "/etc/passwd" ')),
        docx(field(" includepicture http://example.vn/x ")),
        docx(field(' DDEAUTO c:\\\\windows "x" ')),
        docx(field(" LINK Excel.Sheet x ")),
        docx('<w:p><w:fldSimple w:instr="INCLUDETEXT x"/></w:p>'),
        odt(SECTION.format("file:///etc/passwd")),
        odt(SECTION.format("../other.odt")),
        odt(SECTION.format("https://example.vn/a.odt")),
        odt(IMAGE.format("/etc/passwd")),
        odt(IMAGE.format("Pictures/absent.png")),
        rtf(r'{\field{\*\fldinst { INCLUDETEXT "/etc/passwd" }}{\fldrslt x}}'),
        rtf(r"{\field{\*\fldinst {\b INCLU}{\i DEPICTURE} x}{\fldrslt x}}"),
        rtf(r"{\field{\*\fldinst {INCL\'55DETEXT x}}{\fldrslt x}}"),
        rtf(r"{\*\template http://example.vn/a.dotm}"),
        xlsx(extra={"[Content_Types].xml": declaring(
            "application/vnd.openxmlformats-officedocument.spreadsheetml.externalLink+xml")}),
        xlsx(extra={"xl/externalLinks/_rels/externalLink1.xml.rels": relationships(
            relationship("externalLinkPath", "file:///etc/a.xlsx", "External"))}),
        xlsx('WEBSERVICE("http://example.vn/")'),
        xlsx("_xlfn.WEBSERVICE (A1)"),
        xlsx(extra={"xl/names.xml": f"<w><definedName>{'RTD(1)'}</definedName></w>"}),
        ods("table:formula=\"of:='file:///etc/a.ods'#[$Sheet1.A1]\""),
        ods('table:formula="of:=WEBSERVICE(&quot;http://example.vn/&quot;)"'),
        ods('table:formula="of:=DDE(&quot;soffice&quot;;&quot;a&quot;;&quot;b&quot;)"'),
        ods(body='<table:table><table:table-source xlink:href="file:///etc/a.ods"/></table:table>'),
        ods(body='<table:database-range><table:database-source-sql/></table:database-range>'),
        pptx({"ppt/slides/_rels/slide1.xml.rels": PICTURE}),
        pptx({"ppt/slides/_rels/slide1.xml.rels": relationships(
            relationship("video", "http://example.vn/a.mp4", "External"))}),
        odp('<draw:frame><draw:image xlink:href="https://example.vn/a.png"/></draw:frame>'),
        odp('<presentation:sound xlink:href="file:///usr/share/sounds/a.wav"/>'),
    ],
)  # fmt: skip
def test_what_would_show_other_files_is_refused(data: bytes) -> None:
    assert judged(data) == "office-linked"


def test_a_protected_document_is_refused() -> None:
    manifest = '<m><encryption-data xmlns="urn:x"/></m>'
    data = odt()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, manifest if name.startswith("META-INF") else content)
    assert judged(made.getvalue()) == "office-encrypted"


def entity() -> bytes:
    return docx(extra={"word/header1.xml": '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'})


def doubled() -> bytes:
    made = io.BytesIO(docx())
    with zipfile.ZipFile(made, "a") as archive:
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("word/document.xml", "<x/>")
    return made.getvalue()


def bomb() -> bytes:
    made = io.BytesIO(docx())
    with zipfile.ZipFile(made, "a", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("word/media/x", "w", force_zip64=True) as entry:
            for _ in range(257):
                entry.write(bytes(1 << 20))
    return made.getvalue()


def scrambled() -> bytes:
    """Bytes of the packed text document turned over."""
    data = bytearray(docx("<w:p/>" * 500))
    start = data.index(
        b"word/document.xml",
    ) + len(b"word/document.xml")
    for index in range(start, start + 40):
        data[index] ^= 0xFF
    return bytes(data)


def packed_otherwise() -> bytes:
    made = io.BytesIO(docx())
    with zipfile.ZipFile(made, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("word/header1.xml", "<x/>")
    return made.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        entity,
        scrambled,
        packed_otherwise,
        doubled,
        bomb,
        lambda: docx()[:-30],
        lambda: docx(extra={"word/header1.xml": "<a><b></a>"}),
        lambda: odt(extra={"styles.xml": "no XML"}),
        lambda: rtf()[:-1],
    ],
    ids=["entity", "scrambled", "lzma", "doubled", "bomb", "cut", "crooked", "no-xml", "cut-rtf"],
)
def test_what_is_damaged_or_too_large_is_refused(make: object) -> None:
    assert callable(make)
    assert judged(make()) == "office-broken"
