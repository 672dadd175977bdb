"""A sealed document's release: who stops it, what recipients get, what history says."""

import dataclasses
import hashlib
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from docflow.db import Draft, UnitOfWork
from docflow.documents import rows
from docflow.documents.change import add_annex
from docflow.documents.content import PDF
from docflow.documents.intake import for_change
from docflow.documents.reclassify import apply
from docflow.documents.tables import documents
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError, ForbiddenError, IntegrityError, NotFoundError
from docflow.people.openers import Openers
from docflow.release import inbox
from docflow.release.recovery import Approved, Recoveries
from docflow.signing.certificates import EncryptionCertificate
from docflow.signing.encrypted import EncryptedFile, encrypt_signed
from docflow.signing.envelope import EnvelopeFacts
from docflow.signing.strict import validate_release
from docflow.signing.trust import sha256_of
from tests.envelope_support import Recipient
from tests.office_support import (
    ADMINISTRATOR,
    CLERK,
    LEADER,
    RECIPIENT,
    SPECIALIST,
    Instance,
)
from tests.sealed_support import give, opener, plaintext, stored


def test_every_recipient_gets_the_signed_file_encrypted_to_their_certificate(
    sealed: Instance, clock: ManualClock, tmp_path: Path
) -> None:
    finance, home = opener(clock, "rsa"), opener(clock, "p256", 1)
    give(sealed, "STC", finance)
    give(sealed, "SNV", home)
    document = sealed.to_released(sealed.draft(recipients=["STC", "SNV"]))
    assert sealed.row(document)["state"] == "released"
    released = next(
        f for f in sealed.rows("files", document_id=document) if f["form"] == "released"
    )
    signed = stored(sealed, released)
    files = sealed.rows("delivery_files", document_id=document)
    assert len(files) == 2
    for row, by in zip(files, (finance, home), strict=True):
        envelope = stored(sealed, row)
        assert hashlib.sha256(envelope).hexdigest() == row["sha256"]
        assert len(envelope) == row["size"]
        assert b"%PDF" not in envelope
        assert plaintext(envelope, by) == signed
        assert row["signed_sha256"] == released["sha256"]
        assert row["certificate_sha256"] == sha256_of(by.certificate)
        assert row["name"].endswith(".pdf.p7m")
        assert row["name"].isascii()
    opened = tmp_path / "opened.pdf"
    opened.write_bytes(plaintext(stored(sealed, files[0]), finance))
    signers, now = sealed.services.studio.signers, clock.now()
    validate_release(
        opened,
        signers.own_roots,
        person=signers.person(LEADER, "", now).sha256,
        seal=signers.seal(now).sha256,
        now=now,
    )


def test_a_recipient_without_a_certificate_stops_the_release_at_once(
    sealed: Instance, clock: ManualClock
) -> None:
    give(sealed, "STC", opener(clock))
    document = sealed.to_signed(sealed.draft(recipients=["STC", "SNV"]))
    with pytest.raises(ConflictError) as caught:
        sealed.fire(CLERK, document, "release")
    assert caught.value.code == "recipient-certificate"
    assert "Sở Nội vụ: its certificate is not on record" in caught.value.detail
    assert "Sở Tài chính" not in caught.value.detail
    assert sealed.row(document)["pending"] is None


def test_the_newest_suitable_certificate_is_used(sealed: Instance, clock: ManualClock) -> None:
    old = opener(clock, which=0)
    new = opener(clock, which=1)
    newest = opener(clock, which=2, valid_until=clock.now() + timedelta(days=1))
    give(sealed, "STC", old, new, newest)
    clock.advance(timedelta(days=2))  # the newest has expired
    document = sealed.to_released(sealed.draft())
    (row,) = sealed.rows("delivery_files", document_id=document)
    assert row["certificate_sha256"] == sha256_of(new.certificate)


def test_what_went_bad_since_the_release_was_asked_for_stops_the_job(
    sealed: Instance, clock: ManualClock
) -> None:
    give(sealed, "STC", opener(clock, valid_until=clock.now() + timedelta(days=1)))
    document = sealed.to_signed(sealed.draft())
    release = sealed.fire(CLERK, document, "release")
    clock.advance(timedelta(days=2))
    with pytest.raises(ConflictError, match="expired on") as caught:
        sealed.run(release)
    assert caught.value.code == "recipient-certificate"
    assert sealed.rows("deliveries", document_id=document) == []
    assert sealed.rows("delivery_files", document_id=document) == []


