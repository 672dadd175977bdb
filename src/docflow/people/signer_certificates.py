"""Which certificates a person signs with: enrolled, proved, replaced, revoked; nothing is deleted.

Rules:
1. An administrator enrols. A certificate whose key is on the person's own card is only proposed by
   that: it is enrolled when the person has signed the challenge with that very key.
2. A certificate belongs to one person, and one that was revoked or replaced is never enrolled again.
3. Each change is an entry of the person, with the certificate's digest and no name.
4. The challenge can be no document's signed attributes (those begin with 0x31), so that proving a key
   never signs anything.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from docflow.db import Database, Draft, UnitOfWork
from docflow.db.idempotency import Claim
from docflow.kernel.actor import Actor
from docflow.kernel.errors import (
    ConfigurationError,
    ConflictError,
    FieldProblem,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from docflow.kernel.ids import is_id, new_id
from docflow.people import access
from docflow.people.records import as_mapping, claim_id, fetch, page_of, require_recorded
from docflow.people.signing_tables import person_certificates
from docflow.people.tables import people
from docflow.people.views import Page
from docflow.people.vocabulary import Permission
from docflow.signing.keysigner import verifies
from docflow.signing.offered import card_identity
from docflow.signing.signers import Signers
from docflow.signing.trust import sha256_of, written

Device = Literal["card", "service"]
MOST_PEM_BYTES: Final = 40_000
_MOST_LINKS: Final = 6
_LONGEST_NAME: Final = 300


@dataclass(frozen=True, slots=True)
class PersonCertificate:
    """A certificate of a person, without its bytes."""

    id: str
    person_id: str
    sha256: str
    subject: str
    device: Device
    state: Literal["proposed", "enrolled", "replaced", "revoked"]
    valid_from: datetime
    valid_until: datetime
    challenge: str | None
    replaces: str | None
    created_at: datetime
    enrolled_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None


class SignerCertificates:
    """The certificates of people."""

    def __init__(self, database: Database, signers: Signers) -> None:
        """Accept what leads to the signers' own roots."""
        self._database = database
        self._signers = signers

    def enrol(
        self,
        actor: Actor,
        person_id: str,
        pem: str,
        device: Device,
        *,
        replaces: str | None = None,
        claim: Claim | None = None,
    ) -> PersonCertificate:
        """Enrol a certificate, or propose it where the person has to prove its key first.

        Args:
            actor: an administrator.
            person_id: whose it is.
            pem: the certificate, then the authorities above it.
            device: `card` if the key is the person's alone, `service` if the signers file has it.
            replaces: id of the enrolled certificate that this one takes the place of.
            claim: the request's Idempotency-Key.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: code `certificate-unfit`.
            ConflictError: code `certificate-known`.
            NotFoundError: if there is no such person, or none such to be replaced.
        """
        require_recorded(self._database, actor, Permission.CERTIFICATE_MANAGE)
        found = self._checked(pem, self._database.clock.now())
        row = _row(person_id, found, device, replaces)
        with self._database.unit_of_work(actor) as uow:
            claim_id(uow, claim, row["id"])
            person = fetch(uow.connection, people, person_id, lock=True)
            _refuse_system(person)
            uow.serialise(f"certificate {row['sha256']}")
            _refuse_known(uow, row["sha256"])
            if replaces is not None:
                _own(uow.connection, person_id, replaces)
            new = row | {"created_at": uow.now, "created_by": actor.id}
            action = "person.certificate-proposed"
            if device == "service":
                action = "person.certificate-enrolled"
                new |= {"state": "enrolled", "challenge": None, "enrolled_at": uow.now}
            uow.put(person_certificates, new)
            data = {"certificate": row["id"], "sha256": row["sha256"], "device": device}
            uow.change(people, person, {}, Draft(action, data))
            if device == "service":
                _end_replaced(uow, new)
            return _view(_own(uow.connection, person_id, row["id"]))

    def _checked(self, pem: str, now: datetime) -> list[x509.Certificate]:
        if len(pem) > MOST_PEM_BYTES:
            raise _unfit(f"A certificate with its authorities has at most {MOST_PEM_BYTES} bytes.")
        try:
            found = x509.load_pem_x509_certificates(pem.encode("utf-8", "replace"))
        except ValueError:
            raise _unfit(
                "This holds no certificate; send the person's and those of the authorities above it as "
                "-----BEGIN CERTIFICATE----- blocks."
            ) from None
        if len(found) > _MOST_LINKS:
            raise _unfit(f"A chain has at most {_MOST_LINKS} certificates here.")
        try:
            card_identity(
                "What was sent",
                found,
                roots=self._signers.own_roots,
                now=now,
                algorithms=self._signers.algorithms,
            )
        except ConfigurationError as error:
            raise _unfit(error.detail) from None
        except ValueError:  # an extension that no parser can read
            raise _unfit("The certificate cannot be read to its end.") from None
        return found

    def prove(
        self, actor: Actor, person_id: str, certificate_id: str, signature: bytes
    ) -> PersonCertificate:
        """Enrol one's own proposed certificate by a signature over its challenge.

        Raises:
            ForbiddenError: if the certificate is another person's.
            NotFoundError: if there is none.
            ConflictError: code `certificate-not-proposed`.
            InvalidInputError: code `signature-refused`.
        """
        access.require(actor, Permission.CERTIFICATE_PROVE)
        if actor.id != person_id:
            raise ForbiddenError(
                "Only the person whose certificate it is can prove its key.",
                rule="own-certificate",
                satisfied_by="Sign in as that person.",
            )
        with self._database.unit_of_work(actor) as uow:
            person = fetch(uow.connection, people, person_id, lock=True)
            row = _own(uow.connection, person_id, certificate_id)
            if row["state"] != "proposed":
                raise ConflictError(
                    f"The certificate is {row['state']} and waits for no proof.",
                    code="certificate-not-proposed",
                )
            _refuse_wrong_proof(self._identity(row, uow.now), row, signature)
            values = {"state": "enrolled", "challenge": None, "enrolled_at": uow.now}
            uow.alter(person_certificates, person_id, person_certificates.c.id == row["id"], values)
            data = {"certificate": row["id"], "sha256": row["sha256"], "device": row["device"]}
            uow.change(people, person, {}, Draft("person.certificate-enrolled", data))
            _end_replaced(uow, row)
            return _view(_own(uow.connection, person_id, row["id"]))

    def _identity(self, row: Mapping[str, Any], now: datetime) -> Any:
        try:
            return card_identity(
                "The proposed enrolment",
                x509.load_pem_x509_certificates(row["pem"].encode()),
                roots=self._signers.own_roots,
                now=now,
                algorithms=self._signers.algorithms,
            )
        except ConfigurationError as error:  # expired since it was proposed
            raise _unfit(error.detail) from None

    def revoke(
        self, actor: Actor, person_id: str, certificate_id: str, reason: str
    ) -> PersonCertificate:
        """Let nobody sign with a certificate any more; a revoked one stays as it is.

        What waits for a card with it can no longer be signed. `GET /v1/certificates/{sha256}/releases`
        tells what was signed with it.

        Raises:
            ForbiddenError: if the actor is neither an administrator nor the person.
            NotFoundError: if there is none.
            ConflictError: code `certificate-ended` if it was replaced.
        """
        if actor.id != person_id:  # a lost card is told by its owner, too
            require_recorded(self._database, actor, Permission.CERTIFICATE_MANAGE)
        else:
            access.require(actor, Permission.CERTIFICATE_PROVE)
        with self._database.unit_of_work(actor) as uow:
            person = fetch(uow.connection, people, person_id, lock=True)
            row = _own(uow.connection, person_id, certificate_id)
            if row["state"] != "revoked":
                _end(uow, row, "revoked", reason)
                data = {"certificate": row["id"], "sha256": row["sha256"]}
                draft = Draft("person.certificate-revoked", data, {"reason": reason})
                uow.change(people, person, {}, draft)
            return _view(_own(uow.connection, person_id, row["id"]))

    def get(self, actor: Actor, person_id: str, certificate_id: str) -> PersonCertificate:
        """Return one certificate.

        Raises:
            NotFoundError: if there is none.
        """
        access.require(actor, Permission.DIRECTORY_READ)
        with self._database.read() as connection:
            return _view(_own(connection, person_id, certificate_id))

    def list(
        self, actor: Actor, person_id: str, *, cursor: str | None = None, limit: int = 50
    ) -> Page[PersonCertificate]:
        """Return a page of a person's certificates, oldest first, ended ones too.

        Raises:
            NotFoundError: if there is no such person.
            InvalidInputError: if the cursor or limit is wrong.
        """
        access.require(actor, Permission.DIRECTORY_READ)
        with self._database.read() as connection:
            fetch(connection, people, person_id)
            own = person_certificates.c.person_id == person_id
            rows, following = page_of(connection, person_certificates, [own], cursor, limit)
        return Page(tuple(_view(row) for row in rows), following)


