"""Revocation of others is asked where the operator allows it, by a process that reads no file."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from docflow.kernel.clock import ManualClock
from docflow.signing import isolated
from docflow.signing.outside.asking import Asker
from docflow.signing.outside.fetching import FetchLimits
from docflow.signing.report import VerificationReport
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying.questions import Fetched, Question
from docflow.signing.verifying.terms import Policy
from tests.levels_support import LOOPBACK, QUICK, office_at
from tests.pki_support import START, LivePki
from tests.verification_support import Maker, written
from tests.xades_support import XadesMaker

NOBODY = TrustRoots(())
DATA = b"the very bytes that were signed\n" * 100
ASKER = Asker(LOOPBACK, QUICK, LOOPBACK)

Judge = Callable[..., VerificationReport]


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    def judged(
        file: bytes, *, data: bytes | None = None, asker: Asker | None = ASKER,
        roots: TrustRoots | None = None, policy: Policy | None = None,
    ) -> VerificationReport:  # fmt: skip
        return isolated.verify_isolated(
            written(tmp_path, "file", file),
            roots or pki.roots,
            now=START + timedelta(minutes=1),
            own_roots=NOBODY,
            data=written(tmp_path, "data", data) if data is not None else None,
            policy=policy,
            asker=asker,
        )

    return judged


def verdict(report: VerificationReport) -> tuple[str, str | None]:
    return report.indication, report.sub_indication


def test_without_hosts_nobody_is_asked(judge: Judge, maker: Maker, pki: LivePki) -> None:
    file = maker.pdf("B-B", label="revoked")
    pki.reset()
    report = judge(file, asker=None)
    assert (report.indication, report.signatures[0].revocation) == ("TOTAL-PASSED", "unknown")
    assert pki.requests == []


@pytest.mark.parametrize("level", ["B-B", "B-T"])
def test_a_good_certificate_is_known_to_be_good(
    judge: Judge, maker: Maker, pki: LivePki, level: str
) -> None:
    file = maker.pdf(level)
    pki.reset()
    report = judge(file)
    assert (report.indication, report.signatures[0].revocation) == ("TOTAL-PASSED", "good")
    assert report.signatures[0].level == level  # what was answered is not in the file
    assert pki.asked("ocsp") >= 1


def test_a_revoked_certificate_makes_no_signature_pass(judge: Judge, maker: Maker) -> None:
    report = judge(maker.pdf("B-B", label="revoked"))
    assert verdict(report) == ("INDETERMINATE", "REVOKED_NO_POE")
    assert report.signatures[0].revocation == "revoked"


def test_a_detached_signature_is_asked_about_as_well(judge: Judge, maker: Maker) -> None:
    report = judge(maker.cades(DATA, label="revoked"), data=DATA)
    assert verdict(report) == ("INDETERMINATE", "REVOKED_NO_POE")
    assert verdict(judge(maker.cades(DATA), data=DATA)) == ("TOTAL-PASSED", None)


def test_a_signature_in_xml_is_asked_about_as_well(
    judge: Judge, maker: Maker, pki: LivePki
) -> None:
    files = {"a.txt": DATA}
    report = judge(XadesMaker(pki).asic(files, label="revoked"))
    assert verdict(report) == ("INDETERMINATE", "REVOKED_NO_POE")
    report = judge(XadesMaker(pki).asic(files, tsa="tsa"))
    (one,) = report.signatures
    assert (report.indication, one.revocation, one.level) == ("TOTAL-PASSED", "good", "B-T")


def test_a_revoked_authoritys_time_stamp_proves_nothing(judge: Judge, maker: Maker) -> None:
    report = judge(maker.pdf("B-T", tsa="tsa-revoked"))
    assert not report.signatures[0].time_is_proven
    (stamp,) = report.signatures[0].timestamps
    assert str(stamp.sub_indication).startswith("REVOKED")
    assert "was revoked" in stamp.reasons[0]


@pytest.mark.parametrize("fault", ["away", "garbage"])
def test_who_cannot_be_reached_leaves_it_open(
    judge: Judge, maker: Maker, pki: LivePki, fault: str
) -> None:
    file = maker.pdf("B-B")
    with pki.fails("", fault):  # type: ignore[arg-type]
        report = judge(file)
    assert verdict(report) == ("INDETERMINATE", "TRY_LATER")
    assert report.signatures[0].revocation == "unknown"


@pytest.mark.parametrize(
    ("fault", "why"), [("away", "in vain"), ("garbage", "does not tell enough")]
)
def test_people_are_told_who_was_asked_and_what_failed(
    judge: Judge, maker: Maker, pki: LivePki, fault: str, why: str
) -> None:
    file = maker.pdf("B-B")
    with pki.fails("", fault):  # type: ignore[arg-type]
        report = judge(file)
    assert any("127.0.0.1" in one and why in one for one in report.reasons), report.reasons


def test_who_failed_is_not_told_where_another_answered(
    judge: Judge, maker: Maker, pki: LivePki
) -> None:
    file = maker.pdf("B-B")
    with pki.fails("/ocsp", "away"):
        assert judge(file).reasons == ()


def test_where_no_responder_answers_the_list_is_asked(
    judge: Judge, maker: Maker, pki: LivePki
) -> None:
    file = maker.pdf("B-B")
    pki.reset()
    with pki.fails("/ocsp", "away"):
        report = judge(file)
    assert (report.indication, report.signatures[0].revocation) == ("TOTAL-PASSED", "good")


def test_only_hosts_that_are_named_are_asked(judge: Judge, maker: Maker, pki: LivePki) -> None:
    file = maker.pdf("B-B", label="revoked")
    pki.reset()
    report = judge(file, asker=replace(ASKER, hosts=frozenset({"ocsp.example"})))
    assert report.signatures[0].revocation == "unknown"
    assert pki.requests == []


def test_a_named_host_in_our_own_network_is_reached_only_if_it_is_named_as_such(
    judge: Judge, maker: Maker, pki: LivePki
) -> None:
    file = maker.pdf("B-B")
    pki.reset()
    assert verdict(judge(file, asker=replace(ASKER, private_hosts=frozenset()))) == (
        "INDETERMINATE", "TRY_LATER"
    )  # fmt: skip
    assert pki.requests == []


def test_a_file_that_nobody_trusts_or_that_was_changed_makes_nobody_ask(
    judge: Judge, maker: Maker, pki: LivePki
) -> None:
    stranger = maker.pdf("B-B")
    changed = bytearray(stranger)
    changed[changed.index(b"/MediaBox") + 12] ^= 1
    pki.reset()
    assert judge(stranger, roots=TrustRoots((pki.certificate("stranger-root"),))).signatures
    assert judge(bytes(changed)).indication == "TOTAL-FAILED"
    assert pki.requests == []


def test_what_a_file_carries_is_not_asked_again(judge: Judge, maker: Maker, pki: LivePki) -> None:
    file = maker.pdf("B-LT")
    pki.reset()
    assert judge(file).signatures[0].revocation == "good"
    assert pki.requests == []


@pytest.mark.parametrize("hosts", [("127.0.0.1",), ()])
def test_an_instance_asks_the_hosts_of_its_settings(
    tmp_path: Path, prepared: Path, clock: ManualClock, pki: LivePki, maker: Maker,
    hosts: tuple[str, ...],
) -> None:  # fmt: skip
    path = written(tmp_path, "file", maker.pdf("B-B", label="revoked"))
    office = office_at(tmp_path, prepared, clock, pki, verification_hosts=hosts)
    report = office.services.studio.verifier.report(path, now=clock.now())
    office.close()
    expected = ("INDETERMINATE", "REVOKED_NO_POE") if hosts else ("TOTAL-PASSED", None)
    assert verdict(report) == expected


class TestAsker:
    def test_one_good_answer_about_a_certificate_is_enough(self, pki: LivePki) -> None:
        pki.reset()
        crl = f"{pki.ocsp_url.rsplit('/ocsp', 1)[0]}/none"
        questions = [Question("crl", crl, b"", 0), Question("crl", crl, b"", 1)]
        assert ASKER.ask(questions) == Fetched()  # asked, and not answered
        assert ASKER.ask([]) is None

    def test_a_responder_that_has_no_answer_does_not_keep_from_asking_for_the_list(
        self, tmp_path: Path
    ) -> None:
        unauthorized, asked = bytes.fromhex("30030a0106"), []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.answer(unauthorized)

            def do_GET(self) -> None:
                self.answer(b"a list")

            def answer(self, body: bytes) -> None:
                asked.append(self.command)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        found = ASKER.ask([Question("ocsp", url, b"x", 0), Question("crl", url, b"", 0)])
        server.shutdown()
        server.server_close()
        assert found == Fetched((unauthorized,), (b"a list",))
        assert asked == ["POST", "GET"]
        assert found.parsed == ([], [])  # neither says anything that could be read

    def test_answers_are_bounded(self, maker: Maker, judge: Judge, pki: LivePki) -> None:
        small = replace(ASKER, limits=FetchLimits(seconds=1.0, max_bytes=10))
        assert verdict(judge(maker.pdf("B-B"), asker=small)) == ("INDETERMINATE", "TRY_LATER")

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://127.0.0.1/",
            "http://127.0.0.1.example/",
            "http://x@127.0.0.1:9999999/",
            "http://[",
        ],
    )
    def test_what_only_looks_like_a_named_host_is_not_asked(self, url: str) -> None:
        asker = replace(ASKER, hosts=frozenset({"127.0.0.1:80"}))
        assert not asker.allowed(Question("crl", url, b"", 0))

    @pytest.mark.parametrize(
        "told",
        [
            {}, {"kind": "file", "url": "http://a/", "body": "", "about": 0},
            {"kind": "crl", "url": "http://a/" + "a" * 3000, "body": "", "about": 0},
            {"kind": "ocsp", "url": "http://a/", "body": "A" * 9000, "about": 0},
            {"kind": "ocsp", "url": "http://a/", "body": "?", "about": 0},
            {"kind": "ocsp", "url": "http://a/", "body": "", "about": True},
        ],
    )  # fmt: skip
    def test_what_is_no_question_is_refused(self, told: dict[str, object]) -> None:
        with pytest.raises(ValueError):  # noqa: PT011 - base64's own error is one too
            Question.from_dict(told)
