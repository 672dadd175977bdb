"""Every certificate that the office leans on, and how near its end it is: whom to ask for a new one, when.

Rules:
- Told always: what this service itself holds (the seal, keys of people, the authorities and roots above
  them, time-stamp authorities, the recovery certificate). Told when they end within 60 days: what there
  may be many of (cards, recipients' certificates, anchors and lists for the signatures of others).
- Of a recipient, only the certificate that lasts longest counts; of the inactive and revoked, none. An
  anchor that is over is kept for old signatures, and is no news.
- Nothing is fetched where this is told. What time-stamp authorities sign with is looked at by a duty, once
  a day, and kept.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import sqlalchemy as sa
from cryptography import x509
from sqlalchemy.dialects import postgresql, sqlite

from docflow.db import all_rows
from docflow.documents.desk import Desk
from docflow.kernel.actor import SERVICE
from docflow.people.signing_tables import person_certificates
from docflow.people.tables import people, recipient_certificates, recipients
from docflow.release.tables import stamping_certificates
from docflow.signing.identity import SignerIdentity, common_name
from docflow.signing.trust import TrustRoots, sha256_of
from docflow.signing.verifying.trusted_lists import Anchors

WARN_DAYS = (7, 30, 60)
Use = Literal[
    "seal", "person", "card", "authority", "root", "timestamp-authority", "timestamp-root",
    "recipient", "recipient-root", "recovery", "anchor", "trusted-list",
]  # fmt: skip
USES: tuple[Use, ...] = get_args(Use)
_LOOK_AGAIN = timedelta(hours=20)
_MOST_TOLD = 200


@dataclass(frozen=True, slots=True)
class CertificateStanding:
    """A certificate and how near its end is.

    Attributes:
        name: of its subject, of the recipient, or of the file of a trusted list.
        kind: person, organisation, authority or list.
        use: what the office needs it for.
        sha256: its fingerprint; None for a list.
        until: when it ends.
        days_left: whole days until then, negative once it is over.
        warning: the least of 7, 30 and 60 days that it ends within, 0 if it is over, None if later.
    """

    name: str
    kind: str
    use: Use
    sha256: str | None
    until: datetime
    days_left: int
    warning: int | None


def signers(desk: Desk) -> list[CertificateStanding]:
    """Return every loaded signer's certificate, the one that ends first before the others."""
    now = desk.database.clock.now()
    return _in_order(_signer(one, now) for one in desk.signers.identities())


def leaned_on(desk: Desk, anchors: Anchors | None = None) -> list[CertificateStanding]:
    """Return what the office leans on, the one that ends first before the others.

    Args:
        desk: with signers, levels and database.
        anchors: what signatures of others are judged by.
    """
    now = desk.database.clock.now()
    held = [*signers(desk), *_above(desk, now), *_stamping(desk, now), *_encryption(desk, now)]
    known = {one.sha256 for one in held}
    others = [*_cards(desk, now), *_recipients(desk, now), *_anchors(desk, anchors, now)]
    soon = [one for one in others if one.warning is not None and one.sha256 not in known]
    return _in_order([*held, *soon])


def look_at_authorities(desk: Desk) -> int:
    """Keep what each time-stamp authority signs with now; return how many were looked at.

    One that does not answer is looked at again the next time.
    """
    now = desk.database.clock.now()
    longterm, table = desk.levels.longterm, stamping_certificates
    with desk.database.read() as connection:
        fresh = connection.execute(
            sa.select(table.c.authority).where(table.c.seen_at > now - _LOOK_AGAIN)
        ).scalars()
        wanted = sorted(set(longterm.authorities) - set(fresh))
    found = longterm.stamping_certificates(wanted, now)
    for authority, certificate in found.items():
        row = {
            "authority": authority,
            "sha256": sha256_of(certificate),
            "subject": common_name(certificate)[:300],
            "until": certificate.not_valid_after_utc,
            "seen_at": now,
        }
        with desk.database.unit_of_work(SERVICE) as uow:
            dialect: Any = sqlite if uow.connection.dialect.name == "sqlite" else postgresql
            uow.connection.execute(
                dialect.insert(table)
                .values(row)
                .on_conflict_do_update(index_elements=["authority"], set_=row)
            )
    return len(found)


def _told(
    name: str, kind: str, use: Use, sha256: str | None, until: datetime, now: datetime
) -> CertificateStanding:
    left = until - now
    warning = next((days for days in WARN_DAYS if left <= timedelta(days=days)), None)
    over = left <= timedelta(0)
    return CertificateStanding(
        name, kind, use, sha256, until, left // timedelta(days=1), 0 if over else warning
    )


