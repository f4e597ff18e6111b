"""Definitions: a workflow, its trigger and its settings, as plain data.

A definition is frozen. Equal definitions have the same JSON, and reading it back gives an equal
definition; a store keeps one row for each revision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypedDict

import msgspec
from msgspec import Meta

from hooknb import payloads
from hooknb.errors import SettingError
from hooknb.expressions.templates import has_templates
from hooknb.payloads.charsets import has_control
from hooknb.workflow import notation
from hooknb.workflow.auth import SCHEMES, AllOf, Auth, read_auth
from hooknb.workflow.nodes import Node, Response, as_nodes, walk, with_keys
from hooknb.workflow.nodes.data import as_own, exactly_equal
from hooknb.workflow.nodes.fields import check_fields, fields_of
from hooknb.workflow.nodes.secrets import MASK, holds_mask
from hooknb.workflow.variables import Variable, as_variables, column

__all__ = ["DEFAULT_MAX_BODY", "Trigger", "WebhookSettings", "Workflow", "define"]

DEFAULT_MAX_BODY: Final = 10 * 2**20

_METHOD = re.compile(r"[A-Z][A-Z-]*")


class WebhookSettings(TypedDict, total=False):
    """The settings of a webhook, as users write them; see :func:`hooknb.webhook`."""

    sync: bool
    methods: str | Sequence[str]
    accept: str | Sequence[str]
    auth: Auth | Sequence[Auth] | None
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
    keep_days: float | None
    keep_deliveries: int | None
    keep_bytes: int | None
    enabled: bool


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """The webhook and its settings.

    Attributes
    ----------
    methods
        Upper-case method names; ``("*",)`` for any.
    accept
        Media ranges of the bodies that are accepted. ``application/json`` includes every ``+json``
        type.
    auth
        Credentials that callers must send, or ``None``.
    headers, query, body
        The variables that are taken from each part.
    response
        The response of an asynchronous hook.
    max_body
        The maximum bytes of a body, before and after decompression.
    subpaths
        Whether the sender may append a path to the URL.
    disabled_status
        The status of responses while the hook is disabled.
    """

    methods: Annotated[tuple[str, ...], Meta(examples=["POST, or * for any"])] = ("POST",)
    accept: Annotated[
        tuple[str, ...], Meta(title="accepted types", examples=["application/json"])
    ] = ("application/json",)
    auth: Auth | None = None
    headers: tuple[Variable, ...] = ()
    query: tuple[Variable, ...] = ()
    body: tuple[Variable, ...] = ()
    response: Response = Response()
    max_body: Annotated[int, Meta(ge=1, title="largest body", examples=["10 MiB"])] = (
        DEFAULT_MAX_BODY
    )
    subpaths: Annotated[
        bool,
        Meta(
            title="take paths below the URL",
            description="What a sender appends, such as /api/v2/alerts, is delivery.subpath; while "
            "this is off, such a request gets 404",
        ),
    ] = False
    disabled_status: Annotated[
        Literal[404, 410, 503],
        Meta(
            title="while switched off",
            description="The status that senders get: 404 not found, 410 gone for good, 503 try "
            "again later",
        ),
    ] = 404

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
        The trigger that starts it.
    nodes
        The nodes, run one after the other.
    timeout
        Seconds that one execution may take; ``None`` for no limit.
    concurrency
        The number of executions that may run at the same time.
    keep_days, keep_deliveries, keep_bytes
        The maximum age, number and total bytes of the deliveries kept; ``None`` for no limit.
    """

    name: str
    sync: bool = False
    trigger: Trigger = Trigger()
    nodes: tuple[Node, ...] = ()
    timeout: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(title="time limit in seconds", examples=["none"], extra={"unit": "seconds"}),
    ] = None
    concurrency: Annotated[int, Meta(ge=1, title="executions at a time", examples=["1"])] = 1
    keep_days: Annotated[
        Annotated[float, Meta(gt=0)] | None,
        Meta(title="days kept", examples=["for ever"], extra={"unit": "days"}),
    ] = None
    keep_deliveries: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(title="deliveries kept", examples=["all"])
    ] = None
    keep_bytes: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(title="bytes kept", examples=["all"])
    ] = None

    def __eq__(self, other: object) -> bool:
        """Compare as data: functions by name and source, ``1`` and ``True`` are not equal."""
        if not isinstance(other, Workflow):
            return NotImplemented
        return self is other or exactly_equal(self.settings(), other.settings())

    def __hash__(self) -> int:
        """Hash by name; settings may be lists and objects."""
        return hash(self.name)

    def settings(self) -> dict[str, Any]:
        """Return its settings as arguments of :func:`hooknb.webhook`, without those at defaults.

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
        """The names of its functions that were not passed when it was read from JSON."""
        return notation.unbound(self.nodes)

    def to_json(self, *, secrets: bool = False) -> str:
        """Return it as readable JSON for :meth:`from_json`.

        Settings at their defaults are left out. Functions are written as name and source text.

        Parameters
        ----------
        secrets
            Whether to write the password and the credentials of Request nodes. Otherwise they are
            written as ``null`` and ``•••••``, since output is saved with the notebook; such a
            definition is not served until they are supplied.
        """
        text = notation.write(self.settings(), secrets=secrets)
        return msgspec.json.format(text, indent=2).decode()

    def to_python(self) -> str:
        """Return the Python code that creates it: a whole cell, including imports.

        It includes the source of functions. When run, it asks for the password and the credentials
        of Request nodes.
        """
        return notation.to_python(self.settings())

    def encode(self) -> bytes:
        """Return the definition as the JSON that the store keeps, credentials included."""
        return notation.write(self.settings(), secrets=True)

    @classmethod
    def from_json(
        cls,
        text: str | bytes,
        functions: notation.Functions = (),
        *,
        password: str | Sequence[str] | None = None,
    ) -> Workflow:
        """Read a definition from JSON. The source text of functions in it is never run.

        Parameters
        ----------
        text
            The JSON of :meth:`to_json`.
        functions
            The functions that its nodes call: a list of functions, matched by name, or a mapping
            from keys of nodes, or names, to functions, such as ``globals()``. A node whose
            function is not passed raises when it is run; :attr:`unbound` names them.
        password
            The secret of its ``auth``, if the JSON has none; a list of them, in order, if several
            schemes have none.

        Raises
        ------
        SettingError
            The definition is invalid; the error names the place, such as
            ``nodes[1].yes[0].status``.
        """
        return cls.decode(text, functions, password=password)

    @classmethod
    def decode(
        cls,
        data: str | bytes,
        functions: notation.Functions = (),
        *,
        password: str | Sequence[str] | None = None,
        known: notation.Known | None = None,
    ) -> Workflow:
        """Read the JSON of :meth:`encode`, like :meth:`from_json`.

        Parameters
        ----------
        known
            Functions of this process, from :func:`hooknb.workflow.notation.known_functions`; one
            with the same node and text is used if ``functions`` has none.
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
            # Set afterwards: `define` refuses a definition without its password.
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
    auth: Auth | Sequence[Auth] | None = None,
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
    keep_days: float | None = None,
    keep_deliveries: int | None = None,
    keep_bytes: int | None = None,
    before: Iterable[Node] = (),
    is_complete: bool = True,
) -> Workflow:
    """Return a definition from settings as users write them.

    Parameters
    ----------
    name, sync, methods, accept, auth, headers, query, body, response, nodes, timeout, max_body, \
concurrency, subpaths, disabled_status, keep_days, keep_deliveries, keep_bytes
        See :meth:`hooknb.Runtime.webhook`.
    before
        The nodes of the previous revision, whose keys are kept.
    is_complete
        Whether to refuse a definition without its credentials, which may be read but not served.

    Raises
    ------
    SettingError
        A setting is invalid; the message names it and the remedy.
    """
    if not isinstance(name, str) or not name.strip() or has_control(name):
        raise SettingError("name", f"{name!r} is not a name; write some text without line breaks")
    auth = _authentication(auth)
    response = _fixed(response)
    limits: dict[str, Any] = {
        "max_body": max_body,
        "subpaths": subpaths,
        "disabled_status": disabled_status,
    }
    kept: dict[str, Any] = {
        "keep_days": keep_days,
        "keep_deliveries": keep_deliveries,
        "keep_bytes": keep_bytes,
    }
    _check_plain(Workflow, sync=sync, timeout=timeout, concurrency=concurrency, **kept)
    _check_plain(Trigger, **limits)
    trigger = Trigger(
        methods=_methods(methods),
        accept=payloads.check_accept(_texts("accept", accept)),
        auth=auth,
        headers=as_variables("headers", _our_variables(headers)),
        query=as_variables("query", _our_variables(query)),
        body=as_variables("body", _our_variables(body)),
        response=response,
        **limits,
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
        **kept,
    )


