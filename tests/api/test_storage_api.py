"""How the stored files are, over HTTP: who is told, and that nothing of content is."""

import pytest

from docflow.upkeep.scan import Scanner
from tests.api_support import NO_ID, Office, answered, refused
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    SPECIALIST,
    Instance,
)

SCAN, FINDINGS = "/v1/storage/scan", "/v1/storage/findings"


def harm(instance: Instance, documents: list[str]) -> None:
    for document in documents:
        key = instance.rows("files", document_id=document)[0]["storage_key"]
        (instance.folder / "store" / key).unlink()


def scan(instance: Instance) -> None:
    upkeep = instance.services.upkeep
    assert isinstance(upkeep.scanner, Scanner)
    assert upkeep.scanner.run_on(anew=True).finished


@pytest.mark.parametrize("login", [ADMINISTRATOR, AUDITOR])
def test_findings_are_listed_page_by_page_without_content(any_office: Office, login: str) -> None:
    instance = any_office.instance
    asking = any_office.login(login)
    assert asking.read(SCAN)["state"] == "never"
    documents = [instance.incoming(number) for number in range(5)]
    harm(instance, documents)
    scan(instance)
    told = asking.read(SCAN)
    assert (told["state"], told["share"], told["round"], told["objects"]) == ("finished", 1.0, 1, 5)
    assert (told["open"], told["found"]) == ({"missing": 5}, 5)
    seen = []
    url: str | None = f"{FINDINGS}?limit=2"
    while url is not None:
        answer = asking.request("GET", url)
        page = answered(answer, 200)
        assert len(page["items"]) <= 2
        seen += page["items"]
        url = answer.links["next"]["url"] if "next" in answer.links else None
    assert sorted(item["document_id"] for item in seen) == sorted(documents)
    assert [item["id"] for item in seen] == sorted((item["id"] for item in seen), reverse=True)
    said = asking.get(FINDINGS).text + asking.get(SCAN).text
    assert "Công văn" not in said
    assert "văn bản" not in said
    assert ".pdf" not in said


def test_findings_that_were_healed_are_listed_only_when_asked_for(office: Office) -> None:
    instance = office.instance
    document = instance.incoming(1)
    path = instance.folder / "store" / instance.rows("files")[0]["storage_key"]
    whole = path.read_bytes()
    path.unlink()
    scan(instance)
    path.write_bytes(whole)
    scan(instance)
    asking = office.login(AUDITOR)
    assert asking.read(FINDINGS)["items"] == []
    (item,) = asking.read(FINDINGS, cleared=True)["items"]
    assert (item["document_id"], item["kind"]) == (document, "missing")
    assert item["cleared_at"] is not None
    entries = asking.read(f"/v1/documents/{document}/history")["items"]
    acts = [entry["action"] for entry in entries]
    assert acts[-2:] == ["document.storage-fault", "document.storage-healed"]


def test_the_sweeper_is_told_of(office: Office) -> None:
    assert office.login(ADMINISTRATOR).read(SCAN)["sweeper"] is None
    office.instance.services.upkeep.sweeper.run()
    told = office.login(ADMINISTRATOR).read(SCAN)["sweeper"]
    assert (told["deleted"], told["passes"]) == (0, 1)


@pytest.mark.parametrize("login", [CLERK, HEAD, LEADER, SPECIALIST])
@pytest.mark.parametrize("url", [SCAN, FINDINGS])
def test_nobody_else_is_told(shared_office: Office, login: str, url: str) -> None:
    problem = refused(shared_office.login(login).get(url), 403, "forbidden")
    assert "administrator or auditor" in problem["satisfied_by"]


def test_a_key_needs_the_scope(office: Office) -> None:
    admin = office.login(ADMINISTRATOR)
    refused(office.nobody.get(SCAN), 401, "unauthenticated")
    people = admin.read("/v1/people", limit=200)["items"]
    auditor = next(person for person in people if person["login"] == AUDITOR)
    for scopes, status in (["storage:read"], 200), (["history:read"], 403):
        wanted = {"name": "monitor", "person_id": auditor["id"], "scopes": scopes}
        token = answered(admin.post("/v1/api-keys", wanted), 201)["token"]
        assert type(admin)(office.client, token).get(SCAN).status_code == status


@pytest.mark.parametrize("cursor", ["!!", "bm8", NO_ID])
def test_a_cursor_of_another_list_is_refused(shared_office: Office, cursor: str) -> None:
    refused(shared_office.login(AUDITOR).get(FINDINGS, cursor=cursor), 422, "bad-cursor")
