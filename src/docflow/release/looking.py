"""What the signatures of a release show on the page, as Decree 30/2020/ND-CP, Annex I, has it.

- Main file: the person's handwriting (or name and time), under the capacity in which they sign, at the
  place that the workflow or the request names, and the seal's picture beside the first person's; of
  those who sign in any order, beside the one that the workflow lists first.
- Annex, a file of its own: no picture; number and symbol and the time of the seal, top right of page 1.
- No place named: nothing is seen. The first person's request and the workflow name everybody's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from docflow.db import Row
from docflow.documents.placing import Seat, later_name
from docflow.jobs.model import JobRun
from docflow.release.studio import Studio, document_row
from docflow.signing.appearance import Look, Looks, written_at
from docflow.signing.pades import Slot
from docflow.signing.plan import Anchor, parse_anchor
from docflow.workflow.places import SIGNATURE

_ANNEX_PLACE = Anchor(name="top-right")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request to sign says of the page: where what goes, where the person signs, in whose place."""

    place: Mapping[str, Any]
    capacity: str | None
    seat: Seat


def looks_of(
    studio: Studio, job: JobRun, file: Row, signer: Row, now: datetime, slot: Slot
) -> Looks | None:
    """Return what the signatures of a file will show, and where; None if they are invisible.

    Args:
        studio: the room's tools.
        job: the job that makes the personal signature.
        file: the record of the file; its `role` is looked at.
        signer: login and name of the person.
        now: the time of the signature.
        slot: which person of how many.
    """
    seat = Seat(**(job.payload.get("seat") or {"number": slot.number}))
    asked = Asked(job.payload["place"], job.payload.get("capacity"), seat)
    return looks_for(studio, document_row(studio, job.subject_id), asked, file, signer, now, slot)


def looks_for(
    studio: Studio, document: Row, asked: Asked, file: Row, signer: Row, now: datetime, slot: Slot
) -> Looks | None:
    """Return the same for what a request asks, before there is a job. See `looks_of`."""
    place = asked.place
    if file["role"] == "main" and slot.number > 1:
        return Looks(
            _person(studio, asked, signer, now)
        )  # seen where the first one left it a place
    if not any(name.startswith(SIGNATURE) for name in place):
        return None
    seen = SIGNATURE in place
    seal = seal_look(studio, document, file, now)
    if file["role"] != "main":
        return Looks(seal=seal, seal_at=_ANNEX_PLACE) if seen else None
    beside = asked.seat.seal_beside
    sealed = (SIGNATURE if beside == 1 else later_name(beside)) in place
    return Looks(
        _person(studio, asked, signer, now) if seen else None,
        parse_anchor(place[SIGNATURE], SIGNATURE) if seen else None,
        seal if sealed and studio.signers.pictures.seal else None,
        later_at=tuple(_later(place, number) for number in range(2, slot.of + 1)),
        seal_beside=beside,
        alike=asked.seat.alike,
    )


def tells_capacity(place: Mapping[str, Any]) -> bool:
    """Tell whether the visible signature shows the capacity: it does unless that has its own place."""
    return SIGNATURE in place and "capacity" not in place


def _person(studio: Studio, asked: Asked, signer: Row, now: datetime) -> Look:
    picture = studio.signers.pictures.person(signer["login"])
    above = (asked.capacity,) if asked.capacity and "capacity" not in asked.place else ()
    below = () if picture else (signer["name"], _time(studio, now))
    return Look(studio.fonts, picture, (*above, *below))


def _later(place: Mapping[str, Any], number: int) -> Anchor | None:
    at = place.get(later_name(number))
    return None if at is None else parse_anchor(at, SIGNATURE)


def seal_look(studio: Studio, document: Row, file: Row, now: datetime) -> Look:
    """Return what the seal of a file shows, if the personal signature left it a place."""
    number = document["symbol"] or studio.desk.catalogue.seed.organisation.name.vi
    picture = studio.signers.pictures.seal if file["role"] == "main" else None
    return Look(studio.fonts, picture, () if picture else (number, _time(studio, now)))


def _time(studio: Studio, moment: datetime) -> str:
    return written_at(moment, ZoneInfo(studio.desk.catalogue.seed.organisation.timezone))
