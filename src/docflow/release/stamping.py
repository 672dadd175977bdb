"""The words that go on the page before the personal signature, from the office's own forms."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from docflow.db import Row
from docflow.documents.catalogue import Catalogue
from docflow.release.looking import tells_capacity
from docflow.signing.plan import StampPlan, plan_stamp

_FIRST_PLAIN_DAY = 10
_LAST_PADDED_MONTH = 2


def words_on(
    catalogue: Catalogue,
    public_url: str,
    row: Row,
    place: Mapping[str, Any],
    capacity: str | None,
) -> StampPlan:
    """Return what to put on the main file before the first personal signature, numbered or not.

    The capacity is left out where the visible signature shows it. Raises as `stamp_plan`.
    """
    shown = None if tells_capacity(place) else capacity
    if row["symbol"] is None:
        return plan_stamp(capacity=shown, capacity_at=place.get("capacity"))
    return stamp_plan(catalogue, public_url, row, place, shown)


def stamp_plan(
    catalogue: Catalogue,
    public_url: str,
    row: Row,
    place: Mapping[str, Any],
    capacity: str | None = None,
) -> StampPlan:
    """Return what to put on the main file of a numbered document.

    Args:
        catalogue: the office's lists; its organisation says how number and date are written.
        public_url: where the service is reached, without a trailing slash.
        row: the document's row; it has its number.
        place: `number`, `date`, `qr` and `capacity` → place on the page.
        capacity: in whose place the person signs, `KT. GIÁM ĐỐC`.

    Raises:
        InvalidInputError: if a place cannot be used.
    """
    organisation = catalogue.seed.organisation
    link = f"{public_url.rstrip('/')}/v1/released/{row['verification_code']}"
    return plan_stamp(
        number=organisation.stamp.number.format(symbol=row["symbol"]),
        date=organisation.stamp.date.format(
            place=organisation.place, **date_words(row["numbered_on"])
        ),
        url=link,
        number_at=place.get("number"),
        date_at=place.get("date"),
        code_at=place.get("qr"),
        capacity=capacity,
        capacity_at=place.get("capacity"),
    )


def date_words(day: date) -> dict[str, str]:
    """Write day, month and year; a zero before days below 10 and months 1 and 2 only [ND30]."""
    return {
        "day": f"{day.day:02}" if day.day < _FIRST_PLAIN_DAY else str(day.day),
        "month": f"{day.month:02}" if day.month <= _LAST_PADDED_MONTH else str(day.month),
        "year": str(day.year),
    }
