"""What a sealed thing is bound to: whose, which document's, which file, how classified, which suite.

The context is not stored with the sealed bytes. Whoever opens them says it from where they found
them (the row), so bytes or records that were moved to another place do not open there.
"""

import re
from dataclasses import dataclass
from typing import Final

from docflow.kernel.canonical import canonical_json

SUITE: Final = "cobblestone-256"  # C2SP chunked-encryption v1: HKDF-Expand SHA-512, AES-256-GCM

_FIELDS = "fields"  # stands for the file where a document's own fields are meant
_ORGANISATION = re.compile(r"[^\W_](?:[\w.-]{0,62}[^\W_])?")
_CLASSIFICATION = re.compile(r"[^\W_](?:[\w-]{0,62}[^\W_])?")  # no dot: see providers.folder
_MAX_ID = 200


@dataclass(frozen=True, slots=True)
class SealContext:
    """Where a sealed thing belongs.

    Args:
        organisation: code of the organisation (letters, digits, dot, hyphen, underscore).
        document: id of the document.
        file: id of the file, or of another sealed part of the document.
        classification: code of the classification at which it was sealed.
    """

    organisation: str
    document: str
    file: str
    classification: str
    suite: str = SUITE

    def __post_init__(self) -> None:
        """Refuse what no key could be named after.

        Raises:
            ValueError: if a part is empty, too long or of another form.
        """
        check_key_id(self.key_id)
        for name, value in (("document", self.document), ("file", self.file)):
            if not 0 < len(value) <= _MAX_ID:
                raise ValueError(f"{name} of a seal context has 1 to {_MAX_ID} characters")
        if self.suite != SUITE:
            raise ValueError(f"unknown suite {self.suite!r}; this version knows {SUITE}")

    @classmethod
    def of_fields(cls, organisation: str, document: str, classification: str) -> "SealContext":
        """Return the context of the key that seals a document's text fields."""
        return cls(organisation, document, _FIELDS, classification)

    @property
    def key_id(self) -> str:
        """Return the name of the key-encryption key: `organisation/classification`."""
        return f"{self.organisation}/{self.classification}"

    def encode(self, purpose: str) -> bytes:
        """Return the bytes that are bound in, for one purpose (`content`, `data-key`)."""
        return canonical_json(
            {
                "docflow": f"sealed-{purpose}-v1",
                "organisation": self.organisation,
                "document": self.document,
                "file": self.file,
                "classification": self.classification,
                "suite": self.suite,
            }
        )


def check_key_id(key_id: str) -> tuple[str, str]:
    """Return organisation and classification of a key-encryption key's name.

    Raises:
        ValueError: if it is not `organisation/classification`.
    """
    organisation, slash, classification = key_id.partition("/")
    if not (
        slash
        and _ORGANISATION.fullmatch(organisation)
        and _CLASSIFICATION.fullmatch(classification)
    ):
        raise ValueError(f"not the name of a key-encryption key: {key_id!r}")
    return organisation, classification
