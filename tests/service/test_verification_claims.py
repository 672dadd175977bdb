"""A report claims no more than the file bears out: timestamps are no signatures, and so on."""

import asyncio
import re
import stat
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from asn1crypto import cms, parser
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign import fields
from pyhanko.sign.signers import PdfTimeStamper
from pyhanko.sign.timestamps import HTTPTimeStamper

from docflow.signing.report import VerificationReport
from docflow.signing.verifying import page
from tests.pki_support import LivePki
from tests.service.test_verification import DATA, FILES, Judge, verdict
from tests.unit.signing.forge import make_pdf
from tests.verification_support import Maker, container, manifest, online
from tests.xades_support import XadesMaker

ASIC_S = "application/vnd.etsi.asic-s+zip"


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> Maker:
    return Maker(pki)


def stamped_pdf(maker: Maker, tsa: str = "tsa") -> bytes:
    """Return a PDF with a document timestamp and no signature."""

    async def make(session: aiohttp.ClientSession) -> bytes:
        stamper = HTTPTimeStamper(maker.pki.tsa_url(tsa), session=session)
        out = BytesIO()
        await PdfTimeStamper(stamper).async_timestamp_pdf(
            IncrementalPdfFileWriter(BytesIO(make_pdf("Điều 1"))), "sha256", None, output=out
        )
        return out.getvalue()

    return online(make)


class TestTimestampsAlone:
    @pytest.mark.parametrize("tsa", ["tsa", "stranger-tsa"])
    def test_a_pdf_with_a_timestamp_alone_is_not_signed(
        self, judge: Judge, maker: Maker, tsa: str
    ) -> None:
        report = judge(stamped_pdf(maker, tsa))
        assert verdict(report) == ("NOT-SIGNED", None)
        (one,) = report.signatures
        assert one.kind == "timestamp"
        assert (one.indication == "TOTAL-PASSED") == (tsa == "tsa")
        assert "timestamps" in report.reasons[0]

    @pytest.mark.parametrize("form", ["asic-s", "asic-e"])
    def test_a_container_with_a_timestamp_alone_is_not_signed(
        self, judge: Judge, maker: Maker, form: str
    ) -> None:
        stamp = "META-INF/timestamp.tst"
        listed = manifest(stamp, {"a.txt": DATA})
        if form == "asic-s":
            made = container({"a.txt": DATA, stamp: maker.token(DATA)}, ASIC_S)
        else:
            made = container(
                {
                    "a.txt": DATA,
                    "META-INF/ASiCManifest1.xml": listed,
                    stamp: maker.token(listed),
                }
            )
        report = judge(made)
        assert (verdict(report), report.form) == (("NOT-SIGNED", None), form)
        assert report.signatures[0].indication == "TOTAL-PASSED"

    def test_a_timestamp_over_something_else_fails_the_file(
        self, judge: Judge, maker: Maker
    ) -> None:
        made = container({"a.txt": DATA, "META-INF/timestamp.tst": maker.token(b"other")}, ASIC_S)
        assert verdict(judge(made)) == ("TOTAL-FAILED", "HASH_FAILURE")

    def test_a_file_that_is_a_timestamp_is_told_as_one(self, judge: Judge, maker: Maker) -> None:
        token = maker.token(DATA)
        alone, with_it = judge(token), judge(token, data=DATA)
        assert verdict(alone) == verdict(with_it) == ("NOT-SIGNED", None)
        (one,), (good,) = alone.signatures, with_it.signatures
        assert (one.kind, one.level, one.sub_indication) == (
            "timestamp", "none", "SIGNED_DATA_NOT_FOUND",
        )  # fmt: skip
        assert (good.kind, good.level, good.indication) == ("timestamp", "none", "TOTAL-PASSED")
        assert good.time_is_proven
        assert verdict(judge(token, data=b"other")) == ("TOTAL-FAILED", "HASH_FAILURE")

    def test_beside_a_good_signature_a_timestamp_that_nobody_trusts_still_counts(
        self, judge: Judge, maker: Maker
    ) -> None:
        report = judge(maker.asic(FILES, token="stranger-tsa"))
        assert report.indication == "INDETERMINATE"


def without_attributes(der: bytes, signature: bytes | None = None) -> bytes:
    """Return CMS whose signer signs no attributes, with the same or another signature value."""
    info = cms.ContentInfo.load(der)
    (signer,) = info["content"]["signer_infos"]
    members = {
        name: signer[name]
        for name in ("version", "sid", "digest_algorithm", "signature_algorithm", "signature")
    }
    if signature is not None:
        members["signature"] = signature
    info["content"]["signer_infos"] = [cms.SignerInfo(members)]
    return bytes(info.dump(force=True))


