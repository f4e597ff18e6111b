"""JSON lines: each delivery an object of its own, with the very bytes received."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import IO, Any, Final, get_type_hints

import msgspec

from hooknb.errors import SettingError
from hooknb.history.exports.values import body_as_json, shown, shown_head
from hooknb.payloads.headers import MASK, Headers, parse_head
from hooknb.records import Delivery

__all__ = ["read_lines", "write"]

_NULL: Final = msgspec.Raw(b"null")
_FIRST: Final = frozenset({"id", "workflow", "received_at"})


def _line_type() -> Any:
    """Make the type of a line: the fields of a delivery, with ``headers`` in place of ``head``."""
    types = get_type_hints(Delivery)
    keys: list[Any] = [
        (item.name, types[item.name], *([] if item.default is MISSING else [item.default]))
        for item in sorted(fields(Delivery), key=lambda item: item.name not in _FIRST)
        if item.name != "head"
    ]
    keys += [("headers", list[tuple[str, str]]), ("body", msgspec.Raw, _NULL)]
    return msgspec.defstruct("Line", keys, frozen=True, kw_only=True)


_Line: Final = _line_type()
_NAMES: Final = _Line.__struct_fields__


def write(deliveries: Iterable[Delivery], file: IO[bytes], *, secrets: bool) -> None:
    """Write deliveries, a line each; see :func:`hooknb.history.exports.export`.

    ``raw`` has the bytes of the body as received, in base64. ``body`` is what they say, for those
    who read the file: the parsed body, ``null`` where it is bytes only or cannot be read; it is
    not read back.
    """
    encode = msgspec.json.Encoder().encode
    for delivery in deliveries:
        values = dict(delivery.__dict__)
        values["headers"] = shown_head(values.pop("head"), secrets=secrets)
        values["body"] = msgspec.Raw(body_as_json(delivery) or b"null")
        if delivery.response is not None:
            masked = shown(Headers(delivery.response.headers), secrets=secrets)
            values["response"] = replace(delivery.response, headers=tuple(masked))
        file.write(encode(_Line(**{name: values[name] for name in _NAMES})) + b"\n")


def read_lines(path: str | os.PathLike[str]) -> Iterator[Delivery]:
    """Read back what was written as JSON lines, one delivery after the other.

    Parameters
    ----------
    path
        Of the file.

    Yields
    ------
    Delivery
        The same but for headers that were masked, which are left out.

    Raises
    ------
    SettingError
        The file cannot be read, or a line is not a delivery; the error says which and why.
    """
    decoder = msgspec.json.Decoder(_Line)
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise SettingError(
                "path", f"{str(path)!r} is not a regular file; it is read twice, so save it first"
            )
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    try:
                        yield _delivery(decoder.decode(line))
                    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                        raise SettingError(
                            f"{path.name}, line {number}",
                            f"that is not a delivery: {error}; hook.export({path.name!r}) writes "
                            "such lines",
                        ) from error
    except OSError as error:
        raise SettingError(
            "path", f"{str(path)!r} cannot be read: {error.strerror or error}"
        ) from error


def _delivery(line: Any) -> Delivery:
    values = msgspec.structs.asdict(line)
    del values["body"]
    return Delivery(head=_head(values.pop("headers")), **values)


def _head(written: list[tuple[str, str]]) -> bytes:
    """Write header fields as they stand on the wire, which is in Latin-1."""
    # No header on the wire holds the mask, which is not Latin-1.
    kept = [(name, value) for name, value in written if MASK not in value]
    head = "".join(f"{name}: {value}\r\n" for name, value in kept).encode("latin-1")
    if parse_head(head) != kept:
        raise ValueError("a header is a name, and text without line breaks or spaces around it")
    return head