def test_a_certificate_revoked_after_encrypting_is_not_delivered_to(
    sealed: Instance, clock: ManualClock
) -> None:
    one = opener(clock)
    give(sealed, "STC", one)
    document = sealed.to_signed(sealed.draft())
    release = sealed.fire(CLERK, document, "release")
    assert release.job_id is not None
    done: dict[str, Any] = {}
    with pytest.raises(ConflictError, match="was revoked on"):
        sealed.run(release, _Revoking(done, sealed, one))
    assert sealed.rows("deliveries", document_id=document) == []
    assert sealed.row(document)["state"] == "signed"


class _Revoking(dict[str, Any]):
    """Results of steps; as soon as the files are encrypted, the certificate is revoked."""

    def __init__(self, done: dict[str, Any], instance: Instance, one: Recipient) -> None:
        super().__init__(done)
        self._instance, self._one = instance, one

    def __setitem__(self, step: str, result: Any) -> None:
        super().__setitem__(step, result)
        if step == "encrypted":
            (row,) = self._instance.rows("recipients", code="STC")
            self._instance.services.certificates.revoke(
                self._instance.actor(ADMINISTRATOR),
                row["id"],
                sha256_of(self._one.certificate),
                "Lộ khoá.",
            )


def test_a_document_classified_while_its_release_runs_is_not_delivered_in_the_clear(
    sealed: Instance, clock: ManualClock
) -> None:
    document = sealed.to_signed(sealed.draft(classification="public"))
    release = sealed.fire(CLERK, document, "release")
    done: dict[str, Any] = {}
    with pytest.raises(IntegrityError) as caught:
        sealed.run(release, _Raising(done, sealed, document))
    assert caught.value.code == "not-encrypted"
    assert sealed.rows("deliveries", document_id=document) == []


class _Raising(dict[str, Any]):
    """Results of steps; after the step that had nothing to encrypt, the document is classified."""

    def __init__(self, done: dict[str, Any], instance: Instance, document: str) -> None:
        super().__init__(done)
        self._instance, self._document = instance, document

    def __setitem__(self, step: str, result: Any) -> None:
        super().__setitem__(step, result)
        if step == "encrypted":
            assert result == 0
            classify(self._instance, self._document, "internal")


def classify(instance: Instance, document: str, to: str) -> None:
    with instance.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document)
        draft = Draft("document.edited", {"changed": ["classification"]})
        uow.change(documents, row, {"classification": to}, draft)


def test_what_was_delivered_in_the_clear_is_withheld_once_it_is_classified(
    sealed: Instance,
) -> None:
    document = sealed.to_released(sealed.draft(classification="public"))
    desk, recipient = sealed.services.desk, sealed.actor(RECIPIENT)
    (listed,) = inbox.find(desk, recipient, acknowledged=None, before=None, limit=9)
    assert inbox.file_to_download(desk, recipient, listed["id"], None)["media_type"] == PDF
    classify(sealed, document, "internal")
    row, files = inbox.show(desk, recipient, listed["id"])
    assert (row["subject"], row["confidential"], files) == (None, True, [])
    with pytest.raises(ConflictError) as caught:
        inbox.file_to_download(desk, recipient, listed["id"], None)
    assert caught.value.code == "delivery-withheld"


def test_what_a_recipient_writes_about_a_sealed_document_lies_sealed(
    sealed: Instance, clock: ManualClock
) -> None:
    give(sealed, "STC", opener(clock))
    document = sealed.to_released(sealed.draft())
    desk, recipient = sealed.services.desk, sealed.actor(RECIPIENT)
    (listed,) = inbox.find(desk, recipient, acknowledged=None, before=None, limit=9)
    note = "Đã nhận phương án bảo vệ."
    given = inbox.acknowledge(desk, recipient, listed["id"], sha256=listed["sha256"], note=note)
    assert given["receipt"]["note"] == note
    (inside,) = inbox.of_document(desk, sealed.actor(CLERK), document)
    assert inside["receipt"]["note"] == note
    (row,) = sealed.rows("deliveries", document_id=document)
    assert "phương án" not in str(row["receipt"])
    assert all("phương án" not in str(entry) for entry in sealed.rows("history_entries"))


def test_what_a_recipient_wrote_is_sealed_when_the_document_becomes_so(sealed: Instance) -> None:
    document = sealed.to_released(sealed.draft(classification="public"))
    desk, recipient = sealed.services.desk, sealed.actor(RECIPIENT)
    (listed,) = inbox.find(desk, recipient, acknowledged=None, before=None, limit=9)
    note = "Đã nhận phương án bảo vệ."
    inbox.acknowledge(desk, recipient, listed["id"], sha256=listed["sha256"], note=note)
    assert note in str(sealed.rows("deliveries", document_id=document))
    reclassify(sealed, document, "internal")
    assert "phương án" not in str(sealed.rows("deliveries", document_id=document))
    (again,) = inbox.find(desk, recipient, acknowledged=None, before=None, limit=9)
    assert again["receipt"]["note"] == note
    reclassify(sealed, document, "public")
    assert note in str(sealed.rows("deliveries", document_id=document))


