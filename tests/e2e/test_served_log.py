"""What the served process writes down: JSON lines that name requests, and nothing that is secret."""

import json

from tests.api_support import refused
from tests.e2e.served import Service, until
from tests.office_support import CLERK, password_of


def test_the_log_has_every_request_and_no_secret(service: Service) -> None:
    clerk = service.session(CLERK)
    subject = f"Mật {service.unique()}"
    document = service.incoming(subject=subject)
    clerk.get("/v1/documents", text=subject)
    clerk.request(
        "POST", "/v1/documents", content=b"{", headers={"Content-Type": "application/json"}
    )
    wrong = {"login": CLERK, "password": "không phải mật khẩu"}
    refused(service.nobody.post("/v1/sessions", wrong), 401, "invalid-credentials")
    answer = clerk.get(f"/v1/documents/{document['id']}")

    identity = answer.headers["x-request-id"]
    # a request's line is written after its answer was sent
    until(lambda: identity in service.log.read_text("utf-8"), "the line of the last request")
    text = service.log.read_text("utf-8")
    for secret in (clerk.token, password_of(CLERK), wrong["password"], subject, document["id"]):
        assert secret is not None
        assert secret not in text
        assert json.dumps(secret)[1:-1] not in text
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    (line,) = [line for line in lines if line.get("request_id") == identity]
    assert (line["method"], line["status"]) == ("GET", 200)
    assert line["route"] == "/v1/documents/{document_id}"
    assert line["actor"] == clerk.read("/v1/me")["id"]
