"""Attacks on signed files that the literature names: none is ever valid, and each has its reason.

Source: pdf-insecurity.org: universal signature forgery, incremental saving, signature wrapping, shadow
attacks, evil annotation and sneaky signature attacks on certified documents.
"""

import re
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from pyhanko.pdf_utils import generic as typed_generic
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm

from docflow.signing.report import VerificationReport
from tests.pki_support import LivePki
from tests.service.test_verification import FILES, Judge
from tests.unit.signing.forge import make_pdf
from tests.verification_support import Maker, container, manifest

generic: Any = typed_generic  # its constructors have no types
NAME = generic.pdf_name


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


def updated(data: bytes, change: Callable[[IncrementalPdfFileWriter], Any]) -> bytes:
    """Return a PDF with one more revision."""
    writer = IncrementalPdfFileWriter(BytesIO(data))
    change(writer)
    out = BytesIO()
    writer.write(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def page_of(writer: IncrementalPdfFileWriter) -> Any:
    return writer.root["/Pages"]["/Kids"][0]


def assert_failed(report: VerificationReport) -> None:
    assert report.indication == "TOTAL-FAILED", report
    told = [*report.reasons, *(r for one in report.signatures for r in one.reasons)]
    assert told
    assert not any(
        one.indication == "TOTAL-PASSED" and one.kind == "signature" and one.revision == 1
        for one in report.signatures
    )


class TestIncrementalSaving:
    def test_a_page_that_was_added_fails(self, judge: Judge, maker: Maker) -> None:
        def change(writer: IncrementalPdfFileWriter) -> None:
            page = generic.DictionaryObject(
                {
                    NAME("/Type"): NAME("/Page"),
                    NAME("/MediaBox"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 9, 9))),
                }
            )
            page[NAME("/Parent")] = writer.root.raw_get("/Pages")
            reference = writer.add_object(page)
            pages = writer.root["/Pages"]
            pages["/Kids"].append(reference)
            pages[NAME("/Count")] = generic.NumberObject(2)
            writer.update_container(pages)

        assert_failed(judge(updated(maker.pdf(), change)))

    def test_content_that_was_replaced_fails(self, judge: Judge, maker: Maker) -> None:
        def change(writer: IncrementalPdfFileWriter) -> None:
            stream = generic.StreamObject(stream_data=b"BT (Pay 1,000,000) Tj ET")
            page = page_of(writer)
            page[NAME("/Contents")] = writer.add_object(stream)
            writer.update_container(page)

        assert_failed(judge(updated(maker.pdf(), change)))

    def test_it_fails_even_where_the_signer_permits_annotations(
        self, judge: Judge, maker: Maker
    ) -> None:
        made = maker.pdf(certify=True, docmdp_permissions=MDPPerm.ANNOTATE)
        assert judge(made).indication == "TOTAL-PASSED"
        assert_failed(judge(updated(made, _evil_annotation)))


def _evil_annotation(writer: IncrementalPdfFileWriter) -> None:
    look = generic.StreamObject(
        {
            NAME("/Type"): NAME("/XObject"),
            NAME("/Subtype"): NAME("/Form"),
            NAME("/BBox"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 500, 500))),
        },
        stream_data=b"1 1 1 rg 0 0 500 500 re f",
    )
    annotation = generic.DictionaryObject(
        {
            NAME("/Type"): NAME("/Annot"),
            NAME("/Subtype"): NAME("/FreeText"),
            NAME("/Rect"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 500, 500))),
            NAME("/F"): generic.NumberObject(4),
            NAME("/AP"): generic.DictionaryObject({NAME("/N"): writer.add_object(look)}),
        }
    )
    page = page_of(writer)
    listed = page.get("/Annots", generic.ArrayObject())
    page[NAME("/Annots")] = generic.ArrayObject([*listed, writer.add_object(annotation)])
    writer.update_container(page)


class TestCertified:
    def test_a_sneaky_signature_over_the_page_fails_the_certification(
        self, judge: Judge, maker: Maker
    ) -> None:
        made = maker.pdf(certify=True, docmdp_permissions=MDPPerm.FILL_FORMS)
        sneaky = maker.pdf(
            data=made, label="stranger", issuer="stranger-root", field_name="Sneaky",
            box=(0, 0, 595, 842),
        )  # fmt: skip
        assert_failed(judge(sneaky))

    def test_a_later_signature_may_not_cover_the_page_of_an_approval_either(
        self, judge: Judge, maker: Maker
    ) -> None:
        sneaky = maker.pdf(data=maker.pdf(), field_name="Sneaky", box=(0, 0, 595, 842))
        report = judge(sneaky)
        assert_failed(report)
        assert "100% of a page is covered" in report.signatures[0].reasons[0]

    def test_a_small_second_signature_is_welcome(self, judge: Judge, maker: Maker) -> None:
        report = judge(maker.pdf(data=maker.pdf(), field_name="Second", box=(300, 90, 500, 150)))
        assert [one.indication for one in report.signatures] == ["TOTAL-PASSED"] * 2


