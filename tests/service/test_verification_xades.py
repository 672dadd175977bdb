"""XAdES in containers: what xmlsec1 accepts passes, and what was touched never does."""

from pathlib import Path

import pytest

from tests.pki_support import START, LivePki
from tests.service.test_verification import Judge, verdict
from tests.xades_support import (
    INCLUSIVE,
    INCLUSIVE_11,
    Style,
    XadesMaker,
    Xmlsec,
    serialised,
)

FILES = {"công văn.pdf": b"main", "phụ lục/1.txt": b"annex"}


@pytest.fixture
def judge(tmp_path: Path, pki: LivePki) -> Judge:
    return Judge(tmp_path, pki)


@pytest.fixture
def maker(pki: LivePki) -> XadesMaker:
    return XadesMaker(pki)


@pytest.fixture
def xmlsec(tmp_path: Path, pki: LivePki) -> Xmlsec:
    return Xmlsec(tmp_path, pki)


class TestGood:
    def test_a_container_passes_and_tells_all(
        self, judge: Judge, maker: XadesMaker, xmlsec: Xmlsec
    ) -> None:
        made = maker.asic(FILES)
        assert xmlsec.accepts(made)
        report = judge(made)
        (one,) = report.signatures
        assert (report.indication, report.form, one.level) == ("TOTAL-PASSED", "asic-e", "B-B"), (
            report
        )
        assert (one.format, one.covers, one.signed_at) == ("XAdES", tuple(FILES), START)
        assert (one.signer, one.algorithm) == ("Nguyễn Hồng Sơn", "ECDSA secp256r1, SHA-256")
        assert (one.intact, one.valid, one.trusted, len(one.path)) == (True, True, True, 3)