def _check_plain(kind: type[msgspec.Struct], **settings: Any) -> None:
    for field in fields_of(kind):
        if field.name in settings and not field.fits(settings[field.name]):
            raise field.refusal(settings[field.name], "")


def _authentication(auth: Any) -> Auth | None:
    kinds: tuple[type[Auth], ...] = (*SCHEMES, AllOf)
    for kind in kinds:
        auth = as_own(auth, kind) or auth
    if auth is None:
        return None
    several = auth.schemes if isinstance(auth, AllOf) else auth
    if isinstance(several, (list, tuple)):
        made = [_authentication(one) for one in several]
        schemes = tuple(one for one in made if one is not None and not isinstance(one, AllOf))
        if not schemes or len(schemes) < len(made):
            raise SettingError("auth", "write a list of schemes, or None for none")
        return schemes[0] if len(schemes) == 1 else AllOf(schemes)
    if not isinstance(auth, Auth):
        raise SettingError(
            "auth",
            "write hooknb.BasicAuth('user', 'password'), hooknb.Signature('github', secret=…), "
            "another scheme, a list of them, or None",
        )
    if not auth.is_complete:
        raise SettingError(
            f"auth.{auth.secret_field}",
            "it was left out of the JSON; pass from_json(text, password=…)",
        )
    if holds_mask(getattr(auth, auth.secret_field)):
        raise SettingError(
            f"auth.{auth.secret_field}", f"it was left out of the text ({MASK}); write it in"
        )
    return auth


