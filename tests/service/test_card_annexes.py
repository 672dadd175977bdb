"""A card signs annexes that are no PDF, beside them: the real jobs; OpenSSL and our verifier judge."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import (
    ConflictError,
    DocflowError,
    IntegrityError,
    InvalidInputError,
    OutsideUnavailableError,
)
from docflow.release import card_sessions
from docflow.signing.devpki import Algorithm
from docflow.signing.manifest import SIGNATURE_TYPE
from docflow.signing.report import PASSED
from docflow.signing.verifying.cms import verify_cms
from docflow.signing.verifying.terms import Policy, Terms
from tests.card_support import Card, answer_session, carry, give
from tests.container_support import (
    JOINT,
    PICTURE,
    TABLE,
    container_office,
    opened,
    openssl_verifies,
    pdf_annex,
    pki_office,
    with_annexes,
)
from tests.levels_support import card_of, write_signers
from tests.office_support import CLERK, HEAD, LEADER, Instance
from tests.persons_support import HEAD_FIRST, LEADER_FIRST
from tests.pki_support import LivePki
from tests.sealed_support import give as give_opener
from tests.sealed_support import opener, plaintext, sealed_office, stored
from tests.unit.signing.forge import run

SAFE_TABLE = "Bảng số liệu_ quý 4_.csv"


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    made = container_office(tmp_path, prepared, clock)
    yield made
    made.close()


def enrolled(office: Instance, login: str = LEADER, algorithm: Algorithm = "ecdsa-p256") -> Card:
    now = office.services.clock.now()
    return give(office, Card.issue(office.folder / "pki", login, now, algorithm), login)


def ready(office: Instance, document: str, trigger: str = "sign") -> tuple[str, Any]:
    """Ask for a session as the leader and have it prepared; return its id and what it shows."""
    session = str(office.fire(LEADER, document, trigger).job_id)
    office.run_job(session)
    return session, card_sessions.show(office.services.studio, office.actor(LEADER), session)


def signed_files(office: Instance, document: str) -> list[dict[str, Any]]:
    rows = office.rows("files", document_id=document, form="signed", current=True)
    return sorted(rows, key=lambda row: row["position"])


def released(office: Instance, document: str, folder: Path) -> dict[str, Path]:
    """Release a document; return what is in its container, by name."""
    office.run(office.fire(CLERK, document, "release"))
    assert office.row(document)["state"] == "released"
    rows = office.rows("files", document_id=document, form="released", current=True)
    return opened(stored(office, max(rows, key=lambda row: row["position"])), folder)


def roots_of(office: Instance, folder: Path) -> Path:
    path = folder / "roots.pem"
    path.write_text("".join(office.services.studio.signers.own_roots.to_pem()))
    return path


def signers_of(office: Instance, signature: Path, data: Path) -> list[str]:
    """Return whose certificates signed, as our verifier finds them; all must pass."""
    own = office.services.studio.signers.own_roots
    with signature.open("rb") as file, data.open("rb") as content:
        report = verify_cms(file, content, Terms(own, own, office.services.clock.now(), Policy()))
    assert report.indication == PASSED
    return sorted(str(one.certificate_sha256) for one in report.signatures)


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "rsa-3072"])
def test_a_card_signs_every_annex_and_openssl_verifies_each(
    office: Instance, tmp_path: Path, algorithm: Algorithm
) -> None:
    card = enrolled(office, algorithm=algorithm)
    document = office.to_approved(with_annexes(office, TABLE, pdf_annex(), PICTURE))
    session, shown = ready(office, document)
    assert [(one.role, one.form, one.media_type) for one in shown.files] == [
        ("main", "PAdES", "application/pdf"), ("annex", "CAdES", "text/plain"),
        ("annex", "PAdES", "application/pdf"), ("annex", "CAdES", "image/png"),
    ]  # fmt: skip
    for item, (name, content) in zip(shown.files[1::2], (TABLE, PICTURE), strict=True):
        digest = hashlib.sha256(content)
        assert (item.name, item.size, item.sha256) == (name, len(content), digest.hexdigest())
        assert item.offered.document_digest == digest.digest()
    office.run_job(answer_session(office, session, card))
    assert office.row(document)["state"] == "signed"
    assert [row["media_type"] for row in signed_files(office, document)] == [
        "application/pdf", SIGNATURE_TYPE, "application/pdf", SIGNATURE_TYPE,
    ]  # fmt: skip
    members = released(office, document, tmp_path)
    roots = roots_of(office, tmp_path)
    for name, (_, content) in ((SAFE_TABLE, TABLE), (PICTURE[0], PICTURE)):
        assert members[name].read_bytes() == content
        assert "successful" in openssl_verifies(members[f"{name}.p7s"], members[name], roots)
        told = run(
            "openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", members[f"{name}.p7s"]
        )
        assert "id-smime-aa-signingCertificateV2" in told
        assert "signingTime" in told
    uses = office.rows("certificate_uses", document_id=document, role="person")
    assert len(uses) == 4
    assert len({use["certificate_sha256"] for use in uses}) == 1
    assert office.findings() == ()


@pytest.mark.parametrize("order", [HEAD_FIRST, LEADER_FIRST], ids=["card-second", "card-first"])
def test_a_card_and_a_key_of_the_service_sign_one_annex(
    office: Instance, tmp_path: Path, order: tuple[tuple[str, str], ...]
) -> None:
    card = enrolled(office)
    document = office.to_approved(with_annexes(office, TABLE, workflow=JOINT))
    for login, trigger in order:
        if login == LEADER:
            session, shown = ready(office, document, trigger)
            item = shown.files[-1]  # the annex itself is shown, not the signature file of the other
            assert (item.sha256, item.size) == (hashlib.sha256(TABLE[1]).hexdigest(), len(TABLE[1]))
            office.run_job(answer_session(office, session, card))
        else:
            office.run(office.fire(login, document, trigger))
    members = released(office, document, tmp_path)
    signature = members[f"{SAFE_TABLE}.p7s"]
    told = openssl_verifies(signature, members[SAFE_TABLE], roots_of(office, tmp_path))
    assert "CAdES Verification successful" in told
    uses = office.rows("certificate_uses", document_id=document, role="person")
    assert signers_of(office, signature, members[SAFE_TABLE]) == sorted(
        {use["certificate_sha256"] for use in uses}
    )


def test_two_cards_of_other_kinds_sign_one_annex(office: Instance, tmp_path: Path) -> None:
    cards = {HEAD: enrolled(office, HEAD, "rsa-3072"), LEADER: enrolled(office)}
    document = office.to_approved(with_annexes(office, TABLE, PICTURE, workflow=JOINT))
    for login, trigger in HEAD_FIRST:
        carry(office, document, trigger, cards[login], login)
    members = released(office, document, tmp_path)
    for name in (SAFE_TABLE, PICTURE[0]):
        assert len(signers_of(office, members[f"{name}.p7s"], members[name])) == 2
        openssl_verifies(members[f"{name}.p7s"], members[name], roots_of(office, tmp_path))


def test_one_wrong_signature_among_several_and_nothing_is_kept(office: Instance) -> None:
    card = enrolled(office)
    document = office.to_approved(with_annexes(office, TABLE, PICTURE))
    session, shown = ready(office, document)
    studio, leader = office.services.studio, office.actor(LEADER)
    thief = Card(ec.generate_private_key(ec.SECP256R1()), card.pem)
    good = {one.file_id: card.sign_digest(one.offered.to_sign) for one in shown.files}
    main, table, picture = (one.file_id for one in shown.files)
    wrong = {
        "another key": {**good, table: thief.sign_digest(shown.files[1].offered.to_sign)},
        "two exchanged": {**good, table: good[picture], picture: good[table]},
        "the annex's own digest": {
            **good, picture: card.sign_digest(shown.files[2].offered.document_digest)
        },
        "one missing": {main: good[main], table: good[table]},
        "one more": {**good, "x": good[main]},
    }  # fmt: skip
    for name, given in wrong.items():
        with pytest.raises(InvalidInputError) as caught:
            card_sessions.answer(studio, leader, session, given)
        expected = "invalid-input" if name.startswith("one ") else "signature-refused"
        assert caught.value.code == expected, name
        (row,) = office.rows("signing_sessions", id=session)
        assert (row["state"], row["signatures"]) == ("ready", None), name
    assert not office.rows("signature_steps", document_id=document, step="signed")
    card_sessions.answer(studio, leader, session, good)
    card_sessions.answer(studio, leader, session, good)  # the same again is fine
    with pytest.raises(ConflictError) as again:
        card_sessions.answer(studio, leader, session, {**good, main: good[table]})
    assert again.value.code == "session-ended"
    office.run_job(session.replace("card-", "embed-"))
    assert office.row(document)["state"] == "signed"


@pytest.mark.parametrize("moment", ["before the card signs", "after it"])
def test_an_annex_changed_in_the_store_is_not_signed(office: Instance, moment: str) -> None:
    card = enrolled(office)
    document = office.to_approved(with_annexes(office, TABLE))

    def change() -> None:
        (annex,) = office.rows("files", document_id=document, role="annex", form="original")
        path = next(office.folder.rglob(annex["sha256"]))
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1] + b"!")

    session = str(office.fire(LEADER, document, "sign").job_id)
    if moment == "before the card signs":
        change()
        with pytest.raises(IntegrityError):
            office.run_job(session)
        assert not office.rows("signing_sessions", document_id=document)
        return
    office.run_job(session)
    embed = answer_session(office, session, card)
    change()
    with pytest.raises(IntegrityError) as caught:
        office.run_job(embed)
    assert caught.value.code == "stored-file-changed"
    assert not office.rows("signature_steps", document_id=document, step="signed")
    assert not office.rows("certificate_uses", document_id=document)
    assert signed_files(office, document) == []


def test_annexes_of_a_card_are_time_stamped_when_the_authority_is_back(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    office = pki_office(tmp_path, prepared, clock, pki)
    try:
        card = give(office, card_of(pki))
        document = office.to_approved(with_annexes(office, TABLE))
        session, _ = ready(office, document)
        embed = answer_session(office, session, card)
        clock.advance(timedelta(hours=20))  # far over the minutes that a card has
        with pki.fails("/tsa/", "away"), pytest.raises(OutsideUnavailableError):
            office.run_job(embed)
        assert not office.rows("signature_steps", document_id=document, step="signed")
        office.run_job(embed)
        steps = office.rows("signature_steps", document_id=document, step="signed")
        assert sorted(one["evidence"]["level"] for one in steps) == ["B-LT", "B-LT"]
        members = released(office, document, tmp_path)
        signature = members[f"{SAFE_TABLE}.p7s"]
        told = run("openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", signature)
        assert "id-smime-aa-timeStampToken" in told
        openssl_verifies(signature, members[SAFE_TABLE], pki.pem("root"))
    finally:
        office.close()


def test_a_confidential_annex_signed_by_a_card_never_lies_in_the_clear(
    tmp_path: Path, prepared: Path, clock: ManualClock
) -> None:
    office = container_office(tmp_path, prepared, clock, office_file=sealed_office(tmp_path))
    try:
        finance = opener(clock, "rsa")
        give_opener(office, "STC", finance)
        card = enrolled(office)
        document = office.to_approved(with_annexes(office, TABLE, workflow=JOINT))
        office.run(office.fire(HEAD, document, "sign_as_head"))
        session, shown = ready(office, document, "countersign_as_leader")
        assert [one.name for one in shown.files] == ["", ""]  # names are content
        assert shown.files[1].sha256 == hashlib.sha256(TABLE[1]).hexdigest()
        office.run_job(answer_session(office, session, card))
        office.run(office.fire(CLERK, document, "release"))
        encrypted = office.rows("delivery_files", document_id=document)
        last = max(encrypted, key=lambda row: row["position"])
        members = opened(plaintext(stored(office, last), finance), tmp_path)
        assert len(signers_of(office, members[f"{SAFE_TABLE}.p7s"], members[SAFE_TABLE])) == 2
        for path in (office.folder / "store").rglob("*"):
            assert not path.is_file() or TABLE[1][:200] not in path.read_bytes()
        for row in office.rows("signature_steps", document_id=document):
            with office.services.store.open(row["storage_key"]) as file:
                content = file.read()
            assert b"%PDF" not in content
            assert TABLE[1][:40] not in content
    finally:
        office.close()


def test_what_a_card_cannot_sign_is_refused_when_it_is_asked(
    office: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolled(office)
    document = office.to_approved(with_annexes(office, TABLE, PICTURE))
    before = office.row(document)

    def refused(trigger: str = "sign") -> DocflowError:
        with pytest.raises(DocflowError) as caught:
            card_sessions.ask(
                office.services.studio, office.actor(LEADER), document, trigger, {},
                if_version=before["version"],
            )  # fmt: skip
        assert office.row(document) == before
        assert not office.rows("signing_sessions", document_id=document)
        return caught.value

    assert refused("return").code == "session-not-signing"
    assert refused("release").code == "session-not-signing"
    assert refused("no-such").code == "unknown-trigger"
    with monkeypatch.context() as bound:
        bound.setattr("docflow.documents.signer_choice.MOST_FILES", 2)
        error = refused()
        assert (error.code, "has 3" in error.detail) == ("session-too-large", True)


def test_a_card_of_roots_that_the_office_left_is_refused_when_it_is_asked(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    before = container_office(tmp_path, prepared, clock)
    enrolled(before)
    document = before.to_approved(with_annexes(before, TABLE))
    before.close()
    pki.now = clock.now
    office = Instance(
        before.folder, before.database.url, clock, workflows_dir=tmp_path / "workflows",
        signers_file=write_signers(tmp_path, pki),
    )  # fmt: skip
    try:
        with pytest.raises(ConflictError) as caught:
            office.fire(LEADER, document, "sign")
        assert caught.value.code == "card-unfit"
        assert office.row(document)["pending"] is None
    finally:
        office.close()
