"""May a certificate sign documents? One rule for what we sign with and for what strangers signed with.

Rules:
- Key usage must have digitalSignature or nonRepudiation.
- Extended key usage, critical or not, restricts to the purposes that it names. Documents are signed under
  anyExtendedKeyUsage, emailProtection, documentSigning, or what Adobe and Microsoft call document signing.
- clientAuth counts beside nonRepudiation alone: so authorities mark the certificates of persons, who sign
  and log in with one key. A key that only opens connections has no nonRepudiation.

Source: RFC 5280 4.2.1.3 and 4.2.1.12; RFC 9336 (documentSigning); ETSI EN 319 412-2 4.3.2.
"""

from collections.abc import Iterable

from asn1crypto import x509
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko_certvalidator.errors import InvalidCertificateError

DOCUMENT_PURPOSES = frozenset(
    {
        "2.5.29.37.0",  # anyExtendedKeyUsage
        "1.3.6.1.5.5.7.3.4",  # emailProtection
        "1.3.6.1.5.5.7.3.36",  # documentSigning, RFC 9336
        "1.2.840.113583.1.1.5",  # Adobe: authentic documents
        "1.3.6.1.4.1.311.10.3.12",  # Microsoft: document signing
    }
)
_CLIENT = "1.3.6.1.5.5.7.3.2"


def is_for_documents(certificate: x509.Certificate) -> bool:
    """Tell whether the extended key usage of a certificate, if it has any, allows to sign documents."""
    purposes = certificate.extended_key_usage_value
    if purposes is None:
        return True
    named = {one.dotted for one in purposes}
    if named & DOCUMENT_PURPOSES:
        return True
    usage = certificate.key_usage_value
    return _CLIENT in named and usage is not None and "non_repudiation" in usage.native


class _DocumentSigning(KeyUsageConstraints):
    """The rule as pyHanko asks for it; its own takes no purpose together with a key usage."""

    def validate(
        self,
        cert: x509.Certificate,
        extra_asserted_key_usages: Iterable[str] = (),
        extra_asserted_extd_key_usages: Iterable[str] = (),
    ) -> None:
        super().validate(cert, extra_asserted_key_usages, extra_asserted_extd_key_usages)
        if not is_for_documents(cert):
            raise InvalidCertificateError(
                "Its extended key usage does not allow to sign documents."
            )


SIGNER_USAGE = _DocumentSigning(key_usage={"digital_signature", "non_repudiation"})