class TestShadow:
    """What is prepared before signing, so that a later change shows another document."""

    def test_hiding_by_pointing_an_image_elsewhere_fails(self, judge: Judge, maker: Maker) -> None:
        hidden = generic.StreamObject(
            {
                NAME("/Type"): NAME("/XObject"),
                NAME("/Subtype"): NAME("/Form"),
                NAME("/BBox"): generic.ArrayObject(map(generic.NumberObject, (0, 0, 9, 9))),
            },
            stream_data=b"1 1 1 rg 0 0 9 9 re f",
        )
        places: list[Any] = []

        def prepare(writer: IncrementalPdfFileWriter) -> None:
            page = page_of(writer)
            reference = writer.add_object(hidden)
            places.append((reference.idnum, reference.generation))
            page["/Resources"][NAME("/XObject")] = generic.DictionaryObject(
                {NAME("/Cover"): reference}
            )
            writer.update_container(page["/Resources"])
            writer.update_container(page)

        def attack(writer: IncrementalPdfFileWriter) -> None:
            (idnum, generation) = places[0]
            target = writer.get_object(generic.Reference(idnum, generation, writer))
            target._data = b""
            target[NAME("/BBox")] = generic.ArrayObject(map(generic.NumberObject, (0, 0, 0, 0)))
            writer.mark_update(generic.Reference(idnum, generation, writer))

        signed = maker.pdf(data=updated(make_pdf(), prepare))
        assert judge(signed).indication == "TOTAL-PASSED"
        assert_failed(judge(updated(signed, attack)))

    def test_replacing_a_fonts_meaning_fails(self, judge: Judge, maker: Maker) -> None:
        def attack(writer: IncrementalPdfFileWriter) -> None:
            fonts = page_of(writer)["/Resources"]["/Font"]
            font = next(iter(fonts.values())).get_object()
            font[NAME("/BaseFont")] = NAME("/ZapfDingbats")
            writer.update_container(font)

        assert_failed(judge(updated(maker.pdf(), attack)))

    def test_a_form_that_is_filled_after_signing_fails(self, judge: Judge, maker: Maker) -> None:
        def prepare(writer: IncrementalPdfFileWriter) -> None:
            field = generic.DictionaryObject(
                {
                    NAME("/Type"): NAME("/Annot"),
                    NAME("/Subtype"): NAME("/Widget"),
                    NAME("/FT"): NAME("/Tx"),
                    NAME("/T"): generic.pdf_string("Amount"),
                    NAME("/V"): generic.pdf_string("100"),
                    NAME("/Rect"): generic.ArrayObject(map(generic.NumberObject, (9, 9, 99, 29))),
                }
            )
            reference = writer.add_object(field)
            form = generic.DictionaryObject({NAME("/Fields"): generic.ArrayObject([reference])})
            writer.root[NAME("/AcroForm")] = writer.add_object(form)
            page = page_of(writer)
            page[NAME("/Annots")] = generic.ArrayObject([reference])
            writer.update_container(page)
            writer.update_root()  # type: ignore[no-untyped-call]

        def attack(writer: IncrementalPdfFileWriter) -> None:
            field = next(
                one.get_object()
                for one in writer.root["/AcroForm"]["/Fields"]
                if one.get_object().get("/T") == "Amount"
            )
            field[NAME("/V")] = generic.pdf_string("1000000")
            writer.update_container(field)

        signed = maker.pdf(data=updated(make_pdf(), prepare))
        assert judge(signed).indication == "TOTAL-PASSED"
        assert_failed(judge(updated(signed, attack)))


class TestForgery:
    @pytest.mark.parametrize(
        ("pattern", "replacement"),
        [
            (rb"/Contents\s*<[0-9a-fA-F]+>", b"/Contents <00>"),
            (rb"/Contents\s*<[0-9a-fA-F]+>", b"/Contents null"),
            (rb"/Contents\s*<", b"/Contentz <"),
            (rb"/ByteRange\s*\[[^\]]*\]", b"/ByteRange []"),
            (rb"/ByteRange\s*\[[^\]]*\]", b"/ByteRange null"),
            (rb"/ByteRange\s*\[[^\]]*\]", b"/ByteRange [0 -1 -1 0]"),
            (rb"/ByteRange\s*\[[^\]]*\]", b"/ByteRange [0 9999999999 1 1]"),
            (rb"/ByteRange\s*\[", b"/ByteRangz ["),
        ],
    )
    def test_a_signature_without_content_or_range_fails(
        self, judge: Judge, maker: Maker, pattern: bytes, replacement: bytes
    ) -> None:
        made = maker.pdf()

        def fitted(found: re.Match[bytes]) -> bytes:
            return (
                replacement.ljust(len(found.group()))
                if len(found.group()) > len(replacement)
                else replacement
            )

        forged = re.sub(pattern, fitted, made, count=1)
        assert forged != made
        report = judge(forged)
        assert report.indication in {"TOTAL-FAILED", "INDETERMINATE", "NOT-SIGNED"}
        assert report.indication != "NOT-SIGNED" or report.signatures == ()

    def test_wrapping_the_second_range_away_fails(self, judge: Judge, maker: Maker) -> None:
        made = maker.pdf()
        found = re.search(rb"/ByteRange\s*\[\s*0 (\d+) (\d+) (\d+)\s*\]", made)
        assert found is not None
        first, second, length = map(int, found.groups())
        tail = made[second : second + length]
        moved = second + 64
        inserted = b"\n%" + b"x" * 62
        wrapped = bytearray(made[:second] + inserted + tail)
        new = f"/ByteRange [0 {first} {moved} {length}]".encode()
        start, end = found.span()
        wrapped[start:end] = new.ljust(end - start)[: end - start]
        assert_failed(judge(bytes(wrapped)))

    def test_a_signature_of_one_file_in_another_fails(self, judge: Judge, maker: Maker) -> None:
        one, other = maker.pdf(), maker.pdf(data=make_pdf("Điều 2"))
        pattern = rb"/Contents\s*<([0-9a-fA-F]+)>"
        first, second = re.search(pattern, one), re.search(pattern, other)
        assert first is not None
        assert second is not None
        swapped = other[: second.start(1)] + first.group(1) + other[second.end(1) :]
        assert_failed(judge(swapped))


