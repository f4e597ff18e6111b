"""Rows of variables as typed, valid or not, and the values that they take from a delivery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, get_args

from hooknb import paths
from hooknb.errors import PathError, PayloadError, SettingError
from hooknb.history.table import file_text, is_file
from hooknb.paths import MISSING
from hooknb.payloads import decode_json
from hooknb.payloads.headers import masked
from hooknb.ui.draft.typed import shown_json
from hooknb.ui.parts.controls import counted
from hooknb.workflow.samples import is_small
from hooknb.workflow.variables import Variable, VariableType, as_variables, sampled

if TYPE_CHECKING:
    from hooknb.records import Delivery

__all__ = ["MAX_SAMPLE_CHARACTERS", "TYPES", "Row", "merged", "shown_value", "taken"]

TYPES: Final[tuple[VariableType, ...]] = get_args(VariableType)

MAX_SAMPLE_CHARACTERS: Final = 2_000
"""Characters of a sample beyond which it cannot be edited in its cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a table of variables, valid or not.

    Attributes
    ----------
    path, alias
        As typed. The path is ``None`` if none was typed yet: ``""`` is the whole part.
    sample
        The value in the sample that it was taken from.
    typed
        The text typed as the sample, parsed according to the type; ``None`` if there is none.
    """

    path: str | None = None
    alias: str = ""
    type: VariableType | None = None
    sample: Any = None
    typed: str | None = None

    @classmethod
    def of(cls, item: Row | Variable | str) -> Row:
        """Return a row for a variable, or for its path."""
        if isinstance(item, Row):
            return item
        if isinstance(item, str):
            return cls(path=item)
        return cls(path=item.path, alias=item.alias or "", type=item.type, sample=item.sample)

    @property
    def is_blank(self) -> bool:
        """Whether nothing was typed into the row yet."""
        return self.path is None and not (self.alias or self.typed)

    @property
    def place(self) -> tuple[paths.Part, ...] | str | None:
        """The parsed path, equal for all its spellings; the text itself if it is invalid."""
        if self.path is None:
            return None
        try:
            return paths.parse(self.path)
        except PathError:
            return self.path

    @property
    def shown_sample(self) -> str:
        """The text of the sample's cell: the text typed, or the value.

        For a list, an object or a file, it is the size.
        """
        if self.typed is not None:
            return self.typed
        if self.sample is None:
            return "null" if self.type == "null" else ""
        return shown_value(self.sample)

    @property
    def is_editable(self) -> bool:
        """Whether its sample can be edited: short, and not a list, an object or a file."""
        if self.typed is not None:
            return True
        is_plain = self.sample is None or isinstance(self.sample, (str, int, float))
        return is_plain and self.type != "file" and len(self.shown_sample) <= MAX_SAMPLE_CHARACTERS

    def variable(self, part: str) -> Variable:
        """Return the row as a variable of ``headers``, ``query`` or ``body``.

        Raises
        ------
        SettingError
            The row is invalid. The setting's name is empty: only the table knows the position.
        """
        if self.path is None:
            raise SettingError("", "write its path")
        path = self.path.strip() if part == "headers" else self.path
        try:
            alias = self.alias if self.alias.strip() else None
            made = Variable(path, alias=alias, type=self.type, sample=self._sample(part))
            [variable] = as_variables(part, [made])
        except SettingError as error:
            cause = error if isinstance(error, PathError) else error.__cause__
            problem = f"path, {cause.problem}" if isinstance(cause, PathError) else error.problem
            raise SettingError("", problem) from error
        return variable

    def _sample(self, part: str) -> Any:
        text = self.typed
        if text is None:
            return self.sample
        if not text:
            return None
        if self.type == "text" or (self.type is None and part != "body"):
            return text
        try:
            value = decode_json(text.encode())
        except (PayloadError, UnicodeEncodeError) as error:
            if self.type is None:
                return text
            raise SettingError("", f"the sample {text!r} is not of type {self.type}") from error
        kind = sampled("", value).type
        if self.type in {None, kind} or (self.type == "number" and kind == "integer"):
            return value
        raise SettingError("", f"the sample {text!r} is not of type {self.type}")


def merged(rows: Iterable[Row], variables: Iterable[Variable]) -> list[Row]:
    """Merge the variables of a sample into rows.

    A row with the same path keeps its position and alias, and gets the type and value of the
    sample. A new row goes after the row of the path that precedes it in the sample. A value of
    more than 64 KiB is left out: every revision would store it again.
    """
    kept = [row for row in rows if not row.is_blank]
    positions = {row.place: index for index, row in enumerate(kept)}
    behind: dict[int, list[Row]] = {}
    at = -1
    for variable in variables:
        sample = variable.sample if is_small(variable.sample) else None
        row = Row(path=variable.path, type=variable.type, sample=sample)
        known = positions.get(row.place)
        if known is None:
            behind.setdefault(at, []).append(row)
        else:
            at = known
            kept[at] = replace(row, path=kept[at].path, alias=kept[at].alias)
    # New rows that precede every known path in the sample.
    first = behind.pop(-1, [])
    others = [one for index, row in enumerate(kept) for one in (row, *behind.get(index, ()))]
    return first + others if at >= 0 else others + first


def taken(part: str, rows: Sequence[Row], delivery: Delivery) -> list[Any]:
    """Return the value that each row of a part takes from a delivery, or ``MISSING``.

    Credentials in headers are masked.
    """
    if part == "headers":
        headers = delivery.header_map
        names = [(row.path or "").strip() for row in rows]
        return [masked(name, headers[name]) if name in headers else MISSING for name in names]
    try:
        whole = delivery.query if part == "query" else delivery.body_or_missing
    except PayloadError:  # of a damaged store
        whole = MISSING
    return [
        paths.get(whole, row.place, MISSING) if isinstance(row.place, tuple) else MISSING
        for row in rows
    ]


def shown_value(value: Any) -> str:
    """Format a value for a cell: a list, an object or a file as its size."""
    if is_file(value):
        return file_text(value)
    if isinstance(value, (list, tuple)):
        return counted(len(value), "item")
    if isinstance(value, dict):
        return counted(len(value), "key")
    return value if isinstance(value, str) else shown_json(value)
