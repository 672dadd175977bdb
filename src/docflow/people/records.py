"""Small steps that every service of `people` shares: fetch a row, page a list, check a value."""

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final, cast

import sqlalchemy as sa
from pydantic import StringConstraints, TypeAdapter, ValidationError

from docflow.db import Database, Draft, UnitOfWork
from docflow.db.idempotency import Claim, remember
from docflow.kernel.actor import Actor
from docflow.kernel.errors import (
    ConflictError,
    FieldProblem,
    InvalidInputError,
    NotFoundError,
    StaleVersionError,
)
from docflow.kernel.ids import is_id
from docflow.kernel.text import normalise
from docflow.people.access import decide, refuse
from docflow.people.seed_base import Code, Login, Text
from docflow.people.tables import people
from docflow.people.vocabulary import Permission

MAX_PAGE: Final = 200

_FORMS: Final[dict[str, tuple[TypeAdapter[str], str]]] = {
    "code": (
        TypeAdapter(Code),
        "1 to 32 letters, digits, - or _, with a letter or digit first and last",
    ),
    "key name": (
        TypeAdapter(Annotated[str, StringConstraints(min_length=1, max_length=200)]),
        "1 to 200 characters without control characters",
    ),
    "login": (
        TypeAdapter(Login),
        "1 to 64 lower-case letters, digits, . or -, with a letter first",
    ),
    "name": (TypeAdapter(Text), "1 to 300 characters without control characters"),
}


def clean(field: str, value: str, *, form: str | None = None) -> str:
    """Return a code, login or name as it is stored (NFC, trimmed); `form` if not the field's own.

    Raises:
        InvalidInputError: if it does not have the form.
    """
    adapter, wanted = _FORMS[form or field]
    try:
        if any(unicodedata.category(char) in {"Cc", "Cs"} for char in value):
            raise ValueError
        return adapter.validate_python(normalise(value))
    except (ValidationError, ValueError):
        raise InvalidInputError(
            f"The {field} is not of its form: {wanted}.",
            fields=[FieldProblem(f"/{field}", wanted)],
        ) from None


def is_form(field: str, value: str) -> bool:
    """Tell whether a value has exactly the form that `clean` returns."""
    try:
        return clean(field, value) == value
    except InvalidInputError:
        return False


def fetch(
    connection: sa.Connection, table: sa.Table, row_id: str, *, lock: bool = False
) -> Mapping[str, Any]:
    """Return the audited row with this id; with `lock`, nobody else changes it until the end.

    Raises:
        NotFoundError: if there is none.
    """
    kind = str(table.info["audited"]).replace("_", " ")
    if is_id(row_id):
        statement = sa.select(table).where(table.c.id == row_id)
        if lock:
            statement = statement.with_for_update()
        row = connection.execute(statement).mappings().one_or_none()
        if row is not None:
            return as_mapping(row)
    raise NotFoundError(f"There is no {kind} with this id.")


def as_mapping(row: sa.RowMapping) -> Mapping[str, Any]:
    """Return a row under the type that it has: column names to values."""
    return cast("Mapping[str, Any]", row)


def check_version(row: Mapping[str, Any], version: int | None) -> None:
    """Refuse a change that is based on another version; None says that the asker does not mind.

    Raises:
        StaleVersionError: naming the version that is there.
    """
    if version is not None and row["version"] != version:
        raise StaleVersionError(
            f"This is at version {row['version']}, the request is based on {version}.",
            rule="optimistic-concurrency",
            satisfied_by="Read it again and repeat the request with its ETag.",
        )


@dataclass(frozen=True, slots=True)
class Change:
    """How history tells a change: its action, and which columns are ids, states or codes.

    The other columns may hold names, so their new values are details.
    """

    action: str
    public: tuple[str, ...] = ()


def change_row(
    uow: UnitOfWork,
    table: sa.Table,
    row: Mapping[str, Any],
    values: Mapping[str, Any],
    change: Change,
) -> None:
    """Set what differs in an audited row, with its entry; nothing differs, nothing is written."""
    changed = {name: value for name, value in values.items() if row[name] != value}
    if changed:
        data = {name: value for name, value in changed.items() if name in change.public}
        details = {name: value for name, value in changed.items() if name not in change.public}
        uow.change(table, row, changed, Draft(change.action, data, details or None))


def page_of(
    connection: sa.Connection,
    table: sa.Table,
    conditions: list[sa.ColumnElement[bool]],
    cursor: str | None,
    limit: int,
) -> tuple[list[Mapping[str, Any]], str | None]:
    """Return up to `limit` rows after `cursor` by id, and the cursor of the next page.

    Raises:
        InvalidInputError: if the cursor is none, or the limit is not 1 to 200.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInputError(
            f"A page has 1 to {MAX_PAGE} items, not {limit}.",
            fields=[FieldProblem("/limit", f"1 to {MAX_PAGE}")],
        )
    if cursor is not None:
        if not is_id(cursor):
            raise InvalidInputError(
                "The cursor is not one that a list gave.", fields=[FieldProblem("/cursor", "wrong")]
            )
        conditions = [*conditions, table.c.id > cursor]
    statement = sa.select(table).where(*conditions).order_by(table.c.id).limit(limit + 1)
    rows = [as_mapping(row) for row in connection.execute(statement).mappings()]
    more = len(rows) > limit
    return rows[:limit], rows[limit - 1]["id"] if more else None


def claim_id(uow: UnitOfWork, claim: Claim | None, row_id: str) -> None:
    """Remember what a creating request with an Idempotency-Key makes; first in the unit of work.

    First, so that the same request at the same moment is told to repeat, not that a code is taken.

    Raises:
        ConflictError: with code `idempotency-in-flight`.
    """
    if claim is not None:
        remember(uow, claim, row_id)


@contextmanager
def unique(field: str) -> Iterator[None]:
    """Tell a broken unique constraint as a refusal; around the whole unit of work.

    Raises:
        ConflictError: with code `code-taken` or `login-taken`.
    """
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise ConflictError(
            f"This {field} is already taken; choose another.",
            code=f"{field}-taken",
            fields=[FieldProblem(f"/{field}", "already taken")],
        ) from error


def require_recorded(database: Database, actor: Actor, permission: Permission) -> None:
    """Require a permission of administration; a refusal becomes an entry about who tried.

    Call it before a unit of work is open: the refusal has its own, so that it stays.

    Raises:
        ForbiddenError: if the actor may not.
    """
    verdict = decide(actor, permission)
    if not verdict.allowed:
        note_refusal(database, actor, permission, verdict.rule)
    refuse(verdict)


def note_refusal(database: Database, actor: Actor, permission: Permission, rule: str) -> None:
    """Write the entry about who of this office was refused what, in a unit of work of its own."""
    if actor.kind in {"person", "system"}:
        with database.unit_of_work(actor) as uow:
            row = fetch(uow.connection, people, actor.id, lock=True)
            data = {"permission": permission.value, "rule": rule}
            uow.note(people, row, Draft("person.refused", data))
