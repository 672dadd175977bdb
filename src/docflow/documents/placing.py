"""Where things go on the page with a personal signature: what the workflow says, and what the request.

Rules:
- The first person's request is the last word on everything that goes on the page, the places of the
  later persons' signatures (`signature2`, `signature3`, …) too: their fields are made with it.
- After it nothing more goes on the page, and nothing moves.
"""

from collections.abc import Mapping
from typing import Any, Final

import sqlalchemy as sa

from docflow.db import Row
from docflow.documents.tables import files
from docflow.kernel.errors import FieldProblem, InvalidInputError
from docflow.signing.plan import parse_anchor
from docflow.workflow import CompiledWorkflow
from docflow.workflow.effects import Sign

SIGNATURE: Final = "signature"
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
    placed: dict[str, Any] = dict(effect.place.as_plain()) if effect.place else {}
    if effect.as_ != "person":
        return placed | _checked(wanted or {}, _PLACED)
    if row["signed_person"]:
        _require_nothing(wanted)
        return placed
    for number, anchor in enumerate(compiled.later_places.get(trigger, ()), 2):
        if anchor is not None:
            placed[later_name(number)] = anchor.as_plain()
    later = tuple(map(later_name, range(2, compiled.persons + 1)))
    return placed | _checked(wanted or {}, (*_PLACED, *later))


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
