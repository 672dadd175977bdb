"""Who signs: a certificate with whatever holds its key, checked; here from an encrypted PKCS#12 file.

Rules:
- Everything that could make a signature worthless later is refused at start, naming the file and
  what would be right. The service does not start with a signer identity that fails.
- Secrets are never printed: not in messages, not in `repr`, not in pickles.

Source: RFC 7292 (PKCS#12), ETSI TS 119 312 (algorithms and sizes), EN 319 412-2 and -3 (what the
subject of a person's and of an organisation's certificate holds).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from asn1crypto import pkcs12 as asn1_pkcs12
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from docflow.signing.dated import NewSignatures
from docflow.signing.fitness import (
    LEAST_RSA_BITS,
    Kind,
    between,
    check_identity,
    check_pair,
    common_name,
    kind_of,
    wrong,
)
from docflow.signing.keysigner import IdentitySigner, KeySigner, SigningKey, VerifyingKey
from docflow.signing.trust import TrustRoots, sha256_of

__all__ = ["LEAST_RSA_BITS", "Kind", "SignerIdentity", "common_name", "kind_of"]


@dataclass(frozen=True, slots=True)
class SignerIdentity:
    """A signer that was checked: certificate, chain up to the root (without it), and its signer."""

    kind: Kind
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    signer: IdentitySigner = field(repr=False, compare=False)

    @classmethod
    def from_pkcs12(
        cls,
        path: Path,
        passphrase: bytes,
        *,
        roots: TrustRoots,
        now: datetime,
        expect: Kind,
        algorithms: NewSignatures | None = None,
    ) -> "SignerIdentity":
        """Read and check the identity in `path`.

        Raises:
            ConfigurationError: with the file and what would be right, if the file is missing or no
                PKCS#12, the passphrase is wrong, key or certificate are missing or do not belong
                together, the certificate is not valid at `now`, may not sign, is weak, is of the
                other kind, or does not lead to one of `roots`.
        """
        key, certificate, chain = _read(path, passphrase)
        check_pair(file_holder(path), key.public_key(), certificate)
        return cls.checked(
            file_holder(path),
            certificate,
            chain,
            lambda _key, links: KeySigner(key, certificate, links),
            roots=roots,
            now=now,
            expect=expect,
            algorithms=algorithms,
        )

    @classmethod
    def checked(
        cls,
        holder: str,
        certificate: x509.Certificate,
        chain: Sequence[x509.Certificate],
        signer: Callable[[VerifyingKey, tuple[x509.Certificate, ...]], IdentitySigner],
        *,
        roots: TrustRoots,
        now: datetime,
        expect: Kind,
        algorithms: NewSignatures | None = None,
    ) -> "SignerIdentity":
        """Check a certificate and return the identity that `signer(public key, links)` signs for.

        Raises:
            ConfigurationError: code `signer-identity` or `algorithm-out-of-policy`, naming the holder
                and what would be right.
        """
        key = check_identity(
            holder, certificate, chain, roots=roots, now=now, expect=expect, algorithms=algorithms
        )
        links = between(chain)
        return cls(expect, certificate, links, signer(key, links))

    @property
    def sha256(self) -> str:
        """SHA-256 of the certificate, 64 lower-case hexadecimal digits."""
        return sha256_of(self.certificate)

    @property
    def name(self) -> str:
        """The common name of the certificate's subject."""
        return common_name(self.certificate)

    def __repr__(self) -> str:
        return f"<SignerIdentity {self.kind} {self.name!r} {self.sha256[:12]}>"

    def __reduce__(self) -> str:
        raise TypeError("a signer identity does not leave its process")


def _read(
    path: Path, passphrase: bytes
) -> tuple[SigningKey, x509.Certificate, list[x509.Certificate]]:
    holder = file_holder(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        wrong(holder, "does not exist; name an existing PKCS#12 file (.p12)")
    except OSError as error:
        wrong(
            holder, f"cannot be read ({error.strerror}); the service's user must be able to read it"
        )
    try:
        asn1_pkcs12.Pfx.load(data, strict=True)["version"].native  # noqa: B018 - parses it
    except (ValueError, TypeError, KeyError):
        wrong(holder, "is not a PKCS#12 file; give an encrypted .p12 with key and certificate")
    try:
        bundle = pkcs12.load_pkcs12(data, passphrase)
    except (ValueError, TypeError):
        wrong(holder, "cannot be opened with the passphrase given; check the passphrase file")
    except Exception as error:  # noqa: BLE001 - the parser's own errors, whatever they are
        wrong(holder, f"cannot be parsed as PKCS#12 ({type(error).__name__})")
    if bundle.key is None:
        wrong(holder, "holds no private key; export it together with its key")
    chain = [extra.certificate for extra in bundle.additional_certs]
    if not isinstance(bundle.key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        wrong(holder, "holds a key that is neither ECDSA nor RSA; use ECDSA P-256 or RSA 3072")
    if bundle.cert is None:
        what = "the certificate of another key" if chain else "no certificate"
        wrong(
            holder,
            f"holds a private key and {what}; export key and certificate that belong together",
        )
    return bundle.key, bundle.cert.certificate, chain


def file_holder(path: Path) -> str:
    """Name a signer file in a sentence."""
    return f"The signer file {path}"
