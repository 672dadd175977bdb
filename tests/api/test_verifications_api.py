"""/v1/verifications through the door: what is sent, how the answer is shaped, and every refusal."""

import pytest
from pyhanko.generated.etsi.ts_11910202 import ValidationReport
from xsdata.formats.dataclass.parsers import XmlParser

from tests.api_support import Office, answered, refused
from tests.office_support import CLERK
from tests.pki_support import LivePki
from tests.unit.signing.forge import make_pdf
from tests.verification_support import Maker

URL = "/v1/verifications"
DATA = b"what was signed"


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


def test_a_strangers_pdf_is_intact_and_not_trusted(office: Office, maker: Maker) -> None:
    clerk = office.login(CLERK)
    found = answered(clerk.request("POST", URL, content=maker.pdf("B-T")), 200)
    assert (found["indication"], found["ours"], found["released_here"]) == (
        "INDETERMINATE", False, False,
    )  # fmt: skip
    (one,) = found["report"]["signatures"]
    assert (one["intact"], one["valid"], one["trusted"]) == (True, True, False)
    assert one["timestamps"][0]["kind"] == "signature"


def test_a_detached_signature_comes_with_its_file(office: Office, maker: Maker) -> None:
    clerk = office.login(CLERK)
    parts = {"file": ("a.p7s", maker.cades(DATA)), "data": ("a.txt", DATA)}
    found = answered(clerk.request("POST", URL, files=parts), 200)
    assert found["report"]["form"] == "cades"
    assert found["report"]["signatures"][0]["intact"]
    wrong = {**parts, "data": ("a.txt", b"another")}
    found = answered(clerk.request("POST", URL, files=wrong), 200)
    assert found["report"]["sub_indication"] == "HASH_FAILURE"


def test_a_container_is_judged(office: Office, maker: Maker) -> None:
    found = answered(
        office.login(CLERK).request("POST", URL, content=maker.asic({"a.txt": DATA})), 200
    )
    assert found["report"]["form"] == "asic-e"
    assert found["report"]["files"] == ["a.txt"]


@pytest.mark.parametrize(
    ("query", "accept", "media_type"),
    [
        ("", None, "application/json"),
        ("", "*/*", "application/json"),
        ("", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "text/html"),
        ("", "application/xml", "application/xml"),
        ("", "application/xml;q=0,application/json", "application/json"),
        ("", "application/xml;q=0", "application/json"),
        ("", "text/html;q=0.1, application/json", "application/json"),
        ("", "application/json;q=0.5, application/xml;q=0.9", "application/xml"),
        ("", "text/html;q=nonsense", "text/html"),
        ("?format=html", None, "text/html"),
        ("?format=etsi", "text/html", "application/xml"),
        ("?format=json", "text/html", "application/json"),
    ],
)
def test_the_answer_has_the_form_that_was_asked_for(
    office: Office, query: str, accept: str | None, media_type: str
) -> None:
    headers = {"Accept": accept} if accept else {}
    answer = office.login(CLERK).request("POST", URL + query, content=make_pdf(), headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == media_type
    assert "Accept" in answer.headers["vary"]
    if media_type == "text/html":
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "<script" not in answer.text
    if media_type == "application/xml":
        XmlParser().from_bytes(answer.content, ValidationReport)


def test_an_unknown_form_is_refused(office: Office) -> None:
    answer = office.login(CLERK).request("POST", URL + "?format=pdf", content=make_pdf())
    refused(answer, 422, "invalid-input")


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"data": ("a.txt", DATA)}, "multipart-part-missing"),
        ({"file": ("a", DATA), "metadata": (None, b"{}")}, "multipart-part-unknown"),
        ({"file": ("a", DATA), "main": ("a", DATA)}, "multipart-part-unknown"),
    ],
)
def test_other_parts_are_refused_by_name(
    office: Office, parts: dict[str, tuple[str | None, bytes]], code: str
) -> None:
    answer = office.login(CLERK).request("POST", URL, files=parts)
    refused(answer, 422, code)


def test_nobody_unknown_may_ask(office: Office) -> None:
    refused(office.nobody.request("POST", URL, content=make_pdf()), 401, "unauthenticated")
