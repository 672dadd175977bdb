"""The whole procedure over HTTP, as those around the office's own work live it.

The integrating system, the recipient, the auditor and the administrator.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import httpx2

from tests.api_support import answered, if_match, refused
from tests.e2e.served import Person, Service, until
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    LEADER,
    RECIPIENT,
    SPECIALIST,
    SYSTEM,
)
from tests.unit.signing.forge import run

OTHER_RECIPIENT = "snv"


def api_key(service: Service, *scopes: str) -> tuple[Person, dict[str, Any]]:
    """Have the administrator give the portal a key; return who uses it, and the key."""
    administrator = service.login(ADMINISTRATOR)
    (owner,) = administrator.read("/v1/people", login=SYSTEM)["items"]
    body = {"name": "cổng", "person_id": owner["id"], "scopes": list(scopes)}
    made = answered(administrator.post("/v1/api-keys", body), 201)
    return service.person(made["token"], SYSTEM), made


def post(
    caller: Person, main: bytes, metadata: dict[str, Any], key: str | None = None
) -> httpx2.Response:
    """Post metadata and a main file in one multipart request."""
    parts = {
        "metadata": (None, json.dumps(metadata).encode(), "application/json"),
        "main": ("van-ban.pdf", main, "application/pdf"),
    }
    headers = {"Idempotency-Key": key} if key else {}
    return caller.request("POST", "/v1/documents", files=parts, headers=headers)


def test_the_integrating_system_posts_once_and_may_do_no_more(service: Service) -> None:
    portal, made = api_key(service, "documents:create", "documents:read")
    assert portal.read("/v1/me")["scopes"] == ["documents:create", "documents:read"]
    word = service.unique()
    metadata = {
        "direction": "incoming", "type": "CV", "subject": f"Hồ sơ {word}", "issuer": "Công dân",
        "issuer_symbol": word, "issuer_date": "2026-03-02", "fields": {"channel": "network"},
    }  # fmt: skip
    content = service.letter

    # a repeated request is answered with what the first one made
    first = post(portal, content, metadata, "lần-1".encode().hex())
    document = answered(first, 201)
    assert first.headers["location"] == f"/v1/documents/{document['id']}"
    assert document["files"][0]["sha256"] == hashlib.sha256(content).hexdigest()
    assert document["unit"]["code"] == "VP-VT"
    again = answered(post(portal, content, metadata, "lần-1".encode().hex()), 201)
    assert again["id"] == document["id"]
    refused(
        post(portal, service.letter, metadata, "lần-1".encode().hex()),
        422,
        "idempotency-key-reused",
    )

    # without the key it is a duplicate: by its bytes, and by issuer, symbol and date
    by_bytes = refused(
        post(portal, content, metadata | {"issuer_symbol": None}), 409, "duplicate-document"
    )
    by_origin = refused(post(portal, service.letter, metadata), 409, "duplicate-document")
    assert by_bytes["duplicates"] == by_origin["duplicates"] == [document["id"]]

    # it sees what it posted, and nothing else; it may do what its key is for, and nothing else
    listed = portal.read("/v1/documents", limit=200)["items"]
    assert document["id"] in [item["id"] for item in listed]
    assert {item["author"]["login"] for item in listed} == {SYSTEM}
    other = service.incoming()
    refused(portal.get(f"/v1/documents/{other['id']}"), 404, "not-found")
    url = f"/v1/documents/{document['id']}"
    fired = portal.post(f"{url}/transitions", {"trigger": "register"}, headers=if_match(1))
    assert refused(fired, 403, "forbidden")["rule"] == "key-scope"
    refused(portal.get("/v1/history"), 403, "forbidden")
    refused(portal.get("/v1/people"), 403, "forbidden")

    # the clerk goes on with it; a revoked key opens nothing from the next request on
    assert service.login(CLERK).carry(document["id"], "register")["number"]
    assert portal.read(url)["state"] == "registered"
    revoked = service.login(ADMINISTRATOR).post(f"/v1/api-keys/{made['id']}/revoke")
    assert answered(revoked, 200)["revoked_at"]
    gone = portal.get(url)
    refused(gone, 401, "invalid-token")
    assert gone.headers["www-authenticate"].startswith("Bearer")


def test_the_recipient_lists_downloads_verifies_and_acknowledges(
    service: Service, tmp_path: Path
) -> None:
    document = service.released(recipients=["STC"])
    recipient = service.login(RECIPIENT)
    inbox = recipient.read("/v1/inbox", acknowledged=False, limit=200)["items"]
    delivery = next(item for item in inbox if item["symbol"] == document["symbol"])
    assert delivery["subject"] == document["subject"]
    assert (delivery["downloaded_at"], delivery["acknowledged_at"]) == (None, None)

    # whole, and in two ranges, as a client with a bad line does it
    url = f"/v1/inbox/{delivery['id']}/content"
    copy = recipient.get(url)
    assert copy.headers["content-disposition"].startswith("attachment; filename=")
    size = len(copy.content)
    parts = [
        recipient.request("GET", url, headers={"Range": wanted})
        for wanted in ("bytes=0-9999", "bytes=10000-")
    ]
    assert [part.status_code for part in parts] == [206, 206]
    assert parts[1].headers["content-range"] == f"bytes 10000-{size - 1}/{size}"
    assert b"".join(part.content for part in parts) == copy.content
    assert hashlib.sha256(copy.content).hexdigest() == delivery["sha256"]

    # tools that no one here wrote accept it
    path = tmp_path / "released.pdf"
    path.write_bytes(copy.content)
    person, seal = run("pdfsig", path, check=False).split("Signature #")[1:]
    assert "Signature is Valid." in person
    assert "Nguyễn Hữu Sơn" in person
    assert "Signature is Valid." in seal
    assert "  - Total document signed" in seal
    assert "No syntax or stream encoding errors" in run("qpdf", "--check", path)
    assert f"Số: {document['symbol']}" in run("pdftotext", path, "-")
    run("pdftoppm", "-r", "150", "-singlefile", "-png", path, path.with_suffix(""))
    link = run("zbarimg", "-q", "--raw", path.with_suffix(".png")).splitlines()[0]

    # the link on the page tells whoever holds it that this is the office's, and nothing more
    public = answered(service.nobody.get(httpx2.URL(link).path), 200)
    assert public == {
        "organisation": "Văn phòng Ủy ban nhân dân tỉnh Lam Giang",
        "symbol": document["symbol"],
        "numbered_on": document["numbered_on"],
        "released": True,
        "sha256": delivery["sha256"],
    }

    # docflow's own verification says who, and that not one byte differs
    headers = {"Content-Type": "application/pdf"}
    checked = recipient.request("POST", "/v1/verifications", content=copy.content, headers=headers)
    verified = answered(checked, 200)
    assert (verified["indication"], verified["ours"]) == ("TOTAL-PASSED", True)
    assert verified["released_here"]
    broken = bytearray(copy.content)
    broken[len(broken) // 3] ^= 1
    checked = recipient.request("POST", "/v1/verifications", content=bytes(broken), headers=headers)
    assert checked.json().get("indication") != "TOTAL-PASSED"

    # the receipt is for these bytes, by this recipient, once
    receipt = f"/v1/inbox/{delivery['id']}/receipt"
    refused(recipient.post(receipt, {"sha256": "0" * 64}), 409, "digest-mismatch")
    other = service.login(OTHER_RECIPIENT)
    refused(other.get(url), 404, "delivery-not-found")
    refused(other.post(receipt, {"sha256": delivery["sha256"]}), 404, "delivery-not-found")
    given = {"sha256": delivery["sha256"], "note": "Đã nhận đủ."}
    first = answered(recipient.post(receipt, given), 200)
    again = answered(recipient.post(receipt, given | {"note": "Lần nữa."}), 200)
    assert first["acknowledged_at"] == again["acknowledged_at"]
    (shown,) = service.login(CLERK).read(f"/v1/documents/{document['id']}/deliveries")
    assert shown["receipt"]["note"] == "Đã nhận đủ."
    assert shown["downloaded_at"]

    # and of the document itself it sees nothing
    refused(recipient.get(f"/v1/documents/{document['id']}"), 404, "not-found")
    assert recipient.read("/v1/documents")["items"] == []


def test_the_auditor_reads_everything_proves_it_offline_and_changes_nothing(
    service: Service, tmp_path: Path
) -> None:
    document = service.released()
    auditor = service.login(AUDITOR)

    # one document's whole life, in order, page by page
    entries: list[dict[str, Any]] = []
    url: str | None = f"/v1/documents/{document['id']}/history?limit=5"
    while url:
        page = auditor.request("GET", url)
        assert len(page.json()["items"]) <= 5
        entries += page.json()["items"]
        url = page.links["next"]["url"] if "next" in page.links else None
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    fired = [entry["data"]["trigger"] for entry in entries if entry["action"] == "document.fired"]
    assert fired == ["submit", "approve", "sign", "release"]
    assert all(entry["intact"] for entry in entries)

    # the whole office's history, narrowed
    def history(**params: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = auditor.read("/v1/history", limit=200, **params)["items"]
        return items

    about = history(subject_kind="document", subject=document["id"])
    assert [entry["id"] for entry in about] == [entry["id"] for entry in reversed(entries)]
    leader = service.login(LEADER).read("/v1/me")["id"]
    mine = history(actor=leader, action="document.signing-requested")
    assert mine
    assert {entry["actor"]["id"] for entry in mine} == {leader}
    assert history(at_before=entries[0]["at"], subject=document["id"]) == []
    assert len(history(at_from=entries[2]["at"], subject=document["id"])) >= len(entries) - 2
    assert {entry["subject"]["kind"] for entry in history(action="person")} <= {"person"}

    # the proof needs neither the service nor its database
    release = next(
        entry
        for entry in entries
        if entry["action"] == "document.fired" and entry["data"]["trigger"] == "release"
    )
    answer = httpx2.Response(404)

    def sequenced() -> bool:
        nonlocal answer
        answer = auditor.get(f"/v1/history/{release['id']}/proof")
        return answer.is_success

    until(sequenced, "the entry's place in the log")
    proof, key = tmp_path / "release.tlog-proof", tmp_path / "log.vkey"
    proof.write_bytes(answer.content)
    key.write_bytes(auditor.get("/v1/log/key").content)
    said = service.command("verify", str(proof), "--key-file", str(key), "--json")
    assert said.returncode == 0, said.stderr
    verified = json.loads(said.stdout)
    assert (verified["ok"], verified["entry"]) == (True, release["id"])
    assert verified["data"]["trigger"] == "release"
    forged = tmp_path / "forged.tlog-proof"
    lines = proof.read_text("utf-8").splitlines(keepends=True)
    forged.write_text("".join([lines[0], *lines[2:]]), "utf-8")
    assert service.command("verify", str(forged), "--key-file", str(key)).returncode == 1

    # reads the documents too, but changes nothing
    main = next(file for file in document["files"] if file["form"] == "released")
    url = f"/v1/documents/{document['id']}"
    assert auditor.get(f"{url}/files/{main['id']}/content").content.startswith(b"%PDF-")
    stamp = if_match(document["version"])
    refused(
        auditor.post(f"{url}/transitions", {"trigger": "archive"}, headers=stamp), 403, "forbidden"
    )
    refused(auditor.request("PATCH", url, json={"subject": "x"}, headers=stamp), 403, "forbidden")
    refused(post(auditor, service.letter, {
        "direction": "incoming", "type": "CV", "subject": "x", "issuer": "y", "unit": "VP",
    }), 403, "forbidden")  # fmt: skip
    refused(auditor.get("/v1/accounts"), 403, "forbidden")
    assert service.login(CLERK).read(url)["version"] == document["version"]


def test_the_administrator_manages_people_and_keys_and_reads_no_document(service: Service) -> None:
    administrator = service.login(ADMINISTRATOR)
    document = service.draft()
    word = service.unique().lower()

    # a new colleague, with an office, an account, and a password of their own
    (unit,) = administrator.read("/v1/units", code="VP-TH")["items"]
    made = administrator.post(
        "/v1/people",
        {
            "login": f"an.{word}",
            "name": "Trần Văn An",
            "offices": [{"unit_id": unit["id"], "role": "specialist"}],
        },
    )
    person = answered(made, 201)
    password = "một hai ba bốn năm"
    account = answered(
        administrator.post("/v1/accounts", {"person_id": person["id"], "password": password}), 201
    )
    body = {"login": person["login"], "password": password}
    token = answered(service.nobody.post("/v1/sessions", body), 201)["token"]
    colleague = service.person(token)
    assert colleague.read(f"/v1/documents/{document['id']}")["id"] == document["id"]

    # what is taken away is gone with the next request
    revoked = administrator.delete(
        f"/v1/people/{person['id']}/offices/{unit['id']}/specialist", person["version"]
    )
    person = answered(revoked, 200)
    refused(colleague.get(f"/v1/documents/{document['id']}"), 404, "not-found")
    reset = {"new_password": "năm bốn ba hai một"}
    answered(administrator.put(f"/v1/accounts/{account['id']}/password", reset), 200)
    refused(colleague.get("/v1/me"), 401, "invalid-token")
    refused(service.nobody.post("/v1/sessions", body), 401, "invalid-credentials")
    body["password"] = reset["new_password"]
    answered(service.nobody.post("/v1/sessions", body), 201)
    off = f"/v1/people/{person['id']}/deactivate"
    assert not answered(administrator.post(off, headers=if_match(person["version"])), 200)["active"]
    refused(service.nobody.post("/v1/sessions", body), 401, "invalid-credentials")

    # none of it is for others, and no document is for the administrator
    refused(service.login(CLERK).get("/v1/accounts"), 403, "forbidden")
    wanted = {"login": f"x.{word}", "name": "X"}
    refused(service.login(SPECIALIST).post("/v1/people", wanted), 403, "forbidden")
    url = f"/v1/documents/{document['id']}"
    (main,) = document["files"]
    for path in (url, f"{url}/history", f"{url}/files/{main['id']}/content", f"{url}/available"):
        refused(administrator.get(path), 404, "not-found")
    assert administrator.read("/v1/documents")["items"] == []
    refused(administrator.get("/v1/history"), 403, "forbidden")
    refused(administrator.get("/v1/books/outgoing/entries"), 403, "forbidden")
    offices = [{"unit_id": unit["id"], "role": role} for role in ("administrator", "clerk")]
    both = {"login": f"y.{word}", "name": "Y", "offices": offices}
    assert administrator.post("/v1/people", both).status_code in (409, 422)
    assert administrator.read("/v1/jobs")["items"] is not None
