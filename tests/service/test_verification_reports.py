"""What a report looks like to people and to other programs; and the command line."""

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.generated.etsi.ts_11910202 import ValidationReport
from typer.testing import CliRunner
from xsdata.formats.dataclass.parsers import XmlParser

from docflow.cli.main import app
from docflow.kernel.errors import ConfigurationError
from docflow.signing.isolated import verify_isolated
from docflow.signing.report import SignatureReport, VerificationReport
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying import etsi, page
from docflow.signing.verifying.dispatch import verify_any
from tests.ats_support import archived
from tests.pki_support import START, LivePki
from tests.unit.signing.forge import Forge, Made, make_pdf
from tests.unit.signing.test_verification_list_signatures import signed
from tests.unit.signing.test_verification_trust import service, trusted_list
from tests.verification_support import Maker, written
from tests.xades_support import XadesMaker

NOBODY = TrustRoots(())
EVIL = "<script>alert(1)</script>&\"'\x00\x1b\ud7ff"


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


def report_on(data: bytes, folder: Path, pki: LivePki) -> VerificationReport:
    return verify_any(written(folder, "x", data), pki.roots, now=START, own_roots=NOBODY)


def hostile_report() -> VerificationReport:
    one = SignatureReport(
        field=EVIL, indication="TOTAL-FAILED", sub_indication=EVIL, signer=EVIL, subject=EVIL,
        reasons=(EVIL,), claimed_reason=EVIL, signed_at=START, covers=(EVIL,),
    )  # fmt: skip
    return VerificationReport(
        indication="TOTAL-FAILED", signatures=(one,), reasons=(EVIL,), files=(EVIL,),
        verified_at=START,
    )  # fmt: skip


class TestEtsi:
    @pytest.mark.parametrize(
        "kind", ["B-B", "B-LTA", "cades", "cades-archived", "asic", "unsigned", "broken"]
    )
    def test_it_is_read_by_bindings_that_others_made(
        self, kind: str, maker: Maker, pki: LivePki, tmp_path: Path
    ) -> None:
        makers: dict[str, Callable[[], bytes]] = {
            "B-B": lambda: maker.pdf("B-B"),
            "B-LTA": lambda: maker.pdf("B-LTA"),
            "cades": lambda: maker.cades(b"x", detached=False),
            "cades-archived": lambda: archived(
                maker.cades(b"x", tsa="tsa", detached=False), b"x", maker
            ),
            "asic": lambda: maker.asic({"a.txt": b"x"}),
            "unsigned": make_pdf,
            "broken": lambda: b"%PDF-",
        }
        report = report_on(makers[kind](), tmp_path, pki)
        assert page.html_page(report)
        parsed: Any = XmlParser().from_bytes(etsi.etsi_xml(report), ValidationReport)
        reports = parsed.signature_validation_report
        assert len(reports) == max(1, len(report.signatures))
        status = reports[0].signature_validation_status
        expected = {"unsigned": "indeterminate", "broken": "total-failed"}.get(kind, "total-passed")
        assert status.main_indication == f"urn:etsi:019102:mainindication:{expected}"
        if report.signatures:
            (data,) = status.associated_validation_report_data
            ids = {one.id for one in parsed.signature_validation_objects.validation_object}
            assert data.trust_anchor.voreference[0] in ids
            assert reports[0].signer_information.signer_certificate.voreference[0] in ids

    def test_hostile_text_stays_text(self) -> None:
        document = etsi.etsi_xml(hostile_report())
        XmlParser().from_bytes(document, ValidationReport)
        assert b"<script" not in document


class TestPage:
    def test_it_says_the_verdict_and_has_no_script(
        self, maker: Maker, pki: LivePki, tmp_path: Path
    ) -> None:
        text = page.html_page(report_on(maker.pdf("B-LTA"), tmp_path, pki))
        assert "Hợp lệ" in text
        assert "Nguyễn Hồng Sơn" in text
        assert "B-LTA" in text

    def test_who_signed_and_whether_it_holds_comes_before_all_else(
        self, maker: Maker, pki: LivePki, tmp_path: Path
    ) -> None:
        two = maker.pdf(data=maker.pdf("B-T"), field_name="Later", label="person-second")
        report = report_on(two, tmp_path, pki)
        first = page.html_page(report).partition("<table>")[0]
        items = first.partition("Signers")[2].split("<li>")[1:]
        assert len(items) == 2
        for item, one in zip(items, report.signatures, strict=True):
            assert item.startswith(f"{one.signer}: Valid")
        assert "proven by a timestamp" in items[0]
        assert "claimed, not proven" in items[1]

    @pytest.mark.parametrize("report", [hostile_report()], ids=["hostile"])
    def test_hostile_text_stays_text_and_nothing_is_fetched(
        self, report: VerificationReport
    ) -> None:
        text = page.html_page(report)
        seen: list[tuple[str, list[tuple[str, str | None]]]] = []

        class Reader(HTMLParser):
            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                seen.append((tag, attrs))

        Reader().feed(text)
        tags = {tag for tag, _ in seen}
        assert not tags & {"script", "img", "link", "iframe", "a", "form", "object"}
        names = {name for _, attributes in seen for name, _ in attributes}
        assert not [name for name in names if name.startswith("on") or name in {"src", "href"}]
        assert "style" not in names

    def test_its_policy_admits_its_own_style_alone(self) -> None:
        import base64
        import hashlib

        text = page.html_page(hostile_report())
        (style,) = re.findall(r"<style>(.*?)</style>", text)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in page.POLICY
        assert page.POLICY.startswith("default-src 'none'")


