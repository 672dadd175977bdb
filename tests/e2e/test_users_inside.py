"""The whole procedure over HTTP, as each kind of user inside the office lives it."""

import csv
import io
import json
from pathlib import Path

from tests.api_support import answered, if_match, refused
from tests.e2e.served import Person, Service
from tests.office_support import (
    CLERK,
    HEAD,
    LEADER,
    OTHER_HEAD,
    OTHER_SPECIALIST,
    RECIPIENT,
    SPECIALIST,
)
from tests.unit.signing.forge import run


def numbers(person: Person, book: str) -> list[int]:
    """Every number of a book's shared series, page by page."""
    found: list[int] = []
    params: dict[str, object] = {"limit": 200}
    while True:
        page = person.read(f"/v1/books/{book}/entries", **params)
        found += [entry["number"] for entry in page["items"]]
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]


def test_the_clerk_registers_releases_files_and_prints(service: Service, tmp_path: Path) -> None:
    clerk = service.login(CLERK)

    # what comes in is registered under the next number, or refused with a reason
    before = numbers(clerk, "incoming")
    first = service.incoming(urgency="express", fields={"channel": "post", "pages": 1})
    assert (first["state"], first["number"]) == ("received", None)
    registered = clerk.carry(first["id"], "register")
    assert registered["state"] == "registered"
    assert registered["number"] == len(before) + 1
    assert numbers(clerk, "incoming") == [*before, registered["number"]]
    twin = service.letter
    clerk.post_document(twin, direction="incoming", type="CV", subject="Một", issuer="Sở Y tế")
    again = {"direction": "incoming", "type": "CV", "subject": "Hai", "issuer": "Sở Y tế"}
    parts = {
        "metadata": (None, json.dumps(again).encode(), "application/json"),
        "main": ("x.pdf", twin),
    }
    problem = refused(
        clerk.request("POST", "/v1/documents", files=parts), 409, "duplicate-document"
    )
    assert len(problem["duplicates"]) == 1
    accepted = clerk.post_document(twin, **again, accept_duplicate="Bản chính gửi bổ sung.")
    assert accepted["duplicate_of"] == problem["duplicates"]
    url = f"/v1/documents/{accepted['id']}/transitions"
    stamp = if_match(accepted["version"])
    problem = refused(clerk.post(url, {"trigger": "register"}, headers=stamp), 409, "guard-failed")
    assert problem["rule"] == "not_duplicate"
    refused(clerk.post(url, {"trigger": "refuse"}, headers=stamp), 422, "missing-input")
    assert clerk.carry(accepted["id"], "refuse", reason="Trùng văn bản.")["state"] == "refused"

    # what goes out is sealed by the clerk, but only after a leader signed it
    document_id = service.approved()
    version = clerk.read(f"/v1/documents/{document_id}")["version"]
    url = f"/v1/documents/{document_id}/transitions"
    refused(clerk.post(url, {"trigger": "sign"}, headers=if_match(version)), 403, "role-required")
    refused(
        clerk.post(url, {"trigger": "release"}, headers=if_match(version)),
        409,
        "not-from-this-state",
    )
    signed = service.login(LEADER).carry(document_id, "sign")
    asked = clerk.post(url, {"trigger": "release"}, headers=if_match(signed["version"]))
    assert (answered(asked, 202)["phase"], asked.json()["state"]) == ("request", "signed")
    released = clerk.settled(document_id)
    assert released["state"] == "released"
    assert {file["form"] for file in released["files"]} == {"original", "signed", "released"}
    deliveries = clerk.read(f"/v1/documents/{document_id}/deliveries")
    assert [item["recipient"]["code"] for item in deliveries] == ["STC", "SNV"]
    assert clerk.carry(document_id, "archive")["state"] == "archived"

    # the register has both, in the decree's ten columns
    printed = clerk.get("/v1/books/outgoing/print", format="csv")
    assert printed.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(printed.content.decode("utf-8-sig"))))
    row = next(row for row in rows if row and row[0] == released["symbol"])
    assert len(row) == 10
    assert released["subject"] in row[2]
    assert row[3] == "Nguyễn Hữu Sơn"
    sheet = clerk.get("/v1/books/outgoing/print", format="pdf")
    path = tmp_path / "register.pdf"
    path.write_bytes(sheet.content)
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", path)
    assert released["symbol"] in run("pdftotext", "-layout", path, "-")


