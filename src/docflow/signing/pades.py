"""Sign a PDF as one or more persons, then seal it as the organisation: PAdES baseline B-B to B-LTA.

Rules, in this order and no other:
1. The first personal signature's update adds every signature field: `Person`, one more for each person
   who signs after (`Person2`, `Person3`, …), and `Seal`; the seal's field carries the lock (all fields,
   no changes) that its signature will put in force. The first signature certifies the document and
   admits form filling: the fields that are there. A certified file admits no field added later.
2. Later persons fill a field each, with approval signatures: the next one, or the one that is theirs.
3. The seal comes last, when every person has signed, and covers every byte. After it nothing may change
   but archive time stamps.
4. What comes out here is not yet released: `strict.validate_release` judges it first.

All are incremental updates, so what a person signed stays as it was. Files of 100 MB pass
through in bounded memory.

Source: ISO 32000-2, 12.8; ETSI EN 319 142-1 (B-B: no signing-time attribute, the time is /M).
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pyhanko.sign.fields import (
    FieldMDPAction,
    FieldMDPSpec,
    MDPPerm,
    SigFieldSpec,
    SigSeedSubFilter,
    enumerate_sig_fields,
)
from pyhanko.sign.signers import PdfSignatureMetadata

from docflow.kernel.errors import ConflictError
from docflow.signing.appearance import Drawn, Look, Looks, spots
from docflow.signing.embedding import Embedded, sign_into
from docflow.signing.identity import Kind, SignerIdentity
from docflow.signing.levels import Level
from docflow.signing.longterm import LongTerm
from docflow.signing.pageframe import Spot
from docflow.signing.stampfacts import StampFacts
from docflow.signing.update import Update, add_field

PERSON_FIELD = "Person"
SEAL_FIELD = "Seal"
MOST_PERSONS = 8
_Facts = tuple[str, int, str, str, datetime, Level, str | None, datetime | None, StampFacts | None]


@dataclass(frozen=True, slots=True)
class Slot:
    """Which of the personal signatures of a file one is: in the `number`-th field of `of`, both from 1.

    `filled` are the fields of those who signed before, in whichever order; None for those up to its own.
    """

    number: int = 1
    of: int = 1
    filled: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse what no file has.

        Raises:
            ValueError: if it is not within its own bound, or that is over `MOST_PERSONS`; if it is filled,
                or the first field is not the first one's.
        """
        if not 1 <= self.number <= self.of <= MOST_PERSONS:
            raise ValueError(f"no file has a personal signature {self.number} of {self.of}")
        before, fields = self.before, set(range(1, self.of + 1))
        if self.number in before or (self.number == 1) != (not before) or not before <= fields:
            raise ValueError(f"personal signature {self.number} does not come after {before}")

    @property
    def before(self) -> frozenset[int]:
        """The fields that are filled before."""
        return frozenset(range(1, self.number) if self.filled is None else self.filled)

    @property
    def field(self) -> str:
        """The name of its field."""
        return person_field(self.number)


ONLY = Slot()


def person_field(number: int) -> str:
    """Return the name of the field of the `number`-th personal signature: `Person`, `Person2`, …."""
    return PERSON_FIELD if number == 1 else f"{PERSON_FIELD}{number}"


def person_fields(count: int) -> list[str]:
    """Return the names of the fields of `count` personal signatures, in the order of signing."""
    return [person_field(number) for number in range(1, count + 1)]


