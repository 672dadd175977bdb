"""The reference client of a card, over a real office: what it believes, and what it says of an answer."""

import base64
import copy
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from asn1crypto import cms
from cryptography import x509

from docflow.cli.card import _tell
from docflow.cli.card_client import Service, signatures
from docflow.kernel.clock import ManualClock
from docflow.signing.trust import sha256_of
from tests.api.conftest import open_office
from tests.api_support import Office, answered, if_match
from tests.card_support import Card, enrol
from tests.container_support import ALONE, PICTURE, TABLE, container_office
from tests.office_support import ADMINISTRATOR, HEAD, LEADER, SPECIALIST

Session = dict[str, Any]


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Office]:
    """An office whose workflow releases in a container, and where a certificate signs 10 times."""
    instance = container_office(tmp_path, prepared, clock, certificate_signatures=10)
    yield from open_office(instance)
    instance.close()


@pytest.fixture
def card(office: Office) -> Card:
    card = Card.issue(office.instance.folder / "pki", "Nguyễn Hữu Sơn", office.services.clock.now())
    enrol(office.login(ADMINISTRATOR), office.login(LEADER), office.person(LEADER)["id"], card)
    return card


class Wire(httpx2.Client):
    """The real client, on which some answers get lost on the way back."""

    def __init__(self, inner: httpx2.Client, token: str | None, lost: int = 0) -> None:
        super().__init__()
        self._inner = inner
        self._headers_of = {"Authorization": f"Bearer {token}"}
        self.lost = lost

    def request(self, method: str, url: Any, **options: Any) -> httpx2.Response:
        headers = self._headers_of | dict(options.pop("headers", None) or {})
        options = {name: options[name] for name in ("json", "params") if options.get(name)}
        answer = self._inner.request(method, url, headers=headers, **options)
        if method in ("PUT", "GET") and self.lost:
            self.lost -= 1
            raise httpx2.ReadError("the connection was lost")
        return answer


def service(office: Office, *, lost: int = 0) -> Service:
    return Service(Wire(office.client, office.login(LEADER).token, lost))


def approved(office: Office) -> str:
    author = office.login(SPECIALIST)
    document = office.draft(workflow=ALONE)
    address = f"/v1/documents/{document['id']}"
    for name, content in (TABLE, PICTURE):
        headers = if_match(author.read(address)["version"]) | {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        }
        added = author.request("POST", f"{address}/files", content=content, headers=headers)
        answered(added, 201)
    author.fire(document["id"], "submit")
    office.login(HEAD).fire(document["id"], "approve")
    return str(document["id"])


def ready(office: Office) -> Session:
    client = service(office)
    session_id = client.ask(approved(office), "sign", None)
    office.run_jobs()
    return client.offered(session_id)


def certificate_of(card: Card) -> str:
    return sha256_of(x509.load_pem_x509_certificate(card.pem.encode()))


def given(session: Mapping[str, Any], card: Card) -> dict[str, str]:
    """Check what a session offers as the command does, and have the card sign it."""

    def sign(name: str, data: bytes) -> bytes:
        assert name == "sha256"
        return base64.b64decode(card.sign(data))

    return signatures(session, sign, certificate_of(card))


