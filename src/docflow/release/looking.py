"""What the signatures of a release show on the page, as Decree 30/2020/ND-CP, Annex I, has it.

- Main file: the person's handwriting (or capacity, name and time) at the place that the workflow or the
  request names, and the seal's picture beside it.
- Annex, a file of its own: no picture; number and symbol and the time of the seal, top right of page 1.
- No place named: nothing is seen.
"""

from datetime import datetime
from zoneinfo import ZoneInfo

from docflow.db import Row
from docflow.jobs.model import JobRun
from docflow.release.studio import Studio, document_row
from docflow.signing.appearance import Look, Looks, written_at
from docflow.signing.plan import Anchor, parse_anchor

_ANNEX_PLACE = Anchor(name="top-right")


def looks_of(studio: Studio, job: JobRun, file: Row, signer: Row, now: datetime) -> Looks | None:
    """Return what both signatures of a file will show; None if they are invisible.

    Args:
        studio: the room's tools.
        job: the job that makes the personal signature.
        file: the record of the file; its `role` is looked at.
        signer: login and name of the person.
        now: the time of the signature.
    """
    if "signature" not in job.payload["place"]:
        return None
    document = document_row(studio, job.subject_id)
    seal = seal_look(studio, document, file, now)
    if file["role"] != "main":
        return Looks(seal=seal, seal_at=_ANNEX_PLACE)
    picture = studio.signers.pictures.person(signer["login"])
    lines = (job.payload.get("capacity"), signer["name"], _time(studio, now))
    return Looks(
        Look(studio.fonts, picture, tuple(line for line in lines if line)),
        parse_anchor(job.payload["place"]["signature"], "signature"),
        seal if studio.signers.pictures.seal else None,
    )


def seal_look(studio: Studio, document: Row, file: Row, now: datetime) -> Look:
    """Return what the seal of a file shows, if the personal signature left it a place."""
    number = document["symbol"] or studio.desk.catalogue.seed.organisation.name.vi
    picture = studio.signers.pictures.seal if file["role"] == "main" else None
    return Look(studio.fonts, picture, (number, _time(studio, now)))


def _time(studio: Studio, moment: datetime) -> str:
    return written_at(moment, ZoneInfo(studio.desk.catalogue.seed.organisation.timezone))
