"""Both procedures, on both databases, from the first state to the last."""

import pytest

from docflow.documents import change, queries
from docflow.documents.create import NewDocument, create
from docflow.documents.intake import for_change
from docflow.documents.queries import Filters
from docflow.kernel.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    StaleVersionError,
    UnsupportedContentError,
)
from docflow.release import inbox
from docflow.signing.strict import validate_release
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    OTHER_HEAD,
    OTHER_SPECIALIST,
    RECIPIENT,
    SPECIALIST,
    SYSTEM,
    Instance,
)


def test_an_incoming_document_is_registered_routed_assigned_and_closed(
    any_instance: Instance,
) -> None:
    office = any_instance
    document = office.incoming()
    assert office.fire(CLERK, document, "register").symbol == "01"
    office.fire(LEADER, document, "route", unit="VP-TH")
    office.fire(HEAD, document, "assign", assignee=SPECIALIST)
    office.fire(SPECIALIST, document, "start")
    office.fire(SPECIALIST, document, "close", result="Đã giải quyết.")
    row = office.row(document)
    assert (row["state"], row["due_at"]) == ("closed", None)
    assert row["assignee_id"] == office.actor(SPECIALIST).id
    actions = [entry["action"] for entry in office.rows("history_entries", subject_id=document)]
    assert actions == ["document.posted", *["document.fired"] * 5]


def test_an_outgoing_document_is_numbered_signed_sealed_and_delivered(
    any_instance: Instance,
) -> None:
    office = any_instance
    document = office.to_released(office.draft())
    row = office.row(document)
    assert (row["state"], row["symbol"], row["pending"]) == ("released", "01/QĐ-VPUB", None)
    (delivery,) = inbox.find(
        office.services.desk, office.actor(RECIPIENT), acknowledged=None, before=None, limit=10
    )
    file = inbox.file_to_download(
        office.services.desk, office.actor(RECIPIENT), delivery["id"], None
    )
    assert file["sha256"] == delivery["signed_sha256"]
    copy = office.folder / "copy.pdf"
    with office.services.store.open(file["storage_key"]) as stored:
        copy.write_bytes(stored.read())
    now = office.services.clock.now()
    signers = office.services.studio.signers
    signed = validate_release(
        copy,
        signers.own_roots,
        person=signers.person(LEADER, "", now).certificate,
        seal=signers.seal(now).certificate,
        now=now,
    )
    assert signed.sha256 == delivery["signed_sha256"]
    with pytest.raises(ConflictError, match="digest"):
        inbox.acknowledge(
            office.services.desk,
            office.actor(RECIPIENT),
            delivery["id"],
            sha256="0" * 64,
            note=None,
        )
    acknowledged = inbox.acknowledge(
        office.services.desk,
        office.actor(RECIPIENT),
        delivery["id"],
        sha256=signed.sha256,
        note="Đã nhận.",
    )
    assert acknowledged["receipt"]["note"] == "Đã nhận."
    again = inbox.acknowledge(
        office.services.desk,
        office.actor(RECIPIENT),
        delivery["id"],
        sha256=signed.sha256,
        note="lần nữa",
    )
    assert again["receipt"] == acknowledged["receipt"]
    office.fire(CLERK, document, "archive")
    assert office.row(document)["state"] == "archived"


def test_annexes_are_signed_and_sealed_as_well(instance: Instance) -> None:
    desk = instance.services.desk
    author = instance.actor(SPECIALIST)
    document = instance.draft()
    annex = instance.received(instance.decision, "phụ lục.pdf")
    change.add_annex(desk, author, for_change(desk, author, document), annex, if_version=1)
    instance.to_released(document)
    (delivery,) = inbox.find(
        desk, instance.actor(RECIPIENT), acknowledged=None, before=None, limit=10
    )
    _, files = inbox.show(desk, instance.actor(RECIPIENT), delivery["id"])
    assert [file["role"] for file in files] == ["main", "annex"]


def test_nothing_is_delivered_before_the_release_is_complete(instance: Instance) -> None:
    document = instance.to_signed(instance.draft())
    instance.fire(CLERK, document, "release")  # asked for, not yet carried out
    desk = instance.services.desk
    recipient = instance.actor(RECIPIENT)
    assert inbox.find(desk, recipient, acknowledged=None, before=None, limit=10) == []
    with pytest.raises(NotFoundError):
        queries.show(desk, recipient, document)


def test_a_change_needs_the_current_version(any_instance: Instance) -> None:
    office = any_instance
    document = office.draft()
    desk, author = office.services.desk, office.actor(SPECIALIST)
    assert change.edit(desk, author, document, {"subject": "Tên mới"}, if_version=1) == 2
    with pytest.raises(StaleVersionError) as refused:
        change.edit(desk, author, document, {"subject": "Tên khác"}, if_version=1)
    assert refused.value.extra == {"state": "draft", "version": 2}
    assert office.row(document)["subject"] == "Tên mới"