def test_a_session_shows_what_is_signed_of_each_file_and_the_answer_is_taken(
    office: Office, card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    session = ready(office)
    told = [
        (one["role"], one["format"], one["media_type"], one["name"]) for one in session["files"]
    ]
    assert told[1:] == [
        ("annex", "CAdES", "text/plain", TABLE[0]), ("annex", "CAdES", "image/png", PICTURE[0]),
    ]  # fmt: skip
    assert [one["size"] for one in session["files"][1:]] == [len(TABLE[1]), len(PICTURE[1])]
    office.rest()
    client = service(office)
    client.hand_over(session["id"], given(session, card))
    seen = client.followed(session["id"], 0)
    _tell(session, seen)  # does not exit
    said = capsys.readouterr().out
    assert "is not signed yet; the service goes on by itself" in said
    assert f"--session {session['id']}" in said
    office.run_jobs()
    _tell(session, client.followed(session["id"], 0))
    assert "Signed: " in capsys.readouterr().out


def test_an_answer_whose_receipt_is_lost_is_given_again_and_counts_once(
    office: Office, card: Card
) -> None:
    session = ready(office)
    service(office, lost=2).hand_over(session["id"], given(session, card))
    office.run_jobs()
    assert service(office).offered(session["id"])["state"] == "done"
    uses = office.instance.rows("certificate_uses", document_id=session["document"]["id"])
    assert len(uses) == 3


def test_a_service_that_stays_silent_is_not_said_to_have_refused(
    office: Office, card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    session = ready(office)
    with pytest.raises(SystemExit) as caught:
        service(office, lost=99).hand_over(session["id"], given(session, card))
    assert caught.value.code == 1
    assert "whether it took what the card signed is not known" in " ".join(
        capsys.readouterr().err.split()
    )
    seen = service(office, lost=99).followed(session["id"], 0.5)
    assert seen is None
    _tell(session, seen)  # was taken, as far as the command knows: no failure
    assert "is not signed yet" in capsys.readouterr().out


def test_what_the_service_refuses_or_fails_with_ends_with_1(
    office: Office, card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    session = ready(office)
    other = Card.issue(office.instance.folder / "pki", "Khác", office.services.clock.now())
    bad = {one: other.sign(b"x") for one in given(session, card)}
    with pytest.raises(SystemExit) as caught:
        service(office).hand_over(session["id"], bad)
    assert caught.value.code == 1
    assert "signature-refused" in capsys.readouterr().err
    answered(office.login(LEADER).delete(f"/v1/signing-sessions/{session['id']}"), 200)
    seen = service(office).followed(session["id"], 0)
    with pytest.raises(SystemExit) as ended:
        _tell(session, seen)
    assert ended.value.code == 1
    assert "The person gave it up." in " ".join(capsys.readouterr().err.split())


def _swap(session: Session, *names: str) -> None:
    first, second = session["files"][1:]
    for name in names:
        first[name], second[name] = second[name], first[name]


def _without(session: Session, kind: str) -> None:
    item = session["files"][1]
    kept = [
        one for one in cms.CMSAttributes.load(base64.b64decode(item["attributes"]))
        if one["type"].native != kind
    ]  # fmt: skip
    _offer(item, kept)


def _offer(item: Session, attributes: Any) -> None:
    import hashlib

    der = cms.CMSAttributes(attributes).dump()
    item["attributes"] = base64.b64encode(der).decode()
    item["digest"] = base64.b64encode(hashlib.sha256(der).digest()).decode()


def _another_time(session: Session) -> None:
    session["signing_time"] = "2026-01-01T00:00:00Z"


TAMPERED: dict[str, tuple[Callable[[Session], None], str]] = {
    "digest": (lambda one: _swap(one, "digest"), "is not its attributes'"),
    "attributes": (lambda one: _swap(one, "digest", "attributes"), "vouches for another file"),
    "file": (
        lambda one: _swap(one, "digest", "attributes", "document_digest"),
        "is of another file than shown",
    ),
    "time": (_another_time, "tells another time"),
    "no time": (lambda one: _without(one, "signing_time"), "tells another time"),
    "no certificate": (lambda one: _without(one, "signing_certificate_v2"), "cannot be read"),
    "no digest": (lambda one: _without(one, "message_digest"), "vouches for another file"),
}


@pytest.mark.parametrize("name", TAMPERED)
def test_the_card_signs_nothing_that_is_not_what_was_shown(
    office: Office, card: Card, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    tamper, words = TAMPERED[name]
    session = copy.deepcopy(ready(office))
    given(session, card)
    tamper(session)
    with pytest.raises(SystemExit):
        given(session, card)
    assert words in " ".join(capsys.readouterr().err.split())


def test_the_card_signs_no_attributes_of_another_certificate(
    office: Office, card: Card, capsys: pytest.CaptureFixture[str]
) -> None:
    session = copy.deepcopy(ready(office))
    other = Card.issue(office.instance.folder / "pki", "Khác", office.services.clock.now())
    session["certificate"]["sha256"] = certificate_of(other)
    with pytest.raises(SystemExit):
        given(session, other)
    assert "names another certificate" in " ".join(capsys.readouterr().err.split())


def test_what_a_card_cannot_sign_is_refused_with_what_would_help(
    office: Office, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    leader, document_id = office.login(LEADER), approved(office)
    address = f"/v1/documents/{document_id}"
    before = leader.read(address)

    def refused(trigger: str, **more: Any) -> tuple[int, str]:
        body = {"trigger": trigger, **more}
        answer = leader.post(
            f"{address}/signing-sessions", body, headers=if_match(before["version"])
        )
        problem = answer.json()
        assert problem.get("satisfied_by"), problem
        assert leader.read(address)["version"] == before["version"]
        return answer.status_code, problem["code"]

    assert refused("return", asked={"reason": "x"}) == (422, "session-not-signing")
    assert refused("release") == (422, "session-not-signing")
    with monkeypatch.context() as bound:
        bound.setattr("docflow.documents.signer_choice.MOST_FILES", 2)
        assert refused("sign") == (409, "session-too-large")
    for _ in range(4):  # three files each, and the certificate may sign ten times
        session = ready(office)
        service(office).hand_over(session["id"], given(session, card))
        office.run_jobs()
    assert refused("sign") == (409, "key-use-exhausted")
