"""What every answer carries: safety headers, a name, tags, pages; and what no log line does."""

import dataclasses
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import httpx2
import pytest
import structlog
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.testclient import TestClient

from docflow.api.app import create_app
from docflow.kernel.actor import SERVICE
from tests.api_support import Door, Office, answered, if_match, refused
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    RECIPIENT,
    SPECIALIST,
    SYSTEM,
    password_of,
)

SAFETY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.fixture(scope="module")
def office(shared_office: Office) -> Office:
    """One office for this module; what its tests make is each their own."""
    return shared_office


@pytest.fixture(scope="module")
def released(office: Office) -> dict[str, Any]:
    """A document that is at its recipients."""
    return office.login(CLERK).read(f"/v1/documents/{office.released()}")  # type: ignore[no-any-return]


# -- every answer ----------------------------------------------------------------------------------


def every_answer(office: Office, file: str) -> Iterator[httpx2.Response]:
    clerk, nobody, author = office.login(CLERK), office.nobody, office.login(SPECIALIST)
    json = {"Content-Type": "application/json"}
    yield clerk.get("/v1/documents")
    yield clerk.get("/v1/documents/none")
    yield clerk.get("/v1/books/outgoing/print", format="csv")
    yield clerk.get("/v1/books/outgoing/print", format="pdf")
    yield clerk.request("POST", "/v1/documents", content=b"{", headers=json)
    yield clerk.request("POST", "/v1/documents", content=b" " * 2**21, headers=json)
    yield clerk.request("POST", "/v1/documents", content=b"x", headers={"Content-Type": "a/b"})
    yield clerk.request("BREW", "/v1/documents")
    yield author.get(file)
    yield author.request("GET", file, headers={"Range": "bytes=0-9"})
    yield author.request("GET", file, headers={"Range": "bytes=99999999-"})
    yield author.request("GET", file, headers={"If-None-Match": "*"})
    yield nobody.get("/v1/me")
    yield nobody.get("/nowhere")
    yield nobody.get("/healthz")
    yield nobody.get("/readyz")
    yield nobody.get("/v1/openapi.json")
    yield nobody.get("/v1/released/none")


def test_every_answer_is_safe_and_has_a_name(office: Office) -> None:
    draft, names = office.draft(), set()
    file = f"/v1/documents/{draft['id']}/files/{draft['files'][0]['id']}/content"
    for answer in every_answer(office, file):
        told = {name: answer.headers.get(name) for name in SAFETY}
        assert told == SAFETY, (answer.request.url, answer.status_code)
        assert "server" not in answer.headers
        assert "strict-transport-security" not in answer.headers
        names.add(UUID(answer.headers["x-request-id"]))
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["instance"] == f"urn:uuid:{answer.headers['x-request-id']}"
    assert len(names) == 18


def test_a_picture_may_style_itself_and_nothing_else(office: Office) -> None:
    picture = office.login(CLERK).get("/v1/workflows/outgoing/diagram.svg")
    policy = picture.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert "sandbox" in policy


def test_in_production_browsers_are_told_to_stay_with_https(office: Office) -> None:
    settings = office.services.settings.model_copy(update={"environment": "production"})
    services = dataclasses.replace(office.services, settings=settings)
    with TestClient(create_app(services)) as client:
        assert client.get("/healthz").headers["strict-transport-security"] == "max-age=31536000"


def test_a_defect_tells_its_name_and_nothing_of_itself(office: Office) -> None:
    app = create_app(office.services)

    @app.get("/defect")
    def defect() -> None:
        raise RuntimeError("a secret of the inside")

    @app.get("/break")
    def broken(request: Request) -> StreamingResponse:
        def pieces() -> Iterator[bytes]:
            yield b"some"
            raise RuntimeError("the disk is gone")

        return StreamingResponse(pieces(), headers={"Content-Length": "1000"})

    with TestClient(app, raise_server_exceptions=False) as client:
        with structlog.testing.capture_logs() as logs:
            answer = client.get("/defect")
        problem = refused(answer, 500, "internal-error")
        assert {name: answer.headers.get(name) for name in SAFETY} == SAFETY
        assert "secret" not in answer.text
        (told,) = [line for line in logs if line["log_level"] == "error"]
        assert problem["instance"] == f"urn:uuid:{told['request_id']}"
        assert str(told["exc_info"]) == "a secret of the inside"
        assert next(line for line in logs if line["event"] == "request")["status"] == 500
    with TestClient(app) as client, pytest.raises(RuntimeError, match="the disk is gone"):
        client.get("/break")  # the connection breaks off: no client takes half a file for a whole


