"""With what does this person sign now, and may they: card or service, enrolled, recently there.

Rules:
1. Who has an enrolled card signs with the card, and its PIN is the proof of presence. Everyone else
   signs with the identity that the signers file has for them, and needs a password given recently.
2. A certificate that was revoked or replaced, for whomever, or that is enrolled for somebody else, signs
   nothing, whatever the policy. Where the policy demands it, only an enrolled one signs.
3. Asked when the signature is requested, and again when it is made.
4. What a card cannot sign is refused when the signature is requested.
5. What was asked of a card is signed with that card or not at all: no key of the service steps in when
   the card ends meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import sqlalchemy as sa
from cryptography import x509

from docflow.db import Row, UnitOfWork
from docflow.documents.tables import files
from docflow.kernel.actor import Actor
from docflow.kernel.errors import ConfigurationError, ConflictError, ForbiddenError
from docflow.people.signer_certificates import (
    certificate_row,
    enrolments_of,
    signing_certificates,
)
from docflow.people.tables import people
from docflow.signing.identity import SignerIdentity
from docflow.signing.offered import card_identity
from docflow.signing.signers import Signers


@dataclass(frozen=True, slots=True)
class SigningPolicy:
    """What a personal signature needs.

    Attributes:
        enrolment_required: whether a certificate must be enrolled for its person.
        step_up: for how long a password given counts; None if it always does.
    """

    enrolment_required: bool = False
    step_up: timedelta | None = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a person signs with: the kind of job, and the card's certificate if it is one."""

    kind: str
    certificate_id: str | None = None


SERVICE: Final = Chosen("sign")
CARD_KIND: Final = "card"
MOST_FILES: Final = 200
"""How many files a card signs in one session."""


def choose(
    uow: UnitOfWork,
    signers: Signers,
    policy: SigningPolicy,
    person_id: str,
    card_id: str | None = None,
) -> Chosen:
    """Return what a person signs with; refuse who may not sign now.

    Args:
        uow: the unit of work that asks for the signature.
        signers: the identities of the signers file.
        policy: what a personal signature needs.
        person_id: who signs.
        card_id: id of the card's certificate that was asked to sign, if one was.

    Raises:
        ConflictError: code `no-signer`, `signer-expired`, `certificate-revoked` or
            `certificate-not-enrolled`.
        ForbiddenError: code `step-up-required`.
    """
    if card_id is not None:
        require_card(certificate_row(uow.connection, card_id), person_id, uow.now)
        return Chosen(CARD_KIND, card_id)
    card = card_certificate(uow.connection, person_id, uow.now)
    if card is not None:
        return Chosen(CARD_KIND, card)
    person = uow.connection.execute(
        sa.select(people.c.login, people.c.name).where(people.c.id == person_id)
    ).one_or_none()
    if person is None:
        raise ConflictError(
            "Only a person makes a personal signature.",
            code="no-signer",
            rule="signer-enrolled",
            satisfied_by="Let a person fire it whom the workflow names.",
        )
    identity = signers.person(person.login, person.name, uow.now)
    require_enrolled(uow.connection, policy, person_id, identity)
    require_presence(uow, policy, uow.actor)
    return SERVICE


def card_certificate(connection: sa.Connection, person_id: str, now: datetime) -> str | None:
    """Return the id of the person's newest enrolled card that is valid now, None without one."""
    for row in signing_certificates(connection, person_id):
        valid = row["valid_from"] <= now <= row["valid_until"]
        if valid and (row["device"], row["state"]) == ("card", "enrolled"):
            return str(row["id"])
    return None


def require_card(row: Mapping[str, Any], person_id: str, now: datetime) -> None:
    """Refuse a certificate of a card with which the person signs nothing now.

    Raises:
        ConflictError: code `certificate-revoked` or `signer-expired`.
    """
    if row["state"] != "enrolled" or row["person_id"] != person_id:
        raise revoked(row)
    if not row["valid_from"] <= now <= row["valid_until"]:
        raise ConflictError(
            "The certificate of the card is not valid now.",
            code="signer-expired",
            satisfied_by="Have an administrator enrol a new one.",
        )


