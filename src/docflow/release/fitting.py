"""What goes on the pages with the first personal signature, tried on before it is asked for.

The job would refuse the same, in the same words, after everyone had waited for it. What cannot be tried now
(the store or the keys are away, the file is not what was recorded) is left to the job.
"""

from collections.abc import Mapping
from typing import Any

from docflow.db import Row
from docflow.documents.content import PDF
from docflow.documents.placing import Seat
from docflow.kernel.errors import (
    ConfigurationError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
)
from docflow.release import persons
from docflow.release import studio as work
from docflow.release.looking import Asked, looks_for
from docflow.release.stamping import words_on
from docflow.release.studio import Studio
from docflow.signing.fitting import check_fit
from docflow.signing.pades import Slot

_FOR_THE_JOB = (ConfigurationError, IntegrityError, NotFoundError, UnavailableError)


def try_on(
    studio: Studio,
    document: Row,
    person_id: str,
    place: Mapping[str, Any],
    capacity: str | None,
    seat: Seat,
) -> None:
    """Refuse what would leave its page or cover something else; see `documents.fire.TryOn`.

    Args:
        studio: the room's tools.
        document: its row, as it would be when it waits for the signature.
        person_id: who signs.
        place: where everything goes.
        capacity: in whose place the person signs.
        seat: which of the file's places the person has.

    Raises:
        InvalidInputError: code `stamp-anchor`, `stamp-overlap` or `stamp-text`.
    """
    originals = work.current_files(studio, document["id"], "original")
    main = next((row for row in originals if row["role"] == "main"), None)
    if main is None or main["media_type"] != PDF:
        return
    plan = words_on(studio.desk.catalogue, studio.public_url, document, place, capacity)
    try:
        looks = looks_for(
            studio,
            document,
            Asked(place, capacity, seat),
            main,
            work.person(studio, person_id),
            studio.desk.database.clock.now(),
            Slot(1, persons.how_many(studio, document["id"])),
        )
        with studio.desk.vault.open(main) as source:
            check_fit(source, plan, looks, studio.fonts)
    except _FOR_THE_JOB:
        return