class TestSignedAttributes:
    def test_the_attributes_of_a_signature_are_no_file_that_was_signed(
        self, judge: Judge, maker: Maker
    ) -> None:
        made = maker.cades(DATA)
        attributes = cms.ContentInfo.load(made)["content"]["signer_infos"][0]["signed_attrs"]
        report = judge(without_attributes(made), data=attributes.untag().dump())
        assert verdict(report) == ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE")
        (one,) = report.signatures
        assert (one.intact, one.valid, one.level) == (True, True, "none")
        assert "signs no attributes" in one.reasons[0]

    def test_a_changed_file_fails_without_attributes_as_well(
        self, judge: Judge, maker: Maker
    ) -> None:
        report = judge(without_attributes(maker.cades(DATA)), data=DATA)
        assert verdict(report) == ("TOTAL-FAILED", "HASH_FAILURE")

    def test_in_a_pdf_it_does_not_pass_either(self, judge: Judge, maker: Maker) -> None:
        made = maker.pdf(subfilter=fields.SigSeedSubFilter.ADOBE_PKCS7_DETACHED)
        assert judge(made).indication == "TOTAL-PASSED"
        found = re.search(rb"/Contents\s*<([0-9a-fA-F]+)>", made)
        assert found is not None
        signed = made[: found.start(1) - 1] + made[found.end(1) + 1 :]
        room = bytes.fromhex(found.group(1).decode())
        value = asyncio.run(maker.signer().async_sign_raw(signed, "sha256"))
        forged = without_attributes(room[: parser.peek(room)], value)
        filled = forged.hex().encode().ljust(len(found.group(1)), b"0")
        report = judge(made[: found.start(1)] + filled + made[found.end(1) :])
        assert verdict(report) == ("INDETERMINATE", "SIG_CONSTRAINTS_FAILURE")
        assert report.signatures[0].valid


