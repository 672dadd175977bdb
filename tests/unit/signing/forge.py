"""Certificates, keys and PDFs for tests of `signing`, each wrong in the way a test asks for."""

import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509.oid import NameOID, ObjectIdentifier
from reportlab.pdfgen.canvas import Canvas

from docflow.signing.identity import Kind, SignerIdentity
from docflow.signing.keysigner import SigningKey
from docflow.signing.trust import TrustRoots

NOW = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
PASSPHRASE = b"a passphrase for tests"
_PACKAGES = {
    "openssl": "openssl",
    "pdfsig": "poppler-utils",
    "pdftoppm": "poppler-utils",
    "pdftotext": "poppler-utils",
    "qpdf": "qpdf",
    "zbarimg": "zbar-tools",
}


def run(tool: str, *arguments: str | Path, check: bool = True) -> str:
    """Run an independent tool and return what it printed; fail loudly where it is missing."""
    if shutil.which(tool) is None:
        pytest.fail(f"{tool} is needed: apt-get install {_PACKAGES[tool]}")
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, check=False)
    output = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    assert not check or done.returncode == 0, output
    return output


def make_pdf(*lines: str, pages: int = 1, size: tuple[float, float] = (595.28, 841.89)) -> bytes:
    out = BytesIO()
    canvas = Canvas(out, pagesize=size, invariant=1)
    for number in range(pages):
        for index, line in enumerate(lines or ("A page",)):
            canvas.drawString(72, size[1] - 200 - 14 * index, f"{line} ({number + 1})")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def with_catalogue(**entries: pikepdf.Object) -> bytes:
    """Return a one-page PDF with more entries in its catalogue."""
    with pikepdf.open(BytesIO(make_pdf())) as pdf:
        for name, value in entries.items():
            pdf.Root[f"/{name}"] = value
        out = BytesIO()
        pdf.save(out)
    return out.getvalue()


@dataclass
class Recipe:
    """How a certificate is made; the defaults make a good person's."""

    subject: dict[ObjectIdentifier, str] = field(
        default_factory=lambda: {NameOID.COMMON_NAME: "Nguyễn Thị Lan", NameOID.SURNAME: "Nguyễn"}
    )
    key: SigningKey | None = None
    valid_from: datetime = NOW - timedelta(days=1)
    valid_until: datetime = NOW + timedelta(days=365)
    usage: frozenset[str] | None = frozenset({"digital_signature", "content_commitment"})
    authority: bool = False
    digest: hashes.SHA256 | hashes.SHA384 = field(default_factory=hashes.SHA256)


ORGANISATION = {
    NameOID.COMMON_NAME: "Sở Nội vụ tỉnh Lam Giang",
    NameOID.ORGANIZATION_IDENTIFIER: "NTRVN-1",
}


@dataclass
class Made:
    key: SigningKey
    certificate: x509.Certificate


class Forge:
    """A root, an issuing authority, and whatever they are told to issue."""

    def __init__(self) -> None:
        authority = frozenset({"key_cert_sign", "crl_sign"})
        until = NOW + timedelta(days=3650)
        self.root = self.issue(
            Recipe(
                {NameOID.COMMON_NAME: "Root"},
                None,
                usage=authority,
                authority=True,
                valid_until=until,
            ),
            issuer=None,
        )
        self.authority = self.issue(
            Recipe(
                {NameOID.COMMON_NAME: "Authority"},
                None,
                usage=authority,
                authority=True,
                valid_until=until,
            ),
            issuer=self.root,
        )

    @property
    def roots(self) -> TrustRoots:
        return TrustRoots((self.root.certificate,))

    def issue(self, recipe: Recipe, issuer: Made | None = None, *, self_made: bool = False) -> Made:
        key = recipe.key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(o, v) for o, v in recipe.subject.items()])
        by = issuer or getattr(self, "authority", None) if not self_made else None
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(by.certificate.subject if by else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(recipe.valid_from)
            .not_valid_after(recipe.valid_until)
            .add_extension(x509.BasicConstraints(recipe.authority, None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
        )
        if recipe.usage is not None:
            builder = builder.add_extension(_usage(recipe.usage), critical=True)
        return Made(key, builder.sign(by.key if by else key, recipe.digest))

    def pack(
        self,
        path: Path,
        made: Made,
        *,
        key: SigningKey | None = None,
        certificate: bool = True,
        chain: bool = True,
    ) -> Path:
        """Write a PKCS#12 file."""
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(
                b"signer",
                key or made.key,
                made.certificate if certificate else None,
                [self.authority.certificate] if chain else None,
                BestAvailableEncryption(PASSPHRASE),
            )
        )
        return path

    def identity(
        self,
        path: Path,
        kind: Kind = "person",
        key: SigningKey | None = None,
        recipe: Recipe | None = None,
    ) -> SignerIdentity:
        recipe = recipe or (Recipe(key=key) if kind == "person" else Recipe(ORGANISATION, key))
        self.pack(path, self.issue(recipe))
        return SignerIdentity.from_pkcs12(path, PASSPHRASE, roots=self.roots, now=NOW, expect=kind)


def rsa_key(bits: int = 3072) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def _usage(names: frozenset[str]) -> x509.KeyUsage:
    known = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: name in names for name in known})
