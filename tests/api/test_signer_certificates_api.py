"""Certificates of people: enrolled, proved, replaced, revoked; who may sign with what, and what was."""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from docflow.documents.signer_choice import SigningPolicy
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import DocflowError
from docflow.release import sign
from docflow.signing.devpki import ensure_devpki
from tests.api_support import NO_ID, Door, Office, answered, if_match
from tests.card_support import Card, enrol
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    LEADER,
    SPECIALIST,
    development,
    password_of,
)


def card_of(office: Office, name: str = "Nguyễn Hữu Sơn") -> Card:
    return Card.issue(office.instance.folder / "pki", name, office.services.clock.now())


def address(office: Office, login: str = LEADER) -> str:
    return f"/v1/people/{office.person(login)['id']}/certificates"


def sign_now(door: Door, document_id: str) -> Any:
    version = door.read(f"/v1/documents/{document_id}")["version"]
    return door.post(
        f"/v1/documents/{document_id}/transitions",
        {"trigger": "sign"},
        headers=if_match(version),
    )


def with_policy(office: Office, **policy: Any) -> None:
    desk = dataclasses.replace(office.services.desk, policy=SigningPolicy(**policy))
    studio = dataclasses.replace(office.services.studio, desk=desk)
    office.client.app.state.services = dataclasses.replace(  # type: ignore[attr-defined]
        office.services, desk=desk, studio=studio
    )


class TestEnrolling:
    def test_a_card_is_proposed_then_proved_by_its_owner(self, office: Office) -> None:
        card, admin, leader = card_of(office), office.login(ADMINISTRATOR), office.login(LEADER)
        body = {"pem": card.pem, "device": "card"}
        made = admin.post(address(office), body, headers={"Idempotency-Key": "a"})
        proposed = answered(made, 201)
        again = admin.post(address(office), body, headers={"Idempotency-Key": "a"})
        assert answered(again, 201)["id"] == proposed["id"]
        assert (proposed["state"], proposed["enrolled_at"]) == ("proposed", None)
        assert proposed["sha256"] in proposed["challenge"]
        where = f"{address(office)}/{proposed['id']}/proof"
        proof = {"signature": card.sign(proposed["challenge"].encode())}
        assert admin.post(where, proof).status_code == 403
        assert office.login(CLERK).post(where, proof).status_code == 403
        bad = {"signature": card_of(office, "Kẻ trộm").sign(proposed["challenge"].encode())}
        assert leader.post(where, bad).json()["code"] == "signature-refused"
        assert leader.post(where, {"signature": "é"}).json()["code"] == "invalid-input"
        proved = answered(leader.post(where, proof), 200)
        assert (proved["state"], proved["challenge"]) == ("enrolled", None)
        assert leader.post(where, proof).json()["code"] == "certificate-not-proposed"
        told = [e["action"] for e in office.instance.rows("history_entries", subject_kind="person")]
        assert {"person.certificate-proposed", "person.certificate-enrolled"} <= set(told)

    def test_what_cannot_sign_is_not_enrolled(self, office: Office, clock: ManualClock) -> None:
        admin = office.login(ADMINISTRATOR)
        with development():
            pki = ensure_devpki(
                office.instance.folder / "other", "Nơi khác", {"x": "X"}, now=clock.now()
            )
        stranger = Card.issue(pki.root.parent, "X", clock.now())
        seal = card_of(office)
        bad = {
            "no certificate": "x",
            "another root": stranger.pem,
            "no chain": seal.pem.split("-----END CERTIFICATE-----")[0]
            + "-----END CERTIFICATE-----\n",
            "a bare block": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            "not text": "\udcff",
            "too many": seal.pem * 9,
        }
        for what, pem in bad.items():
            refused = admin.post(address(office), {"pem": pem, "device": "card"})
            assert refused.status_code == 422, what
            assert "The certificate holds" not in refused.json()["detail"], what
        assert admin.read(address(office))["items"] == []

    def test_only_administrators_enrol_and_only_people(self, office: Office) -> None:
        body = {"pem": card_of(office).pem, "device": "card"}
        for login in (LEADER, CLERK, AUDITOR):
            assert office.login(login).post(address(office), body).status_code == 403
        admin = office.login(ADMINISTRATOR)
        system = f"/v1/people/{office.person('cong-dich-vu-cong')['id']}/certificates"
        assert admin.post(system, body).status_code == 422
        assert admin.post(f"/v1/people/{NO_ID}/certificates", body).status_code == 404
        assert admin.get(f"{address(office)}/{NO_ID}").status_code == 404

    def test_a_certificate_is_one_persons_and_never_comes_back(self, office: Office) -> None:
        card, admin, leader = card_of(office), office.login(ADMINISTRATOR), office.login(LEADER)
        first = enrol(admin, leader, office.person(LEADER)["id"], card)
        body = {"pem": card.pem, "device": "card"}
        assert admin.post(address(office, CLERK), body).json()["code"] == "certificate-known"
        where = f"{address(office)}/{first['id']}/revoke"
        revoked = answered(admin.post(where, {"reason": "Lộ khóa."}), 200)
        assert (revoked["state"], revoked["end_reason"]) == ("revoked", "Lộ khóa.")
        assert answered(admin.post(where, {"reason": "Again."}), 200)["end_reason"] == "Lộ khóa."
        assert admin.post(address(office), body).json()["code"] == "certificate-known"

    def test_a_new_card_replaces_the_old_one_when_it_is_proved(self, office: Office) -> None:
        admin, leader = office.login(ADMINISTRATOR), office.login(LEADER)
        person = office.person(LEADER)["id"]
        old = enrol(admin, leader, person, card_of(office))
        new = card_of(office)
        body = {"pem": new.pem, "device": "card", "replaces": old["id"]}
        proposed = answered(admin.post(address(office), body), 201)
        assert leader.read(f"{address(office)}/{old['id']}")["state"] == "enrolled"
        proof = {"signature": new.sign(proposed["challenge"].encode())}
        answered(leader.post(f"{address(office)}/{proposed['id']}/proof", proof), 200)
        assert leader.read(f"{address(office)}/{old['id']}")["state"] == "replaced"
        page = leader.read(address(office), limit=1)
        assert [item["id"] for item in page["items"]] == [old["id"]]
        following = leader.read(address(office), limit=1, cursor=page["next_cursor"])
        assert [item["id"] for item in following["items"]] == [proposed["id"]]


