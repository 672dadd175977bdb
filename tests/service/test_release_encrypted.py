"""A sealed document's release: who stops it, what recipients get, what history says."""

import hashlib
from pathlib import Path

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import ConflictError
from docflow.signing.strict import validate_release
from docflow.signing.trust import sha256_of
from tests.office_support import CLERK, LEADER, Instance
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
