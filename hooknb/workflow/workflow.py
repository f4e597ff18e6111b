"""Definitions: a workflow, its trigger and its settings, as plain data.

A definition is frozen. Two that are equal have the same JSON, and JSON read back gives an equal
definition; a store keeps one row for each revision of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypedDict

import msgspec

from hooknb import payloads
from hooknb.errors import SettingError
from hooknb.expressions.templates import has_templates
from hooknb.payloads.charsets import has_control
from hooknb.workflow import notation
from hooknb.workflow.auth import SCHEMES, Auth, read_auth
from hooknb.workflow.nodes import Node, Request, Response, as_nodes, walk, with_keys
from hooknb.workflow.nodes.data import exactly_equal
from hooknb.workflow.nodes.fields import check_fields
from hooknb.workflow.nodes.secrets import MASK, holds_mask
from hooknb.workflow.variables import Variable, as_variables, column

__all__ = ["DEFAULT_MAX_BODY", "Trigger", "WebhookSettings", "Workflow", "define"]

DEFAULT_MAX_BODY: Final = 10 * 2**20

DISABLED_STATUSES: Final = (404, 410, 503)
"""What a hook that is switched off can respond."""

_METHOD = re.compile(r"[A-Z][A-Z-]*")


class WebhookSettings(TypedDict, total=False):
    """The settings of a webhook, as users write them; see :func:`hooknb.webhook`."""

    sync: bool
    methods: str | Sequence[str]
    accept: str | Sequence[str]
    auth: Auth | None
    headers: Iterable[str | Variable] | None
    query: Iterable[str | Variable] | None
    body: Iterable[str | Variable] | None
    response: Response | None
    nodes: Iterable[Node | Callable[..., Any]] | None
    timeout: float | None
    max_body: int
    concurrency: int
    subpaths: bool
    disabled_status: int
    enabled: bool


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """The webhook and its settings.

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
    subpaths
        Whether what a sender appends to the URL is taken.
    disabled_status
        The status of responses while the hook is switched off.
    """

    methods: tuple[str, ...] = ("POST",)
    accept: tuple[str, ...] = ("application/json",)
    auth: Auth | None = None
    headers: tuple[Variable, ...] = ()
    query: tuple[Variable, ...] = ()
    body: tuple[Variable, ...] = ()
    response: Response = Response()
    max_body: int = DEFAULT_MAX_BODY
    subpaths: bool = False
    disabled_status: int = 404

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
        Whether the caller waits for the workflow's response.
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

    def __eq__(self, other: object) -> bool:
        """Compare as data: functions by name and source, ``1`` and ``True`` are not equal."""
        if not isinstance(other, Workflow):
            return NotImplemented
        return self is other or exactly_equal(self.settings(), other.settings())

    def __hash__(self) -> int:
        """Hash by name; settings may be lists and objects."""
        return hash(self.name)

    def settings(self) -> dict[str, Any]:
        """Return the arguments of :func:`hooknb.webhook` that make it, those at defaults left out.

        ``hooknb.webhook(**workflow.settings())`` serves it.
        """
        holders = (self, self.trigger)
        values = {
            name: getattr(holder, name)
            for name in notation.SETTINGS
            for holder in holders
            if name in holder.__struct_fields__
        }
        try:
            return {
                name: value
                for name, value in values.items()
                if name == "name" or not exactly_equal(value, _DEFAULTS[name])
            }
        except RecursionError as error:
            raise SettingError(self.name, "a value is nested too deep, or holds itself") from error

    @property
    def unbound(self) -> tuple[str, ...]:
        """The names of its functions that were not given when it was read from JSON."""
        return notation.unbound(self.nodes)

    def to_json(self, *, secrets: bool = False) -> str:
        """Write it as JSON that people can read and :meth:`from_json` takes.

        Settings at their defaults are left out. Functions stand there as name and source text.

        Parameters
        ----------
        secrets
            Whether to write the password, and the credentials of Request nodes; otherwise ``null``
            stands in its place, and ``•••••`` in theirs, since what is shown in a notebook is saved
            with it. What is read back without them is not served until they are given.
        """
        text = notation.write(self.settings(), secrets=secrets)
        return msgspec.json.format(text, indent=2).decode()

    def to_python(self) -> str:
        """Write the Python that makes it: a whole cell, from the imports on.

        The functions' texts are part of it; the password, and the credentials of Request nodes,
        are asked for when it is run.
        """
        return notation.to_python(self.settings())

    def encode(self) -> bytes:
        """Return the definition as the JSON that the store keeps, credentials included."""
        return notation.write(self.settings(), secrets=True)

    @classmethod
    def from_json(
        cls, text: str | bytes, functions: notation.Functions = (), *, password: str | None = None
    ) -> Workflow:
        """Read a definition from JSON. Text of functions in it is never run.

        Parameters
        ----------
        text
            As :meth:`to_json` writes it.
        functions
            Those that its nodes call: a list of functions, found by their names, or a mapping from
            keys of nodes, or names, to functions, such as ``globals()``. A node whose function is
            not given raises when it is run; :attr:`unbound` names them.
        password
            That of its ``auth``, where the JSON has none.

        Raises
        ------
        SettingError
            Something in it is wrong; with its place, such as ``nodes[1].yes[0].status``.
        """
        return cls.decode(text, functions, password=password)

    @classmethod
    def decode(
        cls,
        data: str | bytes,
        functions: notation.Functions = (),
        *,
        password: str | None = None,
        known: notation.Known | None = None,
    ) -> Workflow:
        """Read back what :meth:`encode` gave; as :meth:`from_json`.

        Parameters
        ----------
        known
            Functions of this process, as :func:`hooknb.workflow.notation.known_functions` gives
            them; one of the same node and text is taken where ``functions`` has none.
        """
        settings = notation.read(data)
        auth = settings.pop("auth", None)
        if auth is not None:
            auth = read_auth(auth, password)
        elif password is not None:
            raise SettingError("password", "the definition has no auth; leave it out")
        made = define(**settings, is_complete=False)
        return msgspec.structs.replace(
            made,
            # Put in afterwards: a definition whose password is still to be given is none to serve.
            trigger=msgspec.structs.replace(made.trigger, auth=auth),
            nodes=notation.bind(made.nodes, functions, known),
        )


_DEFAULTS: Final = {
    field.name: field.default
    for kind in (Trigger, Workflow)
    for field in msgspec.structs.fields(kind)
}


def define(
    name: str,
    *,
    sync: bool = False,
    methods: str | Sequence[str] = ("POST",),
    accept: str | Sequence[str] = ("application/json",),
    auth: Auth | None = None,
    headers: Iterable[str | Variable] | None = None,
    query: Iterable[str | Variable] | None = None,
    body: Iterable[str | Variable] | None = None,
    response: Response | None = None,
    nodes: Iterable[Node | Callable[..., Any]] | None = None,
    timeout: float | None = None,
    max_body: int = DEFAULT_MAX_BODY,
    concurrency: int = 1,
    subpaths: bool = False,
    disabled_status: int = 404,
    before: Iterable[Node] = (),
    is_complete: bool = True,
) -> Workflow:
    """Make a definition of the settings as users write them.

    Parameters
    ----------
    name, sync, methods, accept, auth, headers, query, body, response, nodes, timeout, max_body, \
