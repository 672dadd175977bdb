"""Statements composed, compiled and bound to their types once, then run on the driver's own cursor.

SQLAlchemy's way from a composed statement to the driver costs more processor time than the
database's own work; for the few statements that every request runs, this file goes the short way.

Rules:
- Values and results pass the same column types as everywhere else (JSON, instants, booleans).
- A write to an audited table is refused here as `guard` refuses it there, unless the statement
  carries the unit of work's token.
- What a driver raises comes out as SQLAlchemy's exceptions, as from every other statement; who
  listens for `before_cursor_execute` hears of these statements too.
- No expanding IN: write the alternatives out.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NoReturn

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import UpdateBase

from docflow.db import guard
from docflow.db.read import Row


class Prepared:
    """A statement for one of the two databases; threads share it."""

    def __init__(
        self, statement: sa.Select[Any] | UpdateBase, columns: Collection[str] | None = None
    ) -> None:
        """Hold a statement; `columns` are those that an INSERT without values shall set.

        Raises:
            UnguardedWriteError: if it writes to an audited table past the unit of work.
        """
        guard.check(statement, statement.get_execution_options())
        self._statement = statement
        self._columns = columns
        self._by_dialect: dict[str, _Compiled] = {}

    def rows(self, connection: sa.Connection, values: Mapping[str, Any]) -> list[Row]:
        """Run a SELECT and return every row."""
        compiled = self._for(connection.dialect)
        cursor = compiled.run(connection, values)
        return [compiled.row(record) for record in cursor.fetchall()]

    def row(self, connection: sa.Connection, values: Mapping[str, Any]) -> Row | None:
        """Run a SELECT and return its only row, None if there is none.

        Raises:
            MultipleResultsFound: if there are more.
        """
        found = self.rows(connection, values)
        if len(found) > 1:
            raise sa.exc.MultipleResultsFound("more than one row where one at most was expected")
        return found[0] if found else None

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> int:
        """Run a write and return how many rows it touched."""
        cursor = self._for(connection.dialect).run(connection, values)
        return int(cursor.rowcount)

    def _for(self, dialect: Dialect) -> "_Compiled":
        found = self._by_dialect.get(dialect.name)
        if found is None:
            found = _Compiled(self._statement, self._columns, dialect)
            self._by_dialect[dialect.name] = found
        return found


class _Compiled:
    """What a driver needs: the text, the order of values, and what types do to values and results."""

    def __init__(
        self,
        statement: sa.Select[Any] | UpdateBase,
        columns: Collection[str] | None,
        dialect: Dialect,
    ) -> None:
        compiled = statement.compile(
            dialect=dialect, column_keys=None if columns is None else sorted(columns)
        )
        if compiled.post_compile_params:
            raise TypeError("a prepared statement has no expanding parameters")
        self._dialect = dialect
        self._text = str(compiled)
        self._order = compiled.positiontup  # None where the driver takes values by name
        self._given = dict(compiled.params)  # the values that the statement itself has
        self._binds = {
            name: process
            for bind, name in compiled.bind_names.items()
            if (process := bind.type.dialect_impl(dialect).bind_processor(dialect)) is not None
        }
        selected = () if isinstance(statement, UpdateBase) else statement.selected_columns
        self._names = [str(column.key) for column in selected]
        self._results = [
            (name, process)
            for name, column in zip(self._names, selected, strict=True)
            if (process := column.type.dialect_impl(dialect).result_processor(dialect, None))
            is not None
        ]

    def run(self, connection: sa.Connection, values: Mapping[str, Any]) -> Any:
        """Run on the connection's own transaction and return the driver's cursor."""
        bound = {**self._given, **values}
        for name, process in self._binds.items():
            bound[name] = process(bound[name])
        given: Any = bound
        if self._order is not None:
            given = [bound[name] for name in self._order]
        driver: Any = connection.connection.driver_connection
        try:
            cursor = driver.cursor()
            for listener in connection.dispatch.before_cursor_execute:
                listener(connection, cursor, self._text, given, None, False)
            cursor.execute(self._text, given)
            return cursor
        except self._dialect.loaded_dbapi.Error as error:
            self._raise(error)

    def _raise(self, error: Exception) -> NoReturn:
        kind = self._dialect.loaded_dbapi.Error
        # without the values: they are people's data, and errors are logged
        raise DBAPIError.instance(
            self._text, None, error, kind, hide_parameters=True, dialect=self._dialect
        ) from error

    def row(self, record: Sequence[Any]) -> Row:
        """Return a driver's record as a row."""
        row = dict(zip(self._names, record, strict=True))
        for name, process in self._results:
            row[name] = process(row[name])
        return row
