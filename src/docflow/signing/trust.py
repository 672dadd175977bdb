"""The certificates at which trust ends.

Rules:
- A chain is trusted if it ends in a certificate named here, and for no other reason: nothing is
  fetched, and the machine's own list of authorities is never asked.
- The time is given by the caller.
"""

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.policy_decl import AlgorithmUsagePolicy, DisallowWeakAlgorithmsPolicy

from docflow.kernel.errors import ConfigurationError

_DER_SEQUENCE = b"\x30"
# X.520 names, as RFC 4519 and ETSI EN 319 412 write them
_ATTRIBUTES: Final = {
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "givenName",
    NameOID.TITLE: "title",
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.PSEUDONYM: "pseudonym",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
    NameOID.EMAIL_ADDRESS: "emailAddress",
}


@dataclass(frozen=True)
class TrustRoots:
    """A set of root certificates."""

    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def from_files(cls, paths: Iterable[Path]) -> "TrustRoots":
        """Read files, each with one certificate or more in PEM, or one in DER.

        Raises:
            ConfigurationError: naming the file that is missing or holds no certificate.
        """
        found: list[x509.Certificate] = []
        for path in paths:
            try:
                found += _certificates(path.read_bytes())
            except FileNotFoundError as error:
                raise ConfigurationError(
                    f"The root certificate file {path} does not exist."
                ) from error
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"The file {path} cannot be read as certificates; it must hold one or more "
                    "-----BEGIN CERTIFICATE----- blocks (PEM), or one certificate in DER."
                ) from error
        return cls(tuple(found))

    @classmethod
    def from_pem(cls, pem: str) -> "TrustRoots":
        """Read what `to_pem` wrote."""
        return cls(tuple(x509.load_pem_x509_certificates(pem.encode())) if pem else ())

    def to_pem(self) -> str:
        """Return the certificates as PEM text."""
        return "".join(c.public_bytes(Encoding.PEM).decode() for c in self.certificates)

    def __add__(self, other: "TrustRoots") -> "TrustRoots":
        """Return the union; the order of the first set is kept."""
        return TrustRoots(tuple(dict.fromkeys(self.certificates + other.certificates)))

    @functools.cached_property
    def fingerprints(self) -> frozenset[bytes]:
        """SHA-256 of every certificate."""
        return frozenset(c.fingerprint(hashes.SHA256()) for c in self.certificates)

    @functools.cached_property
    def asn1(self) -> tuple[asn1_x509.Certificate, ...]:
        """The certificates as pyHanko wants them."""
        return tuple(to_asn1(c) for c in self.certificates)

    def validation_context(
        self,
        now: datetime,
        others: Iterable[asn1_x509.Certificate] = (),
        *,
        algorithms: AlgorithmUsagePolicy | None = None,
        revocation_mode: str = "soft-fail",
    ) -> ValidationContext:
        """Return rules for checking a chain at `now`: these roots, no network, no broken hashes.

        Revocation lists are used if they are given with the signature; their absence is no fault,
        unless `revocation_mode` is `require`.
        """
        return ValidationContext(
            trust_roots=list(self.asn1),
            other_certs=list(others),
            moment=now,
            allow_fetching=False,
            revocation_mode=revocation_mode,
            algorithm_usage_policy=algorithms or DisallowWeakAlgorithmsPolicy(),  # type: ignore[no-untyped-call]
        )


def _certificates(content: bytes) -> list[x509.Certificate]:
    if content.startswith(_DER_SEQUENCE):
        return [x509.load_der_x509_certificate(content)]
    return x509.load_pem_x509_certificates(content)


def to_asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    """Return `certificate` as an asn1crypto object."""
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))


def sha256_of(certificate: x509.Certificate) -> str:
    """Return the SHA-256 fingerprint of `certificate` as 64 lower-case hexadecimal digits."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def written(name: x509.Name) -> str:
    """Write a name as RFC 4514 does, with the names people know for what it has only numbers for."""
    return name.rfc4514_string(_ATTRIBUTES)
