"""A card signs a table and a picture beside: a served office, `docflow sign-session`, a SoftHSM token."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography import x509

from docflow.kernel.clock import SystemClock
from docflow.signing.devpki import Algorithm
from tests.api_support import answered, if_match
from tests.card_support import Card, enrol
from tests.container_support import (
    ALONE,
    PICTURE,
    TABLE,
    container_workflows,
    opened,
    openssl_verifies,
)
from tests.e2e.served import Service
from tests.e2e.test_own_card import KEY, TOKEN, arguments, card_office
from tests.office_support import ADMINISTRATOR, CLERK, HEAD, LEADER, SPECIALIST
from tests.token_support import put_key

SAFE_TABLE = "Bảng số liệu_ quý 4_.csv"


@pytest.fixture
def service(
    served_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    workflows = container_workflows(tmp_path)
    with card_office(
        served_template, tmp_path, monkeypatch, workflows_dir=str(workflows)
    ) as service:
        yield service


def approved(service: Service) -> str:
    """Draft a decision with a table and a picture, and have it approved; return its id."""
    author = service.login(SPECIALIST)
    document = service.draft(workflow=ALONE)
    address = f"/v1/documents/{document['id']}"
    for name, content in (TABLE, PICTURE):
        headers = if_match(author.read(address)["version"]) | {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        }
        added = author.request("POST", f"{address}/files", content=content, headers=headers)
        answered(added, 201)
    author.fire(document["id"], "submit")
    service.login(HEAD).fire(document["id"], "approve")
    return str(document["id"])


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "rsa-3072"])
def test_a_card_at_the_persons_machine_signs_annexes_of_any_kind(
    service: Service, tmp_path: Path, algorithm: Algorithm
) -> None:
    card = Card.issue(service.folder / "pki", "Nguyễn Hữu Sơn", SystemClock().now(), algorithm)
    chain = x509.load_pem_x509_certificates(card.pem.encode())
    put_key(tmp_path, TOKEN, KEY, card.key, *chain)
    administrator, leader = service.login(ADMINISTRATOR), service.login(LEADER)
    (person,) = administrator.read("/v1/people", login=LEADER)["items"]
    enrol(administrator, leader, person["id"], card)
    document_id = approved(service)
    signed = service.command(
        "sign-session", *arguments(service, f"--document={document_id}", "--yes")
    )
    assert signed.returncode == 0, signed.stderr + signed.stdout
    told = " ".join(signed.stdout.split())
    assert f"annex: {TABLE[0]} (text/plain, {len(TABLE[1]):,} bytes, signed beside it)" in told
    assert "files signed by the card: 3" in told
    assert "Signed: " in told
    released = service.login(CLERK).carry(document_id, "release")
    assert released["state"] == "released"
    final = max(
        (file for file in released["files"] if file["form"] == "released"),
        key=lambda file: file["name"].endswith(".asice"),
    )
    address = f"/v1/documents/{document_id}/files/{final['id']}/content"
    members = opened(leader.request("GET", address).content, tmp_path)
    roots = tmp_path / "roots.pem"
    roots.write_bytes((service.folder / "pki" / "root.pem").read_bytes())
    for name, (_, content) in ((SAFE_TABLE, TABLE), (PICTURE[0], PICTURE)):
        assert members[name].read_bytes() == content
        assert "successful" in openssl_verifies(members[f"{name}.p7s"], members[name], roots)