def signing_certificates(connection: sa.Connection, person_id: str) -> list[Mapping[str, Any]]:
    """Return every certificate of a person with its state, the newest first (at most 200)."""
    statement = (
        sa.select(person_certificates)
        .where(person_certificates.c.person_id == person_id)
        .order_by(person_certificates.c.id.desc())
        .limit(200)
    )
    return [as_mapping(row) for row in connection.execute(statement).mappings()]


def certificate_row(connection: sa.Connection, certificate_id: str) -> Mapping[str, Any]:
    """Return a certificate of anyone; for what was bound to it earlier.

    Raises:
        NotFoundError: if there is none.
    """
    statement = sa.select(person_certificates).where(person_certificates.c.id == certificate_id)
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        raise NotFoundError("There is no such certificate.")
    return as_mapping(row)


def _row(
    person_id: str, found: list[x509.Certificate], device: Device, replaces: str | None
) -> dict[str, Any]:
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


def _refuse_system(person: Mapping[str, Any]) -> None:
    if person["kind"] != "person":
        raise InvalidInputError(
            "An integrating system does not sign.",
            fields=[FieldProblem("path:person_id", "system")],
        )


def _refuse_known(uow: UnitOfWork, sha256: str) -> None:
    statement = sa.select(person_certificates.c.id).where(person_certificates.c.sha256 == sha256)
    if uow.connection.execute(statement).first() is not None:
        raise ConflictError(
            "This certificate is known already; one that was revoked or replaced stays so.",
            code="certificate-known",
            satisfied_by="Have the authority issue a new certificate.",
        )