# -- logs ------------------------------------------------------------------------------------------


def test_no_log_line_has_a_secret_or_what_was_asked_for(office: Office) -> None:
    with structlog.testing.capture_logs() as logs:
        clerk = office.session(CLERK)
        wrong = {"login": "hanh.nt", "password": "mật khẩu đoán mò"}
        refused(office.nobody.post("/v1/sessions", wrong), 401, "invalid-credentials")
        clerk.get("/v1/documents", text="bí mật", limit=1)
        clerk.get("/v1/documents/bi-mat")
        office.nobody.get("/v1/released/bi-mat")
        key = office.key(SYSTEM, "documents:read")
        key.get("/v1/me")
        Door(office.client, "dfk_khong-dung").get("/v1/me")
    lines = [line for line in logs if line["event"] == "request"]
    assert len(lines) >= 8
    text = repr(logs)
    for secret in (
        clerk.token,
        key.token,
        password_of(CLERK),
        wrong["password"],
        "bi-mat",
        "bí mật",
    ):
        assert secret is not None
        assert secret not in text
    assert {"method", "route", "status", "ms", "request_id", "actor"} <= lines[0].keys()
    me = clerk.read("/v1/me")["id"]
    assert [line["actor"] for line in lines[:4]] == [me, None, me, me]
    assert lines[3]["route"] == "/v1/documents/{document_id}"


# -- who asks --------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["/v1/me", "/v1/documents", "/v1/inbox", "/v1/history", "/v1/jobs"])
def test_whoever_is_not_known_is_told_how_to_be(office: Office, url: str) -> None:
    for token in (None, "dfs_" + "A" * 43):
        answer = Door(office.client, token).get(url)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="docflow"'


def test_who_guesses_passwords_waits(office: Office) -> None:
    given = {"login": "linh.pn", "password": "sai mật khẩu"}
    for _ in range(office.services.settings.login_attempts):
        refused(office.nobody.post("/v1/sessions", given), 401, "invalid-credentials")
    locked = office.nobody.post("/v1/sessions", given | {"password": password_of("linh.pn")})
    problem = refused(locked, 429, "account-locked")
    assert int(locked.headers["retry-after"]) >= problem["retry_after_seconds"] > 0


# -- versions, repeats, pages ----------------------------------------------------------------------


def test_the_tag_of_a_document_is_its_version_in_every_answer(office: Office) -> None:
    author = office.login(SPECIALIST)
    body = {"direction": "outgoing", "type": "QĐ", "subject": "Phiên bản"}
    posted = author.post("/v1/documents", body)
    url = posted.headers["location"]
    assert posted.headers["etag"] == author.get(url).headers["etag"] == '"1"'
    changed = author.patch(url, {"subject": "Phiên bản hai"}, 1)
    assert changed.headers["etag"] == f'"{changed.json()["version"]}"' == '"2"'
    assert author.get(f"{url}/available").headers["etag"] == '"2"'
    data = office.decision.read_bytes()
    put = author.request("PUT", f"{url}/files/main", content=data, headers=if_match(2))
    assert put.headers["etag"] == '"3"'
    stale = refused(author.patch(url, {"subject": "x"}, 2), 412, "stale-version")
    assert (stale["version"], stale["state"]) == (3, "draft")


def test_a_repeated_request_is_answered_with_what_it_made(office: Office) -> None:
    administrator = office.login(ADMINISTRATOR)
    url = "/v1/recipients"
    body = {"code": "TEST-1", "name": "Sở Thử nghiệm", "kind": "organisation", "external": True}
    headers = {"Idempotency-Key": "r-1"}
    first = administrator.post(url, body, headers=headers)
    again = administrator.post(url, body, headers=headers)
    assert answered(first, 201) == answered(again, 201)
    assert first.headers["location"] == again.headers["location"]
    other = administrator.post(url, body | {"code": "TEST-2"}, headers=headers)
    refused(other, 422, "idempotency-key-reused")
    # a key is its sender's own, and its address's own
    clerk = office.login(CLERK).post(url, body | {"code": "TEST-3"}, headers=headers)
    assert answered(clerk, 201)["code"] == "TEST-3"
    unit = {"code": "T-1", "name": "Phòng Thử", "parent_id": office.unit("VP")["id"]}
    assert administrator.post("/v1/units", unit, headers=headers).status_code == 201