def test_a_replaced_file_stays_stored_and_listed(instance: Instance) -> None:
    document = instance.draft()
    desk, author = instance.services.desk, instance.actor(SPECIALIST)
    new = instance.decision.read_bytes() + b"\n% second\n"
    intake = for_change(desk, author, document)
    change.put_main(desk, author, intake, instance.received(new), if_version=1)
    listed = instance.show(SPECIALIST, document).files
    assert [file["current"] for file in listed] == [True, False]
    for file in listed:
        assert instance.services.store.size(file["storage_key"]) == file["size"]


def test_what_was_submitted_cannot_be_edited(instance: Instance) -> None:
    document = instance.draft()
    instance.fire(SPECIALIST, document, "submit")
    with pytest.raises(ConflictError, match="review") as refused:
        change.edit(
            instance.services.desk,
            instance.actor(SPECIALIST),
            document,
            {"subject": "Khác"},
            if_version=2,
        )
    assert refused.value.code == "not-editable"


def test_returning_a_signed_file_to_draft_drops_its_signature(instance: Instance) -> None:
    document = instance.to_approved(instance.draft())
    outcome = instance.fire(LEADER, document, "sign")
    with pytest.raises(ConflictError) as refused:  # while it is being signed, nothing else goes
        instance.fire(HEAD, document, "return", reason="Sửa điều 2.")
    assert refused.value.code == "signing-in-progress"
    instance.run(outcome)
    assert instance.row(document)["state"] == "signed"
    assert [f["form"] for f in instance.show(CLERK, document).files] == ["original", "signed"]


def test_a_withdrawn_number_is_voided_and_never_given_again(any_instance: Instance) -> None:
    office = any_instance
    first = office.to_approved(office.draft())
    assert office.row(first)["symbol"] == "01/QĐ-VPUB"
    office.fire(HEAD, first, "withdraw", reason="Trùng nội dung.")
    assert office.row(first)["symbol"] is None
    second = office.to_approved(office.draft())
    assert office.row(second)["symbol"] == "02/QĐ-VPUB"
    (voided,) = office.rows("register_entries", document_id=first)
    assert (voided["number"], voided["void_reason"]) == (1, "Trùng nội dung.")


def test_no_one_approves_what_they_wrote_and_history_says_who_tried(instance: Instance) -> None:
    head = instance.actor(HEAD)
    new = NewDocument(subject="Tự soạn", type_code="QĐ", direction="outgoing", recipients=["STC"])
    document = create(instance.services.desk, head, new, main=instance.received(instance.decision))
    instance.fire(HEAD, document, "submit")
    with pytest.raises(ForbiddenError) as refused:
        instance.fire(HEAD, document, "approve")
    assert refused.value.code == "separation-of-duties"
    entries = instance.rows("history_entries", subject_id=document)
    assert [e["action"] for e in entries][-1] == "document.refused"
    assert instance.row(document)["state"] == "review"


@pytest.mark.parametrize("login", [OTHER_SPECIALIST, OTHER_HEAD, ADMINISTRATOR, RECIPIENT, SYSTEM])
def test_outsiders_are_told_that_there_is_no_such_document(instance: Instance, login: str) -> None:
    document = instance.draft()
    with pytest.raises(NotFoundError):
        instance.show(login, document)
    with pytest.raises(NotFoundError):
        instance.fire(login, document, "submit")
    found = queries.find(
        instance.services.desk, instance.actor(login), Filters(), before=None, limit=10
    )
    assert found == []


def test_insiders_who_may_not_are_told_why(instance: Instance) -> None:
    document = instance.to_approved(instance.draft())
    with pytest.raises(ForbiddenError) as refused:
        instance.fire(SPECIALIST, document, "sign")
    assert refused.value.code == "role-required"
    with pytest.raises(ForbiddenError):
        instance.fire(AUDITOR, document, "sign")


def test_a_document_received_before_is_reported_and_accepted_only_with_a_reason(
    any_instance: Instance,
) -> None:
    office = any_instance
    first = office.incoming(7)
    with pytest.raises(ConflictError) as refused:
        office.incoming(7)
    assert refused.value.code == "duplicate-document"
    assert refused.value.extra["duplicates"] == [first]
    with pytest.raises(ConflictError):  # other bytes and date, but the very same file
        office.incoming(7, issuer_symbol="khác", issuer="Sở Nội vụ")
    second = office.incoming(7, accept_duplicate="Bản giấy đến sau.")
    with pytest.raises(ConflictError) as unresolved:
        office.fire(CLERK, second, "register")
    assert unresolved.value.rule == "not_duplicate"
    office.fire(CLERK, second, "register_anyway", reason="Hai văn bản khác nhau.")
    assert office.row(second)["symbol"] == "01"