def test_the_head_approves_returns_and_never_their_own_work(service: Service) -> None:
    head, author = service.login(HEAD), service.login(SPECIALIST)
    document_id = service.draft()["id"]
    url = f"/v1/documents/{document_id}"
    author.fire(document_id, "submit")

    # a head of another unit does not know that it exists; a return needs a reason
    stamp = if_match(head.read(url)["version"])
    approve = {"trigger": "approve"}
    refused(
        service.login(OTHER_HEAD).post(f"{url}/transitions", approve, headers=stamp),
        404,
        "not-found",
    )
    problem = refused(
        head.post(f"{url}/transitions", {"trigger": "return"}, headers=stamp), 422, "missing-input"
    )
    assert problem["errors"][0]["pointer"] == "/asked/reason"
    assert head.carry(document_id, "return", reason="Thiếu căn cứ.")["state"] == "draft"
    author.fire(document_id, "submit")
    approved = head.carry(document_id, "approve")
    assert approved["state"] == "approved"
    assert approved["symbol"].endswith("/QĐ-VPUB")
    assert approved["number"] in numbers(service.login(CLERK), "outgoing")

    # who is told what they may do, is told why not as well
    own = service.draft(HEAD)
    head.fire(own["id"], "submit")
    options = {item["trigger"]: item for item in head.read(f"/v1/documents/{own['id']}/available")}
    assert not options["approve"]["allowed"]
    assert options["approve"]["refusal"]["code"] == "separation-of-duties"
    stamp = if_match(head.read(f"/v1/documents/{own['id']}")["version"])
    refused(
        head.post(f"/v1/documents/{own['id']}/transitions", approve, headers=stamp),
        403,
        "separation-of-duties",
    )
    assert service.login(LEADER).carry(own["id"], "approve")["state"] == "approved"


def test_the_leader_routes_signs_and_withdraws(service: Service, tmp_path: Path) -> None:
    leader, clerk = service.login(LEADER), service.login(CLERK)
    incoming = service.incoming()
    clerk.fire(incoming["id"], "register")
    url = f"/v1/documents/{incoming['id']}/transitions"
    version = leader.read(f"/v1/documents/{incoming['id']}")["version"]
    wrong = {"trigger": "route", "asked": {"unit": "VP-TX"}}
    problem = refused(leader.post(url, wrong, headers=if_match(version)), 422, "unknown-unit")
    assert "VP-TC" in problem["detail"]
    routed = leader.carry(incoming["id"], "route", unit="VP-TC", instruction="Xử lý sớm.")
    assert (routed["state"], routed["unit"]["code"]) == ("routed", "VP-TC")

    # the signature is the leader's own, over the number that is on the page
    document_id = service.approved()
    signed = leader.carry(document_id, "sign")
    assert signed["state"] == "signed"
    (file,) = [item for item in signed["files"] if item["form"] == "signed" and item["current"]]
    path = tmp_path / "signed.pdf"
    path.write_bytes(leader.get(f"/v1/documents/{document_id}/files/{file['id']}/content").content)
    said = run("pdfsig", path, check=False)
    assert said.count("Signature is Valid.") == 1
    assert "Nguyễn Hữu Sơn" in said
    assert f"Số: {signed['symbol']}" in run("pdftotext", path, "-")

    # withdrawn in the last moment: the number stays in the register, voided with the reason
    gone = leader.carry(document_id, "withdraw", reason="Ban hành nhầm.")
    assert gone["state"] == "withdrawn"
    entries = clerk.read("/v1/books/outgoing/entries", limit=200)["items"]
    entry = next(item for item in entries if item["number"] == signed["number"])
    assert entry["voided"]["reason"] == "Ban hành nhầm."
    assert entry["voided"]["by"]["login"] == LEADER
    inbox = service.login(RECIPIENT).read("/v1/inbox", limit=200)["items"]
    assert signed["symbol"] not in [item["symbol"] for item in inbox]


