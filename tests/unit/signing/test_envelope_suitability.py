"""Who can be encrypted to, and the sentence when someone cannot."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from docflow.kernel.errors import ConflictError
from docflow.signing.envelope import Suitability, require_suitable, unsuitable
from tests.envelope_support import DAY, NOW, certificate_for, ec_key, rsa_key
from tests.unit.signing.forge import run

P256 = ec_key(ec.SECP256R1())
CARDS = Suitability(rsa_2048_reason="Partner agencies hold RSA-2048 cards until 2027")


@pytest.mark.parametrize("uses", [None, ("key_encipherment",), ("key_encipherment", "crl_sign")])
def test_a_valid_rsa_certificate_is_suitable(uses: tuple[str, ...] | None) -> None:
    assert unsuitable(certificate_for(rsa_key(3072), uses=uses), NOW) == []


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
@pytest.mark.parametrize("uses", [None, ("key_agreement",)])
def test_a_valid_elliptic_certificate_is_suitable(
    curve: ec.EllipticCurve, uses: tuple[str, ...] | None
) -> None:
    assert unsuitable(certificate_for(ec_key(curve), uses=uses), NOW) == []


def test_the_last_and_the_first_second_of_validity_count() -> None:
    certificate = certificate_for(P256, valid_from=NOW, valid_until=NOW)
    assert unsuitable(certificate, NOW) == []


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (certificate_for(P256, valid_until=NOW - DAY / 2), "expired on 2026-03-01T13:30:00"),
        (certificate_for(P256, valid_from=NOW + DAY), "valid only from 2026-03-03T01:30:00"),
        (certificate_for(ec_key(ec.SECP256K1())), "secp256k1"),
        (certificate_for(ec_key(ec.BrainpoolP256R1())), "brainpoolP256r1"),
        (certificate_for(ed25519.Ed25519PrivateKey.generate()), "only signs"),
        (certificate_for(P256, uses=("digital_signature",)), "does not allow keyAgreement"),
        (certificate_for(P256, uses=("key_encipherment",)), "does not allow keyAgreement"),
        (certificate_for(rsa_key(3072), uses=("key_agreement",)), "allow keyEncipherment"),
        (certificate_for(rsa_key(2048)), "RSA key of 2048 bits; at least 3072"),
        (certificate_for(rsa_key(1024)), "RSA key of 1024 bits; at least 3072"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_reason_says_what_is_wrong(certificate: x509.Certificate, words: str) -> None:
    reasons = unsuitable(certificate, NOW)
    assert len(reasons) == 1
    assert words in reasons[0]


def test_rsa_2048_is_accepted_only_for_a_reason_and_1024_never() -> None:
    assert unsuitable(certificate_for(rsa_key(2048)), NOW, CARDS) == []
    (reason,) = unsuitable(certificate_for(rsa_key(1024)), NOW, CARDS)
    assert reason == "holds an RSA key of 1024 bits; at least 2048 are needed"


def test_every_reason_is_told_at_once() -> None:
    certificate = certificate_for(
        rsa_key(2048), uses=("digital_signature",), valid_until=NOW - DAY / 2
    )
    reasons = " | ".join(unsuitable(certificate, NOW))
    assert reasons.count("|") == 2
    for words in ("expired", "2048 bits", "keyEncipherment"):
        assert words in reasons


def made_by_openssl(folder: Path, *arguments: str) -> x509.Certificate:
    run(
        "openssl", "req", "-x509", "-nodes", "-days", "3650", "-subj", "/CN=Old office",
        "-keyout", folder / "k", "-out", folder / "c", *arguments,
    )  # fmt: skip
    return x509.load_pem_x509_certificate((folder / "c").read_bytes())


def test_a_certificate_signed_with_sha1_is_refused(tmp_path: Path) -> None:
    certificate = made_by_openssl(tmp_path, "-newkey", "rsa:3072", "-sha1")
    (reason,) = unsuitable(certificate, certificate.not_valid_before_utc + DAY)
    assert "signed with SHA1" in reason


def test_a_key_for_pss_signatures_is_not_encrypted_to(tmp_path: Path) -> None:
    certificate = made_by_openssl(
        tmp_path, "-newkey", "rsa-pss", "-pkeyopt", "rsa_keygen_bits:3072"
    )
    (reason,) = unsuitable(certificate, certificate.not_valid_before_utc + DAY)
    assert "PSS signatures only" in reason


class TestRelease:
    def test_passes_when_everyone_can_be_encrypted_to(self) -> None:
        require_suitable(
            {
                "Sở Nội vụ": certificate_for(P256),
                "Công ty A": certificate_for(rsa_key(3072)),
                "Lưu trữ": certificate_for(rsa_key(2048)),
            },
            NOW,
            CARDS,
        )

    def test_is_blocked_with_who_and_why(self) -> None:
        expired = certificate_for(P256, valid_until=NOW - DAY / 2)
        with pytest.raises(ConflictError) as caught:
            require_suitable(
                {"Sở Nội vụ": expired, "Công ty A": None, "Kho bạc": certificate_for(P256)}, NOW
            )
        found = caught.value
        assert found.code == "recipient-certificate"
        serial = f"serial {expired.serial_number:x}"
        assert f"Sở Nội vụ: its certificate ({serial}) expired on 2026-03-01" in found.detail
        assert "Công ty A: its certificate is not on record" in found.detail
        assert "Kho bạc" not in found.detail
        assert [each["recipient"] for each in found.extra["recipients"]] == [
            "Sở Nội vụ",
            "Công ty A",
        ]
        assert found.satisfied_by
