"""The office's lists and its workflows over HTTP: what front ends offer and draw."""

import hashlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.resources import bundled
from tests.api_support import Office, refused
from tests.office_support import CLERK, RECIPIENT, SPECIALIST, SYSTEM

LISTS = [
    "/v1/document-types",
    "/v1/urgencies",
    "/v1/classifications",
    "/v1/books",
    "/v1/calendar",
    "/v1/workflows",
    "/v1/workflows/outgoing",
    "/v1/workflows/outgoing/diagram.svg",
    "/v1/workflows/outgoing/source",
]


def workflow_file(name: str) -> Path:
    return bundled("workflows") / f"{name}.yaml"


@pytest.mark.parametrize("url", LISTS)
def test_the_lists_are_for_those_inside(shared_office: Office, url: str) -> None:
    assert shared_office.login(SPECIALIST).get(url).status_code == 200
    assert shared_office.key(SYSTEM, "directory:read").get(url).status_code == 200
    narrow = refused(shared_office.key(SYSTEM, "documents:create").get(url), 403, "forbidden")
    assert narrow["satisfied_by"] == "Use an API key with the scope directory:read."
    refused(shared_office.login(RECIPIENT).get(url), 403, "forbidden")
    refused(shared_office.nobody.get(url), 401, "unauthenticated")


def test_document_types_are_those_of_the_office(shared_office: Office) -> None:
    types = {item["code"]: item for item in shared_office.login(CLERK).read("/v1/document-types")}
    assert len(types) == 29
    assert types["QĐ"] == {
        "code": "QĐ",
        "name": {"vi": "Quyết định", "en": "Decision"},
        "symbol": "QĐ",
    }
    assert types["CV"]["symbol"] is None


def test_urgencies_have_their_marks(shared_office: Office) -> None:
    normal, *others = shared_office.login(CLERK).read("/v1/urgencies")
    assert (normal["code"], normal["mark"]) == ("normal", None)
    assert [item["mark"]["text"] for item in others] == ["KHẨN", "THƯỢNG KHẨN", "HỎA TỐC"]


def test_a_classification_that_is_offered_is_accepted_and_no_other(shared_office: Office) -> None:
    clerk = shared_office.login(CLERK)
    levels = clerk.read("/v1/classifications")
    allowed = [item["code"] for item in levels if item["allowed"]]
    assert allowed == ["public", "internal", "confidential"]
    for number, level in enumerate(levels):
        answer = clerk.post(
            "/v1/documents",
            {
                "direction": "incoming", "type": "CV", "subject": "x", "issuer": f"y{number}",
                "classification": level["code"],
            },
        )  # fmt: skip
        assert answer.status_code == (201 if level["allowed"] else 422), level


def test_books_tell_how_they_count(shared_office: Office) -> None:
    books = {item["code"]: item for item in shared_office.login(CLERK).read("/v1/books")}
    assert books["outgoing"]["period"] == {
        "key": "2026", "starts": "2026-01-01", "ends": "2026-12-31",
    }  # fmt: skip
    assert (books["outgoing"]["counts"], books["outgoing"]["series"]) == ("calendar_year", "shared")
    party = books["party-outgoing"]
    assert (party["counts"], party["series"]) == ("terms", "per_type")
    assert party["periods"] == [party["period"]]
    assert party["period"]["key"] == "2025-2030"


def test_a_book_outside_of_every_term_has_no_period(office: Office, clock: ManualClock) -> None:
    clock._now = clock.now().replace(year=2031)
    books = {item["code"]: item for item in office.again(CLERK).read("/v1/books")}
    assert books["party-outgoing"]["period"] is None
    answer = office.login(CLERK).get("/v1/books/party-outgoing/entries")
    refused(answer, 422, "no-period")


def test_the_calendar_tells_office_time(shared_office: Office) -> None:
    calendar = shared_office.login(CLERK).read("/v1/calendar")
    assert (calendar["timezone"], calendar["today"]) == ("Asia/Ho_Chi_Minh", "2026-03-02")
    assert calendar["now"] == "2026-03-02T01:30:00Z"
    (hours,) = calendar["calendars"]
    assert hours["week"]["mon"] == [["07:30:00", "11:30:00"], ["13:30:00", "17:00:00"]]
    assert "sat" not in hours["week"]
    assert {
        "date": "2026-09-02",
        "name": {"vi": "Quốc khánh", "en": "National Day"},
    } in hours["holidays"]


