"""A report claims no more than the file bears out: timestamps are no signatures, and so on."""

from io import BytesIO
from pathlib import Path

import aiohttp
import pytest
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.signers import PdfTimeStamper
from pyhanko.sign.timestamps import HTTPTimeStamper

from tests.pki_support import LivePki
from tests.service.test_verification import DATA, FILES, Judge, verdict
from tests.unit.signing.forge import make_pdf
from tests.verification_support import Maker, container, manifest, online

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
