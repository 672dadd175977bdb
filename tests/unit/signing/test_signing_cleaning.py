import io
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from docflow.cli.hostile import make_hostile
from docflow.kernel.errors import InvalidInputError
from docflow.signing.cleaning import clean_pdf
from docflow.signing.inspection import PdfFacts, inspect_pdf, require_signable
from tests.unit.signing.forge import make_pdf, with_catalogue

ACTING = (
    "javascript-open", "javascript-names", "javascript-page", "launch", "launch-link", "submit-form",
    "xfa", "attachment",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_hostile(tmp_path_factory.mktemp("hostile"))


def cleaned(data: bytes) -> bytes:
    target = io.BytesIO()
    clean_pdf(io.BytesIO(data), target)
    return target.getvalue()


def judged(data: bytes) -> PdfFacts:
    facts = inspect_pdf(io.BytesIO(data))
    require_signable(facts)
    return facts


@pytest.mark.parametrize("name", ACTING)
def test_what_acts_is_made_still(name: str, hostile: dict[str, Path]) -> None:
    data = hostile[name].read_bytes()
    facts = inspect_pdf(io.BytesIO(data), allow_active=True)
    assert facts.active or facts.has_embedded_files
    assert judged(cleaned(data)).pages == facts.pages


def test_every_hostile_file_ends_in_a_still_one_or_a_refusal(hostile: dict[str, Path]) -> None:
    ends: dict[str, str] = {}
    for name, path in hostile.items():
        try:
            judged(cleaned(path.read_bytes()))
            ends[name] = "still"
        except InvalidInputError as error:
            ends[name] = error.code
    assert {name for name in ACTING if ends[name] != "still"} == set()
    assert ends["encrypted"] == "pdf-encrypted"
    assert ends["garbage"] == "pdf-broken"


def layered(**default: Any) -> bytes:
    layer = pikepdf.Dictionary(Type=pikepdf.Name.OCG, Name="lớp")
    return with_catalogue(
        OCProperties=pikepdf.Dictionary(OCGs=[layer], D=pikepdf.Dictionary(**default))
    )


def test_layers_that_are_shown_become_plain_content() -> None:
    data = layered(ON=pikepdf.Array([]))
    assert inspect_pdf(io.BytesIO(data)).has_layers
    assert not judged(cleaned(data)).has_layers


@pytest.mark.parametrize(
    "default",
    [
        {"BaseState": pikepdf.Name.OFF},
        {"OFF": pikepdf.Array([pikepdf.Dictionary(Type=pikepdf.Name.OCG, Name="x")])},
        {"AS": pikepdf.Array([pikepdf.Dictionary(Event=pikepdf.Name.Print)])},
    ],
    ids=["all-off", "one-off", "on-paper-only"],
)
def test_a_hidden_layer_is_refused(default: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        cleaned(layered(**default))
    assert refusal.value.code == "pdf-layered"


def test_a_layer_that_depends_on_others_is_refused_wherever_it_is_written() -> None:
    pdf = pikepdf.open(io.BytesIO(layered(ON=pikepdf.Array([]))))
    member = pikepdf.Dictionary(Type=pikepdf.Name.OCMD, P=pikepdf.Name.AllOff)
    pdf.pages[0].Resources = pikepdf.Dictionary(Properties=pikepdf.Dictionary(M=member))
    file = io.BytesIO()
    pdf.save(file)
    with pytest.raises(InvalidInputError) as refusal:
        cleaned(file.getvalue())
    assert refusal.value.code == "pdf-layered"


@pytest.mark.parametrize(("value", "code"), [("x", "pdf-form-unshown"), ("", None)])
def test_a_field_that_nobody_drew_is_refused_if_it_says_something(
    value: str, code: str | None
) -> None:
    pdf = pikepdf.open(io.BytesIO(make_pdf()))
    field = pdf.make_indirect(
        pikepdf.Dictionary(
            Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Widget, FT=pikepdf.Name.Tx, T="f",
            V=value, Rect=[0, 0, 90, 20],
        )
    )  # fmt: skip
    pdf.pages[0].Annots = pikepdf.Array([field])
    pdf.Root.AcroForm = pikepdf.Dictionary(Fields=pikepdf.Array([field]))
    file = io.BytesIO()
    pdf.save(file)
    if code is None:
        assert judged(cleaned(file.getvalue())).form_fields == 0
        return
    with pytest.raises(InvalidInputError) as refusal:
        cleaned(file.getvalue())
    assert refusal.value.code == code


def test_links_stay_where_they_only_show_an_address() -> None:
    pdf = pikepdf.open(io.BytesIO(make_pdf()))
    actions = (
        pikepdf.Dictionary(S=pikepdf.Name.URI, URI="https://example.vn/"),
        pikepdf.Dictionary(S=pikepdf.Name.Launch, F="calc.exe"),
    )
    pdf.pages[0].Annots = pikepdf.Array(
        [
            pikepdf.Dictionary(
                Type=pikepdf.Name.Annot, Subtype=pikepdf.Name.Link, Rect=[0, 0, 9, 9], A=action
            )
            for action in actions
        ]
    )
    file = io.BytesIO()
    pdf.save(file)
    with pikepdf.open(io.BytesIO(cleaned(file.getvalue()))) as made:
        left = [link.A for link in made.pages[0].Annots if "/A" in link]
        assert [str(action.S) for action in left] == ["/URI"]


def test_a_signed_pdf_is_not_touched() -> None:
    data = with_catalogue(
        Perms=pikepdf.Dictionary(
            DocMDP=pikepdf.Dictionary(Type=pikepdf.Name.Sig, ByteRange=pikepdf.Array([0, 1, 2, 3]))
        )
    )
    with pytest.raises(InvalidInputError) as refusal:
        cleaned(data)
    assert refusal.value.code == "pdf-signed"
