"""Definitions: a workflow, its trigger and its settings, as plain data.

A definition is frozen. Two that are equal have the same JSON, and JSON read back gives an equal
definition; a store keeps one row for each revision of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from hooknb import payloads
from hooknb.errors import SettingError
from hooknb.nodes import Code, Node, Response, node_types
from hooknb.records import MASK
from hooknb.variables import Variable, as_variables, column

__all__ = ["DEFAULT_MAX_BODY", "BasicAuth", "Trigger", "Workflow", "as_nodes", "define"]

DEFAULT_MAX_BODY: Final = 10 * 2**20

_METHOD = re.compile(r"[A-Z][A-Z-]*")


def _has_control(text: str) -> bool:
    return any(ord(character) < 32 or ord(character) == 127 for character in text)  # noqa: PLR2004


class BasicAuth(msgspec.Struct, frozen=True):
    """A user name and a password that a caller must send (RFC 7617).

    Attributes
    ----------
    user
        Any text without control characters and without a colon.
    password
        Any text without control characters. Never shown.
    """

    user: str
    password: str

    def __post_init__(self) -> None:
        """Refuse credentials that no sender could send."""
        for name, value in (("user", self.user), ("password", self.password)):
            if not isinstance(value, str) or not value:
                raise SettingError(
                    f"auth.{name}", "Basic authentication needs both a user name and a password"
                )
            if _has_control(value):
                raise SettingError(f"auth.{name}", "leave control characters out of it")
        if ":" in self.user:
            raise SettingError("auth.user", "a colon ends the user name (RFC 7617); leave it out")

    def __repr__(self) -> str:
        """Show the user name and a mask."""
        return f"BasicAuth({self.user!r}, {MASK!r})"


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """The webhook and its settings (behaviour.md, section 2).

    Attributes
    ----------
    methods
        Upper-case method names; ``("*",)`` for any.
    accept
        Media ranges of the bodies that are taken. ``application/json`` stands for every
        ``+json`` type too.
    auth
        Credentials that callers must send, or ``None``.
    headers, query, body
        The variables that are taken from each part.
    response
        What callers of an asynchronous hook get.
    max_body
        Bytes of a body at the most, also after decompression.
    """

    methods: tuple[str, ...] = ("POST",)
    accept: tuple[str, ...] = ("application/json",)
    auth: BasicAuth | None = None
    headers: tuple[Variable, ...] = ()
    query: tuple[Variable, ...] = ()
    body: tuple[Variable, ...] = ()
    response: Response = Response()
    max_body: int = DEFAULT_MAX_BODY

    @property
    def parts(self) -> tuple[tuple[str, tuple[Variable, ...]], ...]:
        """The configured variables with the names of their parts."""
        return (("headers", self.headers), ("query", self.query), ("body", self.body))


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A named definition: a trigger, the nodes behind it, and how they run.

    Attributes
    ----------
    name
        Unique in its store.
    sync
        Whether the caller waits for the workflow's answer.
    trigger
        What starts it.
    nodes
        Run one after the other.
    timeout
        Seconds that one execution may take, or ``None``.
    concurrency
        Executions that may run at the same time.
    """

    name: str
    sync: bool = False
    trigger: Trigger = Trigger()
    nodes: tuple[Node, ...] = ()
    timeout: float | None = None
    concurrency: int = 1

    def encode(self) -> bytes:
        """Give the definition as the JSON that the store keeps, credentials included."""
        return msgspec.json.encode(msgspec.to_builtins(self, enc_hook=_no_function))


def _no_function(value: object) -> Any:
    """Leave functions out of the data: their source text stands beside them."""
    if callable(value):
        return None
    raise SettingError("nodes", f"{type(value).__name__} cannot be part of a definition")


