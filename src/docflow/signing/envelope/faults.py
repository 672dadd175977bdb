"""How an envelope is refused: five codes, each with a sentence for whoever holds the file."""

from docflow.kernel.errors import IntegrityError, InvalidInputError


def not_an_envelope(why: str) -> InvalidInputError:
    """Return the refusal of a file that is not CMS AuthEnvelopedData at all."""
    return InvalidInputError(
        f"This is not a file encrypted to recipients: {why}.",
        code="not-an-envelope",
        satisfied_by="Give the file as it was delivered: CMS AuthEnvelopedData, DER (.p7m).",
    )


def unsupported(why: str) -> InvalidInputError:
    """Return the refusal of a form or an algorithm that is not opened here."""
    return InvalidInputError(
        f"The encrypted file uses {why}, which is not opened here.",
        code="envelope-unsupported",
        satisfied_by="Have it encrypted with AES-256-GCM to an RSA-OAEP or ECDH recipient.",
    )


def damaged(why: str) -> IntegrityError:
    """Return the refusal of a file that is not what its sender made."""
    return IntegrityError(
        f"The encrypted file is damaged or was changed: {why}. Nothing of it was opened.",
        code="envelope-damaged",
        satisfied_by="Ask for the file again.",
    )


def not_a_recipient(why: str) -> InvalidInputError:
    """Return the refusal of a certificate that the file is not encrypted to."""
    return InvalidInputError(
        f"The file is not encrypted to this certificate: {why}.",
        code="not-a-recipient",
        satisfied_by="Use the key and certificate that the file was encrypted to.",
    )


def wrong_key(why: str) -> InvalidInputError:
    """Return the refusal of a private key that opens nothing here."""
    return InvalidInputError(
        f"This private key does not open the file: {why}.",
        code="key-does-not-open",
        satisfied_by="Use the private key of a certificate that the file was encrypted to.",
    )
