"""Bodies of ``multipart/form-data`` (RFC 7578): nested fields, and files with name and type."""

from __future__ import annotations

import logging
import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from hooknb.errors import PayloadError
from hooknb.payloads.charsets import decode_text
from hooknb.payloads.query_strings import MAX_FIELDS, nest

__all__ = ["decode"]

_EXTENDED_NAME: Final = re.compile(
    rb"""filename\*\s*=\s*"?([\w.:+-]+)'[^']*'([^;\s"]*)""", re.IGNORECASE
)

# Without a handler, the parser's warnings about hostile bodies would be printed in notebook cells.
logging.getLogger("python_multipart").addHandler(logging.NullHandler())


def decode(raw: bytes, boundary: str, charset: str | None = None) -> dict[str, Any]:
    """Read a multipart form.

    Parameters
    ----------
    raw
        The body. Text before the first boundary and after the last is ignored (RFC 2046, section
        5.1.1).
    boundary
        From the content type, without the leading dashes of its lines.
    charset
        Declared for the whole body; a part's charset takes precedence.

    Returns
    -------
    dict
        The fields, nested by the brackets in their names; see
        :func:`~hooknb.payloads.query_strings.nest`. A part with a file name is ``{"filename": str,
        "content_type": str | None, "content": bytes}``; any other is a ``str``, decoded by its
        charset, else as UTF-8, else as Latin-1.

    Raises
    ------
    PayloadError
        400 ``invalid multipart``: the body is malformed or ends too early, a part has no name, or
        there are more than 10,000 parts.
    """
    reader = _Reader(charset)
    try:
        parser = MultipartParser(
            boundary.encode("latin-1"),
            {
                "on_part_begin": reader.begin,
                "on_part_data": reader.add_content,
                "on_part_end": reader.end_part,
                "on_header_field": reader.add_header_name,
                "on_header_value": reader.add_header_value,
                "on_header_end": reader.end_header,
                "on_end": reader.end,
            },
        )
        parser.write(raw[_start(raw, parser.boundary[2:]) :])
    except FormParserError as error:
        raise _malformed(f"{error}".rstrip(".")) from error
    except UnicodeEncodeError as error:
        raise _malformed("the boundary in the content type has invalid characters") from error
    if not reader.complete:
        raise _malformed("it ends before the last boundary")
    return nest(reader.fields)


def _malformed(problem: str) -> PayloadError:
    return PayloadError(
        400, "invalid multipart", f"The body is not multipart/form-data: {problem}."
    )


def _start(raw: bytes, delimiter: bytes) -> int:
    """Find the first delimiter, at the beginning of a line."""
    at = raw.find(delimiter)
    while at > 0 and raw[at - 1 : at] != b"\n":
        at = raw.find(delimiter, at + 1)
    if at == -1:
        raise _malformed("the boundary in the content type does not occur in it")
    return at


class _Reader:
    """Collects the fields from the parser's callbacks."""

    def __init__(self, charset: str | None) -> None:
        self.fields: list[tuple[str, Any]] = []
        self.complete = False
        self._charset = charset
        self._parts = 0
        self.begin()
        self._parts = 0

    def begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_FIELDS:
            raise _malformed(f"it has more than {MAX_FIELDS:,} parts")
        self._headers: dict[bytes, bytes] = {}
        self._header_name: list[bytes] = []
        self._header_value: list[bytes] = []
        self._content: list[bytes] = []

    def add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name.append(data[start:end])

    def add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value.append(data[start:end])

    def end_header(self) -> None:
        name, value = b"".join(self._header_name).lower(), b"".join(self._header_value)
        self._headers[name] = value.strip()
        self._header_name.clear()
        self._header_value.clear()

    def add_content(self, data: bytes, start: int, end: int) -> None:
        self._content.append(data[start:end])

    def end_part(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        _, options = parse_options_header(disposition.decode("latin-1"))
        if b"name" not in options:
            raise _malformed(f"part {self._parts} has no name")
        content = b"".join(self._content)
        content_type = self._headers.get(b"content-type")
        filename = _filename(disposition, options)
        value: Any
        if filename is not None:
            value = {
                "filename": filename,
                "content_type": None if content_type is None else decode_text(content_type),
                "content": content,
            }
        else:
            _, parameters = parse_options_header((content_type or b"").decode("latin-1"))
            own = parameters.get(b"charset", b"").decode("latin-1")
            value = decode_text(content, own or self._charset)
        self.fields.append((decode_text(options[b"name"], self._charset), value))

    def end(self) -> None:
        self.complete = True


def _filename(disposition: bytes, options: dict[bytes, bytes]) -> str | None:
    """Return the file name, or that of ``filename*``, which some send against RFC 7578."""
    if b"filename" in options:
        return decode_text(options[b"filename"])
    extended = _EXTENDED_NAME.search(disposition)
    return (
        None
        if extended is None
        else decode_text(unquote_to_bytes(extended[2]), extended[1].decode("latin-1"))
    )