concurrency, subpaths, disabled_status
        See :meth:`hooknb.Runtime.webhook`.
    before
        The nodes of the revision before, whose keys are kept.
    is_complete
        Whether credentials that a text left out are refused; a definition is read without them
        and not served.

    Raises
    ------
    SettingError
        Where one is wrong; the message names it and the remedy.
    """
    if not isinstance(name, str) or not name.strip() or has_control(name):
        raise SettingError("name", f"{name!r} is not a name; write some text without line breaks")
    auth = _authentication(auth)
    response = _fixed(response)
    if timeout is not None and (not _is_number(timeout) or timeout <= 0):
        raise SettingError("timeout", f"{timeout!r} is not a number of seconds above 0, or None")
    _check_switches(sync=sync, subpaths=subpaths)
    _check_counts(max_body=max_body, concurrency=concurrency)
    if isinstance(disabled_status, bool) or disabled_status not in DISABLED_STATUSES:
        raise SettingError(
            "disabled_status",
            f"{disabled_status!r} is not what a hook that is switched off can respond; write 404, "
            "410 or 503",
        )
    trigger = Trigger(
        methods=_methods(methods),
        accept=payloads.check_accept(_texts("accept", accept)),
        auth=auth,
        headers=as_variables("headers", _our_variables(headers)),
        query=as_variables("query", _our_variables(query)),
        body=as_variables("body", _our_variables(body)),
        response=response,
        max_body=max_body,
        subpaths=subpaths,
        disabled_status=disabled_status,
    )
    _check_columns(trigger)
    made = with_keys(as_nodes(() if nodes is None else nodes), before)
    if is_complete:
        _check_secrets(made)
    if not sync:
        _check_responses(made)
    return Workflow(
        name=name,
        sync=sync,
        trigger=trigger,
        nodes=made,
        timeout=None if timeout is None else float(timeout),
        concurrency=concurrency,
    )


def _check_switches(**settings: Any) -> None:
    for setting, value in settings.items():
        if not isinstance(value, bool):
            raise SettingError(setting, f"{value!r} is neither True nor False")


def _check_counts(**settings: Any) -> None:
    for setting, value in settings.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SettingError(setting, f"{value!r} is not a whole number from 1 up")


def _authentication(auth: Any) -> Auth | None:
    for scheme in SCHEMES:
        auth = _ours(auth, scheme)
    if auth is None:
        return None
    if not isinstance(auth, Auth):
        raise SettingError("auth", "write hooknb.BasicAuth('user', 'password') or None")
    if not auth.is_complete:
        raise SettingError(
            f"auth.{auth.secret}", "it was left out of the JSON; give from_json(text, password=…)"
        )
    return auth


def _fixed(response: Any) -> Response:
    """Check the answer of an asynchronous hook."""
    response = Response() if response is None else _ours(response, Response)
    if not isinstance(response, Response):
        raise SettingError("response", "write hooknb.Response(202, body='queued') or None")
    check_fields(response, "response")
    if has_templates([response.status, response.headers, response.body]):
        raise SettingError(
            "response",
            "it is fixed, and goes out before the workflow runs; for templates set sync=True and "
            "put a Response into nodes",
        )
    return response


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
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond every float
        return False


def _texts(setting: str, values: Any) -> tuple[str, ...]:
    """Make a tuple of one text or several."""
    if isinstance(values, str):
        return (values,)
    if not isinstance(values, Iterable) or isinstance(values, (bytes, Mapping)):
        raise SettingError(setting, f"{values!r} is neither text nor a list of texts")
    texts = tuple(values)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise SettingError(f"{setting}[{index}]", f"{text!r} is not text")
    return texts


def _check_responses(nodes: tuple[Node, ...]) -> None:
    """Refuse Response nodes where no caller waits."""
    for place, node in walk(nodes):
        if isinstance(node, Response):
            raise SettingError(
                place,
                "a Response is for a waiting caller; set sync=True, or use response=… for the "
                "fixed response",
            )


def _check_secrets(nodes: tuple[Node, ...]) -> None:
    """Refuse nodes whose credentials were left out of the text that they were read from."""
    for place, node in walk(nodes):
        for name in ("url", "headers", "query", "body"):
            if isinstance(node, Request) and holds_mask(getattr(node, name)):
                raise SettingError(
                    f"{place}.{name}", f"its secret was left out of the text ({MASK}); write it in"
                )


def _methods(methods: str | Sequence[str]) -> tuple[str, ...]:
    names = _texts("methods", methods)
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