def test_a_refused_post_leaves_nothing_behind(instance: Instance) -> None:
    desk = instance.services.desk
    before = {name: len(instance.rows(name)) for name in instance.tables}
    stored = sorted(p for p in (instance.folder / "store").rglob("*") if p.is_file())
    good = NewDocument(subject="X", type_code="QĐ", direction="outgoing")
    wrong: list[tuple[NewDocument, bytes, type[Exception]]] = [
        (good, b"%PDF-1.7 nothing", InvalidInputError),
        (good, b"just text", UnsupportedContentError),
        (good, b"", InvalidInputError),
        (
            NewDocument(subject="X", type_code="QĐD", direction="outgoing"),
            instance.decision.read_bytes(),
            InvalidInputError,
        ),
        (
            NewDocument(subject="X", type_code="QĐ", direction="outgoing", classification="secret"),
            instance.decision.read_bytes(),
            InvalidInputError,
        ),
        (
            NewDocument(subject="X", type_code="QĐ", direction="outgoing", unit="VP-TC"),
            instance.decision.read_bytes(),
            ForbiddenError,
        ),
    ]
    for new, content, kind in wrong:
        received = instance.received(content)
        with pytest.raises(kind):
            create(desk, instance.actor(SPECIALIST), new, main=received)
        received.staged.discard()
    instance.database.read()
    after = {name: len(instance.rows(name)) for name in instance.tables}
    assert {k: v for k, v in after.items() if k not in ("sessions", "login_attempts")} == {
        k: v for k, v in before.items() if k not in ("sessions", "login_attempts")
    }
    assert sorted(p for p in (instance.folder / "store").rglob("*") if p.is_file()) == stored


def test_documents_above_the_ceiling_are_refused_with_the_reason(instance: Instance) -> None:
    with pytest.raises(InvalidInputError, match="law may forbid") as refused:
        instance.draft(classification="secret")
    assert refused.value.code == "classification-refused"


def test_lists_filter_page_and_search_without_marks(any_instance: Instance) -> None:
    office = any_instance
    made = [office.incoming(number) for number in range(1, 6)]
    desk, clerk = office.services.desk, office.actor(CLERK)
    first = queries.find(desk, clerk, Filters(direction="incoming"), before=None, limit=2)
    second = queries.find(
        desk, clerk, Filters(direction="incoming"), before=first[-1]["id"], limit=10
    )
    assert [row["id"] for row in first + second] == made[::-1]
    for text, count in (("cong van", 5), ("CÔNG VĂN so 3", 1), ("van con", 5), ("không có", 0),
                        ('"; DROP', 0), ("***", 0)):  # fmt: skip
        found = queries.find(desk, clerk, Filters(text=text), before=None, limit=10)
        assert len(found) == count, text
    assert not queries.find(desk, clerk, Filters(state="closed"), before=None, limit=10)
    by_unit = queries.find(desk, clerk, Filters(unit="VP"), before=None, limit=10)
    assert len(by_unit) == 5


def test_an_assignee_holds_an_office_in_the_documents_unit(instance: Instance) -> None:
    document = instance.incoming()
    instance.fire(CLERK, document, "register")
    instance.fire(CLERK, document, "route", unit="VP-TH")
    with pytest.raises(InvalidInputError) as refused:
        instance.fire(HEAD, document, "assign", assignee=OTHER_SPECIALIST)
    assert refused.value.code == "not-assignable"
    with pytest.raises(InvalidInputError, match=r"khoa\.ld"):
        instance.fire(HEAD, document, "assign", assignee="khoa.dl")


def test_jobs_are_shown_to_those_who_may_know_and_can_be_retried(instance: Instance) -> None:
    from docflow.jobs.model import JobRun
    from docflow.release import failures

    desk, engine = instance.services.desk, instance.services.engine
    document = instance.to_approved(instance.draft())
    asked = instance.fire(LEADER, document, "sign")
    assert asked.job_id is not None

    def seen(login: str) -> list[str]:
        jobs, _ = failures.find(
            desk, engine, instance.actor(login), state=None, subject_id=None, before=None, limit=9
        )
        return [job.id for job in jobs]

    assert seen(CLERK) == [asked.job_id]
    assert seen(ADMINISTRATOR) == [asked.job_id]
    with pytest.raises(ForbiddenError):
        seen(SPECIALIST)
    row = instance.row(document)
    left = failures.retry(desk, engine, instance.actor(CLERK), asked.job_id)
    assert (left.state, left.runs) == ("queued", 1)  # it is tried already
    assert instance.row(document) == row
    job = JobRun(engine.get(asked.job_id), lambda _name, function: function())
    failures.on_failed(desk, job, "Hỏng.")
    assert instance.row(document)["stage"] == "failed"
    instance.fire(HEAD, document, "return", reason="Sửa rồi trình lại.")
    with pytest.raises(ConflictError) as superseded:
        failures.retry(desk, engine, instance.actor(CLERK), asked.job_id)
    assert superseded.value.code == "job-superseded"


def test_a_job_that_is_done_is_called_done_and_nothing_is_to_be_fired_again(
    instance: Instance,
) -> None:
    from docflow.jobs import records
    from docflow.release import failures

    desk, engine = instance.services.desk, instance.services.engine
    document = instance.to_approved(instance.draft())
    asked = instance.fire(LEADER, document, "sign")
    assert asked.job_id is not None
    instance.run(asked)
    with desk.database.unit_of_work(instance.actor(CLERK)) as uow:
        assert records.finish(uow, asked.job_id, engine.get(asked.job_id).execution) is not None
    with pytest.raises(ConflictError, match="The job is done") as refused:
        failures.retry(desk, engine, instance.actor(CLERK), asked.job_id)
    assert refused.value.code == "job-state"