def _in_order(found: Iterable[CertificateStanding]) -> list[CertificateStanding]:
    return sorted(found, key=lambda one: (one.until, one.name))


def _signer(one: SignerIdentity, now: datetime) -> CertificateStanding:
    use: Use = "seal" if one.kind == "organisation" else "person"
    until = one.certificate.not_valid_after_utc
    return _told(one.name, one.kind, use, one.sha256, until, now)


def _each(
    certificates: Iterable[x509.Certificate], use: Use, now: datetime
) -> Iterator[CertificateStanding]:
    for one in dict.fromkeys(certificates):
        until = one.not_valid_after_utc
        yield _told(common_name(one), "authority", use, sha256_of(one), until, now)


def _above(desk: Desk, now: datetime) -> Iterator[CertificateStanding]:
    """Yield the authorities between our signers and their roots, and the roots."""
    links = [link for one in desk.signers.identities() for link in one.chain]
    yield from _each(links, "authority", now)
    yield from _each(desk.signers.own_roots.certificates, "root", now)


def _stamping(desk: Desk, now: datetime) -> Iterator[CertificateStanding]:
    longterm, table = desk.levels.longterm, stamping_certificates
    with desk.database.read() as connection:
        seen = all_rows(
            connection,
            sa.select(table).where(table.c.authority.in_(longterm.authorities)),
        )
    for row in seen:
        name = f"{row['authority']}: {row['subject']}"
        yield _told(name, "authority", "timestamp-authority", row["sha256"], row["until"], now)
    own = set(desk.signers.own_roots.certificates)
    theirs = [one for one in longterm.timestamp_roots.certificates if one not in own]
    # one that is over stays for the stamps of old
    lasting = [one for one in theirs if one.not_valid_after_utc > now]
    yield from _each(lasting, "timestamp-root", now)


def _encryption(desk: Desk, now: datetime) -> Iterator[CertificateStanding]:
    """Yield what encrypted releases need beside the recipients' own certificates."""
    recovery, roots = desk.openers.escrow, desk.openers.roots or TrustRoots(())
    if recovery is not None:
        held = recovery.certificate
        until = held.not_valid_after_utc
        yield _told(common_name(held), "organisation", "recovery", recovery.sha256, until, now)
    yield from _each(roots.certificates, "recipient-root", now)


def _cards(desk: Desk, now: datetime) -> Iterator[CertificateStanding]:
    """Yield the enrolled certificates of active people; those in the signers file are told before."""
    table = person_certificates.c
    statement = (
        sa.select(people.c.name, table.sha256, table.valid_until)
        .join(people, people.c.id == table.person_id)
        .where(people.c.active, table.state == "enrolled", table.valid_until <= _horizon(now))
        .order_by(table.valid_until)
        .limit(_MOST_TOLD)
    )
    with desk.database.read() as connection:
        for row in all_rows(connection, statement):
            yield _told(row["name"], "person", "card", row["sha256"], row["valid_until"], now)


def _recipients(desk: Desk, now: datetime) -> Iterator[CertificateStanding]:
    """Yield, of each active recipient, the certificate that lasts longest, if that is not long."""
    table, longer = recipient_certificates, recipient_certificates.alias("longer")
    lasts_longer = sa.exists().where(
        longer.c.recipient_id == table.c.recipient_id,
        longer.c.revoked_at.is_(None),
        longer.c.not_after > table.c.not_after,
    )
    statement = (
        sa.select(recipients.c.name, recipients.c.kind, table.c.sha256, table.c.not_after)
        .join(recipients, recipients.c.id == table.c.recipient_id)
        .where(
            recipients.c.active,
            table.c.revoked_at.is_(None),
            table.c.not_after <= _horizon(now),
            ~lasts_longer,
        )
        .order_by(table.c.not_after)
        .limit(_MOST_TOLD)
    )
    with desk.database.read() as connection:
        for row in all_rows(connection, statement):
            ends = row["not_after"]
            yield _told(row["name"], row["kind"], "recipient", row["sha256"], ends, now)


def _anchors(desk: Desk, anchors: Anchors | None, now: datetime) -> Iterator[CertificateStanding]:
    named: Sequence[x509.Certificate] = desk.signers.roots.certificates
    if anchors is not None:
        named = [*named, *anchors.named.certificates]
        for name, until in anchors.lists:
            yield _told(name, "list", "trusted-list", None, until, now)
    yield from _each((one for one in named if one.not_valid_after_utc > now), "anchor", now)


def _horizon(now: datetime) -> datetime:
    return now + timedelta(days=WARN_DAYS[-1])
