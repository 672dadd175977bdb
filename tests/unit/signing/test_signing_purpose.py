"""Which certificates sign documents: the verifier and the office ask the same."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID as Purpose
from cryptography.x509.oid import NameOID, ObjectIdentifier
from pyhanko_certvalidator.errors import InvalidCertificateError

from docflow.kernel.errors import ConfigurationError
from docflow.signing.fitness import check_identity
from docflow.signing.purpose import SIGNER_USAGE, is_for_documents
from docflow.signing.trust import TrustRoots, to_asn1

NOW = datetime(2026, 3, 2, tzinfo=UTC)
ADOBE = ObjectIdentifier("1.2.840.113583.1.1.5")
MICROSOFT = ObjectIdentifier("1.3.6.1.4.1.311.10.3.12")
DOCUMENTS = ObjectIdentifier("1.3.6.1.5.5.7.3.36")


def certificate(
    *purposes: ObjectIdentifier, critical: bool = True, commits: bool = False, signs: bool = True
) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A")])
    usage = x509.KeyUsage(signs, commits, False, False, False, False, False, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=365))
        .add_extension(usage, critical=True)
    )
    if purposes:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=critical)
    return builder.sign(key, hashes.SHA256())


ALLOWED = [
    pytest.param(certificate(), id="none"),
    pytest.param(certificate(Purpose.ANY_EXTENDED_KEY_USAGE), id="any"),
    pytest.param(certificate(Purpose.EMAIL_PROTECTION), id="email"),
    pytest.param(certificate(DOCUMENTS), id="documents"),
    pytest.param(certificate(ADOBE), id="adobe"),
    pytest.param(certificate(MICROSOFT), id="microsoft"),
    pytest.param(certificate(Purpose.SERVER_AUTH, DOCUMENTS), id="one-of-several"),
    pytest.param(certificate(Purpose.CLIENT_AUTH, commits=True), id="client-that-commits"),
]
REFUSED = [
    pytest.param(certificate(Purpose.SERVER_AUTH), id="server"),
    pytest.param(certificate(Purpose.SERVER_AUTH, critical=False), id="server-not-critical"),
    pytest.param(certificate(Purpose.SERVER_AUTH, commits=True), id="server-that-commits"),
    pytest.param(certificate(Purpose.TIME_STAMPING), id="stamps"),
    pytest.param(certificate(Purpose.OCSP_SIGNING), id="ocsp"),
    pytest.param(certificate(Purpose.CODE_SIGNING), id="code"),
    pytest.param(certificate(Purpose.CLIENT_AUTH), id="client"),
    pytest.param(certificate(ObjectIdentifier("1.2.3.4")), id="unknown"),
]


@pytest.mark.parametrize("one", ALLOWED)
def test_purposes_that_include_documents_are_allowed(one: x509.Certificate) -> None:
    assert is_for_documents(to_asn1(one))
    SIGNER_USAGE.validate(to_asn1(one))


@pytest.mark.parametrize("one", REFUSED)
def test_purposes_that_do_not_are_refused_by_verifier_and_office(one: x509.Certificate) -> None:
    assert not is_for_documents(to_asn1(one))
    with pytest.raises(InvalidCertificateError, match="extended key usage"):
        SIGNER_USAGE.validate(to_asn1(one))
    with pytest.raises(ConfigurationError, match="for other purposes than signing documents"):
        check_identity("The card", one, (), roots=TrustRoots((one,)), now=NOW, expect="person")


def test_a_purpose_does_not_stand_for_a_key_usage() -> None:
    with pytest.raises(InvalidCertificateError, match="key usage"):
        SIGNER_USAGE.validate(to_asn1(certificate(DOCUMENTS, signs=False)))
