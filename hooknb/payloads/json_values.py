"""JSON bodies: bytes to a value, strictly by RFC 8259.

An ordinary body costs one decoding by msgspec and a few scans of its bytes. Encodings other than
UTF-8 are detected, and faults located, only after msgspec has refused the bytes.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from hooknb.errors import PayloadError
from hooknb.payloads.charsets import declared_codec
from hooknb.payloads.json_faults import MAX_DEPTH, MAX_DIGITS, Fault, find_fault

__all__ = ["as_python", "decode"]

_decode = msgspec.json.Decoder().decode

_REFUSALS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OverflowError)
_TOO_LARGE: Final = 10**MAX_DIGITS
_BYTE: Final = re.compile(r"\(byte (\d+)\)$")
# A run of more than 4,000 digits covers four samples at this distance.
_STRIDE: Final = 1_000
_DIGITS: Final = re.compile(rb"[0-9]{4}")


def decode(raw: bytes, charset: str | None = None) -> Any:
    """Read a JSON body.

    Parameters
    ----------
    raw
        The decompressed bytes, in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.
        Without one, the positions of zero bytes tell the encodings apart (RFC 4627, section 3).
    charset
        The charset that the sender declared. JSON has no such parameter (RFC 8259, section 11), so
        it is used only if the bytes are in none of these encodings, as with ``iso-8859-1``.

    Returns
    -------
    value
        ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` or ``None``. The last of duplicate
        keys wins; integers keep every digit.

    Raises
    ------
    PayloadError
        400 ``invalid json``, with line, column (in characters, from 1) and byte (from 0): the text
        is not JSON, or exceeds a limit (a number too large for a float, an integer of more than
        4,000 digits, more than 500 levels, half of a surrogate pair).
    """
    try:
        return _checked(raw)
    except _REFUSALS as error:
        codec = _codec(raw, charset)
        if codec == "utf-8":
            raise _refusal(raw, codec, error) from error
    try:
        utf8 = raw.decode(codec).encode()
    except UnicodeDecodeError as error:
        name, at = codec.removesuffix("-sig"), error.start
        raise PayloadError(
            400, "invalid json", f"The body is not JSON: it is not {name} at byte {at}."
        ) from error
    try:
        return _checked(utf8)
    except _REFUSALS as error:
        raise _refusal(utf8, codec, error) from error


def as_python(value: object) -> Any:
    """Return a NumPy scalar or array, or a pandas series, as Python numbers and lists.

    Loads neither package.

    Raises
    ------
    TypeError
        The value is of another type.
    """
    if hasattr(value, "dtype") and callable(listed := getattr(value, "tolist", None)):
        made = listed()
        if type(made) is not type(value):  # numpy.longdouble returns itself
            return made
    message = f"{type(value).__name__} is not a JSON value"
    raise TypeError(message)


def _checked(utf8: bytes) -> Any:
    value = _decode(utf8)
    if len(utf8) > 2 * MAX_DEPTH and (_has_many(utf8, b"[") or _has_many(utf8, b"{")):
        brackets = utf8.count(b"[") + utf8.count(b"{")
        if brackets > MAX_DEPTH and _is_too_deep(value, brackets):
            raise RecursionError
    if len(utf8) > MAX_DIGITS and _DIGITS.search(utf8[::_STRIDE]) and _has_too_long(value):
        raise OverflowError
    return value


def _codec(raw: bytes, charset: str | None) -> str:
    """Return the encoding of bytes that msgspec refused as UTF-8 JSON."""
    codec = json.detect_encoding(raw)
    if codec == "utf-8":
        try:
            raw.decode()
        except UnicodeDecodeError:
            return declared_codec(charset) or codec
    return codec


def _has_many(utf8: bytes, bracket: bytes) -> bool:
    """Return whether there are enough brackets of one kind that the value may be too deep.

    Counting all brackets would take longer than decoding a large body that has few.
    """
    at = -1
    for _ in range(MAX_DEPTH // 2):
        at = utf8.find(bracket, at + 1)
        if at < 0:
            return False
    return True


def _is_too_deep(value: Any, brackets: int) -> bool:
    """Return whether a value is too deep; stop once too few of its brackets are left for that."""
    level = [value] if type(value) is dict or type(value) is list else []
    for depth in range(1, MAX_DEPTH + 1):
        brackets -= len(level)
        if depth + brackets <= MAX_DEPTH:
            return False
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
        if not level:
            return False
    return True


def _has_too_long(value: Any) -> bool:
    level = [value]
    while level:
        if any(type(inner) is int and abs(inner) >= _TOO_LARGE for inner in level):
            return True
        level = [
            inner
            for outer in level
            if type(outer) is dict or type(outer) is list
            for inner in (outer.values() if type(outer) is dict else outer)
        ]
    return False


def _refusal(utf8: bytes, codec: str, error: Exception) -> PayloadError:
    """Return what is wrong and where, for a body received in ``codec`` and converted to UTF-8."""
    fault = find_fault(utf8) or _fault_of(utf8, error)
    before = utf8[: fault.at].decode(errors="replace")
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    byte = fault.at
    if codec != "utf-8":
        # The codec that decoded the body restores its byte order mark, if it had one.
        byte = len(before.encode(codec, errors="replace"))
    return PayloadError(
        400,
        "invalid json",
        f"The body is not JSON: {fault.problem} at line {line}, column {column} (byte {byte}).",
    )


def _fault_of(utf8: bytes, error: Exception) -> Fault:
    """Return the fault that msgspec reports, for bodies with too many tokens to search."""
    message = str(error)
    if isinstance(error, RecursionError):
        return Fault(0, f"more than {MAX_DEPTH} levels of nesting in the value")
    if isinstance(error, UnicodeDecodeError):
        try:
            utf8.decode()
        except UnicodeDecodeError as undecodable:
            return Fault(undecodable.start, "a byte that is not UTF-8")
    found = _BYTE.search(message)
    if found is None:
        return Fault(len(utf8), f"{message[:1].lower()}{message[1:]}, seen")
    problem = message.removesuffix(found[0]).removeprefix("JSON is malformed: ").strip()
    return Fault(int(found[1]), problem)
