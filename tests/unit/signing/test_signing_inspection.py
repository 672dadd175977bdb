import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary, Name, String

from docflow.kernel.errors import InvalidInputError
from docflow.signing.inspection import inspect_pdf, require_signable
from tests.unit.signing.forge import make_pdf, with_catalogue

SCRIPT = Dictionary(S=Name.JavaScript, JS=String("app.alert(1)"))


def code_of(data: bytes, **limits: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        inspect_pdf(BytesIO(data), **limits)
    assert caught.value.detail.endswith(".")
    return caught.value.code


def saved(edit: Callable[[pikepdf.Pdf], None], **options: object) -> bytes:
    with pikepdf.open(BytesIO(make_pdf())) as pdf:
        edit(pdf)
        out = BytesIO()
        pdf.save(out, **options)  # type: ignore[arg-type]
    return out.getvalue()


def test_a_good_file_is_described(tmp_path: Path) -> None:
    data = make_pdf(pages=3)
    (tmp_path / "good.pdf").write_bytes(data)
    for source in (tmp_path / "good.pdf", BytesIO(data)):
        facts = inspect_pdf(source)
        assert (facts.pages, facts.version, facts.signed) == (3, "1.3", False)
        assert facts.size_bytes == len(data)
        require_signable(facts)


def test_object_streams_are_looked_into() -> None:
    streams = {"object_stream_mode": pikepdf.ObjectStreamMode.generate}
    assert inspect_pdf(BytesIO(saved(lambda pdf: None, **streams))).pages == 1
    hidden = saved(lambda pdf: pdf.Root.__setitem__("/OpenAction", SCRIPT), **streams)
    assert b"JavaScript" not in hidden
    assert code_of(hidden) == "pdf-scripted"


def assemble(objects: list[bytes]) -> bytes:
    body = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(body)
    body += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    body += b"".join(b"%010d 00000 n \n" % place for place in places)
    body += b"trailer\n<</Root 1 0 R/Size %d>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )
    return bytes(body)


def an_annotation(**entries: pikepdf.Object) -> bytes:
    def edit(pdf: pikepdf.Pdf) -> None:
        box = Array([0, 0, 9, 9])
        note = Dictionary(Type=Name.Annot, Rect=box, Subtype=Name.Link)
        for name, value in entries.items():
            note[f"/{name}"] = value
        pdf.pages[0].Annots = Array([pdf.make_indirect(note)])

    return saved(edit)


def escaped_name() -> bytes:
    return assemble(
        [
            b"<</Type/Catalog/Pages 2 0 R/OpenAction<</#53/Java#53cript/#4aS(1)>>>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>",
        ]
    )


def indirect_name() -> bytes:
    def edit(pdf: pikepdf.Pdf) -> None:
        action = Dictionary(S=pdf.make_indirect(Name.Launch), F=String("cmd.exe"))
        pdf.Root.OpenAction = pdf.make_indirect(action)

    return saved(edit)


SCRIPTED = {
    "open action": lambda: with_catalogue(OpenAction=SCRIPT),
    "name tree": lambda: with_catalogue(
        Names=Dictionary(JavaScript=Dictionary(Names=Array([String("a"), SCRIPT])))
    ),
    "additional action": lambda: with_catalogue(AA=Dictionary(WC=SCRIPT)),
    "form": lambda: with_catalogue(AcroForm=Dictionary(Fields=Array(), XFA=String("x"))),
    "launch": lambda: an_annotation(A=Dictionary(S=Name.Launch, F=String("cmd.exe"))),
    "submit": lambda: an_annotation(A=Dictionary(S=Name.SubmitForm, F=String("https://x"))),
    "import": lambda: an_annotation(A=Dictionary(S=Name.ImportData, F=String("x"))),
    "chained": lambda: an_annotation(
        A=Dictionary(S=Name.URI, URI=String("https://x"), Next=Array([SCRIPT]))
    ),
    "embedded jump": lambda: an_annotation(A=Dictionary(S=Name.GoToE)),
    "rich media": lambda: an_annotation(Subtype=Name.RichMedia),
    "escaped name": escaped_name,
    "name of its own": indirect_name,
}


@pytest.mark.parametrize("make", SCRIPTED.values(), ids=SCRIPTED)
def test_active_content_is_refused(make: Callable[[], bytes]) -> None:
    assert code_of(make()) == "pdf-scripted"


def test_words_about_scripts_are_no_scripts() -> None:
    data = with_catalogue(Lang=String("/JavaScript /JS /Launch"))
    assert inspect_pdf(BytesIO(data)).pages == 1
    link = an_annotation(A=Dictionary(S=Name.URI, URI=String("https://x")))
    assert inspect_pdf(BytesIO(link)).pages == 1


def with_pages(count: int) -> bytes:
    with pikepdf.new() as pdf:
        for _ in range(count):
            pdf.add_blank_page()
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()


def encrypted(user: str, owner: str) -> bytes:
    return saved(lambda pdf: None, encryption=pikepdf.Encryption(user=user, owner=owner))


GOOD = make_pdf()
REFUSED = {
    "nothing": (b"", "pdf-empty"),
    "no page": (
        assemble([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 0/Kids[]>>"]),
        "pdf-empty",
    ),
    "text": (b"Hello", "pdf-broken"),
    "only a head": (b"%PDF-1.7\n", "pdf-broken"),
    "half": (GOOD[: len(GOOD) // 2], "pdf-broken"),
    "without its end": (GOOD[:-40], "pdf-broken"),
    "junk before": (b"junk\n" + GOOD, "pdf-broken"),
    "junk after": (GOOD + b"x" * 5000, "pdf-broken"),
    "wrong offsets": (GOOD.replace(b"%PDF-1.3\n", b"%PDF-1.3\n%%%%%%%%%%\n"), "pdf-broken"),
    "user password": (encrypted(user="a", owner="b"), "pdf-encrypted"),
    "owner password": (encrypted(user="", owner="b"), "pdf-encrypted"),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_whole_open_pdf_is_refused(data: bytes, code: str) -> None:
    assert code_of(data) == code


def test_too_many_pages_are_refused() -> None:
    data = with_pages(12)
    assert inspect_pdf(BytesIO(data), max_pages=12).pages == 12
    assert code_of(data, max_pages=11) == "pdf-too-many-pages"


def test_too_many_objects_are_refused() -> None:
    assert code_of(with_pages(50), max_objects=20) == "pdf-broken"


def looping(kids: bytes) -> bytes:
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count 1/Kids[" + kids + b"]>>",
        b"<</Type/Pages/Parent 2 0 R/Count 1/Kids[2 0 R]>>",
    ]
    return assemble(objects)


def stream(data: bytes, entries: bytes) -> bytes:
    packed = zlib.compress(data)
    head = b"<<%b/Filter/FlateDecode/Length %d>>" % (entries, len(packed))
    return head + b"\nstream\n" + packed + b"\nendstream"


def object_stream_bomb() -> bytes:
    """A classic table cannot name objects in streams, so: a cross-reference stream that does."""
    bomb = stream(b"4 0 " + b" " * (200 << 20), b"/Type/ObjStm/N 1/First 4")
    body = bytearray(b"%PDF-1.7\n")
    places = []
    for number, content in ((1, b"<</Type/Catalog/Pages 4 0 R>>"), (2, bomb)):
        places.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    rows = [(0, 0, 255), (1, places[0], 0), (1, places[1], 0), (1, len(body), 0), (2, 2, 0)]
    table = b"".join(
        kind.to_bytes(1, "big") + place.to_bytes(4, "big") + last.to_bytes(1, "big")
        for kind, place, last in rows
    )
    start = len(body)
    xref = stream(table, b"/Type/XRef/Size 5/W[1 4 1]/Root 1 0 R")
    body += b"3 0 obj\n%b\nendobj\nstartxref\n%d\n%%%%EOF\n" % (xref, start)
    return bytes(body)


HOSTILE = {
    "tree that is its own child": looping(b"2 0 R"),
    "tree in a ring": looping(b"3 0 R"),
    "one hundred thousand brackets": assemble(
        [b"<</Type/Catalog/Pages 2 0 R/X " + b"[" * 100_000 + b"]" * 100_000 + b">>"]
    ),
    "bomb in an object stream": object_stream_bomb(),
    "root is a stream": assemble([stream(b"", b"/Type/Catalog/Pages 1 0 R")]),
    "root is a number": assemble([b"7"]),
    "kids are a number": assemble([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Kids 7>>"]),
    "length lies": assemble([b"<</Length 99999999>>\nstream\nx\nendstream"]),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_hostile_structure_is_refused(data: bytes) -> None:
    assert code_of(data) in {"pdf-broken", "pdf-empty"}


def test_facts_that_forbid_signing_are_found() -> None:
    layers = with_catalogue(OCProperties=Dictionary(OCGs=Array(), D=Dictionary()))
    attached = with_catalogue(Names=Dictionary(EmbeddedFiles=Dictionary(Names=Array())))
    signed = with_catalogue(X=Dictionary(Type=Name.Sig, ByteRange=Array([0, 1, 2, 3])))
    for data, code in (
        (layers, "pdf-layered"),
        (attached, "pdf-attachments"),
        (signed, "pdf-signed"),
    ):
        facts = inspect_pdf(BytesIO(data))
        with pytest.raises(InvalidInputError) as caught:
            require_signable(facts)
        assert caught.value.code == code


def test_messages_name_no_path_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "secret-name.pdf").write_bytes(GOOD[:-40])
    with pytest.raises(InvalidInputError) as caught:
        inspect_pdf(tmp_path / "secret-name.pdf")
    assert "secret-name" not in caught.value.detail


def test_a_missing_file_is_not_the_senders_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        inspect_pdf(tmp_path / "none.pdf")


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, len(GOOD) - 1),
    st.binary(min_size=1, max_size=8),
    st.sampled_from([GOOD, escaped_name()]),
)
def test_damage_anywhere_is_accepted_or_refused_and_nothing_else(
    place: int, noise: bytes, data: bytes
) -> None:
    try:
        inspect_pdf(BytesIO(data[:place] + noise + data[place + len(noise) :]))
    except InvalidInputError as error:
        refusal = error.code
    else:
        refusal = "pdf-accepted"
    assert refusal.startswith("pdf-")
