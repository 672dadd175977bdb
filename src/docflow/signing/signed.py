"""What strict validation is told to expect, and the proof that it gives.

Rule: only `strict.validate_release` (of a PDF) and `containing.validate_container` (of a container) make a
`SignedFile`, and delivery accepts nothing else.
"""

from dataclasses import InitVar, dataclass
from datetime import datetime
from pathlib import Path
from typing import NoReturn

from cryptography import x509

from docflow.signing.levels import Level
from docflow.signing.report import SignatureReport
from docflow.signing.trust import sha256_of

KEY = object()  # named by the two modules that validate, and by no other


@dataclass(frozen=True, slots=True)
class Expected:
    """A personal signature that a file must carry: its certificate, or its SHA-256, and its level.

    `evidence_apart` says that its evidence is an update of its own (`finishing.evidence_apart`); `slot`
    in which person's field it is, if not in that of the order of signing.
    """

    certificate: x509.Certificate | str
    level: Level = "B-B"
    evidence_apart: bool = False
    slot: int | None = None

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the certificate."""
        one = self.certificate
        return one if isinstance(one, str) else sha256_of(one)


@dataclass(frozen=True, slots=True)
class SignedFile:
    """A file that passed strict validation: its place then, and what it is for ever.

    `person` signed first, `others` after, in that order.
    """

    path: Path
    sha256: str
    size_bytes: int
    person: SignatureReport
    seal: SignatureReport
    validated_at: datetime
    person_level: Level
    seal_level: Level
    archive_stamps: tuple[SignatureReport, ...]
    others: tuple[SignatureReport, ...]
    key: InitVar[object]

    def __post_init__(self, key: object) -> None:
        """Let nobody but strict validation in.

        Raises:
            TypeError: always, for everyone else.
        """
        if key is not KEY:
            raise TypeError("a SignedFile is made by validate_release and validate_container only")

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: whoever reads it back has to validate the file again."""
        raise TypeError("a SignedFile is not stored; validate the file again")
