"""Which certificates a person signs with: enrolled, proved, replaced, revoked; nothing is deleted.

Rules:
1. An administrator enrols. A certificate whose key is on the person's own card is only proposed by
   that: it is enrolled when the person has signed the challenge with that very key.
2. A certificate belongs to one person, and one that was revoked or replaced is never enrolled again, but
   for what was revoked for the wrong person before it signed anything.
3. Each change is an entry of the person, with the certificate's digest and no name.
4. The challenge can be no document's signed attributes (those begin with 0x31), so that proving a key
   never signs anything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import sqlalchemy as sa
from cryptography import x509

from docflow.db import Database, Draft, UnitOfWork
from docflow.db.idempotency import Claim
from docflow.kernel.actor import Actor
from docflow.kernel.errors import (
    ConfigurationError,
    ConflictError,
    ForbiddenError,
    NotFoundError,
)
from docflow.people import access
from docflow.people.records import as_mapping, claim_id, fetch, page_of, require_recorded
from docflow.people.signer_rows import (
    new_row,
    own,
    proposed,
    refuse_system,
    refuse_unnamed,
    refuse_wrong_proof,
    unfit,
)
from docflow.people.signing_tables import person_certificates
from docflow.people.tables import people
from docflow.people.views import Page
from docflow.people.vocabulary import Permission
from docflow.signing.identity import SignerIdentity
from docflow.signing.longterm import LongTerm
from docflow.signing.offered import card_identity
from docflow.signing.signers import Signers
from docflow.signing.standing import RevokedSignerError

Device = Literal["card", "service"]
MOST_PEM_BYTES: Final = 40_000
_MOST_LINKS: Final = 6


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

    def __init__(
        self,
        database: Database,
        signers: Signers,
        longterm: LongTerm,
        used: Callable[[sa.Connection, str, datetime], bool],
    ) -> None:
        """Accept what leads to the signers' own roots and was not revoked, as `longterm` is told.

        `used` tells whether a certificate has signed anything since an instant.
        """
        self._database = database
        self._used = used
        self._signers = signers
        self._longterm = longterm

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
            ConflictError: code `certificate-known`, or `certificate-revoked` by its authority.
            NotFoundError: if there is no such person, or none such to be replaced.
        """
        require_recorded(self._database, actor, Permission.CERTIFICATE_MANAGE)
        found = self._checked(pem, self._database.clock.now())
        row = new_row(person_id, found, device, replaces)
        with self._database.unit_of_work(actor) as uow:
            claim_id(uow, claim, row["id"])
            person = fetch(uow.connection, people, person_id, lock=True)
            refuse_system(person)
            if device == "service":
                refuse_unnamed(person, self._signers.login_of(row["sha256"]))
            uow.serialise(f"certificate {row['sha256']}")
            self._refuse_known(uow, person_id, row["sha256"])
            if replaces is not None:
                own(uow.connection, person_id, replaces)
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
            return _view(own(uow.connection, person_id, row["id"]))

    def _checked(self, pem: str, now: datetime) -> list[x509.Certificate]:
        if len(pem) > MOST_PEM_BYTES:
            raise unfit(f"A certificate with its authorities has at most {MOST_PEM_BYTES} bytes.")
        try:
            found = x509.load_pem_x509_certificates(pem.encode("utf-8", "replace"))
        except ValueError:
            raise unfit(
                "This holds no certificate; send the person's and those of the authorities above it as "
                "-----BEGIN CERTIFICATE----- blocks."
            ) from None
        if len(found) > _MOST_LINKS:
            raise unfit(f"A chain has at most {_MOST_LINKS} certificates here.")
        try:
            identity = self._identity("What was sent", found, now)
        except ValueError:  # an extension that no parser can read
            raise unfit("The certificate cannot be read to its end.") from None
        self._refuse_revoked(identity, now)
        return found

    def _refuse_known(self, uow: UnitOfWork, person_id: str, sha256: str) -> None:
        """Refuse what is or was enrolled, unless it was for somebody else, revoked and never used."""
        for row in enrolments_of(uow.connection, sha256):
            mistaken = row["state"] == "revoked" and row["person_id"] != person_id
            since = row["enrolled_at"]
            if mistaken and (since is None or not self._used(uow.connection, sha256, since)):
                continue
            raise ConflictError(
                "This certificate is known already; one that was revoked or replaced stays so, unless it "
                "was revoked for another person and never signed anything for them.",
                code="certificate-known",
                satisfied_by="Revoke it there if it was enrolled for the wrong person; otherwise have the "
                "authority issue a new certificate.",
            )

    def _refuse_revoked(self, identity: SignerIdentity, now: datetime) -> None:
        """Refuse what its authority revoked. Where nobody tells, it is asked before each signature."""
        try:
            self._longterm.standing(identity, now)
        except RevokedSignerError as error:
            raise ConflictError(
                f"The certificate of {identity.name} was revoked by its authority.",
                code="certificate-revoked",
                rule="signer-enrolled",
                satisfied_by="Have the authority issue a new certificate, and enrol that.",
            ) from error

    def prove(
        self, actor: Actor, person_id: str, certificate_id: str, signature: bytes
    ) -> PersonCertificate:
        """Enrol one's own proposed certificate by a signature over its challenge.

        Raises:
            ForbiddenError: if the certificate is another person's.
            NotFoundError: if there is none.
            ConflictError: code `certificate-not-proposed`, or `certificate-revoked` by its authority.
            InvalidInputError: code `signature-refused`.
        """
        access.require(actor, Permission.CERTIFICATE_PROVE)
        if actor.id != person_id:
            raise ForbiddenError(
                "Only the person whose certificate it is can prove its key.",
                rule="own-certificate",
                satisfied_by="Sign in as that person.",
            )
        with self._database.read() as connection:
            row = proposed(connection, person_id, certificate_id)
        now = self._database.clock.now()
        identity = self._identity(
            "The proposed enrolment", x509.load_pem_x509_certificates(row["pem"].encode()), now
        )
        refuse_wrong_proof(identity, row, signature)
        self._refuse_revoked(identity, now)  # asks the network: outside the transaction
        with self._database.unit_of_work(actor) as uow:
            person = fetch(uow.connection, people, person_id, lock=True)
            row = proposed(uow.connection, person_id, certificate_id)
            values = {"state": "enrolled", "challenge": None, "enrolled_at": uow.now}
            uow.alter(person_certificates, person_id, person_certificates.c.id == row["id"], values)
            data = {"certificate": row["id"], "sha256": row["sha256"], "device": row["device"]}
            uow.change(people, person, {}, Draft("person.certificate-enrolled", data))
            _end_replaced(uow, row)
            return _view(own(uow.connection, person_id, row["id"]))

    def _identity(
        self, holder: str, chain: list[x509.Certificate], now: datetime
    ) -> SignerIdentity:
        try:
            return card_identity(
                holder,
                chain,
                roots=self._signers.own_roots,
                now=now,
                algorithms=self._signers.algorithms,
            )
        except ConfigurationError as error:
            raise unfit(error.detail) from None

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
            row = own(uow.connection, person_id, certificate_id)
            if row["state"] != "revoked":
                _end(uow, row, "revoked", reason)
                data = {"certificate": row["id"], "sha256": row["sha256"]}
                draft = Draft("person.certificate-revoked", data, {"reason": reason})
                uow.change(people, person, {}, draft)
            return _view(own(uow.connection, person_id, row["id"]))

    def get(self, actor: Actor, person_id: str, certificate_id: str) -> PersonCertificate:
        """Return one certificate.

        Raises:
            NotFoundError: if there is none.
        """
        access.require(actor, Permission.DIRECTORY_READ)
        with self._database.read() as connection:
            return _view(own(connection, person_id, certificate_id))

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


def enrolments_of(connection: sa.Connection, sha256: str) -> list[Mapping[str, Any]]:
    """Return every enrolment of a certificate, whoever's, with its state."""
    statement = sa.select(person_certificates).where(person_certificates.c.sha256 == sha256)
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


def _end_replaced(uow: UnitOfWork, row: Mapping[str, Any]) -> None:
    if row["replaces"] is None:
        return
    old = own(uow.connection, row["person_id"], row["replaces"])
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


def _view(row: Mapping[str, Any]) -> PersonCertificate:
    return PersonCertificate(**{name: row[name] for name in PersonCertificate.__dataclass_fields__})
