"""/v1/verifications through the door: what is sent, how the answer is shaped, and every refusal."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import structlog
from pyhanko.generated.etsi.ts_11910202 import ValidationReport
from xsdata.formats.dataclass.parsers import XmlParser

from docflow.api import turns
from docflow.cli.hostile import make_hostile
from tests.api_support import Office, answered, refused
from tests.office_support import CLERK, HEAD, LEADER
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


def test_files_that_take_long_leave_the_service_to_others(office: Office, tmp_path: Path) -> None:
    """As many files as may be sent at once: all but a few are refused, and others are served."""
    slow = _slow(office, tmp_path)
    clerk = office.login(CLERK)
    with ThreadPoolExecutor(10) as pool:
        asked = [
            pool.submit(clerk.request, "POST", URL, files={"file": ("a.pdf", slow)})
            for _ in range(10)
        ]
        _wait_until(lambda: sum(one.done() for one in asked) >= 10 - turns.PLACES_OF_ONE)
        before = time.monotonic()
        clerk.read("/v1/documents")
        assert time.monotonic() - before < 1.5
        assert not all(one.done() for one in asked), "the slow files were not slow"
        answers = [one.result() for one in asked]
    assert Counter(one.status_code for one in answers) == {
        200: turns.PLACES_OF_ONE, 429: 10 - turns.PLACES_OF_ONE,
    }  # fmt: skip
    busy = next(one for one in answers if one.status_code == 429)
    assert refused(busy, 429, "too-many-verifications")["retry_after_seconds"]
    assert int(busy.headers["retry-after"]) > 0
    assert clerk.request("POST", URL, content=make_pdf()).status_code == 200


def test_the_places_of_all_are_bounded_too(office: Office, tmp_path: Path) -> None:
    slow = _slow(office, tmp_path)
    doors = [office.login(one) for one in (CLERK, LEADER) for _ in range(turns.PLACES_OF_ONE)]
    with ThreadPoolExecutor(len(doors)) as pool:
        asked = [pool.submit(one.request, "POST", URL, content=slow) for one in doors]
        places: turns.Turns = office.client.app.state.verification_turns  # type: ignore[attr-defined]
        _wait_until(lambda: places._taken.total() == turns.PLACES)
        head = office.login(HEAD)
        with structlog.testing.capture_logs() as logs:
            answer = head.request("POST", URL, content=make_pdf())
        refused(answer, 503, "too-many-verifications")
        (told,) = (one for one in logs if one["event"] == "refused")
        assert (told["log_level"], "exc_info" in told) == ("warning", False)
        assert int(answer.headers["retry-after"]) > 2
        assert {one.result().status_code for one in asked} == {200}


def _slow(office: Office, folder: Path) -> bytes:
    """Return a file that takes all the time that judging may take, which is two seconds now."""
    verifier = office.services.studio.verifier
    object.__setattr__(verifier, "timeout_s", 2.0)
    return make_hostile(folder)["many-objects"].read_bytes()


def _wait_until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_another_look_at_what_came_in_is_asked_for(office: Office, maker: Maker) -> None:
    clerk = office.login(CLERK)
    signed = maker.pdf("B-B", label="stranger", issuer="stranger-root")
    made = clerk.post_document(
        signed, direction="incoming", type="CV", subject="Công văn", issuer="Sở Tài chính"
    )
    url = f"/v1/documents/{made['id']}"
    office.run_jobs()
    (before,) = clerk.read(url)["signatures"]
    assert (before["indication"], before["next_at"]) == ("INDETERMINATE", None)
    asked = [answered(clerk.post(f"{url}/verifications"), 202) for _ in range(2)]
    assert asked[0]["id"] == asked[1]["id"]
    office.run_jobs()
    (job,) = [one for one in clerk.read("/v1/jobs", document=made["id"])["items"]
              if one["id"] == asked[0]["id"]]  # fmt: skip
    assert job["state"] == "done"
    told = clerk.read(f"{url}/history")["items"]
    assert [one["action"] for one in told].count("document.signatures-verified") == 2
    refused(office.nobody.post(f"{url}/verifications"), 401, "unauthenticated")
    refused(clerk.post("/v1/documents/none/verifications"), 404, "not-found")
