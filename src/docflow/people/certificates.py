"""Recipients' certificates: put on record, revoked, listed.

Rules:
- Only an administrator records or revokes one; it is judged at once, and what cannot be encrypted
  to is refused with every reason. Recording the same certificate again changes nothing.
- Nothing is deleted: a revoked certificate stays, with who revoked it and why, and never counts again.
- Each act is an entry on the recipient's chain, with the certificate's digest.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Database, Draft, Row, UnitOfWork, all_rows, one_row
from docflow.kernel.actor import SERVICE, Actor
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import (
    ConfigurationError,
    ConflictError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
)
from docflow.kernel.ids import new_id
from docflow.kernel.text import normalise
from docflow.people.access import require
from docflow.people.records import fetch, page_of, require_recorded
from docflow.people.seed_models import OfficeSeed
from docflow.people.tables import recipient_certificates, recipients
from docflow.people.views import Page
from docflow.people.vocabulary import Permission
from docflow.signing.certificates import (
    CertificatePolicy,
    EncryptionCertificate,
    read_certificate,
    read_certificate_file,
)

MOST_IN_FORCE: Final = 20
_MOST_REASON: Final = 500
_TABLE: Final = recipient_certificates


@dataclass(frozen=True, slots=True)
class Recorded:
    """A certificate on a recipient's record.

    Attributes:
        row: its columns.
        faults: why it cannot be encrypted to now; empty if it can.
    """

    row: Mapping[str, Any]
    faults: tuple[str, ...]

    @property
    def usable(self) -> bool:
        """Whether a release may encrypt to it now."""
        return self.row["revoked_at"] is None and not self.faults


class RecipientCertificates:
    """What documents are encrypted to."""

    def __init__(self, database: Database, policy: CertificatePolicy | None = None) -> None:
        """Take what this deployment accepts."""
        self._database = database
        self.policy = policy or CertificatePolicy()

    def add(self, actor: Actor, recipient_id: str, data: bytes) -> tuple[Recorded, bool]:
        """Record a certificate, PEM or DER; also tell whether it is new on this recipient's record.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: if it is no certificate (`certificate-unreadable`), comes with a private
                key (`certificate-with-key`), or cannot be encrypted to (`certificate-unsuitable`).
            NotFoundError: if there is no such recipient.
            ConflictError: if it was revoked (`recipient-certificate-revoked`), or the recipient has
                too many (`too-many-certificates`).
        """
        require_recorded(self._database, actor, Permission.RECIPIENT_MANAGE)
        found = read_certificate(data)
        with self._database.unit_of_work(actor) as uow:
            recipient = fetch(uow.connection, recipients, recipient_id, lock=True)
            row = _on_record(uow.connection, recipient_id, found.sha256)
            if row is None:
                row = self._put(uow, recipient, found)
                return self._recorded(row, uow.now), True
        if row["revoked_at"] is not None:
            raise ConflictError(
                f"This certificate was revoked on {rfc3339(row['revoked_at'])} and does not come back.",
                code="recipient-certificate-revoked",
                satisfied_by="Record a new certificate of the recipient.",
            )
        return self._recorded(row, self._database.clock.now()), False

    def _put(
        self, uow: UnitOfWork, recipient: Mapping[str, Any], found: EncryptionCertificate
    ) -> Row:
        if faults := self.policy.faults(found, uow.now):
            raise InvalidInputError(
                f"{recipient['name']}: its certificate (serial {found.serial}) {', and '.join(faults)}.",
                code="certificate-unsuitable",
                rule="recipients-can-decrypt",
                satisfied_by="Have the recipient send a certificate that files can be encrypted to.",
                reasons=faults,
            )
        of_recipient = _TABLE.c.recipient_id == recipient["id"]
        count = sa.select(sa.func.count()).where(of_recipient, _TABLE.c.revoked_at.is_(None))
        if uow.connection.execute(count).scalar_one() >= MOST_IN_FORCE:
            raise ConflictError(
                f"The recipient has {MOST_IN_FORCE} certificates that are not revoked.",
                code="too-many-certificates",
                satisfied_by="Revoke those that are no longer used.",
            )
        row = _row_of(found, recipient["id"], uow)
        uow.put(_TABLE, row)
        told = ("sha256", "serial", "key_kind", "key_bits")
        data = {name: row[name] for name in told} | {"not_after": rfc3339(row["not_after"])}
        details = {"subject": row["subject"], "issuer": row["issuer"]}
        uow.note(recipients, recipient, Draft("recipient.certificate-added", data, details))
        return row

    def revoke(self, actor: Actor, recipient_id: str, sha256: str, reason: str) -> Recorded:
        """Take a certificate out of use, for good; a second time changes nothing.

        Raises:
            ForbiddenError: if the actor is no administrator.
            InvalidInputError: if there is no reason.
            NotFoundError: if the recipient has no such certificate (code `certificate-not-found`).
        """
        require_recorded(self._database, actor, Permission.RECIPIENT_MANAGE)
        said = normalise(reason).strip()
        if not 1 <= len(said) <= _MOST_REASON:
            raise InvalidInputError(
                f"A revocation has a reason of 1 to {_MOST_REASON} characters.",
                fields=[FieldProblem("/reason", f"1 to {_MOST_REASON} characters")],
            )
        with self._database.unit_of_work(actor) as uow:
            recipient = fetch(uow.connection, recipients, recipient_id, lock=True)
            row = _on_record(uow.connection, recipient_id, sha256)
            if row is None:
                raise _no_certificate()
            if row["revoked_at"] is None:
                values = {"revoked_by": actor.id, "revoked_at": uow.now, "reason": said}
                uow.alter(_TABLE, recipient_id, _TABLE.c.id == row["id"], values)
                uow.note(
                    recipients,
                    recipient,
                    Draft("recipient.certificate-revoked", {"sha256": sha256}, {"reason": said}),
                )
                row = {**row, **values}
            return self._recorded(row, uow.now)

    def get(self, actor: Actor, recipient_id: str, sha256: str) -> Recorded:
        """Return one certificate of a recipient.

        Raises:
            NotFoundError: if the recipient has no such certificate (code `certificate-not-found`).
        """
        require(actor, Permission.DIRECTORY_READ)
        with self._database.read() as connection:
            fetch(connection, recipients, recipient_id)
            row = _on_record(connection, recipient_id, sha256)
        if row is None:
            raise _no_certificate()
        return self._recorded(row, self._database.clock.now())

    def list(
        self,
        actor: Actor,
        *,
        recipient_id: str | None = None,
        expiring_before: datetime | None = None,
        revoked: bool | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[Recorded]:
        """Return a page of certificates, of one recipient or of all, in the order of recording.

        With `expiring_before`, only certificates that are not revoked and end before that instant.

        Raises:
            InvalidInputError: if the cursor or limit is wrong.
            NotFoundError: if there is no such recipient.
        """
        require(actor, Permission.DIRECTORY_READ)
        conditions: list[sa.ColumnElement[bool]] = []
        if expiring_before is not None:
            conditions += [_TABLE.c.not_after < expiring_before, _TABLE.c.revoked_at.is_(None)]
        if revoked is not None:
            still = _TABLE.c.revoked_at.is_(None)
            conditions.append(~still if revoked else still)
        with self._database.read() as connection:
            if recipient_id is not None:
                fetch(connection, recipients, recipient_id)
                conditions.append(_TABLE.c.recipient_id == recipient_id)
            rows, following = page_of(connection, _TABLE, conditions, cursor, limit)
        now = self._database.clock.now()
        return Page(tuple(self._recorded(row, now) for row in rows), following)

    def record_from_office(self, office: OfficeSeed, folder: Path) -> int:
        """Record the certificates that an office file names and the database lacks; return how many.

        What is on record stays as it is, revoked or not, so a second run changes nothing.

        Args:
            office: the checked office file.
            folder: where it lies; the files are named relative to it.

        Raises:
            ConfigurationError: naming the recipient whose file is missing, or cannot be encrypted to.
        """
        files = [
            (recipient.code, folder / recipient.certificate)
            for recipient in office.recipients
            if recipient.certificate is not None
        ]
        return self.record({code: read_certificate_file(path, code) for code, path in files})

    def record(self, wanted: Mapping[str, EncryptionCertificate]) -> int:
        """Record certificates by the code of the recipient, as docflow itself; return how many are new.

        Raises:
            ConfigurationError: naming the recipient whose certificate cannot be encrypted to.
        """
        made = 0
        with self._database.unit_of_work(SERVICE) as uow:
            for recipient, found in _matched(uow, wanted):
                if _on_record(uow.connection, recipient["id"], found.sha256) is not None:
                    continue
                try:
                    self._put(uow, recipient, found)
                except (InvalidInputError, ConflictError) as error:
                    raise ConfigurationError(f"{recipient['code']}: {error.detail}") from error
                made += 1
        return made

    def without(self, codes: Collection[str]) -> Sequence[str]:
        """Return those of the recipients with these codes that have no certificate on record."""
        has = sa.exists().where(_TABLE.c.recipient_id == recipients.c.id)
        statement = sa.select(recipients.c.code).where(recipients.c.code.in_(codes), ~has)
        with self._database.read() as connection:
            return list(connection.execute(statement.order_by(recipients.c.code)).scalars())

    def _recorded(self, row: Mapping[str, Any], now: datetime) -> Recorded:
        found = read_certificate(row["pem"].encode())
        return Recorded(row, tuple(self.policy.faults(found, now)))


def _matched(
    uow: UnitOfWork, wanted: Mapping[str, EncryptionCertificate]
) -> Iterator[tuple[Row, EncryptionCertificate]]:
    statement = sa.select(recipients).where(recipients.c.code.in_(wanted)).with_for_update()
    for row in all_rows(uow.connection, statement.order_by(recipients.c.code)):
        yield row, wanted[row["code"]]


def _on_record(connection: sa.Connection, recipient_id: str, sha256: str) -> Row | None:
    statement = sa.select(_TABLE).where(
        _TABLE.c.recipient_id == recipient_id, _TABLE.c.sha256 == sha256
    )
    return one_row(connection, statement)


def _row_of(found: EncryptionCertificate, recipient_id: str, uow: UnitOfWork) -> Row:
    kind, bits = found.key
    return {
        "id": new_id(),
        "recipient_id": recipient_id,
        "sha256": found.sha256,
        "pem": found.to_pem(),
        "subject": found.subject,
        "issuer": found.issuer,
        "serial": found.serial,
        "key_kind": kind,
        "key_bits": bits,
        "not_before": found.certificate.not_valid_before_utc,
        "not_after": found.certificate.not_valid_after_utc,
        "added_by": uow.actor.id,
        "added_at": uow.now,
        "revoked_by": None,
        "revoked_at": None,
        "reason": None,
    }


def _no_certificate() -> NotFoundError:
    return NotFoundError(
        "The recipient has no certificate with this SHA-256 on record.",
        code="certificate-not-found",
    )
