"""The living PKI of the tests is itself one that OpenSSL believes."""

import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.pki_support import LivePki
from tests.unit.signing.forge import run


def _ask(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(url, body, timeout=10) as answer:  # noqa: S310 - our own server
        data: bytes = answer.read()
    return data


def test_a_time_stamp_is_one_that_openssl_verifies(pki: LivePki, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"to be stamped")
    run("openssl", "ts", "-query", "-data", data, "-sha256", "-cert", "-out", tmp_path / "q.tsq")
    answer = _ask(pki.tsa_url(), (tmp_path / "q.tsq").read_bytes())
    (tmp_path / "a.tsr").write_bytes(answer)
    text = run("openssl", "ts", "-reply", "-in", tmp_path / "a.tsr", "-text")
    assert "Granted" in text
    assert "Mar  2 01:30:00 2026" in text
    run(
        "openssl", "ts", "-verify", "-in", tmp_path / "a.tsr", "-queryfile", tmp_path / "q.tsq",
        "-CAfile", pki.pem("root"), "-untrusted", pki.pem("tsa-authority"),
        "-attime", str(int(pki.now().timestamp())),
    )  # fmt: skip


@pytest.mark.parametrize(("label", "word"), [("seal", "good"), ("revoked", "revoked")])
def test_the_responder_says_what_openssl_understands(pki: LivePki, label: str, word: str) -> None:
    done = subprocess.run(
        [
            "openssl", "ocsp", "-issuer", pki.pem("authority"), "-cert", pki.pem(label), "-url",
            pki.ocsp_url, "-CAfile", pki.pem("root"), "-verify_other", pki.pem("authority"),
            "-noverify", "-validity_period", "999999999",
        ],
        capture_output=True, check=True,
    )  # fmt: skip
    assert f": {word}" in done.stdout.decode()


def test_a_service_can_be_away_and_come_back(pki: LivePki) -> None:
    url = f"http://127.0.0.1:{pki.port}/docflow/crls/authority/latest.crl"
    with pki.fails("crls/authority", "away"), pytest.raises(urllib.error.HTTPError):
        _ask(url)
    assert _ask(url).startswith(b"\x30")
    assert pki.asked("crls/authority") == 2