def require_signs(uow: UnitOfWork, signers: Signers, row: Row, card_id: str) -> None:
    """Refuse now what a person's card could not sign later: nobody waits for a session in vain.

    Args:
        uow: the unit of work that asks for the signature.
        signers: whose roots a card's certificate leads to.
        row: the document.
        card_id: id of the card's certificate.

    Raises:
        ConflictError: code `main-file-missing`, `session-too-large` or `card-unfit`.
    """
    counted = sa.select(sa.func.count()).select_from(files)
    originals = sa.and_(files.c.form == "original", files.c.current)
    number = uow.connection.execute(
        counted.where(files.c.document_id == row["id"], originals)
    ).scalar_one()
    if not number:
        raise ConflictError("The document has no file to sign.", code="main-file-missing")
    if number > MOST_FILES:
        raise ConflictError(
            f"A card signs at most {MOST_FILES} files in one session, and the document has {number}.",
            code="session-too-large",
            rule="session-bounds",
            satisfied_by="Return the document and put several annexes into one file, or let someone "
            "sign whose certificate is in the signers file.",
        )
    card = certificate_row(uow.connection, card_id)
    try:
        chain = x509.load_pem_x509_certificates(card["pem"].encode())
        roots, rules = signers.own_roots, signers.algorithms
        card_identity("The card's certificate", chain, roots=roots, now=uow.now, algorithms=rules)
    except ConfigurationError as error:  # roots or algorithm policy changed since it was enrolled
        raise ConflictError(
            error.detail,
            code="card-unfit",
            rule="signer-enrolled",
            satisfied_by="Have an administrator enrol a card that fits the office's roots and "
            "algorithms of now.",
        ) from None


def require_enrolled(
    connection: sa.Connection, policy: SigningPolicy, person_id: str, identity: SignerIdentity
) -> None:
    """Refuse a certificate that is not, or no longer, the person's.

    Raises:
        ConflictError: code `certificate-revoked` or `certificate-not-enrolled`.
    """
    known = enrolments_of(connection, identity.sha256)
    found = next((row for row in known if row["person_id"] == person_id), None)
    if found is None or found["state"] != "enrolled":
        _refuse_anothers(known, identity)
    if policy.enrolment_required and (found is None or found["state"] != "enrolled"):
        raise ConflictError(
            f"The certificate of {identity.name} is not enrolled for this person.",
            code="certificate-not-enrolled",
            rule="signer-enrolled",
            satisfied_by="Have an administrator enrol it: POST /v1/people/{id}/certificates.",
        )


def _refuse_anothers(known: Sequence[Mapping[str, Any]], identity: SignerIdentity) -> None:
    """Refuse what ended, for whomever it was enrolled, and what is enrolled for somebody else."""
    ended = next((row for row in known if row["state"] in ("revoked", "replaced")), None)
    if ended is not None:
        raise revoked(ended)
    if any(row["state"] == "enrolled" for row in known):
        raise ConflictError(
            f"The certificate of {identity.name} is enrolled for another person.",
            code="certificate-not-enrolled",
            rule="signer-enrolled",
            satisfied_by="Have an administrator revoke that enrolment, and enrol it for the right person.",
        )


def revoked(row: Mapping[str, Any]) -> ConflictError:
    """Return the refusal of a certificate that ended."""
    return ConflictError(
        f"The certificate {row['sha256'][:16]}… was {row['state']}; nothing is signed with it.",
        code="certificate-revoked",
        rule="signer-enrolled",
        satisfied_by="Have an administrator enrol another certificate.",
    )


def _length(span: timedelta) -> str:
    """Write a length of time in whole minutes, or in seconds where these would not tell it."""
    seconds = max(1, round(span.total_seconds()))
    number, unit = (seconds // 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def require_presence(uow: UnitOfWork, policy: SigningPolicy, actor: Actor) -> None:
    """Refuse a personal signature of someone who did not give the password recently.

    Raises:
        ForbiddenError: code `step-up-required`.
    """
    if policy.step_up is None or actor.kind == "service":
        return
    given = actor.authenticated_at
    if given is not None and uow.now - given <= policy.step_up:
        return
    if actor.scopes is not None:
        raise ForbiddenError(
            "An API key does not sign in a person's name.",
            code="step-up-required",
            rule="step-up",
            satisfied_by="Sign in with the password, or sign with an enrolled card.",
        )
    raise ForbiddenError(
        "A personal signature needs the password to have been given within "
        f"{_length(policy.step_up)}.",
        code="step-up-required",
        rule="step-up",
        satisfied_by="Give it again with POST /v1/sessions/step-up, then repeat the request; or sign "
        "with an enrolled card.",
    )
