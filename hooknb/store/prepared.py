"""Statements that are compiled once and run as text: SQLAlchemy's own way takes twice as long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection, CursorResult
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
        self, connection: Connection, parameters: tuple[Any, ...] | Sequence[tuple[Any, ...]] = ()
    ) -> CursorResult[Any]:
        """Run it with the parameters in the order of their places, or with each of several."""
        return connection.exec_driver_sql(self.text, parameters or None)
