"""Condition: branch on an expression, a rule group or a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, TypeAlias

from msgspec import Meta
from msgspec.structs import force_setattr

from hooknb.errors import ExpressionError, SettingError
from hooknb.expressions import compile_expression
from hooknb.expressions.rules import check_rules, holds
from hooknb.workflow.nodes.functions import call, is_large, value_of
from hooknb.workflow.nodes.node import Branch, Context, Node, closes, register
from hooknb.workflow.nodes.sources import is_function
from hooknb.workflow.nodes.tree import as_nodes

__all__ = ["Condition", "ConditionText", "check_condition", "is_true"]

ConditionText: TypeAlias = Annotated[
    str,
    Meta(
        title="condition",
        description='An expression (CEL), or a rule group as JSON: {"all": [{"left": …}]}',
        examples=['body.status == "paid" && body.amount > 10'],
        extra={"kind": "condition", "lines": 3},
    ),
]
"""A condition in forms; its value may also be a rule group or a function."""


@register
class Condition(Node, frozen=True, tag="condition"):
    """Check a condition; the result is the boolean.

    With branches, ``yes`` or ``no`` is run and the flow continues after the node; an empty branch
    falls through. Without branches, a condition that does not hold ends the execution as failed.

    Attributes
    ----------
    condition
        A CEL expression with a boolean value, a rule group (``{"all": […]}``), or a Python
        function of the context, plain or ``async``; the truth of its return value counts.
    yes, no
        Lists of nodes. If only one is given, the other is empty.
    """

    condition: ConditionText | dict[str, Any] | Callable[[Any], Any]
    yes: Annotated[
        tuple[Node, ...] | None,
        Meta(title="otherwise", extra={"kind": "gate", "fields": ("yes", "no")}),
    ] = None
    no: tuple[Node, ...] | None = None

    edge_tone: ClassVar[str] = "ask"
    rank: ClassVar[int] = 10

    def __post_init__(self) -> None:
        """Refuse an invalid condition, and convert the branches to nodes."""
        check_condition(self.condition)
        if self.yes is not None or self.no is not None:
            force_setattr(self, "yes", as_nodes(self.yes or (), "yes"))
            force_setattr(self, "no", as_nodes(self.no or (), "no"))

    def below(self) -> dict[str, tuple[Node, ...]]:
        """Return both branches, if there are any."""
        return {} if self.yes is None or self.no is None else {"yes": self.yes, "no": self.no}

    def possible_below(self) -> dict[str, tuple[Node, ...]]:
        """Return both branches."""
        return {"yes": self.yes or (), "no": self.no or ()}

    @property
    def is_pure(self) -> bool:
        """Whether its condition is not a function."""
        return isinstance(self.condition, (str, dict))

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        return (self.condition,)

    def shown_shape(self) -> str:
        """Return ``gate`` if it has no branches."""
        return "box" if self.below() else "gate"

    def shown_branch(self, name: str) -> Branch:
        """Return the label of a branch and its tone."""
        return Branch(name, counted=name, tone="ok" if name == "yes" else "warn")

    def has_taken(self, name: str, result: Any, *, is_resolved: bool) -> bool:  # noqa: ARG002 - the result is enough
        """Whether the result leads into a branch."""
        return result is (name == "yes")

    def closes(self) -> bool:
        """Whether the execution ends in both branches."""
        below = self.below()
        return bool(below) and all(map(closes, below.values()))

    async def run(self, context: Context) -> bool:
        """Check the condition, and run the branch or end the execution."""
        true = await is_true(self.condition, context)
        branch = self.yes if true else self.no
        if branch is not None:
            # Set before the branch runs, which may end the execution.
            context.nodes[self.key] = true
            await context.run(branch)
        elif not true and self.no is None:
            context.end("failed", f"the condition does not hold: {_shown(self)}", result=False)
        return true


def check_condition(condition: Any, place: str = "condition") -> None:
    """Refuse an invalid condition.

    Raises
    ------
    SettingError
        The condition is invalid; the error names its place: ``cases[1].condition``.
    """
    if isinstance(condition, str):
        try:
            compile_expression(condition)
        except SettingError as error:
            raise SettingError(place, error.problem) from error
    elif isinstance(condition, dict):
        check_rules(condition, place)
    elif not is_function(condition):
        raise SettingError(
            place,
            f"{condition!r} is not a condition; write a CEL expression, a rule group "
            'such as {"all": […]}, or a function of the context',
        )


async def is_true(condition: Any, context: Context) -> bool:
    """Return whether a condition holds.

    Raises
    ------
    ExpressionError
        The value of an expression is not a boolean.
    """
    if isinstance(condition, dict):
        if is_large(context):
            return bool(await context.in_worker(lambda inside: holds(condition, inside.scope)))
        return holds(condition, context.scope)
    if not isinstance(condition, str):
        return bool(await call(condition, context))
    value = await value_of(condition, context)
    if not isinstance(value, bool):
        raise ExpressionError(
            f"{condition!r} gave {type(value).__name__}, not true or false; compare it with a value"
        )
    return value


def _shown(node: Condition) -> str:
    if isinstance(node.condition, str):
        return node.condition
    return str(getattr(node.condition, "__name__", "its rules"))
