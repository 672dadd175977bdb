"""A leader signs with a card of their own: a served office, `docflow sign-session`, a SoftHSM token."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from docflow.signing.ades import levels_reached
from tests.api_support import answered, if_match
from tests.card_support import Card, enrol
from tests.e2e.served import Service, served, until
from tests.levels_support import card_of, write_services, write_signers, write_workflows
from tests.office_support import ADMINISTRATOR, AUDITOR, CLERK, LEADER, copy_instance, password_of
from tests.pki_support import LivePki
from tests.token_support import PIN, empty_tokens, make_token, module, put_key
from tests.unit.signing.forge import run

TOKEN, KEY = "son-card", "son"


@contextmanager
def card_office(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: str
) -> Iterator[Service]:
    """An office of its own; the token is in this process and in commands, not in the service."""
    folder = tmp_path / "var"
    copy_instance(template, folder)
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    with served(folder, url, **settings) as service:
        with empty_tokens(tmp_path / "softhsm", monkeypatch) as config:
            make_token(TOKEN)
            service.environment["SOFTHSM2_CONF"] = str(config)
            (folder / "pin").write_text(PIN + "\n")
            (folder / "password").write_text(password_of(LEADER) + "\n")
            yield service


@pytest.fixture
def service(
    served_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Service]:
    with card_office(served_template, tmp_path, monkeypatch) as service:
        yield service


def arguments(service: Service, *more: str) -> list[str]:
    given = {
        "server": service.address, "login": LEADER, "module": module(), "token": TOKEN, "key": KEY,
        "password-file": "password", "pin-file": "pin",
    }  # fmt: skip
    return [*(f"--{name}={value}" for name, value in given.items()), *more]


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "rsa-3072"])
def test_a_card_at_the_persons_machine_signs_what_the_office_releases(
    service: Service, tmp_path: Path, algorithm: str
) -> None:
    from docflow.kernel.clock import SystemClock

    card = Card.issue(service.folder / "pki", "Nguyễn Hữu Sơn", SystemClock().now(), algorithm)  # type: ignore[arg-type]
    certificates = x509.load_pem_x509_certificates(card.pem.encode())
    put_key(tmp_path, TOKEN, KEY, card.key, *certificates)
    administrator, leader = service.login(ADMINISTRATOR), service.login(LEADER)
    (person,) = administrator.read("/v1/people", login=LEADER)["items"]
    address = f"/v1/people/{person['id']}/certificates"
    proposed = administrator.post(address, {"pem": card.pem, "device": "card"})
    assert answered(proposed, 201)["state"] == "proposed"
    mandate = answered(
        administrator.post(
            f"/v1/people/{person['id']}/mandates",
            {
                "capacity": "KT", "title": "GIÁM ĐỐC", "basis": "Quyết định số 1/QĐ",
                "unit_id": administrator.read("/v1/units")["items"][0]["id"],
                "valid_from": "2026-01-01T00:00:00Z",
            },
        ),
        201,
    )  # fmt: skip
    proved = service.command("prove-certificate", *arguments(service))
    assert proved.returncode == 0, proved.stderr
    again = service.command("prove-certificate", *arguments(service))
    assert (again.returncode, "is enrolled already" in again.stdout) == (0, True), again.stderr
    document_id = service.approved()
    signed = service.command(
        "sign-session",
        *arguments(service, f"--document={document_id}", f"--mandate={mandate['id']}", "--yes"),
    )
    assert signed.returncode == 0, signed.stderr + signed.stdout
    assert "KT. GIÁM ĐỐC" in signed.stdout
    document = leader.settled(document_id)
    assert document["state"] == "signed"
    released = service.login(CLERK).carry(document_id, "release")
    assert released["state"] == "released"
    final = next(file for file in released["files"] if file["form"] == "released")
    copy = tmp_path / "released.pdf"
    copy.write_bytes(
        leader.request("GET", f"/v1/documents/{document_id}/files/{final['id']}/content").content
    )
    said = run("pdfsig", "-nocert", copy)
    assert said.count("Signature is Valid") == 2
    assert "KT. GIÁM ĐỐC" in run("pdftotext", "-layout", copy, "-")
    assert "KT. GI" in run("qpdf", "--qdf", copy, "-") or b"/Reason" in copy.read_bytes()
    uses = service.login(AUDITOR).read(
        f"/v1/certificates/{certificates and proposed.json()['sha256']}/releases"
    )
    assert [use["document_id"] for use in uses["items"]] == [document_id]
    log = service.log.read_text("utf-8", "replace")
    assert PIN not in log
    assert password_of(LEADER) not in log


def test_the_client_refuses_a_certificate_that_is_not_the_cards(
    service: Service, tmp_path: Path
) -> None:
    from docflow.kernel.clock import SystemClock

    now = SystemClock().now()
    mine, other = (Card.issue(service.folder / "pki", name, now) for name in ("Sơn", "Khác"))
    put_key(tmp_path, TOKEN, KEY, other.key, x509.load_pem_x509_certificate(other.pem.encode()))
    administrator, leader = service.login(ADMINISTRATOR), service.login(LEADER)
    (person,) = administrator.read("/v1/people", login=LEADER)["items"]
    enrol(administrator, leader, person["id"], mine)
    document_id = service.approved()
    named = f"--document={document_id}"

    def said(*more: str) -> str:
        ended = service.command("sign-session", *arguments(service, *more))
        assert ended.returncode == 1, ended.stdout
        return ended.stdout + ended.stderr

    def pending() -> Any:
        return leader.read(f"/v1/documents/{document_id}")["pending"]

    (service.folder / "pin").write_text("999999\n")
    wrong = said(named, "--yes")
    assert "999999" not in wrong
    assert "PIN of the token" in wrong
    (service.folder / "pin").write_text(PIN + "\n")
    assert "no certificates labelled 'other'" in said(named, "--yes", "--key=other")
    assert pending() is None  # nobody was asked to wait for a card that cannot be used
    refused = said(named, "--yes")
    assert "the card has" in refused
    assert "given up" in refused
    assert pending()["failed"]
    looked_at = said(named)  # nobody is there to agree
    session = pending()["job_id"]
    assert f"--session {session} --yes" in looked_at
    assert leader.read(f"/v1/signing-sessions/{session}")["state"] == "ready"
    again = leader.post(
        f"/v1/documents/{document_id}/signing-sessions",
        {"trigger": "sign"},
        headers=if_match(leader.read(f"/v1/documents/{document_id}")["version"]),
    )
    assert again.json()["code"] == "signing-in-progress"
    assert session in again.json()["satisfied_by"]


@pytest.mark.parametrize("algorithm", ["ec", "rsa"])
def test_a_card_signs_at_b_lt_and_the_time_stamp_comes_when_its_authority_is_back(
    served_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, algorithm: str
) -> None:
    from docflow.kernel.clock import SystemClock

    now = SystemClock().now
    keys = {}
    if algorithm == "rsa":
        made = rsa.generate_private_key(65_537, 3072)
        keys["person"] = made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pki = LivePki(tmp_path / "authorities", now().year - 2026, keys)
    pki.now = now
    try:
        settings = {
            "signers_file": write_signers(tmp_path, pki),
            "signing_services_file": write_services(tmp_path, pki),
            "workflows_dir": write_workflows(tmp_path, "level: B-LT", ", level: B-LTA"),
        }
        told = {name: str(path) for name, path in settings.items()}
        with card_office(served_template, tmp_path, monkeypatch, **told) as service:
            path = _signed_late(service, pki, tmp_path)
        assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 2
        reached = levels_reached(path, pki.roots, now=now())
        assert [(one.field, one.level) for one in reached] == [
            ("Person", "B-LTA"), ("Seal", "B-LTA"),
        ]  # fmt: skip
    finally:
        pki.stop()


def _signed_late(service: Service, pki: LivePki, folder: Path) -> Path:
    """Have the leader's card sign while the authority is away, then mend it; return what is released."""
    card = card_of(pki)
    put_key(folder, TOKEN, KEY, card.key, *x509.load_pem_x509_certificates(card.pem.encode()))
    administrator, leader = service.login(ADMINISTRATOR), service.login(LEADER)
    (person,) = administrator.read("/v1/people", login=LEADER)["items"]
    enrol(administrator, leader, person["id"], card)
    document_id = service.approved()
    pki.break_("/tsa/", "away")
    asked = arguments(service, f"--document={document_id}", "--yes", "--wait=3")
    taken = service.command("sign-session", *asked)
    assert taken.returncode == 0, taken.stderr + taken.stdout
    assert "The service took the answer" in taken.stdout
    assert "is not signed yet; the service goes on by itself" in taken.stdout
    until(
        lambda: leader.read(f"/v1/documents/{document_id}")["stage"] == "waiting",
        "the document to wait for the authority",
        60,
    )
    pending = leader.read(f"/v1/documents/{document_id}")["pending"]
    assert "gave no usable time stamp" in pending["error"]
    session = leader.read(f"/v1/signing-sessions/{pending['job_id']}")
    assert (session["state"], session["error"]) == ("answered", pending["error"])
    again = arguments(service, f"--session={session['id']}", "--yes", "--wait=0")
    still = service.command("sign-session", *again)
    assert still.returncode == 0, still.stderr + still.stdout
    assert "answered before; nothing is signed again" in still.stdout
    assert "gave no usable time stamp" in still.stdout
    pki.mend("/tsa/")
    ended = service.command(
        "sign-session", *arguments(service, f"--session={session['id']}", "--wait=60")
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    assert "Signed: " in ended.stdout
    assert leader.settled(document_id)["state"] == "signed"
    released = service.login(CLERK).carry(document_id, "release")
    assert released["state"] == "released"
    (final,) = (file for file in released["files"] if file["form"] == "released")
    path = folder / "released.pdf"
    address = f"/v1/documents/{document_id}/files/{final['id']}/content"
    path.write_bytes(leader.request("GET", address).content)
    return path