class TestPolicy:
    def test_an_enrolled_certificate_may_be_demanded(self, office: Office) -> None:
        with_policy(office, enrolment_required=True)
        document_id = office.approved()
        leader, admin = office.login(LEADER), office.login(ADMINISTRATOR)
        refused = sign_now(leader, document_id)
        assert (refused.status_code, refused.json()["code"]) == (409, "certificate-not-enrolled")
        identity = office.services.studio.signers.person(LEADER, "", office.services.clock.now())
        chain = [identity.certificate, *identity.chain]
        from cryptography.hazmat.primitives.serialization import Encoding

        pem = "".join(one.public_bytes(Encoding.PEM).decode() for one in chain)
        body = {"pem": pem, "device": "service"}
        assert answered(admin.post(address(office), body), 201)["state"] == "enrolled"
        answered(sign_now(leader, document_id), 202)

    def test_a_revoked_certificate_signs_nothing_even_what_was_asked_before(
        self, office: Office
    ) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding

        leader, admin = office.login(LEADER), office.login(ADMINISTRATOR)
        identity = office.services.studio.signers.person(LEADER, "", office.services.clock.now())
        chain = [identity.certificate, *identity.chain]
        pem = "".join(one.public_bytes(Encoding.PEM).decode() for one in chain)
        body = {"pem": pem, "device": "service"}
        made = answered(admin.post(address(office), body), 201)
        document_id = office.approved()
        asked = answered(sign_now(leader, document_id), 202)
        answered(admin.post(f"{address(office)}/{made['id']}/revoke", {"reason": "Lộ."}), 200)
        from docflow.jobs.model import JobRun

        job = JobRun(office.services.engine.get(asked["job_id"]), lambda _name, work: work())
        with pytest.raises(DocflowError) as refused:
            sign.run(office.services.studio, job)
        assert refused.value.code == "certificate-revoked"
        other = sign_now(leader, office.approved())
        assert (other.status_code, other.json()["code"]) == (409, "certificate-revoked")

    def test_a_key_makes_no_more_signatures_than_it_may(self, office: Office) -> None:
        studio = dataclasses.replace(office.services.studio, most_signatures=1)
        from docflow.jobs.model import JobRun

        leader = office.login(LEADER)
        codes = []
        for _ in range(2):
            asked = answered(sign_now(leader, office.approved()), 202)
            job = JobRun(office.services.engine.get(asked["job_id"]), lambda _name, work: work())
            try:
                sign.run(studio, job)
                codes.append("signed")
            except DocflowError as error:
                codes.append(error.code)
        assert codes == ["signed", "key-use-exhausted"]


