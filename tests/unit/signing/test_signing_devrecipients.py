"""Throw-away certificates of recipients: usable, announced, kept as they are while they are good."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from docflow.kernel.errors import ConfigurationError, DevelopmentModeWarning
from docflow.signing.certificates import CertificatePolicy, read_certificate
from docflow.signing.devpki import DISCLAIMER
from docflow.signing.devrecipients import DevRecipient, ensure_recipients
from docflow.signing.envelope.keyfile import load_key
from docflow.signing.envelope.unwrap import require_pair
from tests.unit.signing.forge import NOW

NAMES = {"STC": "Sở Tài chính", "X-TANHOA": "Ủy ban nhân dân xã Tân Hòa"}


def made(folder: Path, later: timedelta = timedelta()) -> dict[str, DevRecipient]:
    with pytest.warns(DevelopmentModeWarning, match="throw-away"):
        return ensure_recipients(folder, NAMES, now=NOW + later)


def test_both_kinds_of_key_are_made_and_can_be_encrypted_to(tmp_path: Path) -> None:
    kinds = []
    for one in made(tmp_path / "pki").values():
        assert CertificatePolicy().faults(one.certificate, NOW) == []
        assert DISCLAIMER in one.certificate.subject
        key, certificate = load_key(one.credential.pkcs12, one.credential.passphrase)
        assert certificate is not None
        require_pair(key, certificate)
        read = read_certificate(one.certificate_file.read_bytes())
        assert read.certificate == certificate == one.certificate.certificate
        kinds.append(type(key))
    assert issubclass(kinds[0], rsa.RSAPrivateKey)
    assert issubclass(kinds[1], ec.EllipticCurvePrivateKey)
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "pki").iterdir())


def test_what_is_good_stays_and_what_ends_is_made_anew(tmp_path: Path) -> None:
    first, again = made(tmp_path), made(tmp_path, timedelta(days=300))
    assert {c: r.certificate.sha256 for c, r in first.items()} == {
        c: r.certificate.sha256 for c, r in again.items()
    }
    renewed = made(tmp_path, timedelta(days=720))
    assert first["STC"].certificate.sha256 != renewed["STC"].certificate.sha256


def test_a_code_that_names_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a file"):
        ensure_recipients(tmp_path, {"../x": "X"}, now=NOW)