def define(
    name: str,
    *,
    sync: bool = False,
    methods: str | Sequence[str] = ("POST",),
    accept: str | Sequence[str] = ("application/json",),
    auth: BasicAuth | None = None,
    headers: Iterable[str | Variable] | None = None,
    query: Iterable[str | Variable] | None = None,
    body: Iterable[str | Variable] | None = None,
    response: Response | None = None,
    nodes: Iterable[Node | Callable[..., Any]] | None = None,
    timeout: float | None = None,
    max_body: int = DEFAULT_MAX_BODY,
    concurrency: int = 1,
) -> Workflow:
    """Make a definition of the settings as users write them.

    Raises
    ------
    SettingError
        Where one is wrong; the message names it and the remedy.
    """
    if not isinstance(name, str) or not name.strip() or _has_control(name):
        raise SettingError("name", f"{name!r} is not a name; write some text without line breaks")
    if not isinstance(sync, bool):
        raise SettingError("sync", f"{sync!r} is neither True nor False")
    auth = _ours(auth, BasicAuth)
    if auth is not None and not isinstance(auth, BasicAuth):
        raise SettingError("auth", "write hooknb.BasicAuth('user', 'password') or None")
    response = Response() if response is None else _ours(response, Response)
    if not isinstance(response, Response):
        raise SettingError("response", "write hooknb.Response(202, body='queued') or None")
    if timeout is not None and (not _is_number(timeout) or timeout <= 0):
        raise SettingError("timeout", f"{timeout!r} is not a number of seconds above 0, or None")
    for setting, value in (("max_body", max_body), ("concurrency", concurrency)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SettingError(setting, f"{value!r} is not a whole number from 1 up")
    trigger = Trigger(
        methods=_methods(methods),
        accept=payloads.check_accept((accept,) if isinstance(accept, str) else tuple(accept)),
        auth=auth,
        headers=as_variables("headers", _our_variables(headers)),
        query=as_variables("query", _our_variables(query)),
        body=as_variables("body", _our_variables(body)),
        response=response,
        max_body=max_body,
    )
    _check_columns(trigger)
    return Workflow(
        name=name,
        sync=sync,
        trigger=trigger,
        nodes=as_nodes(nodes),
        timeout=timeout,
        concurrency=concurrency,
    )


def _ours(value: Any, kind: type[msgspec.Struct]) -> Any:
    """Make a setting of this module's class where it is of another copy of the same class.

    A server outlives a module that was dropped and imported anew; what the new one makes is
    given to the old one.
    """
    copy = type(value)
    if isinstance(value, kind) or (copy.__module__, copy.__name__) != (
        kind.__module__,
        kind.__name__,
    ):
        return value
    return kind(**{field: getattr(value, field) for field in copy.__struct_fields__})


def _our_variables(items: Any) -> Any:
    return [_ours(item, Variable) for item in items] if isinstance(items, (list, tuple)) else items


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _methods(methods: str | Sequence[str]) -> tuple[str, ...]:
    names = (methods,) if isinstance(methods, str) else tuple(methods)
    if not names:
        raise SettingError("methods", 'name at least one: ("POST",), or "*" for any')
    if "*" in names:
        return ("*",)
    for name in names:
        if not isinstance(name, str) or not _METHOD.fullmatch(name.upper()):
            raise SettingError("methods", f'{name!r} is not a method; write "POST", or "*" for any')
    return tuple(dict.fromkeys(name.upper() for name in names))


def _check_columns(trigger: Trigger) -> None:
    """Refuse two variables that would stand under one name in the frame."""
    seen: dict[str, str] = {"received_at": "the time of arrival"}
    for part, variables in trigger.parts:
        for index, variable in enumerate(variables):
            name, place = column(part, variable), f"{part}[{index}]"
            if name in seen:
                raise SettingError(
                    place, f"the name {name!r} is taken by {seen[name]}; give it another alias"
                )
            seen[name] = place


def as_nodes(nodes: Iterable[Node | Callable[..., Any]] | None) -> tuple[Node, ...]:
    """Make nodes of a list as users write it: bare functions become Code nodes, keys unique."""
    made: list[Node] = []
    if nodes is not None and (isinstance(nodes, (str, bytes)) or not isinstance(nodes, Iterable)):
        raise SettingError("nodes", "write a list of nodes or functions of the context")
    types = node_types()
    for index, item in enumerate(nodes or ()):
        item = _ours(item, types.get(getattr(item, "type_name", ""), Node))  # noqa: PLW2901
        if isinstance(item, Node):
            made.append(item)
        elif callable(item) and not isinstance(item, type):
            made.append(Code(item))
        else:
            raise SettingError(f"nodes[{index}]", f"{item!r} is neither a node nor a function")
    taken: set[str] = set()
    keyed: list[Node] = []
    for node in made:
        key = unique = node.key or node.type_name
        number = 1
        while unique in taken:
            number += 1
            unique = f"{key}_{number}"
        taken.add(unique)
        if unique != node.key:
            keyed.append(msgspec.structs.replace(node, key=unique))
        else:
            keyed.append(node)
    return tuple(keyed)