@dataclass(frozen=True, slots=True)
class PersonSigned:
    """A file with a personal signature on it, not yet sealed; `stamped_at` is what `authority` says."""

    path: Path
    sha256: str
    size_bytes: int
    signer: str
    certificate_sha256: str
    signed_at: datetime
    level: Level = "B-B"
    authority: str | None = None
    stamped_at: datetime | None = None
    stamp: StampFacts | None = None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file with all signatures on it, not yet judged; `stamped_at` is what `authority` says."""

    path: Path
    sha256: str
    size_bytes: int
    signer: str
    certificate_sha256: str
    signed_at: datetime
    level: Level = "B-B"
    authority: str | None = None
    stamped_at: datetime | None = None
    stamp: StampFacts | None = None


def sign_person(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    *,
    now: datetime,
    reason: str | None = None,
    location: str | None = None,
    level: Level = "B-B",
    longterm: LongTerm | None = None,
    looks: Looks | None = None,
    slot: Slot = ONLY,
) -> PersonSigned:
    """Write `source`, signed by a person, to `target`.

    `slot` says which person of how many; `looks` is what the signature will show, and if it is the first,
    where the seal's and the later ones' will be seen.

    Raises:
        InvalidInputError: code `pdf-broken` if the file cannot be signed as it is; `stamp-anchor` or
            `stamp-text` for looks that cannot be put there.
        ConflictError: code `already-signed` or `not-signed` if it does not carry exactly the signatures
            that come before; and as `sign_into`.
        ValueError: if `identity` is not a person's, `now` has no offset, or the level is B-LTA.
    """
    _require(identity, "person", now)
    if level == "B-LTA":
        raise ValueError("the archive time stamp comes after the seal, not before it")
    made = sign_into(
        source, target, identity, person_metadata(identity, reason, location, slot),
        prepare=partial(make_room, looks=looks, slot=slot),
        now=now, level=level, longterm=longterm, style=person_style(looks),
    )  # fmt: skip
    return PersonSigned(target, *_facts(made, identity, now))


def seal(
    source: Path,
    target: Path,
    identity: SignerIdentity,
    *,
    now: datetime,
    reason: str | None = None,
    location: str | None = None,
    level: Level = "B-B",
    longterm: LongTerm | None = None,
    look: Look | None = None,
) -> Sealed:
    """Write `source`, which every person signed here, to `target` with the organisation's seal on it.

    `look` is what the seal shows, where the person's update has given it a place.

    Raises:
        InvalidInputError: code `pdf-broken` if the file cannot be sealed as it is.
        ConflictError: code `not-signed` if a personal signature or the seal's field is missing,
            `already-sealed` if the seal is there; and as `sign_into`.
        ValueError: if `identity` is not an organisation's, or `now` has no offset.
    """
    _require(identity, "organisation", now)

    metadata = PdfSignatureMetadata(
        field_name=SEAL_FIELD,
        md_algorithm=identity.signer.digest_name,
        subfilter=SigSeedSubFilter.PADES,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        reason=reason,
        location=location,
        name=identity.name,
    )
    made = sign_into(
        source, target, identity, metadata,
        prepare=_require_sealable, now=now, level=level, longterm=longterm, style=Drawn(look=look),
    )  # fmt: skip
    return Sealed(target, *_facts(made, identity, now))


def _require_sealable(writer: Update) -> None:
    """Refuse to seal anything but a file that every person has signed here, and nobody sealed."""
    fields = _filled(writer)
    persons = len(fields) - 1
    if persons and fields == dict.fromkeys(person_fields(persons), True) | {SEAL_FIELD: False}:
        return
    if fields.get(SEAL_FIELD):
        raise ConflictError("The file already carries the seal.", code="already-sealed")
    raise ConflictError(
        "Only a file with every personal signature made here can be sealed; this one has "
        f"{_told(fields)}.",
        code="not-signed",
    )


def _facts(made: Embedded, identity: SignerIdentity, now: datetime) -> _Facts:
    return (
        made.sha256,
        made.size_bytes,
        identity.name,
        identity.sha256,
        now,
        made.level,
        made.authority,
        made.stamped_at,
        made.stamp,
    )


def person_metadata(
    identity: SignerIdentity, reason: str | None, location: str | None, slot: Slot = ONLY
) -> PdfSignatureMetadata:
    """Return what a personal signature says of itself: the first certifies, and admits form filling."""
    return PdfSignatureMetadata(
        field_name=slot.field,
        md_algorithm=identity.signer.digest_name,
        subfilter=SigSeedSubFilter.PADES,
        certify=slot.number == 1,
        docmdp_permissions=MDPPerm.FILL_FORMS,
        reason=reason,
        location=location,
        name=identity.name,
    )


def person_style(looks: Looks | None) -> Drawn:
    """Return what draws a personal signature's field, if it is visible."""
    return Drawn(look=looks.person if looks else None)


def make_room(writer: Update, looks: Looks | None = None, *, slot: Slot = ONLY) -> None:
    """Prepare a file for one personal signature: the first one's update adds the fields of all.

    `looks` gives every field its place; with a later person's, the places are there.

    Raises:
        ConflictError: code `already-signed` if a first signature meets any field, or the slot is
            filled; `not-signed` if the file does not carry exactly the signatures before the slot.
        InvalidInputError: code `stamp-anchor` or `stamp-text` for looks that cannot be put there.
    """
    fields = _filled(writer)
    if slot.number == 1 and not fields:
        _add_fields(writer, slot.of, looks)
        return
    if slot.number == 1:
        raise ConflictError(
            "The file already has signature fields; the personal signature must be the first.",
            code="already-signed",
        )
    before = {person_field(number): number in slot.before for number in range(1, slot.of + 1)}
    if fields == before | {SEAL_FIELD: False}:
        return
    if fields.get(slot.field):
        raise ConflictError(f"The file's field {slot.field} is signed.", code="already-signed")
    raise ConflictError(
        f"Personal signature {slot.number} of {slot.of} goes on a file with exactly those before it, "
        f"made here; this one has {_told(fields)}.",
        code="not-signed",
    )


def _filled(writer: Update) -> dict[str, bool]:
    """Return every signature field of a file, and whether it is signed."""
    return {name: value is not None for name, value, _ in enumerate_sig_fields(writer.prev)}


def _told(fields: dict[str, bool]) -> str:
    said = [f"{name} {'signed' if fields[name] else 'empty'}" for name in sorted(fields)]
    return ", ".join(said) or "no signature field"


def _add_fields(writer: Update, persons: int, looks: Looks | None) -> None:
    places = spots(writer.prev, looks)
    seen = dict(enumerate((places.person, *places.later), 1))
    for number, name in enumerate(person_fields(persons), 1):
        add_field(writer, SigFieldSpec(name, **_placed(seen.get(number))))
    lock = FieldMDPSpec(FieldMDPAction.ALL)
    add_field(
        writer,
        # without field_mdp_spec pyHanko silently leaves the lock out
        SigFieldSpec(
            SEAL_FIELD,
            field_mdp_spec=lock,
            doc_mdp_update_value=MDPPerm.NO_CHANGES,
            **_placed(places.seal),
        ),
    )


def _placed(spot: Spot | None) -> dict[str, Any]:
    return {} if spot is None else {"on_page": spot.page, "box": spot.box}


def _require(identity: SignerIdentity, kind: Kind, now: datetime) -> None:
    if identity.kind != kind:
        raise ValueError(f"{identity!r} cannot sign as {kind}")
    if now.tzinfo is None:
        raise ValueError("the signing time needs an offset")
