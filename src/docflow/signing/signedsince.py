"""Whether those who signed a file still stand when the next signature is to go on it.

Rules:
- A signature without a time stamp proves nothing once its certificate is revoked: nobody can tell that it
  is older. The file is refused before the seal goes on it.
- One whose time stamp is older than the revocation stays good.

Source: ETSI EN 319 102-1, 5.5.4 and 5.6.2.4.
"""

from datetime import datetime
from pathlib import Path

from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from docflow.kernel.errors import ConflictError
from docflow.signing.longterm import LongTerm
from docflow.signing.standing import RevokedSignerError, name_of
from docflow.signing.verifying.stamps import time_told, tokens


def require_standing(source: Path, longterm: LongTerm, now: datetime) -> None:
    """Refuse a signed PDF of which a signer was revoked, if their signature is not proven to be older.

    Where nobody tells, nothing is refused.

    Args:
        source: the file, validated when it was signed.
        longterm: asks the authorities.
        now: the current instant.

    Raises:
        ConflictError: code `signer-revoked`; `chain-unknown` if a certificate leads to no root.
    """
    with source.open("rb") as file:
        for one in PdfFileReader(file).embedded_regular_signatures:
            _require(one, longterm, now)


def _require(one: EmbeddedPdfSignature, longterm: LongTerm, now: datetime) -> None:
    try:
        longterm.standing_of([one.signer_cert, *one.other_embedded_certs], now)
    except RevokedSignerError as error:
        stamped = _stamped_at(one)
        if stamped is not None and error.revoked_at is not None and stamped < error.revoked_at:
            return
        raise ConflictError(
            f"The certificate of {name_of(one.signer_cert)}, who signed, was revoked since; nothing proves "
            "that the signature is older, so it is not sealed.",
            code="signer-revoked",
            satisfied_by="Have the document signed anew with another certificate: return it where its "
            "workflow allows that, or withdraw it.",
        ) from error


def _stamped_at(one: EmbeddedPdfSignature) -> datetime | None:
    """Return when the signature's own time stamp says that it existed; it was judged when it was made."""
    return min(map(time_told, tokens(one.signed_data)), default=None)