def packed(*entries: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        made.writestr("mimetype", "application/vnd.etsi.asic-e+zip", zipfile.ZIP_STORED)
        for name, data in entries:
            made.writestr(name, data)
    return out.getvalue()


_MANIFEST = "META-INF/ASiCManifest001.xml"
_BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "ha">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 50) for i in range(12))
    + b"]><a>&m;</a>"
)
_EXTERNAL = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'


class TestHostileContainers:
    @pytest.mark.parametrize(
        "name", ["../evil", "/etc/passwd", "a/../../b", "C:/x", "a//b", "./a", "a\\..\\b"]
    )
    def test_a_name_that_points_elsewhere_fails(self, judge: Judge, name: str) -> None:
        report = judge(packed((name, b"x")))
        assert_failed(report)

    @pytest.mark.parametrize(
        "uri", ["../evil", "/etc/passwd", "file:///etc/passwd", "", "a/%2e%2e/b"]
    )
    def test_a_manifest_that_points_elsewhere_fails(
        self, judge: Judge, maker: Maker, uri: str
    ) -> None:
        signed = manifest("META-INF/signature001.p7s", {uri: b"x"})
        made = container(
            {
                "a.txt": b"x",
                _MANIFEST: signed,
                "META-INF/signature001.p7s": maker.cades(signed),
            }
        )
        assert_failed(judge(made))

    @pytest.mark.parametrize("xml", [_BOMB, _EXTERNAL, b"<" * 100_000, b"<a>" * 50_000, b"\x00"])
    def test_hostile_xml_fails_and_fetches_nothing(self, judge: Judge, xml: bytes) -> None:
        report = judge(packed((_MANIFEST, xml), ("META-INF/signature001.p7s", b"0")))
        assert_failed(report)
        assert "root:" not in str(report)

    def test_a_zip_bomb_is_refused_before_it_is_unpacked(self, judge: Judge) -> None:
        bomb = packed(*((f"{n}.bin", bytes(64 << 20)) for n in range(9)))
        assert len(bomb) < 1 << 20
        report = judge(bomb)
        assert_failed(report)
        assert "unpacks to" in report.reasons[0]

    def test_a_lie_about_the_size_is_found_out(self, judge: Judge, maker: Maker) -> None:
        made = bytearray(maker.asic({"a.txt": bytes(100_000)}))
        place = made.rindex(b"a.txt") - 46 + 24  # the directory's uncompressed size
        made[place : place + 4] = (10).to_bytes(4, "little")
        assert judge(bytes(made)).indication != "TOTAL-PASSED"

    @pytest.mark.filterwarnings("ignore:Duplicate name")
    def test_a_name_twice_fails(self, judge: Judge) -> None:
        report = judge(packed(("a.txt", b"one"), ("a.txt", b"two")))
        assert_failed(report)
        assert "twice" in report.reasons[0]

    def test_bytes_before_the_first_file_fail(self, judge: Judge, maker: Maker) -> None:
        made = maker.asic(FILES)
        report = judge(made[:4] + made[4:])
        assert report.indication == "TOTAL-PASSED"
        assert judge(b"PK\x03\x04" + bytes(60) + made).indication == "TOTAL-FAILED"

    def test_too_many_files_fail(self, judge: Judge) -> None:
        assert_failed(judge(packed(*((f"{n}.txt", b"") for n in range(1_001)))))

    @pytest.mark.parametrize(
        "data",
        [
            b"\x30\x82\xff\xff" + bytes.fromhex("06092a864886f70d010702"),
            b"\x30\x80" + bytes.fromhex("06092a864886f70d010702") + b"\xa0\x80" * 50_000,
            bytes.fromhex("3080" + "06092a864886f70d010702") + b"\x30\x80" * 200_000,
            b"-----BEGIN PKCS7-----\n" + b"A" * 100_000,
        ],
    )
    def test_hostile_asn1_is_a_format_failure(self, judge: Judge, data: bytes) -> None:
        report = judge(data)
        assert (report.indication, report.sub_indication) == ("TOTAL-FAILED", "FORMAT_FAILURE")
