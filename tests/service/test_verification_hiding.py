"""What comes after a signature, is admitted by each rule on changes, and must not pass all the same."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigFieldSpec, append_signature_field

from tests.pki_support import LivePki
from tests.service.test_verification import Judge
from tests.service.test_verification_attacks import NAME, assert_failed, generic, updated
from tests.unit.signing.forge import make_pdf
from tests.verification_support import Maker

PAGE = (0, 0, 595, 842)


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


def with_field(data: bytes, box: tuple[int, int, int, int] | None, *, drawn: bool = False) -> bytes:
    """Return a PDF to which somebody added a field that nobody signed, with a picture of a page."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        append_signature_field(writer, SigFieldSpec("Empty", box=box))
        if drawn:
            field = writer.root["/AcroForm"]["/Fields"][-1]
            look = generic.StreamObject(
                dict_data={
                    NAME("/Subtype"): NAME("/Form"),
                    NAME("/BBox"): generic.ArrayObject(map(generic.NumberObject, PAGE)),
                },
                stream_data=b"1 1 1 rg 0 0 595 842 re f",
            )
            field[NAME("/AP")] = generic.DictionaryObject({NAME("/N"): writer.add_object(look)})

    return updated(data, change)


def with_info(data: bytes, name: str, value: str) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        info = writer.trailer["/Info"] if "/Info" in writer.trailer else generic.DictionaryObject()
        info[NAME(name)] = generic.TextStringObject(value)
        writer.set_info(writer.add_object(generic.DictionaryObject(dict(info))))

    return updated(data, change)


def told(judge: Judge, data: bytes) -> str:
    report = judge(data)
    assert_failed(report)
    return " ".join(one for found in report.signatures for one in found.reasons)


@pytest.mark.parametrize("level", ["B-B", "B-LTA"])
@pytest.mark.parametrize("drawn", [False, True])
def test_a_field_that_nobody_signed_shows_nothing(
    judge: Judge, maker: Maker, level: str, drawn: bool
) -> None:
    data = with_field(maker.pdf(level), PAGE, drawn=drawn)
    assert "which nobody signed, was put on a page" in told(judge, data)


def test_a_small_one_neither(judge: Judge, maker: Maker) -> None:
    assert "nobody signed" in told(judge, with_field(maker.pdf(), (200, 500, 260, 520)))


def test_one_that_is_not_seen_is_admitted(judge: Judge, maker: Maker) -> None:
    assert judge(with_field(maker.pdf(), None)).indication == "TOTAL-PASSED"


def test_boxes_of_later_signatures_are_counted_together(judge: Judge, maker: Maker) -> None:
    data = maker.pdf()
    for number in range(3):
        box = (0, number * 100, 595, number * 100 + 80)  # a tenth of the page each
        data = maker.pdf(data=data, field_name=f"Strip{number}", box=box)
    assert "28% of a page is covered" in told(judge, data)


def test_what_counts_of_a_page_is_what_is_seen(judge: Judge, maker: Maker) -> None:
    out = BytesIO()
    with pikepdf.open(BytesIO(make_pdf("Điều 1"))) as pdf:
        for page in pdf.pages:
            page.mediabox = pikepdf.Array([0, 0, 6000, 6000])
            page.cropbox = pikepdf.Array(PAGE)
        pdf.save(out)
    data = maker.pdf(data=maker.pdf(data=out.getvalue()), field_name="Later", box=PAGE)
    assert "100% of a page is covered" in told(judge, data)


def test_a_field_prepared_over_the_page_may_not_be_signed_later(judge: Judge, maker: Maker) -> None:
    prepared = maker.pdf(data=with_field(make_pdf("Điều 1"), PAGE))
    assert judge(prepared).indication == "TOTAL-PASSED"  # as it was when it was signed
    assert "100% of a page is covered" in told(judge, maker.pdf(data=prepared, field_name="Empty"))


@pytest.mark.parametrize(
    "tail",
    [
        b"%% more\n",
        b"\n99 0 obj\n<< /Type /Catalog >>\nendobj\n",
        lambda data: b"\n99 0 obj\n<<>>\nendobj\n" + data[data.rindex(b"startxref") :],
    ],
    ids=["comment", "object", "object and the same end"],
)
def test_nothing_follows_the_last_version(
    judge: Judge, maker: Maker, tail: bytes | Callable[[bytes], bytes]
) -> None:
    data = maker.pdf()
    added = tail if isinstance(tail, bytes) else tail(data)
    assert "Bytes follow at the end of the file" in told(judge, data + added)


def test_an_empty_line_may_follow(judge: Judge, maker: Maker) -> None:
    assert judge(maker.pdf() + b"\r\n").indication == "TOTAL-PASSED"


def test_the_room_of_a_signature_holds_nothing_else(judge: Judge, maker: Maker) -> None:
    data = maker.pdf()
    end = data.rindex(b"00>")
    assert "no signature covers" in told(judge, data[:end] + b"41" + data[end + 2 :])


def test_another_title_is_no_data_for_validation(judge: Judge, maker: Maker) -> None:
    data = maker.pdf()
    told(judge, with_info(data, "/Title", "Another"))
    assert judge(with_info(data, "/Producer", "Another")).indication == "TOTAL-PASSED"


def xmp(title: str, changed: str, *, as_attribute: bool = False) -> bytes:
    """Return an XMP packet with a title and a date."""
    date = f' xmp:ModifyDate="{changed}"' if as_attribute else ""
    inner = "" if as_attribute else f"<xmp:ModifyDate>{changed}</xmp:ModifyDate>"
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"{date}>{inner}<dc:title>{title}</dc:title>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def with_xmp(data: bytes, packet: bytes) -> bytes:
    def change(writer: IncrementalPdfFileWriter) -> None:
        stream = generic.StreamObject(
            dict_data={NAME("/Type"): NAME("/Metadata"), NAME("/Subtype"): NAME("/XML")},
            stream_data=packet,
        )
        writer.root[NAME("/Metadata")] = writer.add_object(stream)
        writer.update_root()  # type: ignore[no-untyped-call]
        vars(writer)["_update_meta"] = lambda: None  # else pyHanko adds dates of its own

    return updated(data, change)


def test_xmp_may_say_another_date_and_no_other_title(judge: Judge, maker: Maker) -> None:
    data: Any = maker.pdf(data=with_xmp(make_pdf("Điều 1"), xmp("One", "2026-01-01")))
    later = with_xmp(data, xmp("One", "2026-02-02", as_attribute=True))
    assert judge(later).indication == "TOTAL-PASSED"
    told(judge, with_xmp(data, xmp("Other", "2026-01-01")))
    told(judge, with_xmp(data, b'<x:xmpmeta xmlns:x="adobe:ns:meta/">Other</x:xmpmeta>'))