class TestStepUp:
    def test_a_signature_needs_a_password_given_recently(
        self, office: Office, clock: ManualClock
    ) -> None:
        leader, document_id = office.login(LEADER), office.approved()
        clock.advance(timedelta(minutes=15, seconds=1))
        refused = sign_now(leader, document_id)
        assert (refused.status_code, refused.json()["code"]) == (403, "step-up-required")
        assert "/v1/sessions/step-up" in refused.json()["satisfied_by"]
        assert "within 15 minutes" in refused.json()["detail"]
        wrong = leader.post("/v1/sessions/step-up", {"password": "nhầm"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "invalid-credentials")
        assert sign_now(leader, document_id).status_code == 403
        given = answered(
            leader.post("/v1/sessions/step-up", {"password": password_of(LEADER)}), 200
        )
        assert given["signs_until"] > given["authenticated_at"]
        answered(sign_now(leader, document_id), 202)

    def test_a_short_time_is_told_in_seconds(self, office: Office, clock: ManualClock) -> None:
        with_policy(office, step_up=timedelta(seconds=30))
        leader, document_id = office.login(LEADER), office.approved()
        clock.advance(timedelta(seconds=31))
        assert "within 30 seconds" in sign_now(leader, document_id).json()["detail"]

    def test_wrong_passwords_lock_as_they_do_when_signing_in(self, office: Office) -> None:
        leader = office.login(LEADER)
        codes = [
            leader.post("/v1/sessions/step-up", {"password": "nhầm"}).status_code for _ in range(6)
        ]
        assert codes[-1] == 429

    def test_an_api_key_signs_in_nobodys_name(self, office: Office) -> None:
        document_id = office.approved()
        key = office.key(LEADER, "documents:fire", "documents:read")
        refused = sign_now(key, document_id)
        assert (refused.status_code, refused.json()["code"]) == (403, "step-up-required")
        assert key.post("/v1/sessions/step-up", {"password": "x"}).status_code == 403

    def test_other_transitions_need_none(self, office: Office, clock: ManualClock) -> None:
        draft = office.draft()
        clock.advance(timedelta(hours=2))
        office.login(SPECIALIST).fire(draft["id"], "submit")


class TestReach:
    def test_what_was_signed_and_sealed_with_a_certificate_is_listed(self, office: Office) -> None:
        ids = [office.released() for _ in range(3)]
        now = office.services.clock.now()
        signers = office.services.studio.signers
        person, seal = signers.person(LEADER, "", now).sha256, signers.seal(now).sha256
        auditor = office.login(AUDITOR)
        for sha256, role in ((person, "person"), (seal.upper(), "seal")):
            first = auditor.read(f"/v1/certificates/{sha256}/releases", limit=2)
            rest = auditor.read(
                f"/v1/certificates/{sha256}/releases", limit=2, cursor=first["next_cursor"]
            )
            uses = first["items"] + rest["items"]
            assert [use["document_id"] for use in uses] == ids
            assert {use["role"] for use in uses} == {role}
            assert all(use["released"] and use["deliveries"] == 2 for use in uses)
            assert "subject" not in uses[0]
        assert office.login(ADMINISTRATOR).get(f"/v1/certificates/{person}/releases").is_success
        for login in (LEADER, CLERK, SPECIALIST):
            assert office.login(login).get(f"/v1/certificates/{person}/releases").status_code == 403

    def test_a_certificate_is_named_by_its_digest(self, shared_office: Office) -> None:
        auditor = shared_office.login(AUDITOR)
        assert auditor.read(f"/v1/certificates/{'0' * 64}/releases")["items"] == []
        for name in ("x", "0" * 63, "g" * 64, "0" * 65):
            assert auditor.get(f"/v1/certificates/{name}/releases").status_code == 422


def mandate(**more: Any) -> dict[str, Any]:
    return {
        "capacity": "KT", "title": "GIÁM ĐỐC", "basis": "QĐ số 1", "valid_from": "2026-01-01T00:00:00Z",
        **more,
    }  # fmt: skip


class TestMandates:
    def test_a_deputy_signs_for_the_head_and_the_page_says_so(self, office: Office) -> None:
        from docflow.jobs.model import JobRun
        from tests.unit.signing.forge import run

        admin, leader = office.login(ADMINISTRATOR), office.login(LEADER)
        where = f"/v1/people/{office.person(LEADER)['id']}/mandates"
        body = mandate(unit_id=office.unit("VP")["id"])
        granted = answered(admin.post(where, body), 201)
        document_id = office.approved()
        version = leader.read(f"/v1/documents/{document_id}")["version"]
        fired = leader.post(
            f"/v1/documents/{document_id}/transitions",
            {"trigger": "sign", "mandate": granted["id"]},
            headers=if_match(version),
        )
        job_id = answered(fired, 202)["job_id"]
        sign.run(
            office.services.studio,
            JobRun(office.services.engine.get(job_id), lambda _name, work: work()),
        )
        files = leader.read(f"/v1/documents/{document_id}")["files"]
        signed = next(file for file in files if file["form"] == "signed")
        copy = office.instance.folder / "signed.pdf"
        content = leader.get(f"/v1/documents/{document_id}/files/{signed['id']}/content").content
        copy.write_bytes(content)
        assert "KT. GIÁM ĐỐC" in run("pdftotext", "-layout", copy, "-")
        from pyhanko.pdf_utils.reader import PdfFileReader

        with copy.open("rb") as file:
            (signature,) = PdfFileReader(file).embedded_signatures
            assert signature.sig_object["/Reason"] == "KT. GIÁM ĐỐC"
        answered(admin.post(f"{where}/{granted['id']}/revoke"), 200)
        assert leader.read(f"{where}/{granted['id']}")["revoked_at"] is not None

    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"unit_id": "UNIT", "on_behalf_id": "SELF"},
            {"on_behalf_id": "SELF"},
            {"unit_id": "UNIT", "capacity": "TUQ"},
            {"unit_id": "UNIT", "valid_until": "2025-01-01T00:00:00Z"},
            {"unit_id": "UNIT", "title": "x" * 101},
            {"unit_id": "UNIT", "capacity": "XX"},
        ],
    )
    def test_a_mandate_that_makes_no_sense_is_refused(
        self, office: Office, more: dict[str, str]
    ) -> None:
        person = office.person(LEADER)["id"]
        known = {"UNIT": office.unit("VP")["id"], "SELF": person}
        body = mandate(**{name: known.get(value, value) for name, value in more.items()})
        admin = office.login(ADMINISTRATOR)
        assert admin.post(f"/v1/people/{person}/mandates", body).status_code == 422

    def test_a_title_that_cannot_be_drawn_is_refused_when_it_is_granted(
        self, office: Office
    ) -> None:
        where = f"/v1/people/{office.person(LEADER)['id']}/mandates"
        body = mandate(unit_id=office.unit("VP")["id"], title="GIÁM ĐỐC 局長")
        refused = office.login(ADMINISTRATOR).post(where, body)
        assert (refused.status_code, refused.json()["code"]) == (422, "stamp-text")
        assert "局長" in refused.json()["detail"]

    def test_only_a_mandate_in_force_of_ones_own_is_signed_under(
        self, office: Office, clock: ManualClock
    ) -> None:
        admin, leader = office.login(ADMINISTRATOR), office.login(LEADER)
        unit = office.unit("VP")["id"]

        def grant(login: str, **more: Any) -> str:
            where = f"/v1/people/{office.person(login)['id']}/mandates"
            made = answered(admin.post(where, mandate(unit_id=unit, **more)), 201)
            return str(made["id"])

        later = grant(LEADER, valid_from="2027-01-01T00:00:00Z")
        over = grant(LEADER, valid_until="2026-01-02T00:00:00Z")
        anothers = grant(CLERK)
        document_id = office.approved()
        version = leader.read(f"/v1/documents/{document_id}")["version"]
        where = f"/v1/documents/{document_id}/transitions"
        for one in (later, over, anothers, NO_ID, "x"):
            body = {"trigger": "sign", "mandate": one}
            refused = leader.post(where, body, headers=if_match(version))
            assert (refused.status_code, refused.json()["code"]) == (409, "mandate-not-in-force")
        back = {"trigger": "return", "asked": {"reason": "x"}, "mandate": later}
        assert leader.post(where, back, headers=if_match(version)).status_code == 422
        for login in (LEADER, CLERK):
            own = f"/v1/people/{office.person(login)['id']}/mandates"
            assert office.login(login).post(own, mandate(unit_id=unit)).status_code == 403
            assert len(office.login(login).read(own)["items"]) >= 1
