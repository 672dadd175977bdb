"""A release in a container, made by the real jobs: OpenSSL, unzip, poppler and our verifier judge it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import IntegrityError, OutsideUnavailableError, UnsupportedContentError
from docflow.signing.detached import CONTAINER_TYPE
from docflow.signing.report import PASSED
from tests.card_support import Card, carry
from tests.card_support import give as give_card
from tests.container_support import (
    ANY_ORDER,
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
from tests.office_support import CLERK, HEAD, LEADER, Instance
from tests.persons_support import SECOND_LEADER as SECOND
from tests.pki_support import LivePki
from tests.sealed_support import give, opener, plaintext, sealed_office, stored
from tests.unit.signing.forge import run

SAFE_TABLE = "Bảng số liệu_ quý 4_.csv"


@pytest.fixture
def office(tmp_path: Path, prepared: Path, clock: ManualClock) -> Iterator[Instance]:
    made = container_office(tmp_path, prepared, clock)
    yield made
    made.close()


def released(office: Instance, document: str) -> list[dict[str, Any]]:
    rows = office.rows("files", document_id=document, form="released", current=True)
    return sorted(rows, key=lambda row: row["position"])


def roots_of(office: Instance, folder: Path) -> Path:
    path = folder / "roots.pem"
    path.write_text("".join(office.services.studio.signers.own_roots.to_pem()))
    return path


def test_annexes_of_any_kind_leave_signed_in_one_container(
    office: Instance, tmp_path: Path
) -> None:
    document = office.to_approved(with_annexes(office, TABLE, pdf_annex(), PICTURE))
    office.run(office.fire(LEADER, document, "sign"))
    signed = office.rows("files", document_id=document, form="signed", current=True)
    assert sorted(row["name"] for row in signed) == sorted(
        ["quyết định.pdf", f"{TABLE[0]}.p7s", "phụ lục.pdf", f"{PICTURE[0]}.p7s"]
    )
    office.run(office.fire(CLERK, document, "release"))
    assert office.row(document)["state"] == "released"
    main, annex, container = released(office, document)
    assert (main["name"], annex["name"]) == ("quyết định.pdf", "phụ lục.pdf")
    assert container["media_type"] == CONTAINER_TYPE
    assert container["name"].endswith(".asice")
    members = opened(stored(office, container), tmp_path)
    assert list(members) == [
        "mimetype", "quyết định.pdf", "phụ lục.pdf", SAFE_TABLE, f"{SAFE_TABLE}.p7s",
        PICTURE[0], f"{PICTURE[0]}.p7s", "META-INF/ASiCManifest001.xml", "META-INF/signature001.p7s",
    ]  # fmt: skip
    assert members[SAFE_TABLE].read_bytes() == TABLE[1]
    assert members[PICTURE[0]].read_bytes() == PICTURE[1]
    assert members["quyết định.pdf"].read_bytes() == stored(office, main)
    roots = roots_of(office, tmp_path)
    for name in (SAFE_TABLE, PICTURE[0]):
        assert "successful" in openssl_verifies(members[f"{name}.p7s"], members[name], roots)
    assert "successful" in openssl_verifies(
        members["META-INF/signature001.p7s"], members["META-INF/ASiCManifest001.xml"], roots
    )
    assert run("pdfsig", "-nocert", members["phụ lục.pdf"]).count("Signature is Valid.") == 2
    report = office.services.studio.verifier.report(
        tmp_path / "container.asice", now=office.services.clock.now()
    )
    assert (report.indication, report.form) == (PASSED, "asic-e")
    (delivery,) = office.rows("deliveries", document_id=document)
    assert delivery["file_id"] == main["id"]
    uses = office.rows("certificate_uses", document_id=document)
    assert sorted(row["role"] for row in uses) == ["person"] * 4 + ["seal"] * 3
    assert office.findings() == ()


def test_two_people_sign_one_annex_and_openssl_finds_both(office: Instance, tmp_path: Path) -> None:
    document = office.to_approved(with_annexes(office, TABLE, workflow=JOINT))
    office.run(office.fire(HEAD, document, "sign_as_head"))
    office.run(office.fire(LEADER, document, "countersign_as_leader"))
    office.run(office.fire(CLERK, document, "release"))
    members = opened(stored(office, released(office, document)[-1]), tmp_path)
    signature = members[f"{SAFE_TABLE}.p7s"]
    told = openssl_verifies(signature, members[SAFE_TABLE], roots_of(office, tmp_path))
    assert "CAdES Verification successful" in told
    shown = run("openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", signature)
    assert shown.count("d.issuerAndSerialNumber") == 2
    with (
        signature.open("rb") as file,
        members[SAFE_TABLE].open("rb") as data,
    ):
        from docflow.signing.verifying.cms import verify_cms
        from docflow.signing.verifying.terms import Policy, Terms

        own = office.services.studio.signers.own_roots
        report = verify_cms(file, data, Terms(own, own, office.services.clock.now(), Policy()))
    assert report.indication == PASSED
    assert len(report.signatures) == 2


@pytest.mark.parametrize("card_is", [None, 1, 2], ids=["keys alone", "card second", "card last"])
def test_annexes_are_signed_by_three_in_any_order_beside_and_inside(
    office: Instance, tmp_path: Path, card_is: int | None
) -> None:
    # in the fields Person, Person3 and Person2 of the PDFs; beside the table in the order of signing
    order = ((SECOND, "sign_as_deputy"), (HEAD, "sign_as_head"), (LEADER, "sign_as_chairman"))
    document = office.to_approved(with_annexes(office, TABLE, pdf_annex(), workflow=ANY_ORDER))
    for number, (login, trigger) in enumerate(order):
        if number == card_is:
            now = office.services.clock.now()
            card = Card.issue(tmp_path / "var" / "pki", office.actor(login).name, now)
            carry(office, document, trigger, give_card(office, card, login), login)
        else:
            office.run(office.fire(login, document, trigger))
    assert office.row(document)["state"] == "signed"
    office.run(office.fire(CLERK, document, "release"))
    rows = released(office, document)
    for row in rows[:-1]:
        path = tmp_path / "released.pdf"
        path.write_bytes(stored(office, row))
        assert run("pdfsig", "-nocert", path).count("Signature is Valid") == 4
    members = opened(stored(office, rows[-1]), tmp_path)
    signature = members[f"{SAFE_TABLE}.p7s"]
    told = openssl_verifies(signature, members[SAFE_TABLE], roots_of(office, tmp_path))
    assert "CAdES Verification successful" in told
    shown = run("openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", signature)
    assert shown.count("d.issuerAndSerialNumber") == 3


def test_a_workflow_without_a_container_takes_no_such_annex_and_names_the_way_out(
    office: Instance,
) -> None:
    with pytest.raises(UnsupportedContentError) as caught:
        with_annexes(office, TABLE, workflow="outgoing")
    assert caught.value.code == "not-a-pdf"
    assert "ASiC-E" in str(caught.value.satisfied_by)


def test_an_office_file_stays_what_it_is_in_a_container_and_the_main_file_must_be_a_pdf(
    office: Instance,
) -> None:
    document = with_annexes(office, ("bảng.rtf", b"{\\rtf1 x}"))
    (annex,) = office.rows("files", document_id=document, role="annex")
    assert (annex["conversion"], annex["current"]) == (None, True)


def test_an_annex_changed_in_the_store_is_never_delivered(office: Instance) -> None:
    document = office.to_approved(with_annexes(office, TABLE))
    office.run(office.fire(LEADER, document, "sign"))
    (annex,) = office.rows("files", document_id=document, role="annex", form="original")
    path = office.folder / "objects" / annex["storage_key"]
    changed = path if path.exists() else next(office.folder.rglob(annex["sha256"]))
    changed.chmod(0o600)
    changed.write_bytes(changed.read_bytes()[:-1] + b"!")
    asked = office.fire(CLERK, document, "release")
    with pytest.raises(IntegrityError):
        office.run(asked)
    assert office.rows("deliveries", document_id=document) == []
    assert office.rows("files", document_id=document, form="released") == []
    assert hashlib.sha256(changed.read_bytes()).hexdigest() != annex["sha256"]


def test_the_shipped_procedure_has_no_container(office: Instance) -> None:
    document = office.to_released(office.draft(workflow="outgoing"))
    assert [row["media_type"] for row in released(office, document)] == ["application/pdf"]


def test_a_confidential_release_encrypts_the_container_to_its_recipient(
    tmp_path: Path, prepared: Path, clock: ManualClock
) -> None:
    office = container_office(tmp_path, prepared, clock, office_file=sealed_office(tmp_path))
    try:
        finance = opener(clock, "rsa")
        give(office, "STC", finance)
        document = office.to_approved(with_annexes(office, TABLE, pdf_annex()))
        office.run(office.fire(LEADER, document, "sign"))
        office.run(office.fire(CLERK, document, "release"))
        encrypted = sorted(
            office.rows("delivery_files", document_id=document), key=lambda row: row["position"]
        )
        assert [row["role"] for row in encrypted] == ["main", "annex", "annex"]
        last = encrypted[-1]
        assert last["name"].endswith(".asice.p7m")
        container = plaintext(stored(office, last), finance)
        assert container == stored(office, released(office, document)[-1])
        assert opened(container, tmp_path)[SAFE_TABLE].read_bytes() == TABLE[1]
        for path in (office.folder / "store").rglob("*"):
            assert not path.is_file() or TABLE[1][:200] not in path.read_bytes()
        steps = str(office.rows("signature_steps", document_id=document))
        assert "Bảng" not in steps  # names of sealed files are content
    finally:
        office.close()


def test_annex_and_container_are_time_stamped_where_the_pdfs_are(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> None:
    office = pki_office(tmp_path, prepared, clock, pki)
    try:
        document = office.to_approved(with_annexes(office, TABLE))
        with pki.fails("/tsa/", "away"), pytest.raises(OutsideUnavailableError):
            office.run(office.fire(LEADER, document, "sign"))
        (asked,) = [
            row for row in office.rows("jobs", subject_id=document) if row["kind"] == "sign"
        ]
        office.run_job(asked["id"])
        office.run(office.fire(CLERK, document, "release"))
        steps = office.rows("signature_steps", document_id=document)
        levels = sorted((one["step"], one["evidence"]["level"]) for one in steps
                        if one["step"] in {"signed", "sealed", "contained"})  # fmt: skip
        assert levels == [
            ("contained", "B-LT"), ("sealed", "B-LT"), ("signed", "B-LT"), ("signed", "B-LT"),
        ]  # fmt: skip
        members = opened(stored(office, released(office, document)[-1]), tmp_path)
        for name in (f"{SAFE_TABLE}.p7s", "META-INF/signature001.p7s"):
            shown = run(
                "openssl", "cms", "-cmsout", "-print", "-inform", "DER", "-in", members[name]
            )
            assert "id-smime-aa-timeStampToken" in shown
    finally:
        office.close()
