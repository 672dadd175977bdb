"""Read every register series in order: no double, no gap, and its counter where it must be.

A number is never given again and never left out: one that must not be used is voided and stays in
its place, so there is no gap that could be explained.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import sqlalchemy as sa

from docflow.audit.report import Notebook, Progress
from docflow.documents.tables import register_counters, register_entries

_PAGE = 1000
_ENTRIES = register_entries.c
_SERIES = ("organisation", "book", "period", "series")
_KEY = tuple(_ENTRIES[name] for name in (*_SERIES, "number", "id"))


class Series(NamedTuple):
    """What a counter counts."""

    organisation: str
    book: str
    period: str
    series: str

    @property
    def name(self) -> str:
        """How findings call it."""
        return f"series {self.series} of {self.book} {self.period} ({self.organisation})"


def check_register(connection: sa.Connection, notebook: Notebook, progress: Progress) -> None:
    """Check every series; its numbers are held to history with the documents that have them."""
    total = connection.execute(
        sa.select(sa.func.count()).select_from(register_entries)
    ).scalar_one()
    progress("register", 0, total)
    counters = {
        Series(*(getattr(row, name) for name in _SERIES)): row
        for row in connection.execute(sa.select(register_counters))
    }
    before: Any = None
    for row in _rows(connection):
        notebook.checked["register entries"] += 1
        if before is not None and _series(before) == _series(row):
            _follow(before, row, notebook)
        elif before is not None:
            _end(before, counters, notebook)
        before = row
        if notebook.checked["register entries"] % _PAGE == 0:
            progress("register", notebook.checked["register entries"], total)
    if before is not None:
        _end(before, counters, notebook)
    for series, counter in counters.items():
        notebook.find(
            "register-counter",
            series.name,
            f"The counter of the {series.name} says {counter.last}, and the series has no entries.",
        )
    progress("register", total, total)


def _rows(connection: sa.Connection) -> Iterator[Any]:
    last: tuple[Any, ...] | None = None
    while True:
        statement = sa.select(register_entries).order_by(*_KEY).limit(_PAGE)
        if last is not None:
            after = sa.tuple_(*(sa.literal(value) for value in last))
            statement = statement.where(sa.tuple_(*_KEY) > after)
        page = list(connection.execute(statement))
        yield from page
        if len(page) < _PAGE:
            return
        last = tuple(getattr(page[-1], name) for name in (*_SERIES, "number", "id"))


def _series(row: Any) -> Series:
    return Series(*(getattr(row, name) for name in _SERIES))


def _follow(before: Any, row: Any, notebook: Notebook) -> None:
    series = _series(row).name
    if row.number == before.number:
        notebook.find(
            "register-double",
            f"document {row.document_id}",
            f"The number {row.number} of the {series} was given twice: to the documents "
            f"{before.document_id} and {row.document_id}.",
        )
    elif row.number != before.number + 1:
        missing = f"{before.number + 1} to {row.number - 1}"
        if row.number == before.number + 2:
            missing = str(before.number + 1)
        notebook.find(
            "register-gap", series, f"The {series} lacks {missing}; nothing explains the gap."
        )
    if row.numbered_on < before.numbered_on:
        notebook.find(
            "register-date",
            f"document {row.document_id}",
            f"The number {row.number} of the {series} is dated {row.numbered_on}, before number "
            f"{before.number} ({before.numbered_on}).",
        )


def _end(last: Any, counters: dict[Series, Any], notebook: Notebook) -> None:
    """Hold the counter of a series to its last entry."""
    series = _series(last)
    counter = counters.pop(series, None)
    if counter is None:
        said = "is missing"
    elif (counter.last, counter.last_on) != (last.number, last.numbered_on):
        said = f"says {counter.last} on {counter.last_on}"
    else:
        return
    notebook.find(
        "register-counter",
        series.name,
        f"The counter of the {series.name} {said}; its last number is {last.number}, given on "
        f"{last.numbered_on}.",
    )
