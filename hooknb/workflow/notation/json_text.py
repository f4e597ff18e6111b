"""Definitions as JSON text: the settings of :func:`hooknb.webhook`, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hooknb.errors import PayloadError, SettingError
from hooknb.payloads import decode_json
from hooknb.workflow.auth import write_auth
from hooknb.workflow.nodes import as_nodes, build_node, masked_nodes
from hooknb.workflow.nodes.data import from_data, settings_of, to_data
from hooknb.workflow.variables import Variable

__all__ = ["SETTINGS", "VERSION", "read", "write"]

VERSION: Final = 1
"""The version of the notation; a newer one is refused."""

SETTINGS: Final = (
    *("name", "sync", "methods", "accept", "auth", "headers", "query", "body", "response"),
    *("nodes", "timeout", "max_body", "concurrency", "subpaths", "disabled_status"),
    *("keep_days", "keep_deliveries", "keep_bytes"),
)
"""The settings, in the order in which they are written."""

_MAX_BITS: Final = 13_287  # of an integer of 4,000 digits
_MAX_LEVELS: Final = 490  # readers take 500, and the definition around a value has levels too
_PARTS: Final = ("headers", "query", "body")


def write(settings: Mapping[str, Any], *, secrets: bool) -> bytes:
    """Write settings as JSON, in order, on one line.

    Raises
    ------
    SettingError
        JSON cannot represent a value; the error names its place.
    """
    data: dict[str, Any] = {"version": VERSION}
    if not secrets and "nodes" in settings:
        settings = {**settings, "nodes": masked_nodes(settings["nodes"])}
    for name, value in settings.items():
        data[name] = _written(name, value, name)
    if "auth" in data:
        data["auth"] = write_auth(data["auth"], secrets=secrets)
    return msgspec.json.encode(data)


def _written(name: str, value: Any, place: str) -> Any:
    if name in _PARTS:
        return [
            _checked(
                item.path if settings_of(item).keys() == {"path"} else item, f"{place}[{index}]"
            )
            for index, item in enumerate(value)
        ]
    if name == "nodes":
        return [_checked(node, f"{place}[{index}]") for index, node in enumerate(value)]
    data = _checked(value, place)
    if name == "response":
        del data["type"]  # implied by the setting
    return data


def _checked(value: Any, place: str) -> Any:
    try:
        data = to_data(value)
    except SettingError as error:
        raise SettingError(place, error.problem) from error
    except RecursionError as error:
        raise SettingError(place, "it is nested too deep, or holds itself") from error
    _check(data, place)
    return data


def _check(data: Any, place: str, depth: int = 0) -> None:
    """Refuse a value that JSON cannot represent, or that :func:`read` would refuse."""
    if depth > _MAX_LEVELS:
        raise SettingError(place.partition("[")[0], "a value is nested too deep")
    if isinstance(data, dict):
        for name, item in data.items():
            _check(name, place)
            _check(item, f"{place}.{name}", depth + 1)
    elif isinstance(data, list):
        for index, item in enumerate(data):
            _check(item, f"{place}[{index}]", depth + 1)
    elif isinstance(data, float) and not math.isfinite(data):
        raise SettingError(place, f"{data} cannot be written in JSON; write null, or text")
    elif isinstance(data, int) and data.bit_length() > _MAX_BITS:
        raise SettingError(
            place, "it is a whole number of more than 4,000 digits; write it as text"
        )
    elif isinstance(data, str) and not data.isascii():
        try:
            data.encode()
        except UnicodeEncodeError as error:
            raise SettingError(
                place, f"{data!r} has half of a surrogate pair; remove it"
            ) from error


def read(text: str | bytes) -> dict[str, Any]:
    """Read settings from JSON: nodes and variables are built, ``auth`` stays as it is.

    Raises
    ------
    SettingError
        It is not a definition; the error names the line and column, or the place.
    """
    data = _decoded(text)
    _check_version(data.pop("version", VERSION))
    for name in data:
        if name not in SETTINGS:
            raise SettingError(
                name, f"there is no such setting; write one of {', '.join(SETTINGS)}"
            )
    if "name" not in data:
        raise SettingError("name", "it is missing; write the name of the workflow")
    settings = dict(data)
    for part in _PARTS:
        if part in data:
            settings[part] = _variables(data[part], part)
    if data.get("response") is not None:
        settings["response"] = _response(data["response"])
    if "nodes" in data:
        settings["nodes"] = as_nodes(from_data(_list(data["nodes"], "nodes"), "nodes"))
    return settings


def _check_version(version: Any) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SettingError("version", f"{version!r} is not a version; write {VERSION}")
    if version > VERSION:
        raise SettingError(
            "version",
            f"it was written by a newer hooknb (version {version}; this one reads up to "
            f"{VERSION}); update hooknb",
        )


def _decoded(text: str | bytes) -> dict[str, Any]:
    if not isinstance(text, (str, bytes)):
        raise SettingError("JSON", f"text is expected, not {type(text).__name__}")
    try:
        data = decode_json(text.encode() if isinstance(text, str) else text)
    except UnicodeEncodeError as error:
        raise SettingError("JSON", f"half of a surrogate pair at {error.start + 1}") from error
    except PayloadError as error:
        raise SettingError("JSON", error.detail.replace("The body", "The text", 1)) from error
    if not isinstance(data, dict):
        raise SettingError("JSON", 'an object is expected: {"version": 1, "name": "orders"}')
    return data


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise SettingError(place, f"{value!r} is not a list; write [ … ]")
    return value


def _variables(items: Any, part: str) -> list[str | Variable] | None:
    if items is None:
        return None
    made: list[str | Variable] = []
    for index, item in enumerate(_list(items, part)):
        place = f"{part}[{index}]"
        if isinstance(item, dict):
            _only(item, Variable.__struct_fields__, place)
            fields = {name: from_data(value, f"{place}.{name}") for name, value in item.items()}
            if "path" not in fields:
                raise SettingError(place, "a variable needs its path")
            try:
                made.append(Variable(**fields))
            except SettingError as error:
                raise SettingError(place, str(error)) from error
        else:
            made.append(item)
    return made


def _response(value: Any) -> Any:
    if not isinstance(value, dict):
        raise SettingError("response", 'write {"status": 202, "body": "queued"}')
    fields = {name: from_data(item, f"response.{name}") for name, item in value.items()}
    return build_node({"type": "response", **fields}, "response")


def _only(data: dict[str, Any], names: tuple[str, ...], place: str) -> dict[str, Any]:
    for name in data:
        if name not in names:
            raise SettingError(f"{place}.{name}", f"it has only {', '.join(names)}")
    return data
