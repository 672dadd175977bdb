"""What people see of a stranger's signature: all of it, and nothing that it drew itself."""

import json
import os
import re
import threading
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from typer.testing import CliRunner

from docflow.cli import output
from docflow.cli.main import app
from docflow.signing.trust import TrustRoots
from docflow.signing.verifying import page
from docflow.signing.verifying.dispatch import verify_any
from tests.pki_support import START, LivePki
from tests.unit.signing.forge import NOW, PASSPHRASE, Forge, Recipe, make_pdf, rsa_key
from tests.unit.signing.forge import run as openssl
from tests.verification_support import Maker, container, written
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
    def test_it_tells_all_that_the_verdict_rests_on(
        self, pki: LivePki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # in a terminal of 80 columns, whatever the tests run in
        monkeypatch.setattr(output, "UNWRAPPED", False)
        monkeypatch.setattr(output.CONSOLE, "_width", 80)
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


class TestNotAccepted:
    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "The file is empty."),
            (b"hello\n", "The file is text."),
            (b'<?xml version="1.0"?><ds:Signature xmlns:ds="x"/>', "The file is XML."),
            (b'<ds:Signature xmlns:ds="x"/>', "The file is XML."),
            (container({"content.xml": b"<a/>"}, "application/vnd.oasis.opendocument.text"),
             "The file is an office document."),
            (b"\x30\x03\x02\x01\x05", "The file is DER, but no signature."),
            (b"\x00\x01\x02", "The file is of no known kind."),
            (b"MIME-Version: 1.0\r\nContent-Type: multipart/signed\r\n\r\n%PDF-1.7\n",
             "The file is an e-mail message."),
            (b"\x89PNG\r\n\x1a\n", "The file is an image."),
        ],
        ids=["empty", "text", "xades", "xades-bare", "odt", "der", "octets", "mail", "png"],
    )  # fmt: skip
    def test_the_report_says_what_it_is_and_what_is_accepted(
        self, content: bytes, said: str, tmp_path: Path
    ) -> None:
        nobody = TrustRoots(())
        path = written(tmp_path, "x", content)
        report = verify_any(path, nobody, now=NOW, own_roots=nobody)
        (reason,) = report.reasons
        assert (report.indication, report.form) == ("TOTAL-FAILED", "unknown")
        assert reason.startswith(f"{said} Accepted are PDF, CMS and CAdES")

    @pytest.mark.parametrize("cipher", ["-aes256", "-aes-256-gcm"])
    def test_an_encrypted_message_is_called_that(self, cipher: str, tmp_path: Path) -> None:
        pem = tmp_path / "recipient.pem"
        made = Forge().issue(Recipe(key=rsa_key(), usage=None))
        pem.write_bytes(made.certificate.public_bytes(Encoding.PEM))
        plain, sealed = written(tmp_path, "a.pdf", make_pdf()), tmp_path / "a.pdf.p7m"
        out = ("-out", sealed, "-outform", "DER", "-binary")
        openssl("openssl", "cms", "-encrypt", cipher, "-in", plain, *out, pem)
        nobody = TrustRoots(())
        report = verify_any(sealed, nobody, now=NOW, own_roots=nobody)
        assert report.indication == "INDETERMINATE"
        assert "an encrypted message (CMS)" in report.reasons[0]

    @pytest.mark.parametrize("form", ["pdf", "cms", "byte-range"])
    def test_a_broken_file_is_told_in_words_and_not_in_those_of_a_parser(
        self, form: str, pki: LivePki, tmp_path: Path
    ) -> None:
        good = Maker(pki).pdf()
        start, end = good.index(b"/ByteRange ["), good.index(b"]", good.index(b"/ByteRange ["))
        short = good[: start + 12] + b"0".ljust(end - start - 12) + good[end:]
        made = {
            "pdf": b"%PDF-1.7\nnothing",
            "cms": Maker(pki).cades(b"x")[:300],
            "byte-range": short,
        }
        nobody = TrustRoots(())
        path = written(tmp_path, "x", made[form])
        report = verify_any(path, nobody, now=NOW, own_roots=nobody)
        assert report.indication != "TOTAL-PASSED"
        said = " ".join([*report.reasons, *(r for one in report.signatures for r in one.reasons)])
        assert said
        assert not re.search(r"unpack|asn1crypto|object has no|requested but", said), said


class TestInput:
    def test_a_pdf_on_standard_input_is_judged(self, pki: LivePki) -> None:
        trust = ["--trust", str(pki.pem("root")), *AT]
        shown = run.invoke(app, ["verify", "-", *trust], input=Maker(pki).pdf())
        assert (shown.exit_code, "TOTAL-PASSED" in shown.output) == (0, True), shown.output

    def test_a_proof_on_standard_input_is_still_told_apart(self) -> None:
        shown = run.invoke(app, ["verify", "-"], input=b"c2sp.org/tlog-proof@v1\nnonsense")
        assert (shown.exit_code, "--key" in shown.output) == (2, True)

    def test_a_device_gives_what_it_gives(self) -> None:
        shown = run.invoke(app, ["verify", "/dev/null"])
        assert (shown.exit_code, "The file is empty." in shown.output) == (1, True)

    def test_a_pipe_is_read(self, pki: LivePki, tmp_path: Path) -> None:
        pipe, made = tmp_path / "pipe", Maker(pki).pdf()
        os.mkfifo(pipe)
        writer = threading.Thread(target=pipe.write_bytes, args=(made,))
        writer.start()
        shown = run.invoke(app, ["verify", str(pipe), "--trust", str(pki.pem("root")), *AT])
        writer.join()
        assert shown.exit_code == 0, shown.output

    def test_what_never_ends_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCFLOW_MAX_FILE_BYTES", str(1 << 20))
        shown = run.invoke(app, ["verify", "/dev/zero"])
        assert shown.exit_code == 1
        assert "gives more than 1,048,576 bytes" in shown.output + shown.stderr


def test_a_certificate_that_had_not_begun_is_told(pki: LivePki, tmp_path: Path) -> None:
    path = written(tmp_path, "a.pdf", Maker(pki).pdf())
    begins = pki.certificate("person").not_valid_before_utc
    nobody = TrustRoots(())
    report = verify_any(path, pki.roots, now=begins - timedelta(days=1), own_roots=nobody)
    assert report.indication == "INDETERMINATE"
    said = f"is valid from {begins:%Y-%m-%d %H:%M:%S} UTC only"
    assert any(said in reason for reason in report.signatures[0].reasons)
