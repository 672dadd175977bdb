"""Which digests signatures are verified with; another proves nothing, and is no fault of the format.

Source: ETSI EN 319 102-1 5.2.8 (cryptographic constraints).
"""

from typing import Final

from pyhanko.sign.ades.report import AdESIndeterminate
from pyhanko.sign.validation.errors import SignatureValidationError

DIGESTS: Final = frozenset(
    {
        "md5", "sha1", "sha224", "sha256", "sha384", "sha512",
        "sha3_224", "sha3_256", "sha3_384", "sha3_512",
    }
)  # fmt: skip
_SHOWN_CHARS: Final = 40


class UnknownDigestError(SignatureValidationError):
    """A signature or a timestamp uses a digest that is not computed here."""

    def __init__(self, name: str) -> None:
        super().__init__("", AdESIndeterminate.CRYPTO_CONSTRAINTS_FAILURE)
        told = (
            f"it uses the digest {name[:_SHOWN_CHARS]}, which the algorithm policy does not accept"
        )
        self.failure_message = told
        self.args = (told,)


def require_digest(name: str) -> None:
    """Refuse a digest that nothing is verified with: SHAKE, a national one, one that nobody knows.

    Args:
        name: as CMS has it; of an unknown one the dotted identifier.

    Raises:
        UnknownDigestError: sub-indication `CRYPTO_CONSTRAINTS_FAILURE`.
    """
    if name not in DIGESTS:
        raise UnknownDigestError(name)
