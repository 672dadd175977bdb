"""The application against its own OpenAPI document: whatever is sent, it answers as it says it does.

Requests are made by Schemathesis from the document, good ones and bad ones, and sent as everyone who
uses the office, most of them about things that are there. Never a 500; status, content type and body are
those that the document has.
"""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import requests
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.failures import FailureGroup
    from schemathesis.specs.openapi import checks as openapi_checks

from docflow.api.app import create_app
from tests.api_support import Door, Office
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    RECIPIENT,
    SPECIALIST,
    SYSTEM,
)

BASE = "http://testserver"
GOOD, BAD = 15, 15  # examples per operation
CHECKS = [
    not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
    openapi_checks.response_headers_conformance,
]
OPERATIONS = sorted(
    (method.upper(), path)
    for path, operations in create_app(None).openapi()["paths"].items()
    for method in operations
)
MAY = dict.fromkeys(("accounts", "api-keys", "people", "units", "recipients"), ADMINISTRATOR)
MAY |= {"inbox": RECIPIENT, "history": AUDITOR, "log": AUDITOR}
MAY |= {"break-glass": LEADER, "lowerings": LEADER, "recoveries": LEADER, "notices": LEADER}
MOSTLY: Any = st.sampled_from([True, True, False])
# Whoever signs out or is locked out can go on no more, so each example has a session of its own.
ENDS_SESSIONS = {"/v1/sessions/current", "/v1/me/password"}


@dataclass
class Known:
    """Who may send the requests, and names of what is there, by parameter and address."""

    office: Office
    tokens: list[str | None]
    names: dict[str, list[Any]]

    def fitting(self, path: str) -> str | None:
        """Return the token of someone who may do most there."""
        login = MAY.get(path.split("/")[2] if path.startswith("/v1/") else "", CLERK)
        return self.office.login(login).token

    def of(self, parameter: str, path: str) -> list[Any]:
        return self.names.get(f"{path.split('/')[2]}.{parameter}") or self.names.get(parameter, [])


@pytest.fixture(scope="module")
def known(shared_office: Office) -> Known:
    office = shared_office
    released, draft, incoming = office.released(), office.draft(), office.incoming()
    office.login(CLERK).fire(incoming["id"], "register")
    administrator, auditor = office.login(ADMINISTRATOR), office.login(AUDITOR)
    document = office.login(CLERK).read(f"/v1/documents/{released}")
    deliveries = office.login(RECIPIENT).read("/v1/inbox")["items"]
    key = office.key(SYSTEM, "documents:create", "documents:read", "history:read")
    spare = office.person("tuan.va")["id"]  # someone who sends nothing here
    accounts = administrator.read("/v1/accounts", limit=200)["items"]
    asked = two_person_requests(office, draft["id"])
    office.rest()  # Hypothesis takes chance in another thread for chance in a strategy
    logins = (CLERK, SPECIALIST, HEAD, LEADER, AUDITOR, ADMINISTRATOR, RECIPIENT)
    return Known(
        office,
        [None, key.token, *(office.login(login).token for login in logins)],
        {
            "document_id": [released, draft["id"], incoming["id"]],
            "file_id": [file["id"] for file in (*document["files"], *draft["files"])],
            "delivery_id": [item["id"] for item in deliveries],
            **asked,
            "notice_id": [item["id"] for item in office.login(LEADER).read("/v1/notices")["items"]],
            "job_id": [item["id"] for item in office.login(CLERK).read("/v1/jobs")["items"]],
            "entry_id": [item["id"] for item in auditor.read("/v1/history")["items"]],
            "books.code": ["incoming", "outgoing", "party-outgoing"],
            "released.code": [office.instance.row(released)["verification_code"]],
            "number": [1, 2],
            "name": ["incoming", "outgoing"],
            "path": ["0/000", "0/000.p/1", "entries/000"],
            "unit_id": [office.unit("VP-KT")["id"]],
            "person_id": [spare],
            "role": ["specialist", "head"],
            "recipient_id": [office.recipient("SYT")["id"]],
            "account_id": [item["id"] for item in accounts if item["person_id"] == spare],
            "key_id": [item["id"] for item in administrator.read("/v1/api-keys")["items"]][1:],
            "If-Match": ['"1"', '"2"', '"3"'],
        },
    )