def test_of_the_same_request_twice_at_once_one_is_carried_out(office: Office) -> None:
    administrator = office.login(ADMINISTRATOR)
    body = {"code": "TEST-9", "name": "Sở Cùng lúc", "kind": "organisation", "external": True}
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        """Let nobody write until every request has looked whether it was carried out before."""
        with office.services.database.unit_of_work(SERVICE):
            held.set()
            go.wait(20)

    def post(_: int) -> httpx2.Response:
        return administrator.post("/v1/recipients", body, headers={"Idempotency-Key": "r-9"})

    with ThreadPoolExecutor(4) as pool:
        holder = pool.submit(hold)
        assert held.wait(20)
        posted = [pool.submit(post, number) for number in range(3)]
        threading.Timer(0.5, go.set).start()
        answers = [each.result(30) for each in posted]
        holder.result(30)
    made = [answer.json()["id"] for answer in answers if answer.status_code == 201]
    assert len(set(made)) == 1
    for answer in answers:
        if answer.status_code != 201:
            refused(answer, 409, "idempotency-in-flight")
    assert post(0).json()["id"] == made[0]


@pytest.mark.parametrize(
    ("login", "url", "key"),
    [
        (CLERK, "/v1/documents?direction=outgoing", "id"),
        (CLERK, "/v1/jobs", "id"),
        (CLERK, "/v1/books/incoming/entries", "number"),
        (AUDITOR, "/v1/history?action=document", "id"),
        (AUDITOR, "/v1/documents/{released}/history", "id"),
        (ADMINISTRATOR, "/v1/people?kind=person", "id"),
        (ADMINISTRATOR, "/v1/units", "id"),
        (ADMINISTRATOR, "/v1/recipients?external=true", "id"),
        (ADMINISTRATOR, "/v1/accounts", "id"),
        (ADMINISTRATOR, "/v1/api-keys", "id"),
        (RECIPIENT, "/v1/inbox?acknowledged=false", "id"),
    ],
)
def test_the_link_to_the_next_page_leads_to_the_end(
    office: Office, released: dict[str, Any], login: str, url: str, key: str
) -> None:
    if "api-keys" in url:
        office.key(SYSTEM, "documents:read")
    if "incoming" in url:
        for number in range(3):
            office.login(CLERK).fire(office.incoming(1000 + number)["id"], "register")
    door, url = office.login(login), url.format(released=released["id"])
    joint = "&" if "?" in url else "?"
    whole = [
        item[key] for item in answered(door.request("GET", f"{url}{joint}limit=200"), 200)["items"]
    ]
    assert whole
    followed: list[Any] = []
    following: str | None = f"{url}{joint}limit=1"
    while following is not None:
        page = door.request("GET", following)
        body = answered(page, 200)
        assert len(body["items"]) == 1
        followed += [item[key] for item in body["items"]]
        following = page.links["next"]["url"] if "next" in page.links else None
        assert (following is None) == (body["next_cursor"] is None)
        if following is not None:
            assert following.startswith("/v1/")
            assert all(part in following for part in url.partition("?")[2].split("&"))
    assert followed == whole
    assert len(set(followed)) == len(followed)


# -- the public look-up ----------------------------------------------------------------------------


def test_the_code_on_the_page_tells_only_what_its_holder_may_know(
    office: Office, released: dict[str, Any]
) -> None:
    row = office.instance.row(released["id"])
    answer = office.nobody.get(f"/v1/released/{row['verification_code']}")
    main = next(file for file in released["files"] if file["form"] == "released")
    assert answered(answer, 200) == {
        "organisation": "Văn phòng Ủy ban nhân dân tỉnh Lam Giang",
        "symbol": released["symbol"],
        "numbered_on": released["numbered_on"],
        "released": True,
        "sha256": main["sha256"],
    }
    assert "etag" not in answer.headers
    assert len(row["verification_code"]) >= 16
    wrong = Door(office.client, "dfs_" + "A" * 43).get(f"/v1/released/{row['verification_code']}")
    assert wrong.json() == answer.json()
    for guess in (released["id"], released["symbol"].replace("/", "-"), "0", "x" * 100):
        refused(office.nobody.get(f"/v1/released/{guess}"), 404, "unknown-code")


def test_what_is_not_released_yet_is_said_to_be_so(office: Office) -> None:
    approved = office.instance.row(office.approved())
    shown = answered(office.nobody.get(f"/v1/released/{approved['verification_code']}"), 200)
    assert (shown["released"], shown["sha256"]) == (False, None)
    assert "Quy chế" not in str(shown)
    assert office.instance.row(office.draft()["id"])["verification_code"] is None
