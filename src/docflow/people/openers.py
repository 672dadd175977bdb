"""Who can open what is released encrypted: the certificate of each recipient, and the escrow's.

Rules:
- Of a recipient's certificates, the one recorded last that is neither revoked nor unsuitable is used.
- A recipient without one stops the release, by name and with every reason. It is asked when the
  release is fired, again when its job encrypts, and once more when it delivers.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from docflow.db import Row, all_rows
from docflow.kernel.clock import rfc3339
from docflow.kernel.errors import ConflictError
from docflow.people.tables import recipient_certificates, recipients
from docflow.signing.certificates import (
    CertificatePolicy,
    EncryptionCertificate,
    read_certificate,
)
from docflow.signing.envelope.suitability import cannot_encrypt, unsuitable
from docflow.signing.trust import TrustRoots

_TABLE: Final = recipient_certificates


class Openers:
    """Finds the certificates that a document is encrypted to."""

    def __init__(
        self,
        policy: CertificatePolicy | None = None,
        recovery: EncryptionCertificate | None = None,
    ) -> None:
        """Take what this deployment accepts, and the organisation's escrow if it has one."""
        self._policy = policy or CertificatePolicy()
        self._recovery = recovery

    @property
    def escrow(self) -> EncryptionCertificate | None:
        """The organisation's escrow, if it has one."""
        return self._recovery

    @property
    def roots(self) -> TrustRoots | None:
        """What recipients' certificates must lead to; None if whoever records one vouches for it."""
        return self._policy.roots

    def usable(
        self, connection: sa.Connection, recipient_ids: Sequence[str], now: datetime
    ) -> dict[str, EncryptionCertificate]:
        """Return, by recipient, the certificate to encrypt to.

        Raises:
            ConflictError: naming each recipient that has none and why (code `recipient-certificate`).
        """
        theirs = sa.select(_TABLE).where(_TABLE.c.recipient_id.in_(recipient_ids))
        held = all_rows(connection, theirs.order_by(_TABLE.c.id.desc()))
        named = recipients.c.id.in_(recipient_ids)
        statement = sa.select(recipients.c.id, recipients.c.name).where(named)
        names = {row["id"]: row["name"] for row in all_rows(connection, statement)}
        chosen: dict[str, EncryptionCertificate] = {}
        refused: dict[str, list[str]] = {}
        for recipient_id in recipient_ids:
            own = [row for row in held if row["recipient_id"] == recipient_id]
            found = self._choose(own, now)
            if isinstance(found, EncryptionCertificate):
                chosen[recipient_id] = found
            else:
                refused[names.get(recipient_id, recipient_id)] = found
        if refused:
            raise cannot_encrypt(refused)
        return chosen

    def recovery(self, now: datetime) -> EncryptionCertificate | None:
        """Return the escrow certificate that everything is encrypted to as well, None without one.

        Raises:
            ConflictError: if it cannot be encrypted to any more (code `recovery-certificate`).
        """
        if self._recovery is None:
            return None
        if faults := unsuitable(self._recovery.certificate, now, self._policy.suitability):
            raise ConflictError(
                "The document cannot be released encrypted: the organisation's recovery certificate "
                f"(serial {self._recovery.serial}) {', and '.join(faults)}.",
                code="recovery-certificate",
                rule="recovery-can-decrypt",
                satisfied_by="Have the operator name a valid one in DOCFLOW_RECOVERY_CERTIFICATE_FILE.",
            )
        return self._recovery

    def require_in_force(self, connection: sa.Connection, used: Mapping[str, str]) -> None:
        """Check that no certificate that was encrypted to has been revoked since.

        Args:
            connection: of the transaction that delivers.
            used: recipient id → SHA-256 of the certificate.

        Raises:
            ConflictError: naming each recipient whose was (code `recipient-certificate`).
        """
        statement = (
            sa.select(_TABLE, recipients.c.name)
            .join(recipients, recipients.c.id == _TABLE.c.recipient_id)
            .where(_TABLE.c.recipient_id.in_(used), _TABLE.c.revoked_at.is_not(None))
        )
        revoked = [
            row
            for row in all_rows(connection, statement)
            if used[row["recipient_id"]] == row["sha256"]
        ]
        if revoked:
            raise cannot_encrypt({row["name"]: [_revoked(row)] for row in revoked})

    def _choose(
        self, newest_first: Sequence[Row], now: datetime
    ) -> EncryptionCertificate | list[str]:
        """Return the certificate to use, or why there is none: what is wrong with the newest."""
        why: list[str] = []
        for row in newest_first:
            if row["revoked_at"] is not None:
                continue
            found = read_certificate(row["pem"].encode())
            faults = self._policy.faults(found, now)
            if not faults:
                return found
            why = why or [f"(serial {found.serial}) {fault}" for fault in faults]
        if not why and newest_first:
            why = [_revoked(newest_first[0])]
        return why or ["is not on record"]


def _revoked(row: Row) -> str:
    return f"(serial {row['serial']}) was revoked on {rfc3339(row['revoked_at'])}"
