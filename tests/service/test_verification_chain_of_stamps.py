"""An earlier archive time stamp is judged at the instant that the next one proves, algorithm and all."""

from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from docflow.signing.ades import levels_reached
from tests.archive_support import archived, long_term, packed
from tests.pki_support import START, LivePki
from tests.service.test_verification import Judge
from tests.verification_support import Maker

FILES = {"công văn.pdf": b"main"}
# The first authority signs by RSA PKCS#1 v1.5, which the shipped policy ends on 2029-01-01.
IN_TIME, TOO_LATE = START.replace(year=2027), datetime(2029, 3, 1, tzinfo=UTC)
AFTER_THE_END = [datetime(2029, 1, 2, tzinfo=UTC), START.replace(year=2036)]


@pytest.fixture(scope="module")
def rsa_pki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePki]:
    """A PKI whose first time-stamp authority has an RSA key; all others are of P-256."""
    key = rsa.generate_private_key(65537, 3072)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    server = LivePki(tmp_path_factory.mktemp("rsa"), keys={"tsa": pem})
    yield server
    server.stop()


@pytest.fixture
def maker(rsa_pki: LivePki) -> Maker:
    rsa_pki.reset()
    rsa_pki.now = lambda: START
    return Maker(rsa_pki)


@pytest.fixture
def judge(tmp_path: Path, rsa_pki: LivePki) -> Judge:
    return Judge(tmp_path, rsa_pki)


def made(maker: Maker, form: str, renewed: datetime | None) -> bytes:
    """Return a PDF or container at B-LTA, with a second archive time stamp of the time `renewed`."""
    if form == "pdf":
        file = maker.pdf("B-LTA")
        if renewed is None:
            return file
        maker.pki.now = lambda: renewed
        return maker.archived(file)
    entries = archived(long_term(maker, FILES), maker)
    if renewed is not None:
        maker.pki.now = lambda: renewed
        entries = archived(entries, maker, "tsa-second")
    return packed(entries)


@pytest.mark.parametrize("form", ["pdf", "container"])
@pytest.mark.parametrize("at", AFTER_THE_END)
def test_a_chain_renewed_in_time_passes_after_the_first_stamps_algorithm_ended(
    judge: Judge, maker: Maker, form: str, at: datetime
) -> None:
    report = judge(made(maker, form, IN_TIME), at)
    assert [(one.indication, one.reasons) for one in report.signatures if one.reasons and
            one.indication != "TOTAL-PASSED"] == []  # fmt: skip
    stamps = sorted(
        (one for one in report.signatures if one.kind == "timestamp"),
        key=lambda one: one.signed_at or at,
    )
    assert [one.strength for one in stamps] == ["legacy", "recommended"]
    assert [one.signed_at for one in stamps] == [START, IN_TIME]
    assert report.indication == "TOTAL-PASSED"


@pytest.mark.parametrize("form", ["pdf", "container"])
@pytest.mark.parametrize("renewed", [None, TOO_LATE])
def test_a_chain_that_was_not_renewed_before_the_end_does_not_pass(
    judge: Judge, maker: Maker, form: str, renewed: datetime | None
) -> None:
    report = judge(made(maker, form, renewed), TOO_LATE.replace(month=4))
    assert report.indication == "INDETERMINATE"
    assert any("RSA 3072 (PKCS#1 v1.5)" in " ".join(one.reasons) for one in report.signatures)


@pytest.mark.parametrize("at", AFTER_THE_END)
def test_the_level_of_such_a_chain_stays(maker: Maker, rsa_pki: LivePki, at: datetime) -> None:
    file = BytesIO(made(maker, "pdf", IN_TIME))
    (one,) = levels_reached(file, rsa_pki.roots, now=at, evidence_may_be_old=True)
    assert (one.level, one.why_not_more) == ("B-LTA", "")


def test_a_chain_that_was_renewed_too_late_loses_its_level(maker: Maker, rsa_pki: LivePki) -> None:
    file = BytesIO(made(maker, "pdf", TOO_LATE))
    (one,) = levels_reached(file, rsa_pki.roots, now=AFTER_THE_END[1], evidence_may_be_old=True)
    assert one.level != "B-LTA"