def test_the_specialist_drafts_corrects_submits_and_resolves(service: Service) -> None:
    author = service.login(SPECIALIST)
    created = answered(
        author.post(
            "/v1/documents",
            {"direction": "outgoing", "type": "QĐ", "subject": "  Dự thảo   quy chế "},
        ),
        201,
    )
    url = f"/v1/documents/{created['id']}"
    stale = if_match(created["version"])
    submitted = author.post(f"{url}/transitions", {"trigger": "submit"}, headers=stale)
    assert refused(submitted, 409, "guard-failed")["rule"] == "has_main_file"

    # a file, another in its place, an annex more and one less
    first = answered(author.put_main(created, service.decision, "Dự thảo lần 1.pdf"), 200)
    content = service.decision
    second = answered(author.put_main(first, content, "Dự thảo lần 2.pdf"), 200)
    shown = {file["name"]: file["current"] for file in second["files"]}
    assert shown == {"Dự thảo lần 2.pdf": True, "Dự thảo lần 1.pdf": False}
    refused(author.put_main(first, service.decision), 412, "stale-version")
    main = next(file for file in second["files"] if file["current"])
    assert author.get(f"{url}/files/{main['id']}/content").content == content
    annex = author.request(
        "POST", f"{url}/files", content=service.letter, headers=if_match(second["version"])
    )
    annex_id = answered(annex, 201)["id"]
    gone = author.request(
        "DELETE", f"{url}/files/{annex_id}", headers={"If-Match": annex.headers["etag"]}
    )
    assert gone.status_code == 204
    changed = author.patch(url, {"recipients": ["SXD"], "subject": "Quy chế mới"}, None)
    refused(changed, 428, "version-required")
    changed = author.request(
        "PATCH",
        url,
        json={"recipients": ["SXD"], "subject": "Quy chế mới"},
        headers={"If-Match": gone.headers["etag"]},
    )
    assert answered(changed, 200)["recipients"][0]["code"] == "SXD"

    # under review nothing can be changed, and the author decides nothing
    assert author.carry(created["id"], "submit")["state"] == "review"
    stamp = if_match(author.read(url)["version"])
    refused(author.request("PATCH", url, json={"subject": "x"}, headers=stamp), 409, "not-editable")
    refused(
        author.post(f"{url}/transitions", {"trigger": "approve"}, headers=stamp),
        403,
        "role-required",
    )
    refused(service.login(OTHER_SPECIALIST).get(url), 404, "not-found")

    # what came in is worked on by whom it was assigned to, and closed with its result
    incoming = service.incoming()
    service.login(CLERK).fire(incoming["id"], "register")
    service.login(LEADER).fire(incoming["id"], "route", unit="VP-TH")
    service.login(HEAD).fire(incoming["id"], "assign", assignee=SPECIALIST)
    assert incoming["id"] in [
        item["id"] for item in author.read("/v1/documents", assignee=SPECIALIST)["items"]
    ]
    assert author.carry(incoming["id"], "start")["state"] == "working"
    stamp = if_match(author.read(f"/v1/documents/{incoming['id']}")["version"])
    refused(
        author.post(
            f"/v1/documents/{incoming['id']}/transitions",
            {"trigger": "close", "asked": {"result": "   "}},
            headers=stamp,
        ),
        422,
        "missing-input",
    )
    closed = author.carry(incoming["id"], "close", result="Đã trả lời.")
    assert (closed["state"], closed["available"]) == ("closed", [])
