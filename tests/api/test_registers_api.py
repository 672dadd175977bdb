"""Registers over HTTP: reading and printing, and what those see who may not see everything."""

from datetime import date, timedelta
from io import BytesIO

import pikepdf
import pytest

from docflow.documents import register_views
from docflow.kernel.clock import ManualClock
from docflow.release import register_print
from tests.api_support import Office, answered, refused
from tests.office_support import (
    ADMINISTRATOR,
    AUDITOR,
    CLERK,
    HEAD,
    LEADER,
    OTHER_HEAD,
    RECIPIENT,
    SPECIALIST,
    SYSTEM,
)
from tests.register_support import (
    BECAUSE,
    ENTRIES,
    VOID_1,
    classify,
    numbers,
    printed,
    register,
    returned,
)

# -- reading -----------------------------------------------------------------------------------------


class TestReading:
    def test_numbers_come_in_order_page_by_page(self, any_office: Office) -> None:
        ids = register(any_office, 5)
        clerk = any_office.login(CLERK)
        page = clerk.read(ENTRIES)
        assert (page["book"], page["period"]) == ("incoming", "2026")
        assert [item["document"]["id"] for item in page["items"]] == ids
        assert [item["symbol"] for item in page["items"]] == ["01", "02", "03", "04", "05"]
        assert page["items"][0] == {
            "series": "shared", "number": 1, "hidden": None, "symbol": "01",
            "numbered_on": "2026-03-02", "voided": None,
            "document": {
                "id": ids[0], "direction": "incoming", "type": "CV",
                "subject": "Công văn số 1", "state": "registered",
            },
        }  # fmt: skip
        seen: list[int] = []
        url: str | None = f"{ENTRIES}?limit=2"
        while url is not None:
            answer = clerk.get(url)
            seen += [item["number"] for item in answered(answer, 200)["items"]]
            url = answer.links["next"]["url"] if "next" in answer.links else None
        assert seen == [1, 2, 3, 4, 5]

    def test_a_period_and_days_narrow_it(self, any_office: Office, clock: ManualClock) -> None:
        register(any_office, 2)
        clock.advance(timedelta(days=1))
        clerk = any_office.again(CLERK)
        register(any_office, 1, first=3)
        assert numbers(clerk) == numbers(clerk, period="2026") == [1, 2, 3]
        assert numbers(clerk, **{"from": "2026-03-03"}) == [3]
        assert numbers(clerk, to="2026-03-02") == [1, 2]
        assert numbers(clerk, **{"from": "2026-03-02", "to": "2026-03-03"}) == [1, 2, 3]
        assert numbers(clerk, period="2025") == []
        clock.advance(timedelta(days=365))
        clerk = any_office.again(CLERK)
        assert clerk.read(ENTRIES)["period"] == "2027"
        register(any_office, 1, first=4)
        assert numbers(clerk) == [1]
        assert numbers(clerk, period="2026") == [1, 2, 3]

    def test_the_day_is_the_offices(self, office: Office, clock: ManualClock) -> None:
        clock.advance(timedelta(hours=16))  # 17:30 UTC: already tomorrow in Hà Nội
        office.again(CLERK)
        register(office, 1)
        (entry,) = office.login(CLERK).read(ENTRIES)["items"]
        assert entry["numbered_on"] == "2026-03-03"

    def test_who_has_no_reason_to_know_a_document_sees_its_number_only(
        self, any_office: Office
    ) -> None:
        first, second = register(any_office, 2)
        leader = any_office.login(LEADER)
        leader.fire(first, "route", unit="VP-TH", instruction="Xử lý")
        shown, hidden = any_office.login(HEAD).read(ENTRIES)["items"]
        assert shown["document"]["id"] == first
        assert hidden == {
            "series": "shared", "number": 2, "hidden": "not-readable", "symbol": None,
            "numbered_on": None, "document": None, "voided": None,
        }  # fmt: skip
        assert second not in any_office.login(HEAD).get(ENTRIES).text
        everything = any_office.login(AUDITOR).read(ENTRIES)["items"]
        assert all(item["hidden"] is None for item in everything)

    def test_a_classified_document_shows_its_number_only(self, any_office: Office) -> None:
        (document_id,) = register(any_office, 1)
        classify(any_office, document_id)
        (hidden,) = any_office.login(CLERK).read(ENTRIES)["items"]
        assert (hidden["number"], hidden["hidden"]) == (1, "classified")
        assert hidden["document"] is hidden["symbol"] is None

    @pytest.mark.parametrize("url", [ENTRIES, "/v1/books/outgoing/print"])
    def test_registers_are_for_those_who_keep_them(self, shared_office: Office, url: str) -> None:
        for who in (SPECIALIST, ADMINISTRATOR, RECIPIENT):
            problem = refused(shared_office.login(who).get(url), 403, "forbidden")
            assert problem["satisfied_by"] == "Hold the office of clerk, head, leader or auditor."
        refused(shared_office.nobody.get(url), 401, "unauthenticated")
        refused(shared_office.key(CLERK, "documents:read").get(url), 403, "forbidden")
        refused(shared_office.key(SYSTEM, "registers:read").get(url), 403, "forbidden")
        assert shared_office.key(CLERK, "registers:read").get(url).status_code == 200

    def test_a_key_shows_no_more_than_its_scopes(self, office: Office) -> None:
        register(office, 1)
        (hidden,) = office.key(CLERK, "registers:read").read(ENTRIES)["items"]
        assert hidden["hidden"] == "not-readable"
        (shown,) = office.key(CLERK, "registers:read", "documents:read").read(ENTRIES)["items"]
        assert shown["hidden"] is None

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"period": "26"}, "unknown-period"),
            ({"period": "0000"}, "unknown-period"),
            ({"period": "٢٠٢٦"}, "unknown-period"),
            ({"period": "2025-2030"}, "unknown-period"),
            ({"from": "yesterday"}, "invalid-input"),
            ({"from": "2026-02-30"}, "invalid-input"),
            ({"from": "2026-03-02", "to": "2026-03-01"}, "invalid-input"),
            ({"cursor": "x"}, "bad-cursor"),
            ({"cursor": "c2hhcmVk"}, "bad-cursor"),
            ({"cursor": "LTE6c2hhcmVk"}, "bad-cursor"),
            ({"limit": "0"}, "invalid-input"),
        ],
    )
    def test_what_cannot_be_read_is_refused(
        self, shared_office: Office, query: dict[str, str], code: str
    ) -> None:
        refused(shared_office.login(CLERK).get(ENTRIES, **query), 422, code)

    def test_a_book_that_is_not_there(self, shared_office: Office) -> None:
        answer = shared_office.login(CLERK).get("/v1/books/incomming/entries")
        assert "did you mean incoming" in refused(answer, 404, "book-not-found")["detail"]

    def test_a_book_of_terms_has_its_terms(self, shared_office: Office) -> None:
        clerk = shared_office.login(CLERK)
        assert clerk.read("/v1/books/party-outgoing/entries")["period"] == "2025-2030"
        answer = clerk.get("/v1/books/party-outgoing/entries", period="2026")
        assert "2025-2030" in refused(answer, 422, "unknown-period")["detail"]


