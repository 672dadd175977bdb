"""An office that signs: one person, one organisation, one stamped decision; and its forgers."""

import re
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.sign.fields import SigSeedSubFilter
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner

from docflow.signing.font import Fonts, ensure_fonts
from docflow.signing.identity import SignerIdentity
from docflow.signing.keysigner import SigningKey
from docflow.signing.pades import seal, sign_person
from docflow.signing.plan import plan_stamp
from docflow.signing.stamp import stamp
from docflow.signing.strict import SignedFile, validate_release
from docflow.signing.trust import TrustRoots
from tests.unit.signing.forge import NOW, Forge, make_pdf

URL = "https://docflow.example.vn/v/01936f1e-7c1a-7d3e-9b1a-1234567890ab"


@dataclass
class SigningOffice:
    folder: Path
    forge: Forge
    fonts: Fonts
    person: SignerIdentity
    organisation: SignerIdentity

    @classmethod
    def make(cls, folder: Path, *keys: SigningKey) -> "SigningOffice":
        forge = Forge()
        first, second = keys or (None, None)
        return cls(
            folder,
            forge,
            ensure_fonts(folder),
            forge.identity(folder / "person.p12", "person", first),
            forge.identity(folder / "seal.p12", "organisation", second),
        )

    @property
    def roots(self) -> TrustRoots:
        return self.forge.roots

    def stamped(self, target: Path, data: bytes | None = None) -> Path:
        plan = plan_stamp(number="Số: 15/QĐ-VP", date="ngày 02 tháng 3 năm 2026", url=URL)
        stamp(BytesIO(data or make_pdf("Điều 1", "Article 2", pages=2)), target, plan, self.fonts)
        return target

    def signed(self, folder: Path, data: bytes | None = None) -> Path:
        """Return a stamped file that the person signed."""
        source = self.stamped(folder / "stamped.pdf", data)
        return sign_person(
            source,
            folder / "person.pdf",
            self.person,
            now=NOW,
            reason="Duyệt ban hành",
            location="Lam Giang",
        ).path

    def sealed(self, folder: Path, data: bytes | None = None) -> Path:
        """Return the same with the organisation's seal."""
        source = self.signed(folder, data)
        return seal(source, folder / "sealed.pdf", self.organisation, now=NOW).path

    def validate(self, path: Path) -> SignedFile:
        return validate_release(
            path,
            self.roots,
            person=self.person.certificate,
            seal=self.organisation.certificate,
            now=NOW,
        )


def sign_anyhow(source: Path, target: Path, identity: SignerIdentity, **metadata: Any) -> Path:
    """Sign as pyHanko lets one, without docflow's order and locks."""
    metadata = {"subfilter": SigSeedSubFilter.PADES, "md_algorithm": "sha256", **metadata}
    signer = PdfSigner(PdfSignatureMetadata(**metadata), signer=identity.signer)
    with source.open("rb") as original, target.open("w+b") as output:
        signer.sign_pdf(IncrementalPdfFileWriter(original), output=output, bytes_reserved=8192)
    return target


def contents(data: bytes) -> list[tuple[int, int]]:
    """Return where the hexadecimal digits of each signature begin and end, in order of the file."""
    return [match.span(1) for match in re.finditer(rb"/Contents\s*<([0-9a-fA-F]+)>", data)]


def ranges(data: bytes) -> list[tuple[int, int, int, int]]:
    found = re.findall(rb"/ByteRange\s*\[\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\]", data)
    return sorted((tuple(map(int, one)) for one in found), key=lambda one: one[2])  # type: ignore[misc]