def two_person_requests(office: Office, document_id: str) -> dict[str, list[Any]]:
    """Ask for what two people decide; return the requests' names by address."""
    why = {"reason": "vì"}
    outsider = office.login("thuy.pt")
    opened = outsider.post("/v1/break-glass", {"document": document_id, **why}).json()
    url = f"/v1/documents/{document_id}"
    lowered = office.login(HEAD).post(f"{url}/lowerings", {"to": "public", **why}).json()
    recovered = office.login(CLERK).post(f"{url}/recoveries", why).json()
    return {
        "break-glass.request_id": [opened["id"]],
        "lowerings.request_id": [lowered["id"]],
        "recoveries.request_id": [recovered["id"]],
    }


@schemathesis.serializer("application/pdf")
def as_it_is(context: Any, value: Any) -> bytes:
    """Send what was made for a PDF as its bytes."""
    return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture(scope="module")
def schema(shared_office: Office) -> Any:
    document = shared_office.nobody.read("/v1/openapi.json")
    return schemathesis.openapi.from_dict(document)


def send(case: Any, known: Known, data: st.DataObject) -> httpx2.Response:
    """Send a request with names of what is there in most places, as whoever is drawn."""
    places = dict(case.path_parameters or {})
    for parameter in places:
        names = known.of(parameter, case.path)
        if names and data.draw(MOSTLY, label=f"a known {parameter}"):
            places[parameter] = data.draw(st.sampled_from(names), label=parameter)
    case.path_parameters = places
    headers = dict(case.headers or {})
    if case.method != "GET" and data.draw(MOSTLY, label="a known version"):
        headers["If-Match"] = data.draw(st.sampled_from(known.names["If-Match"]), label="version")
    if case.path in ENDS_SESSIONS:
        token = known.office.session("snv").token
    else:
        fitting = st.just(known.fitting(case.path))
        token = data.draw(fitting | st.sampled_from(known.tokens), label="token")
    headers.pop("Authorization", None)
    case.headers = headers | ({"Authorization": f"Bearer {token}"} if token else {})
    made = requests.Request(**case.as_transport_kwargs(base_url=BASE)).prepare()
    body: Any = made.body
    if case.media_type == "application/pdf" and data.draw(MOSTLY, label="a real PDF"):
        body = known.office.decision.read_bytes()
        made.headers["Content-Length"] = str(len(body))
    carried = {name: str(value) for name, value in made.headers.items()}
    return known.office.client.request(
        made.method or "", made.url or "", headers=carried, content=body
    )


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=lambda part: part)
def test_an_operation_answers_as_documented(
    known: Known, schema: Any, method: str, path: str
) -> None:
    operation = schema[path][method]
    wrong: list[str] = []

    def check(case: Any, data: st.DataObject) -> None:
        answer = send(case, known, data)
        try:
            case.validate_response(answer, checks=CHECKS)
        except FailureGroup as failure:  # kept, not raised: what was done cannot be done again
            wrong.append(f"{failure.message}\n{answer.content[:1000]!r}")

    for mode, examples in ((GenerationMode.POSITIVE, GOOD), (GenerationMode.NEGATIVE, BAD)):
        run = given(case=operation.as_strategy(generation_mode=mode), data=st.data())(check)
        bounded = settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        with contextlib.suppress(Unsatisfiable):  # where nothing can be wrong
            bounded(run)()
    assert wrong == [], "\n\n".join(wrong[:3])


def test_the_document_names_every_refusal_as_a_problem_document(schema: Any) -> None:
    def refusals() -> Iterator[tuple[str, str, dict[str, Any]]]:
        for path, operations in schema.raw_schema["paths"].items():
            for method, operation in operations.items():
                for status, response in operation["responses"].items():
                    if int(status) >= 400:
                        yield f"{method} {path}", status, response["content"]

    wanted = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert [(name, status) for name, status, content in refusals() if content != wanted] == []


def test_what_needs_no_login_says_so_and_needs_none(schema: Any, known: Known) -> None:
    public = {
        (method.upper(), path)
        for path, operations in schema.raw_schema["paths"].items()
        for method, operation in operations.items()
        if operation["security"] == []
    }
    assert public == {
        ("POST", "/v1/sessions"),
        ("GET", "/v1/released/{code}"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    }
    nobody = Door(known.office.client)
    for method, path in OPERATIONS:
        answer = nobody.request(
            method, path.replace("{", "").replace("}", "").replace("number", "1")
        )
        expected = (method, path) in public
        assert (answer.status_code == 401) != expected or answer.status_code in (422, 428), path