def reclassify(instance: Instance, document: str, to: str) -> None:
    with instance.database.unit_of_work(SERVICE) as uow:
        row = rows.lock(uow, document)
        apply(instance.services.desk, uow, row, to, Draft("document.classified", {"to": to}))


def test_annexes_are_encrypted_under_names_that_say_nothing(
    sealed: Instance, clock: ManualClock
) -> None:
    one = opener(clock)
    give(sealed, "STC", one)
    document = sealed.draft()
    desk, author = sealed.services.desk, sealed.actor(SPECIALIST)
    intake = for_change(desk, author, document)
    annex = sealed.receive(intake, sealed.scan("PL-1"), "Danh sách nhân sự.pdf")
    add_annex(desk, author, intake, annex, if_version=1)
    sealed.to_released(document)
    files = sealed.rows("delivery_files", document_id=document)
    assert [file["name"] for file in files] == ["01-QD-VPUB.pdf.p7m", "01-QD-VPUB-1.pdf.p7m"]
    assert all(plaintext(stored(sealed, file), one).startswith(b"%PDF") for file in files)


def test_the_escrow_opens_it_and_its_use_is_history(
    sealed: Instance, clock: ManualClock, tmp_path: Path
) -> None:
    escrow = opener(clock, which=7)
    openers = Openers(recovery=EncryptionCertificate(escrow.certificate))
    desk = dataclasses.replace(sealed.services.desk, openers=openers)
    sealed.services = dataclasses.replace(
        sealed.services, studio=dataclasses.replace(sealed.services.studio, desk=desk)
    )
    give(sealed, "STC", opener(clock))
    document = sealed.to_released(sealed.draft())
    leader, until = sealed.actor(LEADER), clock.now() + timedelta(hours=1)

    def agreed(_uow: UnitOfWork, actor: Actor, request_id: str) -> Approved:
        assert (actor.id, request_id) == (leader.id, "request-1")
        return Approved(document, until)

    recoveries = Recoveries(desk, agreed)
    row = recoveries.file_to_download(leader, "request-1")
    assert plaintext(stored(sealed, row), escrow).startswith(b"%PDF")
    with pytest.raises(NotFoundError) as missing:
        recoveries.file_to_download(leader, "request-1", 5)
    assert missing.value.code == "not-recoverable"
    clock.advance(timedelta(hours=1))
    with pytest.raises(ForbiddenError) as over:
        recoveries.file_to_download(leader, "request-1")
    assert over.value.code == "recovery-over"
    used = [
        entry for entry in sealed.rows("history_entries", subject_id=document)
        if entry["action"] == "document.recovered"
    ]  # fmt: skip
    assert len(used) == 1


def test_an_expired_escrow_stops_the_release(sealed: Instance, clock: ManualClock) -> None:
    escrow = opener(clock, which=7, valid_until=clock.now() + timedelta(days=1))
    openers = Openers(recovery=EncryptionCertificate(escrow.certificate))
    desk = dataclasses.replace(sealed.services.desk, openers=openers)
    sealed.services = dataclasses.replace(sealed.services, desk=desk)
    give(sealed, "STC", opener(clock))
    document = sealed.to_signed(sealed.draft())
    clock.advance(timedelta(days=2))
    with pytest.raises(ConflictError, match="recovery certificate") as caught:
        sealed.fire(CLERK, document, "release")
    assert caught.value.code == "recovery-certificate"


def test_only_encrypt_signed_makes_an_encrypted_file() -> None:
    with pytest.raises(TypeError, match="encrypt_signed"):
        EncryptedFile("0" * 64, "0" * 64, None, EnvelopeFacts("0" * 64, 0, ()), key=object())


def test_other_bytes_than_those_validated_are_not_encrypted(
    sealed: Instance, clock: ManualClock, tmp_path: Path
) -> None:
    document = sealed.to_released(sealed.draft(classification="public"))
    released = next(
        f for f in sealed.rows("files", document_id=document) if f["form"] == "released"
    )
    path = tmp_path / "released.pdf"
    path.write_bytes(stored(sealed, released))
    signers, now = sealed.services.studio.signers, clock.now()
    signed = validate_release(
        path,
        signers.own_roots,
        person=signers.person(LEADER, "", now).sha256,
        seal=signers.seal(now).sha256,
        now=now,
    )
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    one = EncryptionCertificate(opener(clock).certificate)
    with pytest.raises(IntegrityError) as caught:
        encrypt_signed(signed, BytesIO(bytes(data)), BytesIO(), one, None)
    assert caught.value.code == "stored-file-changed"
