"""Rows of people's certificates: made, found, and refused for what they are."""

import secrets
from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.kernel.errors import ConflictError, FieldProblem, InvalidInputError, NotFoundError
from docflow.kernel.ids import is_id, new_id
from docflow.people.records import as_mapping
from docflow.people.signing_tables import person_certificates
from docflow.signing.identity import SignerIdentity
from docflow.signing.keysigner import verifies
from docflow.signing.trust import sha256_of, written

_LONGEST_NAME: Final = 300


def new_row(
    person_id: str, found: list[x509.Certificate], device: str, replaces: str | None
) -> dict[str, Any]:
    """Return the row of a proposed certificate, the person's own first in `found`."""
    leaf = found[0]
    sha256 = sha256_of(leaf)
    return {
        "id": new_id(),
        "person_id": person_id,
        "sha256": sha256,
        "subject": written(leaf.subject)[:_LONGEST_NAME],
        "device": device,
        "pem": "".join(one.public_bytes(Encoding.PEM).decode() for one in found),
        "valid_from": leaf.not_valid_before_utc,
        "valid_until": leaf.not_valid_after_utc,
        "state": "proposed",
        "challenge": f"docflow: enrol {sha256} for {person_id}, {secrets.token_urlsafe(32)}",
        "replaces": replaces,
        "enrolled_at": None,
    }


def refuse_system(person: Mapping[str, Any]) -> None:
    """Refuse to give a certificate to what is no person (InvalidInputError)."""
    if person["kind"] != "person":
        raise InvalidInputError(
            "An integrating system does not sign.",
            fields=[FieldProblem("path:person_id", "system")],
        )


def refuse_unnamed(person: Mapping[str, Any], login: str | None) -> None:
    """Refuse as the service's what the signers file does not name for this person.

    Args:
        person: whom the certificate is enrolled for.
        login: whose the signers file says it is; None if it has none such.

    Raises:
        InvalidInputError: code `certificate-unfit`.
    """
    if login is not None and login == person["login"]:
        return
    told = "names it for nobody" if login is None else f"names it for {login!r}"
    raise InvalidInputError(
        f"The signers file {told}, not for this person; the service cannot sign with it for them.",
        code="certificate-unfit",
        rule="signer-identity",
        satisfied_by="Enrol it for the person whom the signers file names it for; if its key is on a card "
        "of the person's own, enrol it with `device: card`.",
        fields=[FieldProblem("/device", "not in the signers file for this person")],
    )


def refuse_wrong_proof(identity: SignerIdentity, row: Mapping[str, Any], signature: bytes) -> None:
    """Refuse a signature over the challenge that is not by the key (code `signature-refused`)."""
    signer = identity.signer
    challenge = row["challenge"].encode()
    if not verifies(signer.public_key, signer.digest_name, signature, challenge):
        raise InvalidInputError(
            "The signature over the challenge does not verify under the certificate.",
            code="signature-refused",
            rule="signature-verifies",
            satisfied_by="Sign the challenge's UTF-8 bytes with the certificate's key: ECDSA in DER, or "
            "RSA-PSS with SHA-256 and a salt of 32 bytes.",
        )


def own(connection: sa.Connection, person_id: str, certificate_id: str) -> Mapping[str, Any]:
    """Return a certificate of this person (NotFoundError if there is none)."""
    if is_id(certificate_id):
        row = connection.execute(
            sa.select(person_certificates).where(
                person_certificates.c.id == certificate_id,
                person_certificates.c.person_id == person_id,
            )
        ).mappings().one_or_none()  # fmt: skip
        if row is not None:
            return as_mapping(row)
    raise NotFoundError("This person has no such certificate.")


def proposed(connection: sa.Connection, person_id: str, certificate_id: str) -> Mapping[str, Any]:
    """Return one that waits for its proof (ConflictError, code `certificate-not-proposed`)."""
    row = own(connection, person_id, certificate_id)
    if row["state"] != "proposed":
        raise ConflictError(
            f"The certificate is {row['state']} and waits for no proof.",
            code="certificate-not-proposed",
        )
    return row


def unfit(detail: str) -> InvalidInputError:
    """Return the refusal of a certificate that does not fit here."""
    return InvalidInputError(
        detail,
        code="certificate-unfit",
        rule="signer-identity",
        satisfied_by="Send a certificate of a person that may sign now and leads to the office's root.",
        fields=[FieldProblem("/pem", "not fit to sign here")],
    )
