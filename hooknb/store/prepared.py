"""Statements that are compiled once and run by the driver.

Each takes SQLAlchemy 25 microseconds more to run by itself, on the thread that everybody's
deliveries wait for.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection
    from sqlalchemy.sql.compiler import SQLCompiler
    from sqlalchemy.sql.elements import CompilerElement

__all__ = ["Prepared"]

_DIALECT: Final = sqlite.dialect()


class Prepared:
    """A statement of SQLAlchemy Core, compiled for the database.

    Parameters
    ----------
    statement
        With a ``bindparam`` for each value that differs between calls.

    Attributes
    ----------
    text
        It as SQL.
    """

    def __init__(self, statement: CompilerElement) -> None:
        compiled = cast("SQLCompiler", statement.compile(dialect=_DIALECT))
        self.text = str(compiled)
        self._row = f"({', '.join('?' * len(compiled.positiontup or ()))})"
        self._texts: dict[int, str] = {}
        self._names: list[str] = list(compiled.positiontup or ())
        # What stands in the statement itself, such as the 1 of a limit.
        self._fixed = {
            name: compiled.binds[name].value
            for name in self._names
            if not compiled.binds[name].required
        }

    def row(self, **parameters: Any) -> tuple[Any, ...]:
        """Put parameters in the order of their places."""
        given = {**self._fixed, **parameters}
        return tuple(given[name] for name in self._names)

    def run(
        self, connection: Connection, parameters: tuple[Any, ...] | list[tuple[Any, ...]] = ()
    ) -> Any:
        """Run it with parameters in the order of their places, or with each of a list of them.

        Return the driver's cursor; what fails raises the driver's errors.
        """
        cursor = connection.connection.cursor()
        if isinstance(parameters, list):
            return cursor.executemany(self.text, parameters)
        return cursor.execute(self.text, parameters)

    def run_rows(self, connection: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Run it once with several rows, where its text holds one row of all its parameters."""
        text = self._texts.get(len(rows))
        if text is None:
            text = self.text.replace(self._row, ", ".join([self._row] * len(rows)))
            self._texts[len(rows)] = text
        connection.connection.cursor().execute(text, tuple(chain.from_iterable(rows)))
