"""Recipients' certificates and confidential deliveries, over HTTP."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from docflow.kernel.clock import ManualClock, rfc3339
from docflow.signing.trust import sha256_of
from tests.api.conftest import open_office
from tests.api_support import NO_ID, Door, Office, answered, if_match, refused
from tests.envelope_support import Recipient, certificate_for
from tests.office_support import (
    ADMINISTRATOR,
    CLERK,
    LEADER,
    RECIPIENT,
    Instance,
    copy_instance,
)
from tests.sealed_support import YEAR, opener, pem, plaintext
from tests.sealed_support import sealed_office as write_sealed_office

PEM = {"Content-Type": "application/x-pem-file"}
DER = {"Content-Type": "application/pkix-cert"}


@pytest.fixture
def sealed_office(sealed: Instance) -> Iterator[Office]:
    """A whole office whose internal documents are sealed."""
    yield from open_office(sealed)


def url_of(office: Office, code: str) -> str:
    return f"/v1/recipients/{office.recipient(code)['id']}/certificates"


def send(door: Door, url: str, content: bytes, headers: dict[str, str] = PEM) -> Any:
    return door.request("POST", url, content=content, headers=headers)


def test_a_certificate_is_recorded_once_listed_and_revoked_for_good(
    office: Office, admin: Door, clock: ManualClock
) -> None:
    url, one = url_of(office, "STC"), opener(clock, "rsa")
    answer = send(admin, url, pem(one.certificate))
    made = answered(answer, 201)
    assert answer.headers["location"] == f"{url}/{made['sha256']}"
    assert made["sha256"] == sha256_of(one.certificate)
    assert (made["key_kind"], made["key_bits"], made["usable"]) == ("rsa", 3072, True)
    again = send(admin, url, one.certificate.public_bytes(Encoding.DER), DER)
    assert answered(again, 200) == made
    assert admin.read(f"{url}/{made['sha256']}") == made
    assert admin.read(url)["items"] == [made]

    refused(admin.post(f"{url}/{made['sha256']}/revocation", {"reason": " "}), 422, "invalid-input")
    revoked = answered(
        admin.post(f"{url}/{made['sha256']}/revocation", {"reason": "Mất thẻ."}), 200
    )
    assert (revoked["usable"], revoked["reason"]) == (False, "Mất thẻ.")
    twice = admin.post(f"{url}/{made['sha256']}/revocation", {"reason": "Lý do khác."})
    assert answered(twice, 200)["reason"] == "Mất thẻ."
    refused(send(admin, url, pem(one.certificate)), 409, "recipient-certificate-revoked")
    assert admin.read(url, revoked=False)["items"] == []

    actions = [
        entry["action"]
        for entry in office.instance.rows("history_entries", subject_kind="recipient")
        if entry["action"] != "recipient.created"
    ]
    assert actions == ["recipient.certificate-added", "recipient.certificate-revoked"]


def test_who_may_not_and_what_is_none_is_told(
    office: Office, admin: Door, clock: ManualClock
) -> None:
    url, good = url_of(office, "STC"), pem(opener(clock).certificate)
    refused(send(office.login(CLERK), url, good), 403, "forbidden")
    refused(send(office.nobody, url, good), 401, "unauthenticated")
    refused(send(admin, f"/v1/recipients/{NO_ID}/certificates", good), 404, "not-found")
    refused(send(admin, url, b""), 422, "certificate-unreadable")
    refused(send(admin, url, b"no certificate"), 422, "certificate-unreadable")
    refused(send(admin, url, good[:-40]), 422, "certificate-unreadable")
    refused(send(admin, url, good * 9), 422, "certificate-unreadable")
    refused(send(admin, url, b"x" * 70_000), 413, "too-large")
    key = opener(clock).key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    problem = refused(send(admin, url, good + key), 422, "certificate-with-key")
    assert key.decode() not in str(problem)
    refused(admin.get(f"{url}/{'0' * 64}"), 404, "certificate-not-found")
    refused(
        admin.post(f"{url}/{'0' * 64}/revocation", {"reason": "x"}), 404, "certificate-not-found"
    )
    assert admin.read(url)["items"] == []


def test_what_cannot_be_encrypted_to_is_refused_with_every_reason(
    office: Office, admin: Door, clock: ManualClock
) -> None:
    url, day = url_of(office, "STC"), timedelta(days=1)
    signing = ed25519.Ed25519PrivateKey.generate()
    cases: list[tuple[Any, str]] = [
        (opener(clock, valid_until=clock.now() - day, valid_from=clock.now() - 9 * day).certificate,
         "expired on"),
        (opener(clock, valid_from=clock.now() + day).certificate, "is valid only from"),
        (opener(clock, uses=("digital_signature",)).certificate, "does not allow keyAgreement"),
        (opener(clock, "rsa", uses=("digital_signature",)).certificate, "keyEncipherment"),
        (certificate_for(signing, valid_until=clock.now() + YEAR), "holds a key that only signs"),
    ]  # fmt: skip
    for certificate, reason in cases:
        problem = refused(send(admin, url, pem(certificate)), 422, "certificate-unsuitable")
        assert reason in problem["detail"]
        assert problem["detail"].startswith("Sở Tài chính: its certificate")
        assert problem["reasons"]


def test_certificates_that_end_soon_are_found_over_all_recipients(
    office: Office, admin: Door, clock: ManualClock
) -> None:
    soon = opener(clock, which=1, valid_until=clock.now() + timedelta(days=20))
    sooner = opener(clock, which=2, valid_until=clock.now() + timedelta(days=10))
    for code, one in (("STC", soon), ("SNV", sooner), ("SYT", opener(clock))):
        answered(send(admin, url_of(office, code), pem(one.certificate)), 201)
    url, before = "/v1/recipient-certificates", rfc3339(clock.now() + timedelta(days=30))
    found = admin.read(url, expiring_before=before)["items"]
    assert [one["sha256"] for one in found] == [sha256_of(x.certificate) for x in (soon, sooner)]
    first = admin.read(url, expiring_before=before, limit=1)
    assert len(first["items"]) == 1
    rest = admin.read(url, expiring_before=before, limit=1, cursor=first["next_cursor"])
    assert [one["sha256"] for one in first["items"] + rest["items"]] == [x["sha256"] for x in found]
    clock.advance(timedelta(days=15))
    states = {
        one["sha256"]: one["usable"] for one in office.again(ADMINISTRATOR).read(url)["items"]
    }
    assert states[sha256_of(sooner.certificate)] is False
    assert states[sha256_of(soon.certificate)] is True


def released(office: Office, *recipients: tuple[str, Recipient]) -> str:
    """Release a confidential decision to recipients with these certificates."""
    admin = office.login(ADMINISTRATOR)
    for code, one in recipients:
        answered(send(admin, url_of(office, code), pem(one.certificate)), 201)
    return office.released(recipients=[code for code, _ in recipients])


def test_a_release_names_who_cannot_be_encrypted_to(
    sealed_office: Office, clock: ManualClock
) -> None:
    office, admin = sealed_office, sealed_office.login(ADMINISTRATOR)
    url = url_of(office, "STC")
    made = answered(send(admin, url, pem(opener(clock).certificate)), 201)
    answered(admin.post(f"{url}/{made['sha256']}/revocation", {"reason": "Mất thẻ."}), 200)
    document = office.approved()
    office.login(LEADER).fire(document, "sign")
    office.run_jobs()
    clerk = office.login(CLERK)
    version = clerk.read(f"/v1/documents/{document}")["version"]
    problem = refused(
        clerk.post(
            f"/v1/documents/{document}/transitions",
            {"trigger": "release"},
            headers=if_match(version),
        ),
        409,
        "recipient-certificate",
    )
    assert "Sở Tài chính: its certificate (serial" in problem["detail"]
    assert "was revoked on" in problem["detail"]
    assert "Sở Nội vụ: its certificate is not on record" in problem["detail"]
    assert [one["recipient"] for one in problem["recipients"]] == ["Sở Tài chính", "Sở Nội vụ"]


def test_a_recipient_sees_no_subject_downloads_only_the_envelope_and_acknowledges(
    sealed_office: Office, clock: ManualClock
) -> None:
    office, finance = sealed_office, opener(clock, "rsa")
    document = released(office, ("STC", finance), ("SNV", opener(clock, which=1)))
    inside = office.login(CLERK).read(f"/v1/documents/{document}")
    (signed,) = [file for file in inside["files"] if file["form"] == "released"]
    recipient = office.login(RECIPIENT)
    (listed,) = recipient.read("/v1/inbox")["items"]
    assert listed["confidential"] is True
    assert listed["subject"] is None
    assert listed["symbol"] == inside["symbol"]
    detail = recipient.read(f"/v1/inbox/{listed['id']}")
    assert inside["subject"] not in str(detail)
    (file,) = detail["files"]
    assert file["name"] == "01-QD-VPUB.pdf.p7m"
    assert file["media_type"].startswith("application/pkcs7-mime")
    assert signed["sha256"] not in str(detail)

    main = recipient.get(f"/v1/inbox/{listed['id']}/content")
    assert main.status_code == 200
    assert main.headers["content-type"] == file["media_type"]
    assert 'filename="01-QD-VPUB.pdf.p7m"' in main.headers["content-disposition"]
    assert hashlib.sha256(main.content).hexdigest() == listed["sha256"] == file["sha256"]
    part = recipient.request(
        "GET",
        f"/v1/inbox/{listed['id']}/files/{file['id']}/content",
        headers={"Range": "bytes=10-99"},
    )
    assert (part.status_code, part.content) == (206, main.content[10:100])
    opened = plaintext(main.content, finance)
    assert hashlib.sha256(opened).hexdigest() == signed["sha256"]

    # the ids of the plaintext open nothing
    for file_id in [one["id"] for one in inside["files"]]:
        refused(
            recipient.get(f"/v1/inbox/{listed['id']}/files/{file_id}/content"),
            404,
            "file-not-found",
        )
        refused(
            recipient.get(f"/v1/documents/{document}/files/{file_id}/content"), 404, "not-found"
        )

    url = f"/v1/inbox/{listed['id']}/receipt"
    refused(recipient.post(url, {"sha256": "0" * 64}), 409, "digest-mismatch")
    receipt = answered(recipient.post(url, {"sha256": signed["sha256"]}), 200)["receipt"]
    assert (receipt["sha256"], receipt["opened"]) == (signed["sha256"], True)


def test_who_has_not_opened_it_acknowledges_the_envelope(
    sealed_office: Office, clock: ManualClock
) -> None:
    released(sealed_office, ("STC", opener(clock)))
    recipient = sealed_office.login(RECIPIENT)
    (listed,) = recipient.read("/v1/inbox")["items"]
    answer = recipient.post(f"/v1/inbox/{listed['id']}/receipt", {"sha256": listed["sha256"]})
    receipt = answered(answer, 200)["receipt"]
    assert (receipt["sha256"], receipt["opened"]) == (listed["sha256"], False)


def test_an_open_document_is_delivered_as_ever(office: Office) -> None:
    office.released()
    recipient = office.login(RECIPIENT)
    (listed,) = recipient.read("/v1/inbox")["items"]
    assert listed["confidential"] is False
    assert listed["subject"] == "Ban hành Quy chế"
    assert recipient.get(f"/v1/inbox/{listed['id']}/content").content.startswith(b"%PDF")


def test_what_two_people_agreed_to_recover_is_given_to_who_asked(
    tmp_path: Path, prepared: Path, clock: ManualClock
) -> None:
    escrow = opener(clock, which=7)
    (tmp_path / "escrow.pem").write_bytes(pem(escrow.certificate))
    copy_instance(prepared, tmp_path / "var")
    instance = Instance(
        tmp_path / "var",
        f"sqlite:///{tmp_path / 'var' / 'docflow.sqlite3'}",
        clock,
        office_file=write_sealed_office(tmp_path),
        recovery_certificate_file=tmp_path / "escrow.pem",
    )
    for office in open_office(instance):
        document = released(office, ("STC", opener(clock)))
        clerk, leader = office.login(CLERK), office.login(LEADER)
        asked = clerk.post(
            f"/v1/documents/{document}/recoveries", {"reason": "Sở Tài chính mất khoá."}
        )
        url = f"/v1/recoveries/{answered(asked, 201)['id']}"
        assert clerk.get(f"{url}/file").status_code == 409
        answered(leader.post(f"{url}/approval", {"reason": "Đồng ý."}), 200)
        given = clerk.get(f"{url}/file")
        assert given.status_code == 200
        assert plaintext(given.content, escrow).startswith(b"%PDF")
        assert leader.get(f"{url}/file").status_code in (403, 404)
        actions = [
            entry["action"] for entry in instance.rows("history_entries", subject_id=document)
        ]
        assert actions.count("document.recovered") == 1
    instance.close()


def test_nobody_recovers_what_nobody_approved(sealed_office: Office, clock: ManualClock) -> None:
    released(sealed_office, ("STC", opener(clock)))
    for login in (ADMINISTRATOR, LEADER, CLERK, RECIPIENT):
        door = sealed_office.login(login)
        refused(door.get(f"/v1/recoveries/{NO_ID}/file"), 404, "recovery-not-found")
