"""Where things go on the page with a personal signature: what the workflow says, and what the request.

Rules:
- The first person's request is the last word on everything that goes on the page, the places of the
  later persons' signatures (`signature2`, `signature3`, …) too: their fields are made with it.
- After it nothing more goes on the page, and nothing moves.
- Of those who sign in any order, each box is as large whoever comes first, and the seal is beside the
  one that the workflow lists first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Row
from docflow.documents.rows import signed_by
from docflow.documents.tables import files
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.signing.plan import parse_anchor
from docflow.workflow import CompiledWorkflow
from docflow.workflow.effects import Sign
from docflow.workflow.later_places import FIRST, place_of
from docflow.workflow.places import SIGNATURE

_DEFAULTS: Final = {"capacity": "bottom-left"}  # where the item has a place of another name
_PLACED = ("number", "date", "qr", "capacity", SIGNATURE)


def later_name(number: int) -> str:
    """Return what a request calls the place of a later personal signature: `signature2`, …."""
    return f"{SIGNATURE}{number}"


def places(
    compiled: CompiledWorkflow,
    row: Row,
    effect: Sign,
    trigger: str,
    wanted: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """Return by item where it goes: the workflow's places, and over them what the request wants.

    Raises:
        InvalidInputError: code `stamp-anchor`, naming what is wrong and the places there are.
    """
    if effect.as_ != "person":
        return _checked(wanted or {}, _PLACED)
    found = compiled.definition.on_page(trigger)
    if row["signed_person"]:
        _require_nothing(wanted)
        found = {name: anchor for name, anchor in found.items() if name == SIGNATURE}
    placed: dict[str, Any] = {name: anchor.as_plain() for name, anchor in found.items()}
    if row["signed_person"]:
        return placed
    for number, anchor in enumerate(compiled.later_places.get(trigger, ()), 2):
        if anchor is not None:
            placed[later_name(number)] = anchor.as_plain()
    later = tuple(map(later_name, range(2, compiled.persons + 1)))
    return placed | _checked(wanted or {}, (*_PLACED, *later))


@dataclass(frozen=True, slots=True)
class Seat:
    """Which of a file's places a personal signature has, counted from the first person's.

    `number` is None on a file that was signed before this was kept: then it is the next one. Of a first
    person, `seal_beside` is the place that the seal is beside, and `alike` says that all boxes are of one
    size.
    """

    number: int | None
    seal_beside: int = FIRST
    alike: bool = False


def seat_of(compiled: CompiledWorkflow, row: Row, effect: Sign, trigger: str) -> Seat | None:
    """Return which place a transition's personal signature has; None of the seal."""
    if effect.as_ != "person":
        return None
    before = tuple(signed_by(row))
    if before or row["signed_person"]:
        return Seat(compiled.slot_of(before, trigger) if before else None)
    together = compiled.definition.in_any_order(trigger)
    seen = [name for name in together if place_of(compiled.definition, name) is not None]
    beside = compiled.slot_of((trigger,), seen[0]) if seen and seen[0] != trigger else FIRST
    return Seat(FIRST, beside, alike=bool(together))


def require_pages(connection: sa.Connection, document_id: str, placed: Mapping[str, Any]) -> None:
    """Refuse a place on a page that the main file does not have; nobody waits for what cannot be drawn.

    Raises:
        InvalidInputError: code `stamp-anchor`.
    """
    main = (files.c.document_id == document_id, files.c.role == "main", files.c.current)
    count = connection.execute(sa.select(sa.func.max(files.c.pages)).where(*main)).scalar()
    for name, anchor in placed.items():
        page = parse_anchor(anchor, _default(name)).page
        if count is not None and abs(page) > count:
            raise InvalidInputError(
                f"The {name} is placed on page {page}, and the document has {count}.",
                code="stamp-anchor",
                fields=[
                    FieldProblem(f"/place/{name}", f"a page from 1 to {count}, or -1 to -{count}")
                ],
            )


def _require_nothing(wanted: Mapping[str, Any] | None) -> None:
    """Refuse to place anything on a page that another person has signed already."""
    if wanted:
        raise InvalidInputError(
            "Another person has signed the page; nothing more goes on it.",
            code="stamp-anchor",
            fields=[
                FieldProblem("/place", "leave it out: the first signature's request places all")
            ],
        )


def _checked(wanted: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for name, anchor in wanted.items():
        if name not in known:
            raise InvalidInputError(
                f"{name!r} is not placed on the page; {', '.join(known)} are.",
                code="stamp-anchor",
                fields=[FieldProblem(f"/place/{name}", f"one of {', '.join(known)}")],
            )
        checked[name] = _default(name) if anchor == "standard" else anchor
        try:
            parse_anchor(checked[name], _default(name))
        except InvalidInputError as error:
            where = [FieldProblem(f"/place/{name}", error.detail)]
            raise InvalidInputError(error.detail, code=error.code, fields=where) from error
    return checked


def _default(name: str) -> str:
    """Return the place that an item has where none is named."""
    return SIGNATURE if name.startswith(SIGNATURE) else _DEFAULTS.get(name, name)