def repacked(data: bytes, change: Callable[[zipfile.ZipInfo], None]) -> bytes:
    """Return a ZIP with the same files, with what `change` makes of each entry."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            change(entry)
            new.writestr(entry, content)
    return out.getvalue()


class TestContainersHideNothing:
    @pytest.mark.parametrize(
        "name", ["META-INF/hợp đồng.pdf", "META-INF/evil.exe", "META-INF/a/manifest.xml"]
    )
    @pytest.mark.parametrize("form", ["asic-e", "asic-s"])
    def test_a_file_under_meta_inf_that_nobody_signed_fails_it(
        self, judge: Judge, maker: Maker, name: str, form: str
    ) -> None:
        if form == "asic-e":
            made = maker.asic(FILES, extra={name: b"mine"})
        else:
            made = container(
                {"a.txt": DATA, "META-INF/signature.p7s": maker.cades(DATA), name: b"mine"}, ASIC_S
            )
        report = judge(made)
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert name in report.files
        assert name in report.reasons[0]

    @pytest.mark.parametrize(
        "name",
        [
            "META-INF/manifest.xml",
            "META-INF/container.xml",
            "META-INF/metadata.xml",
            "META-INF/evidencerecord.ers",
        ],
    )
    def test_what_the_standard_puts_there_does_not(
        self, judge: Judge, maker: Maker, name: str
    ) -> None:
        report = judge(maker.asic(FILES, extra={name: b"<a/>"}))
        assert (report.indication, report.files) == ("TOTAL-PASSED", tuple(FILES))

    @pytest.mark.parametrize(
        "junk", [b"\0", b"junk" * 10, b"PK\x05\x06" + bytes(18), b"x" * 70_000]
    )
    def test_bytes_after_the_end_fail_it(self, judge: Judge, maker: Maker, junk: bytes) -> None:
        assert verdict(judge(maker.asic(FILES) + junk)) == ("TOTAL-FAILED", "FORMAT_FAILURE")

    def test_a_comment_does_not(self, judge: Judge, maker: Maker) -> None:
        made = maker.asic(FILES)
        commented = made[:-2] + (5).to_bytes(2, "little") + b"hello"
        assert judge(commented).indication == "TOTAL-PASSED"

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
    def test_a_link_or_device_fails_it(self, judge: Judge, maker: Maker, kind: int) -> None:
        def turn(entry: zipfile.ZipInfo) -> None:
            if entry.filename == "phụ lục/1.txt":
                entry.external_attr = (kind | 0o777) << 16

        report = judge(repacked(maker.asic(FILES), turn))
        assert verdict(report) == ("TOTAL-FAILED", "FORMAT_FAILURE")
        assert "link" in report.reasons[0]
        assert judge(repacked(maker.asic(FILES), lambda _: None)).indication == "TOTAL-PASSED"


class TestFailedTimestamps:
    @pytest.mark.parametrize("form", ["pdf", "cades"])
    @pytest.mark.parametrize(
        ("tsa", "why"), [("stranger-tsa", "does not lead to"), ("not-a-tsa", "may not be used")]
    )
    def test_it_is_told_whose_it_is_and_why_it_proves_nothing(
        self, judge: Judge, maker: Maker, form: str, tsa: str, why: str
    ) -> None:
        if form == "pdf":
            report = judge(maker.pdf("B-T", tsa=tsa))
        else:
            report = judge(maker.cades(DATA, tsa=tsa), data=DATA)
        (one,) = report.signatures
        (stamp,) = one.timestamps
        assert (one.level, stamp.indication) == ("B-B", "INDETERMINATE")
        assert stamp.authority is not None
        assert why in stamp.reasons[0]
        assert any("proves nothing" in reason and why in reason for reason in one.reasons)
        assert VerificationReport.from_dict(report.to_dict()) == report
        assert why in page.html_page(report)

    def test_a_revoked_authority_is_called_that(self, judge: Judge, maker: Maker) -> None:
        made = maker.with_revocation(maker.cades(DATA, tsa="tsa-revoked"))
        (one,) = judge(made, data=DATA).signatures
        (stamp,) = one.timestamps
        assert (one.level, one.time_is_proven) == ("B-B", False)
        assert stamp.sub_indication is not None
        assert stamp.sub_indication.startswith("REVOKED")
        assert "time-stamp authority's certificate was revoked" in stamp.reasons[0]

    def test_a_timestamp_over_another_signature_is_told(self, judge: Judge, maker: Maker) -> None:
        info, other = (
            cms.ContentInfo.load(maker.cades(DATA, tsa="tsa", label=label))
            for label in ("person", "person-second")
        )
        (signer,) = info["content"]["signer_infos"]
        signer["unsigned_attrs"] = other["content"]["signer_infos"][0]["unsigned_attrs"]
        (one,) = judge(info.dump(force=True), data=DATA).signatures
        (stamp,) = one.timestamps
        assert (stamp.indication, stamp.sub_indication) == ("TOTAL-FAILED", "HASH_FAILURE")
        assert (one.level, one.time_is_proven) == ("B-B", False)
        assert any("made over something else" in reason for reason in one.reasons)

    def test_a_document_timestamp_speaks_of_its_authority(self, judge: Judge, maker: Maker) -> None:
        (one,) = judge(stamped_pdf(maker, "stranger-tsa")).signatures
        assert one.sub_indication == "NO_CERTIFICATE_CHAIN_FOUND"
        assert one.reasons[0].startswith("The time-stamp authority's certificate")


class TestScope:
    @pytest.mark.parametrize("form", ["cades", "xades"])
    def test_a_signature_over_one_of_two_files_says_so(
        self, judge: Judge, maker: Maker, pki: LivePki, form: str
    ) -> None:
        names = {"a.txt": DATA}, {"a.txt": DATA, "b.txt": b"b"}
        entries: dict[str, bytes] = dict(names[1])
        for number, signed in enumerate(names):
            if form == "xades":
                entries[f"META-INF/signatures{number}.xml"] = XadesMaker(pki).signed(signed)
                continue
            listed = manifest(f"META-INF/signature{number}.p7s", signed)
            entries[f"META-INF/ASiCManifest{number}.xml"] = listed
            entries[f"META-INF/signature{number}.p7s"] = maker.cades(listed)
        report = judge(container(entries))
        assert report.indication == "TOTAL-PASSED"
        first, second = report.signatures
        assert (first.coverage, second.coverage) == ("unclear", "entire-file")
        assert "It covers 1 of the 2 files of the container." in first.reasons
        assert "It covers every file of the container." in second.reasons

    def test_what_was_changed_is_not_said_to_be_covered(self, judge: Judge, maker: Maker) -> None:
        changed = container(
            {"a.txt": b"other", "META-INF/signature.p7s": maker.cades(DATA)}, ASIC_S
        )
        pdf = bytearray(maker.pdf())
        pdf[pdf.index(b"/MediaBox") + 12] ^= 1
        for report in (
            judge(changed),
            judge(maker.cades(DATA), data=b"other"),
            judge(maker.cades(DATA, detached=False), data=b"other"),
            judge(bytes(pdf)),
        ):
            (one,) = report.signatures
            assert one.sub_indication == "HASH_FAILURE"
            assert not any("covers" in reason for reason in one.reasons)