def _refuse_wrong_proof(identity: Any, row: Mapping[str, Any], signature: bytes) -> None:
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


def _own(connection: sa.Connection, person_id: str, certificate_id: str) -> Mapping[str, Any]:
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


def _end_replaced(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    if row["replaces"] is None:
        return
    old = _own(uow.connection, row["person_id"], row["replaces"])
    if old["state"] in ("proposed", "enrolled"):
        _end(uow, old, "replaced", "")


def _end(uow: UnitOfWork, row: Mapping[str, Any], state: str, reason: str) -> None:
    uow.alter(
        person_certificates,
        row["person_id"],
        person_certificates.c.id == row["id"],
        {
            "state": state,
            "challenge": None,
            "ended_at": uow.now,
            "ended_by": uow.actor.id,
            "end_reason": reason or None,
        },
    )


def _unfit(detail: str) -> InvalidInputError:
    return InvalidInputError(
        detail,
        code="certificate-unfit",
        rule="signer-identity",
        satisfied_by="Send a certificate of a person that may sign now and leads to the office's root.",
        fields=[FieldProblem("/pem", "not fit to sign here")],
    )


def _view(row: Mapping[str, Any]) -> PersonCertificate:
    return PersonCertificate(**{name: row[name] for name in PersonCertificate.__dataclass_fields__})
