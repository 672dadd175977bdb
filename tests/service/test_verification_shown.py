"""What people see of a stranger's signature: all of it, and nothing that it drew itself."""

import json
import re
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from typer.testing import CliRunner

from docflow.cli.main import app
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying import page
from docflow.signing.verifying.dispatch import verify_any
from tests.pki_support import START, LivePki
from tests.unit.signing.forge import NOW, PASSPHRASE, Forge, Recipe, make_pdf
from tests.verification_support import Maker, written
from tests.xades_support import XadesMaker

EVIL = "Evil\x1b[2J\x1b[31mTOTAL-PASSED\nsignature X: GOOD \u202egnp\x9b1m"
RAW = ("\x1b", "\u202e", "\x9b")
AT = ["--at", f"{NOW:%Y-%m-%dT%H:%M:%SZ}"]
run = CliRunner()


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No instance lies around: its roots would count."""
    monkeypatch.setenv("DOCFLOW_DATA_DIR", str(tmp_path / "var"))


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """Return a PDF whose signer's name, and whose field, would drive a terminal."""
    forge = Forge()
    packed = forge.pack(tmp_path / "evil.p12", forge.issue(Recipe({NameOID.COMMON_NAME: EVIL})))
    signer = SimpleSigner.load_pkcs12(  # type: ignore[no-untyped-call]
        packed, passphrase=PASSPHRASE
    )
    out = BytesIO()
    PdfSigner(
        PdfSignatureMetadata(
            field_name="Sig\u202e1", md_algorithm="sha256", subfilter=fields.SigSeedSubFilter.PADES
        ),
        signer=signer,
    ).sign_pdf(IncrementalPdfFileWriter(BytesIO(make_pdf())), output=out)
    return written(tmp_path, "evil.pdf", out.getvalue())


class TestEscaped:
    @pytest.mark.parametrize("form", ["text", "json", "html", "etsi"])
    def test_no_control_or_direction_character_of_a_stranger_reaches_the_terminal(
        self, form: str, evil: Path
    ) -> None:
        printed = run.invoke(app, ["verify", str(evil), *AT, "--format", form]).output
        assert "Evil" in printed
        assert not [one for one in RAW if one in printed]
        assert not [line for line in printed.splitlines() if line.startswith("signature X")]

    def test_they_are_shown_as_their_escapes(self, evil: Path) -> None:
        printed = run.invoke(app, ["verify", str(evil), *AT]).output
        flat = "".join(printed.split())
        assert r"Evil\u001b[2J\u001b[31mTOTAL-PASSED\u000asignatureX" in flat
        assert r"Sig\u202e1" in flat

    def test_the_json_still_says_the_very_name(self, evil: Path) -> None:
        printed = run.invoke(app, ["verify", str(evil), *AT, "--json"]).output
        assert json.loads(printed)["signatures"][0]["signer"] == EVIL

    def test_the_page_shows_their_escapes(self, evil: Path) -> None:
        nobody = TrustRoots(())
        text = page.html_page(verify_any(evil, nobody, now=NOW, own_roots=nobody))
        assert r"Evil\u001b[2J" in text
        assert not [one for one in RAW if one in text]


class TestText:
    def test_it_tells_all_that_the_verdict_rests_on(self, pki: LivePki, tmp_path: Path) -> None:
        path = written(tmp_path, "a.pdf", Maker(pki).pdf("B-LTA"))
        printed = run.invoke(
            app,
            ["verify", str(path), "--trust", str(pki.pem("root")), "--at", "2026-03-02T01:30:00Z"],
        ).output
        flat = " ".join(printed.split())
        assert f"of {path.stat().st_size:,}" in flat
        assert re.search(r"revision \d of \d", flat)
        assert re.search(r"revocation\s+good", printed)
        assert re.search(r"path .*\(20\d\d-\d\d-\d\d to 20", flat)
        assert re.search(r"timestamps\s+signature, 2026-03-02", printed)
        assert "changed after it: long-term-validation" in flat
        assert max(map(len, printed.splitlines())) <= 80

    def test_it_names_the_files_that_a_container_covers(self, pki: LivePki, tmp_path: Path) -> None:
        made = XadesMaker(pki).asic({"a.txt": b"a", "b.txt": b"b"})
        path = written(tmp_path, "a.asice", made)
        printed = run.invoke(app, ["verify", str(path), "--trust", str(pki.pem("root"))]).output
        assert re.search(r"covers\s+a\.txt, b\.txt", printed)

    def test_it_hints_at_trust_where_nobody_vouches(self, evil: Path) -> None:
        assert "--trust" in run.invoke(app, ["verify", str(evil), *AT]).output


class TestPage:
    def test_words_are_in_both_languages_and_reasons_say_theirs(
        self, pki: LivePki, tmp_path: Path
    ) -> None:
        path = written(tmp_path, "a.pdf", Maker(pki).pdf("B-LTA"))
        nobody = TrustRoots(())
        report = verify_any(path, pki.roots, now=START, own_roots=nobody)
        text = page.html_page(report)
        for raw in ("entire-revision", ">good<", ">unknown<", ">none<", "(recommended)"):
            assert raw not in text
        for said in ("toàn bộ phiên bản đã ký", "không bị thu hồi", "được khuyến nghị"):
            assert f'<span lang="vi">{said}</span>' in text
        assert '<ul lang="en">' in text