class TestIsolated:
    def test_every_kind_says_apart_what_it_says_here(
        self, maker: Maker, pki: LivePki, tmp_path: Path
    ) -> None:
        data = written(tmp_path, "data", b"x" * 1000)
        for made, beside in (
            (maker.pdf("B-LTA"), None),
            (maker.cades(data.read_bytes(), tsa="tsa"), data),
            (maker.asic({"a.txt": b"x"}), None),
        ):
            path = written(tmp_path, "file", made)
            here = verify_any(path, pki.roots, now=START, own_roots=NOBODY, data=beside)
            apart = verify_isolated(path, pki.roots, now=START, own_roots=NOBODY, data=beside)
            assert apart == here
            assert here.indication == "TOTAL-PASSED"

    def test_an_open_file_of_this_process_is_a_path_too(self, maker: Maker, pki: LivePki) -> None:
        import os

        memory = os.memfd_create("confidential", os.MFD_CLOEXEC)
        try:
            os.write(memory, maker.pdf())
            path = Path(f"/proc/{os.getpid()}/fd/{memory}")
            report = verify_isolated(path, pki.roots, now=START, own_roots=NOBODY)
        finally:
            os.close(memory)
        assert report.indication == "TOTAL-PASSED"


class TestCommand:
    run = CliRunner()

    def test_it_passes_a_good_file_and_explains(
        self, maker: Maker, pki: LivePki, tmp_path: Path
    ) -> None:
        path = written(tmp_path, "a.pdf", maker.pdf("B-T"))
        trust = ["--trust", str(pki.pem("root")), "--at", "2026-03-02T01:30:00Z"]
        shown = self.run.invoke(app, ["verify", str(path), *trust])
        assert shown.exit_code == 0, shown.output
        assert "TOTAL-PASSED" in shown.output
        assert "B-T" in shown.output
        as_json = self.run.invoke(app, ["verify", str(path), *trust, "--json"])
        assert json.loads(as_json.output)["signatures"][0]["level"] == "B-T"
        as_etsi = self.run.invoke(app, ["verify", str(path), *trust, "--format", "etsi"])
        XmlParser().from_string(as_etsi.output, ValidationReport)

    def test_it_passes_a_container_with_xades(self, pki: LivePki, tmp_path: Path) -> None:
        path = written(tmp_path, "a.asice", XadesMaker(pki).asic({"a.txt": b"a"}, tsa="tsa"))
        trust = ["--trust", str(pki.pem("root")), "--at", "2026-03-02T01:30:00Z"]
        shown = self.run.invoke(app, ["verify", str(path), *trust])
        assert (shown.exit_code, "B-T" in shown.output) == (0, True), shown.output
        as_etsi = self.run.invoke(app, ["verify", str(path), *trust, "--format", "etsi"])
        XmlParser().from_string(as_etsi.output, ValidationReport)

    def test_a_trusted_list_counts_if_its_operator_signed_it_or_one_vouches_for_it(
        self, maker: Maker, pki: LivePki, tmp_path: Path
    ) -> None:
        path = str(written(tmp_path, "a.pdf", maker.pdf("B-T")))
        by = Forge().root
        unsigned = trusted_list(service(Made(by.key, pki.certificate("root"))))
        operator = tmp_path / "operator.pem"
        operator.write_bytes(by.certificate.public_bytes(Encoding.PEM))
        listed = str(written(tmp_path, "vn.xml", signed(unsigned, by)))
        bare = str(written(tmp_path, "bare.xml", unsigned))
        given = ["--at", "2026-03-02T01:30:00Z", "--list-signer", str(operator)]
        good = self.run.invoke(app, ["verify", path, "--trust", listed, *given])
        assert good.exit_code == 0, good.output
        refused = self.run.invoke(app, ["verify", path, "--trust", bare, *given])
        assert isinstance(refused.exception, ConfigurationError)
        assert "DOCFLOW_TRUST_LIST_SIGNERS" in str(refused.exception)
        vouched = self.run.invoke(
            app, ["verify", path, "--trust", bare, *given, "--unsigned-lists"]
        )
        assert vouched.exit_code == 0
        assert "bare.xml was not checked" in " ".join(vouched.output.split())

    def test_it_fails_a_bad_file(self, maker: Maker, pki: LivePki, tmp_path: Path) -> None:
        data = written(tmp_path, "data.txt", b"other")
        path = written(tmp_path, "a.p7s", maker.cades(b"x"))
        shown = self.run.invoke(
            app,
            ["verify", str(path), "--data", str(data), "--trust", str(pki.pem("root")), "--at",
             "2026-03-02"],
        )  # fmt: skip
        assert shown.exit_code == 1
        assert "HASH_FAILURE" in shown.output

    def test_a_proof_is_still_told_apart_by_content(self, tmp_path: Path) -> None:
        path = written(tmp_path, "x", b"c2sp.org/tlog-proof@v1\nnonsense")
        shown = self.run.invoke(app, ["verify", str(path)])
        assert shown.exit_code == 2
        assert "--key" in shown.output

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        shown = self.run.invoke(app, ["verify", str(tmp_path / "gone.pdf")])
        assert shown.exit_code == 1
