"""Signatures of documents that come in: verified on arrival, kept, told by history, asked by guards."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.api.schemas.documents import SignatureCheckOut, document_of
from docflow.audit.verify import verify_everything
from docflow.documents import change, reclassify
from docflow.documents.create import NewDocument, create
from docflow.documents.intake import for_change
from docflow.jobs.model import JobRun, is_patient, is_permanent
from docflow.kernel.clock import ManualClock
from docflow.kernel.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    OutsideUnavailableError,
    UnavailableError,
)
from docflow.release import arrival
from docflow.release.studio import Studio
from docflow.signing.outside.asking import Asker
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.dispatch import verify_any
from tests.levels_support import LOOPBACK, QUICK
from tests.office_support import CLERK, LEADER, SPECIALIST, Instance, copy_instance
from tests.pki_support import START, LivePki
from tests.unit.signing.forge import make_pdf
from tests.verification_support import Maker

STRICT = Path(__file__).parents[1] / "data" / "workflows" / "incoming-signed.yaml"


@pytest.fixture(params=["sqlite", "postgresql"])
def office(
    request: pytest.FixtureRequest, tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki
) -> Iterator[Instance]:
    """An instance that trusts the living PKI and has a procedure for signed documents."""
    folder = tmp_path / "var"
    copy_instance(prepared, folder)
    workflows = tmp_path / "workflows"
    shutil.copytree(Path(__file__).parents[2] / "workflows", workflows)
    shutil.copy(STRICT, workflows)
    trust = tmp_path / "trust"
    trust.mkdir()
    (trust / "root.pem").write_bytes(pki.certificate("root").public_bytes(Encoding.PEM))
    url = f"sqlite:///{folder / 'docflow.sqlite3'}"
    server = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres")
        template = request.getfixturevalue("prepared_postgres")
        url = server.create("arrival", template=template)
    instance = Instance(folder, url, clock, trust_dir=trust, workflows_dir=workflows)
    yield instance
    instance.close()
    if server is not None:
        server.drop("arrival")


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


def post(office: Instance, main: bytes, *annexes: tuple[str, bytes]) -> str:
    new = NewDocument(
        subject="Công văn có ký số", type_code="CV", workflow="incoming-signed",
        issuer="Sở Tài chính",
    )  # fmt: skip
    return create(
        office.services.desk,
        office.actor(CLERK),
        new,
        main=office.received(main, "công văn.pdf"),
        annexes=[office.received(data, name) for name, data in annexes],
    )


def run_jobs(office: Instance, document: str) -> int:
    """Run the arrival jobs of a document; return how many there were."""
    found = [row for row in office.rows("jobs", subject_id=document) if row["kind"] == "arrival"]
    for row in found:
        run = JobRun(office.job(row["id"]), lambda _name, function: function())
        arrival.run(office.services.studio, run)
    return len(found)


def verdicts(office: Instance, document: str) -> list[tuple[str | None, str | None]]:
    return [
        (row["indication"], row["sub_indication"])
        for row in office.rows("signature_checks", document_id=document)
    ]


def end_jobs(office: Instance) -> None:
    """Say of all jobs that they are done, as the engine would."""
    with office.database.engine.begin() as connection:
        connection.execute(sa.update(office.tables["jobs"]).values(state="done"))


def findings(office: Instance) -> list[str]:
    """Return what an audit finds about documents and their parts."""
    services = office.services
    services.sequencer.run()
    report = verify_everything(
        services.database, services.store, services.log_key.verifier, lambda *_: None
    )
    return [one.check for one in report.findings]


class TestVerdict:
    def test_a_signed_document_is_verified_after_the_post(
        self, office: Instance, maker: Maker
    ) -> None:
        document = post(office, maker.pdf("B-LTA"))
        assert verdicts(office, document) == [(None, None)]
        version = office.row(document)["version"]
        assert run_jobs(office, document) == 1
        assert verdicts(office, document) == [("TOTAL-PASSED", None)]
        assert office.row(document)["version"] == version  # nobody's If-Match is spoilt
        (shown,) = document_of(office.show(CLERK, document)).signatures
        (signer, _stamp) = shown.signers
        assert (signer.signer, signer.level) == ("Nguyễn Hồng Sơn", "B-LTA")
        assert signer.time_is_proven

    @pytest.mark.parametrize(
        "forged",
        [
            "UPDATE signature_checks SET indication = 'TOTAL-PASSED', sub_indication = NULL",
            "UPDATE signature_checks SET report = '{}'",
            "DELETE FROM signature_checks",
        ],
    )
    def test_a_verdict_that_was_altered_in_the_database_is_found_by_the_audit(
        self, office: Instance, maker: Maker, forged: str
    ) -> None:
        document = post(office, maker.pdf("B-B", label="stranger", issuer="stranger-root"))
        run_jobs(office, document)
        assert findings(office) == []
        with office.database.engine.begin() as connection:
            connection.exec_driver_sql(forged)
        assert findings(office) == ["signature-check"]

    def test_history_tells_the_verdict_once(self, office: Instance, maker: Maker) -> None:
        document = post(office, maker.pdf("B-B"))
        run_jobs(office, document)
        entries = office.rows("history_entries", subject_id=document)
        assert entries[-1]["action"] == "document.signatures-verified"
        run_jobs(office, document)  # again, as after a crash: nothing is written twice
        assert len(office.rows("history_entries", subject_id=document)) == len(entries)

    def test_an_unsigned_document_asks_for_no_job(self, office: Instance) -> None:
        document = post(office, make_pdf("Điều 1"))
        assert run_jobs(office, document) == 0
        assert document_of(office.show(CLERK, document)).signatures == []

    def test_a_changed_document_fails(self, office: Instance, maker: Maker) -> None:
        data = bytearray(maker.pdf("B-B"))
        data[data.index(b"/MediaBox") + 12] ^= 1
        document = post(office, bytes(data))
        run_jobs(office, document)
        assert verdicts(office, document) == [("TOTAL-FAILED", "HASH_FAILURE")]

    def test_a_detached_signature_is_verified_with_the_file_of_its_name(
        self, office: Instance, maker: Maker
    ) -> None:
        main, annex = make_pdf("Điều 1"), make_pdf("Phụ lục")
        document = post(
            office,
            main,
            ("phụ lục.pdf", annex),
            ("công văn.pdf.p7s", maker.cades(main)),
            ("phụ lục.pdf.p7s", maker.cades(annex)),
        )
        run_jobs(office, document)
        assert verdicts(office, document) == [("TOTAL-PASSED", None)] * 2
        signed = {row["data_file_id"] for row in office.rows("signature_checks")}
        assert len(signed) == 2
        office.fire(CLERK, document, "register")

    def test_an_annex_that_comes_later_is_verified_too(
        self, office: Instance, maker: Maker
    ) -> None:
        document = post(office, maker.pdf("B-B"))
        desk, clerk = office.services.desk, office.actor(CLERK)
        intake = for_change(desk, clerk, document)
        annex = office.receive(intake, maker.asic({"a.txt": b"one"}), "kèm theo.asice")
        version = office.row(document)["version"]
        change.add_annex(desk, clerk, intake, annex, if_version=version)
        assert run_jobs(office, document) == 2
        assert verdicts(office, document) == [("TOTAL-PASSED", None)] * 2

    def test_a_job_that_fails_for_good_leaves_nothing_pending(
        self, office: Instance, maker: Maker
    ) -> None:
        document = post(office, maker.pdf("B-B"))
        (row,) = office.rows("jobs", subject_id=document)
        run = JobRun(office.job(row["id"]), lambda _name, function: function())
        arrival.on_failed(office.services.studio, run, "the store is gone")
        arrival.on_failed(office.services.studio, run, "the store is gone")
        assert verdicts(office, document) == [("INDETERMINATE", "POLICY_PROCESSING_ERROR")]
        assert len(office.rows("history_entries", subject_id=document)) == 2
        run_jobs(office, document)  # a person tries again
        assert verdicts(office, document) == [("TOTAL-PASSED", None)]


def test_of_a_classified_document_the_verdict_is_kept_and_no_name(
    maker: Maker, tmp_path: Path, pki: LivePki
) -> None:
    path = tmp_path / "secret.asice"
    path.write_bytes(maker.asic({"kế hoạch mật.txt": b"x"}, extra={"thêm.txt": b"y"}))
    none = TrustRoots(())
    report = verify_any(path, pki.roots, now=START, own_roots=none)
    open_, kept = (arrival.kept_report(report, sealed=one) for one in (False, True))
    for name in ("kế hoạch", "thêm", "Nguyễn", "signature001"):
        assert name in json.dumps(open_, ensure_ascii=False)
        assert name not in json.dumps(kept, ensure_ascii=False)
    assert kept["indication"] == "TOTAL-FAILED"
    row = {
        "file_id": "1", "data_file_id": None, "indication": "TOTAL-FAILED", "sub_indication": None,
        "verified_at": START, "report": kept,
    }  # fmt: skip
    shown = SignatureCheckOut.of(row)
    assert (shown.signers[0].indication, shown.signers[0].signer) == ("TOTAL-PASSED", None)
    assert "verify the file itself" in shown.reasons[0]


def test_a_report_is_sealed_and_opened_with_its_document(office: Instance, maker: Maker) -> None:
    document = post(office, maker.pdf("B-B"))
    run_jobs(office, document)
    office.clear(CLERK)
    before = office.show(CLERK, document).signatures
    (kept,) = office.rows("signature_checks")
    assert "signatures" in kept["report"]
    level, _ = reclassify.raise_classification(
        office.services.desk, office.actor(CLERK), document, "confidential",
        reason="có nội dung mật", if_version=office.row(document)["version"],
    )  # fmt: skip
    assert level == "confidential"
    (sealed,) = office.rows("signature_checks")
    assert sealed["report"].keys() == {"sealed"}
    assert sealed["indication"] == kept["indication"]
    assert office.show(CLERK, document).signatures == before
    services = office.services
    services.sequencer.run()
    report = verify_everything(services.database, services.store, services.log_key.verifier)
    assert report.findings == ()


class TestLookingAgain:
    """What is not known yet is looked at again: by the job itself, and whenever a person asks."""

    @pytest.fixture
    def asking(self, office: Instance) -> Studio:
        verifier = replace(office.services.studio.verifier, asker=Asker(LOOPBACK, QUICK, LOOPBACK))
        return replace(office.services.studio, verifier=verifier)

    def attempt(self, studio: Studio, office: Instance, job_id: str) -> None:
        arrival.run(studio, JobRun(office.job(job_id), lambda _name, function: function()))

    def entries(self, office: Instance, document: str) -> list[str]:
        found = office.rows("history_entries", subject_id=document)
        return [row["action"] for row in found if row["action"].endswith("signatures-verified")]

    def test_the_job_goes_on_until_somebody_answers(
        self, office: Instance, asking: Studio, maker: Maker, pki: LivePki
    ) -> None:
        document = post(office, maker.pdf("B-B"))
        (job,) = office.rows("jobs", subject_id=document)
        with pki.fails("", "away"):
            for _ in range(2):
                with pytest.raises(OutsideUnavailableError, match="verified again") as raised:
                    self.attempt(asking, office, job["id"])
                assert is_patient(raised.value)
        assert verdicts(office, document) == [("INDETERMINATE", "TRY_LATER")]
        assert len(self.entries(office, document)) == 1  # the same again is not told
        self.attempt(asking, office, job["id"])
        assert verdicts(office, document) == [("TOTAL-PASSED", None)]
        assert len(self.entries(office, document)) == 2
        assert findings(office) == []
        office.fire(CLERK, document, "register")

    def test_where_nobody_can_be_asked_waiting_is_of_no_use(
        self, office: Instance, maker: Maker
    ) -> None:
        verifier = office.services.studio.verifier
        strict = replace(verifier, policy=replace(verifier.policy, revocation="required"))
        document = post(office, maker.pdf("B-B"))
        (job,) = office.rows("jobs", subject_id=document)
        self.attempt(replace(office.services.studio, verifier=strict), office, job["id"])
        assert verdicts(office, document) == [("INDETERMINATE", "TRY_LATER")]

    def test_what_took_too_long_is_tried_a_few_times(self, office: Instance, maker: Maker) -> None:
        studio = office.services.studio
        hurried = replace(studio, verifier=replace(studio.verifier, timeout_s=0.01))
        document = post(office, maker.pdf("B-B"))
        (job,) = office.rows("jobs", subject_id=document)
        with pytest.raises(UnavailableError, match="limits of time") as raised:
            self.attempt(hurried, office, job["id"])
        assert not is_patient(raised.value)
        assert not is_permanent(raised.value)
        assert verdicts(office, document) == [("INDETERMINATE", "GENERIC")]
        self.attempt(studio, office, job["id"])
        assert verdicts(office, document) == [("TOTAL-PASSED", None)]

    def test_a_clerk_asks_for_another_look(
        self, office: Instance, maker: Maker, clock: ManualClock
    ) -> None:
        document = post(office, maker.pdf("B-B", label="stranger", issuer="stranger-root"))
        run_jobs(office, document)
        end_jobs(office)
        services = office.services
        with pytest.raises((ForbiddenError, NotFoundError)):
            arrival.ask_again(services.studio, services.engine, office.actor(SPECIALIST), document)
        clock.advance(timedelta(minutes=1))
        asked = [
            arrival.ask_again(services.studio, services.engine, office.actor(CLERK), document)
            for _ in range(2)
        ]
        assert asked[0].id == asked[1].id
        before = len(self.entries(office, document))
        self.attempt(services.studio, office, asked[0].id)
        self.attempt(services.studio, office, asked[0].id)
        assert len(self.entries(office, document)) == before + 1
        assert findings(office) == []

    def test_what_has_passed_is_not_asked_about(self, office: Instance, maker: Maker) -> None:
        document = post(office, maker.pdf("B-B"))
        run_jobs(office, document)
        end_jobs(office)
        services = office.services
        with pytest.raises(ConflictError, match="waits for a better verdict"):
            arrival.ask_again(services.studio, services.engine, office.actor(CLERK), document)

    def test_the_document_says_when_it_is_looked_at_again(
        self, office: Instance, asking: Studio, maker: Maker, pki: LivePki
    ) -> None:
        document = post(office, maker.pdf("B-B"))
        (job,) = office.rows("jobs", subject_id=document)
        with pki.fails("", "away"), pytest.raises(OutsideUnavailableError):
            self.attempt(asking, office, job["id"])
        at = office.database.clock.now() + timedelta(minutes=5)
        jobs = office.tables["jobs"]
        with office.database.engine.begin() as connection:
            connection.execute(sa.update(jobs).values(state="retrying", next_at=at))
        (shown,) = document_of(office.show(CLERK, document)).signatures
        assert shown.next_at == at


class TestGuard:
    def test_it_opens_for_a_valid_signature_and_not_before_the_verdict(
        self, office: Instance, maker: Maker
    ) -> None:
        document = post(office, maker.pdf("B-B"))
        with pytest.raises(ConflictError, match="being verified"):
            office.fire(CLERK, document, "register")
        run_jobs(office, document)
        assert office.fire(CLERK, document, "register").state == "registered"

    @pytest.mark.parametrize("label", ["stranger", "expired"])
    def test_it_stays_shut_for_a_signature_that_is_not_valid(
        self, office: Instance, maker: Maker, label: str
    ) -> None:
        document = post(office, maker.pdf("B-B", label=label, issuer="root"))
        run_jobs(office, document)
        with pytest.raises(ConflictError, match="not verified as valid"):
            office.fire(CLERK, document, "register")

    def test_it_stays_shut_for_a_timestamp_that_is_no_signature(
        self, office: Instance, maker: Maker
    ) -> None:
        main = make_pdf("Điều 1")
        document = post(office, main, ("công văn.pdf.tst", maker.token(main)))
        run_jobs(office, document)
        assert verdicts(office, document) == [("NOT-SIGNED", None)]
        with pytest.raises(ConflictError, match="carries no signature"):
            office.fire(CLERK, document, "register")
        # versions before kept a passed verdict of it
        with office.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE signature_checks SET indication = 'TOTAL-PASSED'")
        with pytest.raises(ConflictError, match="carries no signature"):
            office.fire(CLERK, document, "register")

    def test_it_stays_shut_for_no_signature(self, office: Instance) -> None:
        document = post(office, make_pdf("Điều 1"))
        with pytest.raises(ConflictError, match="carries no signature"):
            office.fire(CLERK, document, "register")

    def test_a_good_annex_does_not_stand_for_the_main_file(
        self, office: Instance, maker: Maker
    ) -> None:
        document = post(office, make_pdf("Điều 1"), ("phụ lục.pdf", maker.pdf("B-B")))
        run_jobs(office, document)
        with pytest.raises(ConflictError, match="carries no signature"):
            office.fire(CLERK, document, "register")

    def test_a_second_person_may_vouch_with_a_reason(self, office: Instance) -> None:
        document = post(office, make_pdf("Điều 1"))
        office.fire(CLERK, document, "doubt", reason="Bản giấy có chữ ký tay.")
        with pytest.raises(ForbiddenError):
            office.fire(CLERK, document, "vouch", reason="Tôi tự xác nhận.")
        assert office.fire(LEADER, document, "vouch", reason="Đã gọi cơ quan gửi.").symbol
        assert office.row(document)["state"] == "registered"