# -- printing ----------------------------------------------------------------------------------------


class TestPrinting:
    def test_the_incoming_register_tells_where_each_document_went(self, any_office: Office) -> None:
        clerk = any_office.login(CLERK)
        any_office.incoming(7, issuer_date="2026-02-27", urgency="urgent", subject="=1+1 kinh phí")
        document_id = clerk.read("/v1/documents")["items"][0]["id"]
        clerk.fire(document_id, "register")
        register(any_office, 1, first=8)
        any_office.login(LEADER).fire(document_id, "route", unit="VP-TH")
        any_office.login(HEAD).fire(document_id, "assign", assignee=SPECIALIST)
        routed, waiting = printed(clerk, "incoming")
        assert list(routed.values()) == [
            "02/03/2026", "01", "Sở Tài chính", "7/STC-QLNS", "27/02/2026",
            "Công văn: =1+1 kinh phí", "Phòng Tổng hợp, Lê Đăng Khoa", "02/03/2026", "", "Khẩn",
        ]  # fmt: skip
        assert (waiting["Số đến"], waiting["Ngày chuyển"], waiting["Ghi chú"]) == ("02", "", "")
        assert printed(any_office.login(OTHER_HEAD), "incoming")[0] == {
            "Ngày đến": "", "Số đến": "01", "Tác giả": "", "Số, ký hiệu văn bản": "",
            "Ngày tháng văn bản": "",
            "Tên loại và trích yếu nội dung văn bản": "(Không thuộc phạm vi được xem)",
            "Đơn vị hoặc người nhận": "", "Ngày chuyển": "", "Ký nhận": "", "Ghi chú": "",
        }  # fmt: skip

    def test_the_outgoing_register_tells_signer_recipients_and_receipts(
        self, any_office: Office
    ) -> None:
        clerk = any_office.login(CLERK)
        any_office.released(fields={"copies": 3})
        any_office.approved(subject="Về việc thứ hai", type="CV")
        inbox = any_office.login(RECIPIENT)
        (delivery,) = inbox.read("/v1/inbox")["items"]
        receipt = {"sha256": delivery["sha256"]}
        answered(inbox.post(f"/v1/inbox/{delivery['id']}/receipt", receipt), 200)
        released, approved = printed(clerk, "outgoing")
        assert list(released.values()) == [
            "01/QĐ-VPUB", "02/03/2026", "Quyết định: Ban hành Quy chế", "Nguyễn Hữu Sơn",
            "Sở Tài chính; Sở Nội vụ", "Phòng Tổng hợp", "03", "02/03/2026", "Đã nhận 1/2", "",
        ]  # fmt: skip
        assert list(approved.values()) == [
            "02/VPUB-TH", "02/03/2026", "Công văn: Về việc thứ hai", "",
            "Sở Tài chính; Sở Nội vụ", "Phòng Tổng hợp", "", "", "", "",
        ]  # fmt: skip

    def test_a_voided_number_stays_with_its_reason(self, any_office: Office) -> None:
        document_id = returned(any_office)
        clerk = any_office.login(CLERK)
        answered(clerk.post(VOID_1, BECAUSE), 200)
        any_office.login(SPECIALIST).fire(document_id, "submit")
        any_office.login(HEAD).fire(document_id, "approve")
        voided, new = printed(clerk, "outgoing")
        assert voided["Số, ký hiệu văn bản"] == "01/QĐ-VPUB"
        assert voided["Ghi chú"] == "Đã hủy: Cấp nhầm"
        assert (new["Số, ký hiệu văn bản"], new["Ghi chú"]) == ("02/QĐ-VPUB", "")

    def test_a_pdf_is_printed_and_leaves_nothing_behind(self, any_office: Office) -> None:
        register(any_office, 2)
        answer = any_office.login(CLERK).get("/v1/books/incoming/print")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/pdf"
        assert 'filename="incoming-2026.pdf"' in answer.headers["content-disposition"]
        assert len(answer.content) == int(answer.headers["content-length"])
        with pikepdf.open(BytesIO(answer.content)) as pdf:
            assert len(pdf.pages) == 1
            assert "Sổ đăng ký văn bản đến, Năm 2026" in str(pdf.docinfo["/Title"])
        assert list(any_office.services.staging.folder.iterdir()) == []

    def test_an_empty_register_is_printed_too(self, shared_office: Office) -> None:
        clerk = shared_office.login(CLERK)
        assert printed(clerk, "party-outgoing") == []
        answer = clerk.get("/v1/books/party-outgoing/print", format="pdf")
        assert answer.content.startswith(b"%PDF-")

    @pytest.mark.parametrize("form", ["csv", "pdf"])
    def test_a_register_that_is_too_long_is_printed_in_parts(
        self, any_office: Office, form: str, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
    ) -> None:
        monkeypatch.setattr(register_print, "MOST_ROWS", 2)
        register(any_office, 2)
        clock.advance(timedelta(days=1))
        clerk = any_office.again(CLERK)
        register(any_office, 1, first=3)
        url = "/v1/books/incoming/print"
        problem = refused(clerk.get(url, format=form), 422, "register-too-long")
        assert "`from` and `to`" in problem["satisfied_by"]
        assert problem["limit_rows"] == 2
        assert clerk.get(url, format=form, to="2026-03-02").status_code == 200

    def test_the_heading_says_which_days_are_printed(self, shared_office: Office) -> None:
        services = shared_office.services
        clerk = services.authenticator.authenticate(shared_office.login(CLERK).token or "")

        def days(first: date | None, last: date | None) -> tuple[date, date | None]:
            chosen = register_views.choose(services.desk, clerk, "outgoing", None, first, last)
            heading = register_print.heading(services.catalogue, chosen)
            return heading.starts, heading.ends

        new_year, end = date(2026, 1, 1), date(2026, 12, 31)
        assert days(None, None) == (new_year, end)
        assert days(date(2026, 3, 1), date(2026, 3, 31)) == (date(2026, 3, 1), date(2026, 3, 31))
        assert days(date(2025, 3, 1), date(2027, 3, 31)) == (new_year, end)

    def test_a_register_of_many_chunks_has_every_number_once(
        self, any_office: Office, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("docflow.documents.register_views.CHUNK", 2)
        register(any_office, 5)
        found = printed(any_office.login(CLERK), "incoming")
        assert [row["Số đến"] for row in found] == ["01", "02", "03", "04", "05"]

    def test_there_are_two_forms(self, shared_office: Office) -> None:
        answer = shared_office.login(CLERK).get("/v1/books/incoming/print", format="docx")
        assert refused(answer, 422, "invalid-input")["errors"][0]["pointer"] == "query:format"