def _fixed(response: Any) -> Response:
    """Check the response of an asynchronous hook."""
    made = Response() if response is None else as_own(response, Response)
    if made is None:
        raise SettingError("response", "write hooknb.Response(202, body='queued') or None")
    check_fields(made, "response")
    if has_templates([made.status, made.headers, made.body]):
        raise SettingError(
            "response",
            "it is fixed, and goes out before the workflow runs; for templates set sync=True and "
            "put a Response into nodes",
        )
    return made


def _our_variables(items: Any) -> Any:
    if not isinstance(items, (list, tuple)):
        return items
    return [as_own(item, Variable) or item for item in items]


def _texts(setting: str, values: Any) -> tuple[str, ...]:
    """Return one text or several as a tuple."""
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
    """Refuse nodes that need a waiting caller."""
    for place, node in walk(nodes):
        if node.needs_caller:
            raise SettingError(
                place,
                f"a {type(node).__name__} is for a waiting caller; set sync=True, or use "
                "response=… for the fixed response",
            )


def _check_secrets(nodes: tuple[Node, ...]) -> None:
    """Refuse nodes whose credentials are masked, since the text they were read from omits them."""
    for place, node in walk(nodes):
        for name in node.secret_fields:
            if holds_mask(getattr(node, name)):
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
    """Refuse two variables with the same column name."""
    seen: dict[str, str] = {"received_at": "the time of arrival"}
    for part, variables in trigger.parts:
        for index, variable in enumerate(variables):
            name, place = column(part, variable), f"{part}[{index}]"
            if name in seen:
                raise SettingError(
                    place, f"the name {name!r} is taken by {seen[name]}; give it another alias"
                )
            seen[name] = place
