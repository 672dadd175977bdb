"""What people send as their certificate, and the chain that it must have where roots are configured."""

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from docflow.kernel.errors import ConfigurationError, InvalidInputError
from docflow.signing.certificates import (
    MOST_BYTES,
    CertificatePolicy,
    EncryptionCertificate,
    read_certificate,
    read_certificate_file,
)
from docflow.signing.envelope import Suitability
from docflow.signing.trust import TrustRoots
from tests.envelope_support import NOW, certificate_for, ec_key, recipient, rsa_key

DAY = timedelta(days=1)


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """A certification authority that signs other authorities and recipients."""

    def __init__(self, title: str, by: "Authority | None" = None) -> None:
        self.key, self.name = ec_key(ec.SECP256R1()), name(title)
        self.certificate = (by or self).certify(self.key, title, ca=True)

    def certify(
        self, key: ec.EllipticCurvePrivateKey, title: str, *, ca: bool = False, days: int = 300
    ) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=not ca, key_cert_sign=ca, crl_sign=ca,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        return (
            x509.CertificateBuilder(
                self.name, name(title), key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(NOW - DAY)
            .not_valid_after(NOW + days * DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .sign(self.key, hashes.SHA256())
        )


@pytest.fixture(scope="module")
def root() -> Authority:
    return Authority("Root")


@pytest.fixture(scope="module")
def issuing(root: Authority) -> Authority:
    return Authority("Issuing", root)


def trusting(authority: Authority) -> CertificatePolicy:
    return CertificatePolicy(roots=TrustRoots((authority.certificate,)))


class TestChain:
    def test_one_that_leads_to_a_root_is_good(self, root: Authority, issuing: Authority) -> None:
        leaf = issuing.certify(ec_key(ec.SECP256R1()), "Sở Tài chính")
        sent = EncryptionCertificate(leaf, (issuing.certificate,))
        assert trusting(root).faults(sent, NOW) == []
        assert trusting(root).faults(read_certificate(sent.to_pem().encode()), NOW) == []
        assert trusting(issuing).faults(EncryptionCertificate(leaf), NOW) == []

    def test_one_that_leads_elsewhere_is_not(self, root: Authority, issuing: Authority) -> None:
        leaf = issuing.certify(ec_key(ec.SECP256R1()), "Sở Tài chính")
        for policy, chain in (
            (trusting(root), ()),
            (trusting(Authority("Root")), (issuing.certificate,)),
        ):
            (fault,) = policy.faults(EncryptionCertificate(leaf, chain), NOW)
            assert fault.startswith(("does not lead to an authority", "has a chain that is not"))

    def test_a_chain_that_ended_is_told(self, root: Authority, issuing: Authority) -> None:
        leaf = issuing.certify(ec_key(ec.SECP256R1()), "Sở Tài chính", days=900)
        sent = EncryptionCertificate(leaf, (issuing.certificate,))
        (fault,) = trusting(root).faults(sent, NOW + 400 * DAY)
        assert fault.startswith(("has a chain that is not valid", "does not lead"))


class TestReading:
    def test_pem_and_der_give_the_same(self) -> None:
        certificate = recipient("p384").certificate
        pem, der = (certificate.public_bytes(form) for form in (Encoding.PEM, Encoding.DER))
        assert read_certificate(pem) == read_certificate(der)
        assert read_certificate(pem).key == ("secp384r1", 384)

    @pytest.mark.parametrize(
        "data", [b"", b"\x30\x82", b"-----BEGIN CERTIFICATE-----\n", b"x" * (MOST_BYTES + 1)]
    )
    def test_what_is_none_is_refused(self, data: bytes) -> None:
        with pytest.raises(InvalidInputError) as caught:
            read_certificate(data)
        assert caught.value.code == "certificate-unreadable"

    def test_names_cannot_steer_a_terminal(self) -> None:
        sent = certificate_for(ec_key(ec.SECP256R1()), name="a\x1b[2Jb")
        assert read_certificate(sent.public_bytes(Encoding.DER)).subject == "CN=a?[2Jb"

    def test_a_file_of_the_configuration_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"of the escrow.*cannot be read"):
            read_certificate_file(tmp_path / "none.pem", "the escrow")
        (tmp_path / "x.pem").write_bytes(b"nothing")
        with pytest.raises(ConfigurationError, match=r"of the escrow.*x\.pem"):
            read_certificate_file(tmp_path / "x.pem", "the escrow")


def test_rsa_2048_is_accepted_with_a_reason_only() -> None:
    sent = EncryptionCertificate(certificate_for(rsa_key(2048), uses=("key_encipherment",)))
    assert CertificatePolicy().faults(sent, NOW) != []
    accepted = CertificatePolicy(Suitability("thẻ của Sở Tài chính"))
    assert accepted.faults(sent, NOW) == []
