"""What timestamps prove and what they do not: ends and beginnings of certificates, and the future.

Each kind of signature and of timestamp is held to the same rule (EN 319 102-1 5.5.4, 5.6.2.4).
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from asn1crypto import cms
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import PdfTimeStamper
from pyhanko.sign.timestamps import HTTPTimeStamper

from docflow.signing.ades import levels_reached
from docflow.signing.blocking import blocking
from docflow.signing.outside.fetching import Fetcher, FetchLimits
from docflow.signing.outside.timestamps import TimestampAuthority, Timestamper, TimestampFault
from docflow.signing.report import SignatureReport, VerificationReport
from docflow.signing.verifying.instants import CLOCK_TOLERANCE
from tests.archive_support import archived, long_term, packed, token_name
from tests.pki_support import START, LivePki
from tests.service.test_verification import Judge
from tests.verification_support import Maker, online
from tests.xades_support import XadesMaker

DATA = b"quyet dinh"
FILES = {"a.txt": DATA}
KINDS = ["pdf", "detached", "enclosing", "cades-in-container", "xades"]
BEFORE_ALL = datetime.fromisoformat("2026-01-15T01:30:00Z")  # of `newcomer` and `tsa-new`
ENDED = datetime.fromisoformat("2026-03-25T01:30:00Z")  # `expiring` ended on the 20th
IN_APRIL = datetime.fromisoformat("2026-04-01T01:30:00Z")
IN_MAY = datetime.fromisoformat("2026-05-01T01:30:00Z")


class Bench:
    """Makes a signature of each kind at an instant, and judges it at another."""

    def __init__(self, folder: Path, pki: LivePki) -> None:
        self.pki = pki
        self.maker = Maker(pki)
        self.judge = Judge(folder, pki)

    def made(self, kind: str, label: str, at: datetime, tsa: str | None = "tsa") -> bytes:
        self.pki.now = lambda: at
        makers: dict[str, Callable[[], bytes]] = {
            "pdf": lambda: self.maker.pdf("B-T" if tsa else "B-B", label=label, tsa=tsa or ""),
            "detached": lambda: self.maker.cades(DATA, label=label, tsa=tsa),
            "enclosing": lambda: self.maker.cades(DATA, label=label, tsa=tsa, detached=False),
            "cades-in-container": lambda: self.maker.asic(FILES, label=label, tsa=tsa),
            "xades": lambda: XadesMaker(self.pki).asic(FILES, label=label, tsa=tsa),
        }
        return makers[kind]()

    def stamped(self, data: bytes, tsa: str) -> bytes:
        """Return a PDF with one more document timestamp, whatever it is worth."""

        async def make(session: aiohttp.ClientSession) -> bytes:
            out = BytesIO()
            await PdfTimeStamper(
                HTTPTimeStamper(self.pki.tsa_url(tsa), session=session)
            ).async_timestamp_pdf(IncrementalPdfFileWriter(BytesIO(data)), "sha256", output=out)
            return out.getvalue()

        return online(make)

    def judged(self, kind: str, made: bytes, now: datetime) -> SignatureReport:
        (one,) = self.judge(made, now, data=DATA if kind == "detached" else None).signatures
        return one


@pytest.fixture
def bench(tmp_path: Path, pki: LivePki) -> Bench:
    return Bench(tmp_path, pki)


def verdict(one: SignatureReport | VerificationReport) -> tuple[str, str | None]:
    return one.indication, one.sub_indication


def stamp_of(report: VerificationReport, field: str | None = None) -> SignatureReport:
    (one,) = [
        one for one in report.signatures if one.kind == "timestamp" and field in {None, one.field}
    ]
    return one


@pytest.mark.parametrize("kind", KINDS)
class TestSignatureTimestamps:
    def test_one_from_before_the_end_of_the_certificate_keeps_the_signature_good(
        self, kind: str, bench: Bench
    ) -> None:
        made = bench.made(kind, "expiring", START)
        one = bench.judged(kind, made, IN_APRIL)
        assert (*verdict(one), one.level, one.proven_at) == ("TOTAL-PASSED", None, "B-T", START)

    def test_one_from_after_the_end_of_the_certificate_does_not(
        self, kind: str, bench: Bench
    ) -> None:
        made = bench.made(kind, "expiring", ENDED)
        one = bench.judged(kind, made, IN_APRIL)
        assert (*verdict(one), one.level) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE", "B-B")
        assert one.timestamps[0].indication == "TOTAL-PASSED"

    def test_one_from_before_the_certificate_began_says_it_is_not_the_signers(
        self, kind: str, bench: Bench
    ) -> None:
        made = bench.made(kind, "newcomer", BEFORE_ALL)
        one = bench.judged(kind, made, START)
        assert (*verdict(one), one.level) == ("TOTAL-FAILED", "NOT_YET_VALID", "B-B")
        assert "begins after the time at which the signature is proven" in one.reasons[0]

    def test_one_from_the_future_proves_nothing(self, kind: str, bench: Bench) -> None:
        made = bench.made(kind, "person", IN_APRIL)
        one = bench.judged(kind, made, START)
        assert (*verdict(one), one.level) == ("TOTAL-PASSED", None, "B-B")
        assert (one.proven_at, one.time_is_proven) == (None, False)
        (stamp,) = one.timestamps
        assert (stamp.indication, stamp.sub_indication) == (
            "INDETERMINATE",
            "TIMESTAMP_ORDER_FAILURE",
        )
        assert any("later than the one at which it is judged" in why for why in one.reasons)

    def test_one_from_the_future_does_not_help_a_certificate_that_has_not_begun(
        self, kind: str, bench: Bench
    ) -> None:
        made = bench.made(kind, "newcomer", START)
        one = bench.judged(kind, made, BEFORE_ALL)
        assert (one.indication, one.time_is_proven) == ("INDETERMINATE", False)

    def test_a_clock_may_be_a_little_ahead(self, kind: str, bench: Bench) -> None:
        made = bench.made(kind, "person", START + CLOCK_TOLERANCE)
        one = bench.judged(kind, made, START)
        assert (*verdict(one), one.level, one.time_is_proven) == (
            "TOTAL-PASSED",
            None,
            "B-T",
            True,
        )

    def test_one_from_before_its_authority_began_proves_nothing(
        self, kind: str, bench: Bench
    ) -> None:
        made = bench.made(kind, "person", BEFORE_ALL, "tsa-new")
        one = bench.judged(kind, made, START)
        assert (*verdict(one), one.level) == ("TOTAL-PASSED", None, "B-B")
        (stamp,) = one.timestamps
        assert (stamp.indication, stamp.sub_indication) == ("TOTAL-FAILED", "NOT_YET_VALID")

    def test_a_certificate_for_another_purpose_signs_no_documents(
        self, kind: str, bench: Bench
    ) -> None:
        for tsa in (None, "tsa"):
            made = bench.made(kind, "for-web", START, tsa)
            one = bench.judged(kind, made, START)
            assert verdict(one) == ("INDETERMINATE", "CHAIN_CONSTRAINTS_FAILURE")


class TestSeveral:
    @pytest.mark.parametrize("order", [("early", "late"), ("late", "early")])
    def test_the_earliest_that_counts_is_the_one_that_proves(
        self, order: tuple[str, str], bench: Bench
    ) -> None:
        early = bench.made("detached", "expiring", START)
        signature = cms.ContentInfo.load(early)
        signer = signature["content"]["signer_infos"][0]
        bench.pki.now = lambda: ENDED
        late = cms.ContentInfo.load(bench.maker.token(signer["signature"].native))
        held = {"early": signer["unsigned_attrs"][0]["values"][0], "late": late}
        signer["unsigned_attrs"] = [
            {"type": "signature_time_stamp_token", "values": [held[one]]} for one in order
        ]
        one = bench.judged("detached", signature.dump(force=True), IN_APRIL)
        assert (*verdict(one), one.proven_at) == ("TOTAL-PASSED", None, START)

    def test_one_from_the_future_does_not_stand_in_the_way_of_a_good_one(
        self, bench: Bench
    ) -> None:
        signature = cms.ContentInfo.load(bench.made("detached", "person", START))
        signer = signature["content"]["signer_infos"][0]
        bench.pki.now = lambda: IN_MAY
        ahead = cms.ContentInfo.load(bench.maker.token(signer["signature"].native))
        good = signer["unsigned_attrs"][0]["values"][0]
        signer["unsigned_attrs"] = [
            {"type": "signature_time_stamp_token", "values": [one]} for one in (ahead, good)
        ]
        one = bench.judged("detached", signature.dump(force=True), IN_APRIL)
        assert (*verdict(one), one.proven_at) == ("TOTAL-PASSED", None, START)


class TestDocumentTimestamps:
    def test_one_from_the_future_is_not_good_and_proves_nothing(self, bench: Bench) -> None:
        made = bench.made("pdf", "person", START, None)
        bench.pki.now = lambda: IN_APRIL
        report = bench.judge(bench.maker.archived(made, "tsa"), START)
        assert verdict(report) == ("INDETERMINATE", "TIMESTAMP_ORDER_FAILURE")
        assert verdict(stamp_of(report)) == ("INDETERMINATE", "TIMESTAMP_ORDER_FAILURE")
        (signature,) = [one for one in report.signatures if one.kind == "signature"]
        assert (signature.indication, signature.proven_at) == ("TOTAL-PASSED", None)

    def test_one_from_after_the_end_of_the_certificate_does_not_help(self, bench: Bench) -> None:
        made = bench.made("pdf", "expiring", START, None)
        bench.pki.now = lambda: ENDED
        report = bench.judge(bench.maker.archived(made, "tsa"), IN_APRIL)
        assert verdict(report) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")

    def test_one_from_before_the_certificate_began_says_it_is_not_the_signers(
        self, bench: Bench
    ) -> None:
        made = bench.made("pdf", "newcomer", START, None)
        bench.pki.now = lambda: BEFORE_ALL
        report = bench.judge(bench.maker.archived(made, "tsa"), START)
        assert verdict(report) == ("TOTAL-FAILED", "NOT_YET_VALID")

    def test_one_from_before_its_authority_began_is_not_good(self, bench: Bench) -> None:
        made = bench.made("pdf", "person", START, None)
        bench.pki.now = lambda: BEFORE_ALL
        report = bench.judge(bench.stamped(made, "tsa-new"), START)
        assert verdict(report) == ("TOTAL-FAILED", "NOT_YET_VALID")

    def test_one_that_a_later_one_contradicts_is_not_good(self, bench: Bench) -> None:
        made = bench.made("pdf", "person", START, None)
        bench.pki.now = lambda: IN_APRIL
        later = bench.maker.archived(made, "tsa")
        bench.pki.now = lambda: START
        report = bench.judge(bench.maker.archived(later, "tsa"), IN_MAY)
        assert verdict(report) == ("INDETERMINATE", "TIMESTAMP_ORDER_FAILURE")


class TestTokens:
    @pytest.mark.parametrize(
        ("tsa", "at", "now", "expected"),
        [
            ("tsa", START, START, ("TOTAL-PASSED", None)),
            ("tsa", IN_APRIL, START, ("INDETERMINATE", "TIMESTAMP_ORDER_FAILURE")),
            ("tsa-new", BEFORE_ALL, START, ("TOTAL-FAILED", "NOT_YET_VALID")),
        ],
    )
    def test_files_of_their_own_in_containers_and_beside_are_held_to_it(
        self,
        tsa: str,
        at: datetime,
        now: datetime,
        expected: tuple[str, str | None],
        bench: Bench,
    ) -> None:
        bench.pki.now = lambda: at
        packed_up = bench.maker.asic(FILES, token=tsa)
        assert verdict(stamp_of(bench.judge(packed_up, now))) == expected
        alone = bench.maker.token(DATA, tsa)
        assert verdict(stamp_of(bench.judge(alone, now, data=DATA))) == expected

    @pytest.mark.parametrize(
        ("tsa", "at", "expected"),
        [
            ("tsa", IN_APRIL, ("INDETERMINATE", "TIMESTAMP_ORDER_FAILURE")),
            ("tsa-new", BEFORE_ALL, ("TOTAL-FAILED", "NOT_YET_VALID")),
        ],
    )
    def test_archive_timestamps_of_a_container_are_held_to_it(
        self, tsa: str, at: datetime, expected: tuple[str, str | None], bench: Bench
    ) -> None:
        entries = long_term(bench.maker, FILES)
        bench.pki.now = lambda: at
        report = bench.judge(packed(archived(entries, bench.maker, tsa)), START)
        assert verdict(stamp_of(report, token_name(1))) == expected
        (signature,) = [one for one in report.signatures if one.kind == "signature"]
        assert (signature.indication, signature.level) == ("TOTAL-PASSED", "B-LT")

    def test_an_archive_timestamp_from_after_the_end_of_the_certificate_does_not_help(
        self, bench: Bench
    ) -> None:
        entries = long_term(bench.maker, FILES, label="expiring", tsa=None)
        bench.pki.now = lambda: ENDED
        report = bench.judge(packed(archived(entries, bench.maker)), IN_APRIL)
        assert verdict(report) == ("INDETERMINATE", "OUT_OF_BOUNDS_NO_POE")

    def test_an_archive_timestamp_from_before_the_certificate_says_it_is_not_the_signers(
        self, bench: Bench
    ) -> None:
        entries = long_term(bench.maker, FILES, label="newcomer", tsa=None)
        bench.pki.now = lambda: BEFORE_ALL
        report = bench.judge(packed(archived(entries, bench.maker)), START)
        assert verdict(report) == ("TOTAL-FAILED", "NOT_YET_VALID")


class TestTheOfficesOwn:
    @pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(minutes=6)])
    def test_a_time_stamp_that_no_verifier_would_take_yet_is_refused_at_once(
        self, ahead: timedelta, pki: LivePki
    ) -> None:
        pki.now = lambda: START + ahead
        stamper = Timestamper(
            TimestampAuthority("one", pki.tsa_url()),
            Fetcher(FetchLimits(), frozenset({f"127.0.0.1:{pki.port}"})),
            pki.roots.validation_context(START),
            now=START,
            tolerance=timedelta(days=1),
        )
        ask = stamper.async_timestamp(hashlib.sha256(DATA).digest(), "sha256")
        if ahead <= CLOCK_TOLERANCE:
            blocking(ask)
        else:
            with pytest.raises(TimestampFault, match="360 s away from our clock"):
                blocking(ask)


class TestLevelsAtTheGate:
    @pytest.mark.parametrize(
        ("label", "tsa", "at", "now", "level"),
        [
            ("expiring", "tsa", ENDED, IN_APRIL, None),
            ("newcomer", "tsa", BEFORE_ALL, START, "B-B"),
            ("person", "tsa", IN_APRIL, START, "B-B"),
            ("person", "tsa-new", BEFORE_ALL, START, "B-B"),
            ("person", "tsa", START + timedelta(minutes=1), START, "B-T"),
        ],
    )
    def test_a_time_stamp_of_an_impossible_time_makes_no_b_t(
        self,
        label: str,
        tsa: str,
        at: datetime,
        now: datetime,
        level: str | None,
        bench: Bench,
    ) -> None:
        made = bench.made("pdf", label, at, tsa)
        (one,) = levels_reached(BytesIO(made), bench.pki.roots, now=now)
        assert one.level == level

    def test_an_archive_time_stamp_from_the_future_reaches_no_archive_level(
        self, bench: Bench
    ) -> None:
        made = bench.maker.pdf("B-LT")
        bench.pki.now = lambda: IN_APRIL
        stamped = bench.maker.archived(made, "tsa")
        (one,) = levels_reached(
            BytesIO(stamped), bench.pki.roots, now=START, evidence_may_be_old=True
        )
        assert (one.level, one.why_not_more) == ("B-LT", "TIMESTAMP_ORDER_FAILURE")
