"""Rows of variables as they are typed, right or wrong, and what they take from a delivery."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, get_args

from hooknb import paths
from hooknb.errors import PathError, PayloadError, SettingError
from hooknb.history.table.shown_text import file_text, is_file
from hooknb.paths import MISSING
from hooknb.payloads import decode_json
from hooknb.payloads.headers import masked
from hooknb.ui.draft.typed import shown_json
from hooknb.ui.parts.controls import counted
from hooknb.workflow.samples import is_small
from hooknb.workflow.variables import Variable, VariableType, as_variables

if TYPE_CHECKING:
    from hooknb.records import Delivery

__all__ = ["MAX_SAMPLE_CHARACTERS", "TYPES", "Row", "merged", "shown_value", "taken"]

TYPES: Final[tuple[VariableType, ...]] = get_args(VariableType)

MAX_SAMPLE_CHARACTERS: Final = 2_000
"""Characters of a sample that are shown in its cell; a longer one is not edited there."""

_KINDS: Final[dict[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
    "list": (list,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of a table of variables, right or wrong.

    Attributes
    ----------
    path
        As typed; ``None`` where nothing was typed yet, since ``""`` is all of the part.
    alias
        As typed; ``""`` for none.
    type
        One of :data:`TYPES`, or ``None``.
    sample
        The value of the sample that it was taken from.
    typed
        The text that was typed in its place, to be read by the type; ``None`` where none was.
    """

    path: str | None = None
    alias: str = ""
    type: VariableType | None = None
    sample: Any = None
    typed: str | None = None

    @classmethod
    def of(cls, item: Row | Variable | str) -> Row:
        """Make a row of a variable, or of its path."""
        if isinstance(item, Row):
            return item
        if isinstance(item, str):
            return cls(path=item)
        return cls(path=item.path, alias=item.alias or "", type=item.type, sample=item.sample)

    @property
    def is_blank(self) -> bool:
        """Whether nothing was typed into it yet."""
        return self.path is None and not (self.alias or self.typed)

    @property
    def place(self) -> tuple[paths.Part, ...] | str | None:
        """Where it leads, the same for every way to write the path; the text of a wrong one."""
        if self.path is None:
            return None
        try:
            return paths.parse(self.path)
        except PathError:
            return self.path

    @property
    def shown_sample(self) -> str:
        """The sample as text for its cell: what was typed, or the value written out.

        A list, an object and a file are told by their size.
        """
        if self.typed is not None:
            return self.typed
        if self.sample is None:
            return "null" if self.type == "null" else ""
        return shown_value(self.sample)

    @property
    def is_editable(self) -> bool:
        """Whether its sample can be typed: it is no list, object or file, and not too long."""
        if self.typed is not None:
            return True
        is_plain = self.sample is None or isinstance(self.sample, (str, int, float))
        return is_plain and self.type != "file" and len(self.shown_sample) <= MAX_SAMPLE_CHARACTERS

    def variable(self, part: str) -> Variable:
        """Read it.

        Parameters
        ----------
        part
            ``headers``, ``query`` or ``body``.

        Raises
        ------
        SettingError
            It is none; the setting is empty, since only the table knows which row it is.
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
            raise SettingError("", f"the sample {text!r} is no {self.type}") from error
        kinds = _KINDS.get(self.type or "")
        fits = kinds is None or (
            isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        )
        if self.type == "file" or not fits:
            raise SettingError("", f"the sample {text!r} is no {self.type}")
        return value


def merged(rows: Iterable[Row], variables: Iterable[Variable]) -> list[Row]:
    """Put the variables of a sample among rows.

    A row of the same path stays where it is and keeps its alias; it gets the type and the value
    of the sample. Others stand behind the row of the path before them in the sample. A value of
    more than 64 KiB is left out: it would be written again with every revision.
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
    # What comes before every path that is known has nothing to stand behind.
    first = behind.pop(-1, [])
    found = first if at >= 0 else []
    for index, row in enumerate(kept):
        found += [row, *behind.get(index, ())]
    return found + ([] if at >= 0 else first)


def taken(part: str, rows: Sequence[Row], delivery: Delivery) -> list[Any]:
    """Return what each row of a part takes from a delivery, ``MISSING`` for nothing.

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
    """Write a value for a cell; a list, an object and a file are told by their size."""
    if is_file(value):
        return file_text(value)
    if isinstance(value, (list, tuple)):
        return counted(len(value), "item")
    if isinstance(value, dict):
        return counted(len(value), "key")
    return value if isinstance(value, str) else shown_json(value)
