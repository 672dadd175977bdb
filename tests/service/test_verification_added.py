"""What is added to a PDF after a signature: what signatures and their evidence need, and nothing else."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import MDPPerm, SigFieldSpec, append_signature_field

from docflow.signing.verifying.terms import Policy
from tests.pki_support import LivePki
from tests.service.test_verification import Judge
from tests.service.test_verification_attacks import NAME, generic, updated
from tests.service.test_verification_hiding import told
from tests.unit.signing.forge import make_pdf
from tests.verification_support import Maker

Change = Callable[[IncrementalPdfFileWriter], Any]
NOWHERE = (0, 0, 0, 0)
WHITE = b"1 1 1 rg 0 0 595 842 re f"
SCRIPT = {"/S": "/JavaScript", "/JS": b"app.alert(1)"}


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


def pdf_object(value: Any) -> Any:
    """Return a PDF object: names from `/…`, strings from bytes."""
    match value:
        case dict():
            return generic.DictionaryObject(
                {NAME(key): pdf_object(one) for key, one in value.items()}
            )
        case list() | tuple():
            return generic.ArrayObject(map(pdf_object, value))
        case bool():
            return generic.BooleanObject(value)
        case int():
            return generic.NumberObject(value)
        case str():
            return NAME(value)
        case bytes():
            return generic.TextStringObject(value.decode())
    return value


def stream(writer: IncrementalPdfFileWriter, data: bytes = WHITE, **entries: Any) -> Any:
    values = {f"/{key}": value for key, value in entries.items()}
    return writer.add_object(generic.StreamObject(pdf_object(values), stream_data=data))


def with_form(*, drawn: bool = False) -> bytes:
    """Return a PDF whose text field looks like 100 and holds 999999999."""
    out = BytesIO()
    with pikepdf.open(BytesIO(make_pdf("Điều 1"))) as pdf:
        look = pdf.make_stream(b"BT /Helv 12 Tf 2 4 Td (100) Tj ET")
        look.Type, look.Subtype = pikepdf.Name.XObject, pikepdf.Name.Form
        look.BBox = pikepdf.Array([0, 0, 200, 20])
        helv = pikepdf.Dictionary(
            Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
        )
        resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(Helv=pdf.make_indirect(helv)))
        look.Resources = resources
        field = pdf.make_indirect(
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot,
                Subtype=pikepdf.Name.Widget,
                FT=pikepdf.Name.Tx,
                T="Amount",
                V="999999999",
                DA="/Helv 12 Tf 0 g",
                F=4,
                Rect=[72, 400, 272, 420],
                P=pdf.pages[0].obj,
                AP=pikepdf.Dictionary(N=look),
            )
        )
        pdf.pages[0].Annots = pikepdf.Array([field])
        pdf.Root.AcroForm = pdf.make_indirect(
            pikepdf.Dictionary(Fields=[field], DR=resources, SigFlags=3)
        )
        if drawn:
            pdf.Root.AcroForm.NeedAppearances = True
        pdf.save(out)
    return out.getvalue()


def form_with(**entries: Any) -> Change:
    def change(writer: IncrementalPdfFileWriter) -> None:
        form = writer.root["/AcroForm"]
        for name, value in entries.items():
            form[NAME(f"/{name}")] = pdf_object(value)
        writer.update_container(form)

    return change


def field_with(box: Any = NOWHERE, /, **entries: Any) -> Change:
    """Add an empty signature field with these entries more."""

    def change(writer: IncrementalPdfFileWriter) -> None:
        append_signature_field(writer, SigFieldSpec("Empty", box=box))
        field = writer.root["/AcroForm"]["/Fields"][-1]
        for name, value in entries.items():
            made = value(writer) if callable(value) else value
            field[NAME(f"/{name}")] = pdf_object(made)

    return change


class TestForms:
    @pytest.mark.parametrize("level", ["B-B", "B-LTA"])
    def test_fields_may_not_be_drawn_anew_after_signing(
        self, judge: Judge, maker: Maker, level: str
    ) -> None:
        data = maker.pdf(level, with_form())
        assert judge(data).indication == "TOTAL-PASSED"
        assert "NeedAppearances" in told(judge, updated(data, form_with(NeedAppearances=True)))

    def test_nor_after_a_certification_whatever_it_permits(
        self, judge: Judge, maker: Maker
    ) -> None:
        for permits in (MDPPerm.NO_CHANGES, MDPPerm.FILL_FORMS):
            data = maker.pdf(data=with_form(), certify=True, docmdp_permissions=permits)
            changed = updated(data, form_with(NeedAppearances=True))
            assert "NeedAppearances" in told(judge, changed)
            report = judge(changed, policy=Policy(changes="permitted"))
            assert report.indication == "TOTAL-FAILED"

    def test_a_later_signature_does_not_cover_it_up(self, judge: Judge, maker: Maker) -> None:
        data = updated(maker.pdf(data=with_form()), form_with(NeedAppearances=True))
        assert "NeedAppearances" in told(judge, maker.pdf(data=data, field_name="Later"))

    @pytest.mark.parametrize(
        "entries",
        [{"DA": b"/Helv 0 Tf 1 g", "Q": 2, "NeedAppearances": True}, {"XFA": b"<x/>"}, {"CO": []}],
    )
    def test_other_entries_of_the_form_neither(
        self, judge: Judge, maker: Maker, entries: dict[str, Any]
    ) -> None:
        told(judge, updated(maker.pdf(data=with_form()), form_with(**entries)))

    def test_its_resources_may_not_be_replaced(self, judge: Judge, maker: Maker) -> None:
        data = maker.pdf(data=with_form())
        other = {"/Font": {"/Helv": {"/Type": "/Font", "/BaseFont": "/ZapfDingbats"}}}
        assert "resources were changed" in told(judge, updated(data, form_with(DR=other)))

    def test_resources_and_a_default_look_may_be_added_as_readers_do(
        self, judge: Judge, maker: Maker
    ) -> None:
        data = updated(maker.pdf(), form_with(DA=b"/Helv 0 Tf 0 g", DR={"/Font": {}}))
        assert judge(maker.pdf(data=data, field_name="Later")).indication == "TOTAL-PASSED"


class TestFields:
    @pytest.mark.parametrize(
        "entries",
        [
            {"AA": {"/PO": SCRIPT}},
            {"A": {"/S": "/URI", "/URI": b"http://x.example"}},
            {"A": {"/S": "/Launch", "/F": b"calc.exe"}},
            {"OC": {"/Type": "/OCG"}},
            {"RichMediaContent": {}},
            {"Subtype": "/Link"},
            {"Subtype": "/Screen"},
            {"MK": {"/CA": b"Pay", "/I": b"x"}},
            {"AP": {"/N": {"/On": {}}}},
            {"AP": {"/N": lambda w: stream(w, Subtype="/Form", Ref={"/F": b"other.pdf"})}},
            {"AP": {"/N": lambda w: stream(w, Subtype="/Image")}},
        ],
    )
    def test_one_that_does_something_fails(
        self, judge: Judge, maker: Maker, entries: dict[str, Any]
    ) -> None:
        for data in (maker.pdf(), maker.pdf("B-LTA")):

            def change(writer: IncrementalPdfFileWriter) -> None:
                held = dict(entries)
                if "AP" in held and callable(held["AP"]["/N"]):
                    held["AP"] = {"/N": held["AP"]["/N"](writer)}
                field_with(**held)(writer)

            told(judge, updated(data, change))

    def test_it_fails_though_it_is_signed_later(self, judge: Judge, maker: Maker) -> None:
        data = updated(maker.pdf(), field_with(AA={"/PO": SCRIPT}))
        assert "/AA" in told(judge, maker.pdf(data=data, field_name="Empty"))

    def test_it_fails_though_the_script_is_gone_in_the_last_version(
        self, judge: Judge, maker: Maker
    ) -> None:
        data = updated(maker.pdf(), field_with(AA={"/PO": SCRIPT}))

        def gone(writer: IncrementalPdfFileWriter) -> None:
            field = writer.root["/AcroForm"]["/Fields"][-1]
            del field["/AA"]
            writer.update_container(field)

        told(judge, updated(data, gone))

    def test_one_that_only_says_what_it_is_passes(self, judge: Judge, maker: Maker) -> None:
        lock = {"/Type": "/SigFieldLock", "/Action": "/All"}
        change = field_with(TU=b"Later", MK={}, Lock=lock, F=132)
        data = updated(maker.pdf(), change)
        assert judge(data).indication == "TOTAL-PASSED"
        assert judge(maker.pdf(data=data, field_name="Empty")).indication == "TOTAL-PASSED"

    def test_one_that_waited_in_the_file_unused_is_new_all_the_same(
        self, judge: Judge, maker: Maker
    ) -> None:
        def prepare(writer: IncrementalPdfFileWriter) -> None:
            look = stream(writer, Subtype="/Form", BBox=[0, 0, 595, 842])
            page = writer.root["/Pages"]["/Kids"].raw_get(0)
            field = {
                "/Type": "/Annot", "/Subtype": "/Widget", "/FT": "/Sig", "/T": b"Waiting", "/F": 4,
                "/Rect": [0, 0, 595, 842], "/P": page, "/AP": {"/N": look},
            }  # fmt: skip
            writer.root[NAME("/PieceInfo")] = pdf_object(
                {"/Waits": writer.add_object(pdf_object(field))}
            )
            writer.update_root()  # type: ignore[no-untyped-call]

        def link(writer: IncrementalPdfFileWriter) -> None:
            waiting = writer.root["/PieceInfo"].raw_get("/Waits")
            form, page = writer.root["/AcroForm"], writer.root["/Pages"]["/Kids"][0]
            form[NAME("/Fields")] = generic.ArrayObject([*form["/Fields"], waiting])
            page[NAME("/Annots")] = generic.ArrayObject([*page["/Annots"], waiting])
            writer.update_container(form)
            writer.update_container(page)

        data = maker.pdf(data=updated(make_pdf("Điều 1"), prepare), field_name="Sig1")
        assert judge(data).indication == "TOTAL-PASSED"
        assert "nobody signed" in told(judge, updated(data, link))

    def test_what_it_covers_is_seen_on_the_page_that_shows_it(
        self, judge: Judge, maker: Maker
    ) -> None:
        out = BytesIO()
        with pikepdf.open(BytesIO(make_pdf("Điều 1", pages=2))) as pdf:
            pdf.pages[1].mediabox = pikepdf.Array([5000, 5000, 9000, 9000])
            pdf.save(out)

        def change(writer: IncrementalPdfFileWriter) -> None:
            field_with((0, 0, 595, 842))(writer)
            field = writer.root["/AcroForm"]["/Fields"][-1]
            field[NAME("/P")] = writer.root["/Pages"]["/Kids"].raw_get(1)

        data = updated(maker.pdf(data=out.getvalue()), change)
        assert "nobody signed" in told(judge, data)
        assert "100% of a page" in told(judge, maker.pdf(data=data, field_name="Empty"))


def test_the_field_of_a_time_stamp_shows_nothing(judge: Judge, maker: Maker) -> None:
    prepared = updated(make_pdf("Điều 1"), field_with((72, 700, 200, 720)))
    signed = maker.pdf(data=prepared)
    assert judge(signed).indication == "TOTAL-PASSED"
    assert "time stamp Empty is seen" in told(judge, maker.stamped(signed, "Empty"))
    assert judge(maker.stamped(signed, "Another")).indication == "TOTAL-PASSED"


@pytest.mark.parametrize("indirect", [False, True])
def test_what_lies_on_a_page_stays_in_its_order(judge: Judge, maker: Maker, indirect: bool) -> None:
    """Of two notes over one place the last is seen: another order shows another."""

    def notes(writer: IncrementalPdfFileWriter) -> None:
        page = writer.root["/Pages"]["/Kids"][0]
        note = {"/Type": "/Annot", "/Subtype": "/FreeText", "/F": 4, "/Rect": [72, 400, 200, 420]}
        made = [
            writer.add_object(pdf_object({**note, "/Contents": text})) for text in (b"999", b"100")
        ]
        listed = pdf_object(made)
        page[NAME("/Annots")] = writer.add_object(listed) if indirect else listed
        writer.update_container(page)

    def turned(writer: IncrementalPdfFileWriter) -> None:
        field_with()(writer)
        page = writer.root["/Pages"]["/Kids"][0]
        one, other, *rest = page["/Annots"]
        page[NAME("/Annots")] = generic.ArrayObject([other, one, *rest])
        writer.update_container(page)

    data = maker.pdf(data=updated(make_pdf("Điều 1"), notes))
    assert judge(updated(data, field_with())).indication == "TOTAL-PASSED"
    assert "in another order" in told(judge, updated(data, turned))


class TestCatalogue:
    @pytest.mark.parametrize(
        "entries",
        [
            {"MarkInfo": {"/Marked": True, "/AA": {"/WC": SCRIPT}}},
            {"Extensions": {"/ADBE": {"/A": SCRIPT}}},
            {"Version": b"x"},
            {"OpenAction": SCRIPT},
            {"Names": {"/JavaScript": {}}},
        ],
    )
    def test_nothing_else_comes_into_it(
        self, judge: Judge, maker: Maker, entries: dict[str, Any]
    ) -> None:
        told(judge, updated(maker.pdf(), catalogue_with(**entries)))

    def test_version_and_extensions_may(self, judge: Judge, maker: Maker) -> None:
        extension = {"/BaseVersion": "/1.7", "/ExtensionLevel": 5}
        change = catalogue_with(Version="/2.0", Extensions={"/ESIC": extension})
        assert judge(updated(maker.pdf(), change)).indication == "TOTAL-PASSED"

    def test_validation_data_are_nothing_else(
        self, judge: Judge, maker: Maker, pki: LivePki
    ) -> None:
        held = pki.certificate("authority").public_bytes(Encoding.DER)

        def adding(**more: Any) -> bytes:
            def change(writer: IncrementalPdfFileWriter) -> None:
                certificate = stream(writer, held, **more)
                catalogue_with(DSS={"/Certs": [certificate]})(writer)

            return updated(maker.pdf(), change)

        assert judge(adding()).indication == "TOTAL-PASSED"
        assert "Data for long-term validation has" in told(judge, adding(Subtype="/Form"))


def catalogue_with(**entries: Any) -> Change:
    def change(writer: IncrementalPdfFileWriter) -> None:
        for name, value in entries.items():
            writer.root[NAME(f"/{name}")] = pdf_object(value)
        writer.update_root()  # type: ignore[no-untyped-call]

    return change