class TestWorkflows:
    def test_every_workflow_is_listed(self, any_office: Office) -> None:
        assert any_office.login(CLERK).read("/v1/workflows") == [
            {
                "name": name, "version": version, "versions": [version], "offered": True, "direction": name,
                "title": title,
            }
            for name, version, title in (
                ("incoming", 1, {"en": "Incoming document", "vi": "Văn bản đến"}),
                ("outgoing", 2, {"en": "Outgoing document", "vi": "Văn bản đi"}),
            )
        ]  # fmt: skip

    def test_a_workflow_is_read_as_its_file_has_it(self, any_office: Office) -> None:
        answer = any_office.login(CLERK).get("/v1/workflows/outgoing")
        workflow: dict[str, Any] = answer.json()
        digest = hashlib.sha256(workflow_file("outgoing").read_bytes()).hexdigest()
        assert workflow["sha256"] == digest
        assert answer.headers["etag"] == f'"{digest}"'
        states = [state["name"] for state in workflow["states"]]
        assert states == [
            "draft", "review", "approved", "signed", "released", "archived", "withdrawn",
        ]  # fmt: skip
        draft, review, *_ = workflow["states"]
        assert (draft["initial"], draft["editable"], draft["due"]) == (True, True, "3d")
        assert (review["title"]["vi"], review["remind"]) == ("Chờ duyệt", ["-4h"])
        transitions = {item["trigger"]: item for item in workflow["transitions"]}
        assert transitions["approve"]["book"] == "outgoing"
        assert transitions["approve"]["separate_from"] == ["author"]
        assert transitions["return"]["ask"]["reason"]["required"] is True
        assert transitions["return"]["leaves"] == ["review", "approved"]
        assert transitions["sign"]["sign"] == {
            "signer": "person", "level": None, "fallback": None, "container": None,
            "place": {"number": "number", "date": "date", "qr": "qr"},
        }  # fmt: skip
        assert transitions["release"]["effects"] == ["deliver"]
        assert workflow["fields"]["copies"]["max"] == 10000

    def test_a_workflow_is_drawn_in_a_language(self, shared_office: Office) -> None:
        clerk = shared_office.login(CLERK)
        answer = clerk.get("/v1/workflows/outgoing/diagram.svg", language="vi")
        assert answer.headers["content-type"] == "image/svg+xml"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        picture = ET.fromstring(answer.content)  # noqa: S314 - our own picture
        assert picture.tag == "{http://www.w3.org/2000/svg}svg"
        text = " ".join(picture.itertext())
        assert "Dự thảo" in text
        assert "Draft" not in text
        assert "Draft" in clerk.get("/v1/workflows/outgoing/diagram.svg").text

    def test_its_source_is_the_file(self, shared_office: Office) -> None:
        answer = shared_office.login(CLERK).get("/v1/workflows/incoming/source")
        assert answer.content == workflow_file("incoming").read_bytes()
        assert answer.headers["content-type"].startswith("application/yaml")

    @pytest.mark.parametrize("tail", ["", "/diagram.svg", "/source"])
    def test_what_is_not_on_file_is_not_found(self, shared_office: Office, tail: str) -> None:
        clerk = shared_office.login(CLERK)
        problem = refused(clerk.get(f"/v1/workflows/outgoin{tail}"), 404, "workflow-not-found")
        assert "did you mean outgoing" in problem["detail"]
        problem = refused(
            clerk.get(f"/v1/workflows/outgoing{tail}", version=1), 404, "workflow-not-found"
        )
        assert "it has 2" in problem["detail"]

    @pytest.mark.parametrize(
        "query", [{"version": "0"}, {"version": "x"}, {"language": "VI"}, {"language": "../x"}]
    )
    def test_a_wrong_question_is_refused(
        self, shared_office: Office, query: dict[str, str]
    ) -> None:
        answer = shared_office.login(CLERK).get("/v1/workflows/outgoing/diagram.svg", **query)
        refused(answer, 422, "invalid-input")
