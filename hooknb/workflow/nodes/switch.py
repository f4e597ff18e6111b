"""Switch: run the first of several cases whose condition holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta
from msgspec.structs import force_setattr

from hooknb.errors import SettingError
from hooknb.workflow.nodes.condition import ConditionText, check_condition, is_true
from hooknb.workflow.nodes.data import as_own
from hooknb.workflow.nodes.node import Branch, Context, Node, closes, register
from hooknb.workflow.nodes.tree import as_nodes

__all__ = ["Case", "Switch"]


class Case(msgspec.Struct, frozen=True):
    """One case of a :class:`Switch`.

    Attributes
    ----------
    condition
        As in :class:`hooknb.Condition`: a CEL expression, a rule group or a function.
    nodes
        The nodes that are run if it is the first case that holds.
    name
        The result of the switch in this case; without a name, it is the position.
    """

    condition: ConditionText | dict[str, Any] | Callable[[Any], Any]
    nodes: tuple[Node, ...] = ()
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse an invalid condition, and convert the list to nodes."""
        check_condition(self.condition)
        if not isinstance(self.name, str):
            raise SettingError("name", f"{self.name!r} is not text")
        force_setattr(self, "nodes", as_nodes(self.nodes))


@register
class Switch(Node, frozen=True, tag="switch"):
    r"""Run the nodes of the first case whose condition holds.

    The conditions are evaluated in order, up to the first that holds. The flow continues after
    the node. The result is the name of that case, or its position from 0 if it has no name;
    ``None`` if ``otherwise`` was run.

    Attributes
    ----------
    cases
        Pairs ``(condition, nodes)`` or :class:`Case`\\ s.
    otherwise
        The nodes that are run if no case holds.
    """

    cases: Annotated[
        tuple[Case, ...], Meta(description="the first that holds wins", extra={"kind": "cases"})
    ]
    otherwise: tuple[Node, ...] = ()

    edge_tone: ClassVar[str] = "ask"
    rank: ClassVar[int] = 20

    def __post_init__(self) -> None:
        """Convert pairs to cases, and refuse duplicate names."""
        if isinstance(self.cases, (str, bytes, Mapping)) or not isinstance(self.cases, Iterable):
            raise SettingError("cases", "write a list of pairs: (condition, nodes)")
        cases = tuple(_case(item, f"cases[{index}]") for index, item in enumerate(self.cases))
        names = [case.name for case in cases]
        for index, name in enumerate(names):
            if name and name in names[:index]:
                raise SettingError(f"cases[{index}].name", f"{name!r} stands before it already")
        force_setattr(self, "cases", cases)
        force_setattr(self, "otherwise", as_nodes(self.otherwise, "otherwise"))

    def below(self) -> dict[str, tuple[Node, ...]]:
        """Return the nodes of each case, and those of ``otherwise``."""
        below = {f"cases[{index}].nodes": case.nodes for index, case in enumerate(self.cases)}
        return below | {"otherwise": self.otherwise}

    def with_below(self, lists: Mapping[str, tuple[Node, ...]]) -> Switch:
        """Return the same switch with other nodes in its cases."""
        cases = tuple(
            msgspec.structs.replace(case, nodes=lists[f"cases[{index}].nodes"])
            for index, case in enumerate(self.cases)
        )
        return msgspec.structs.replace(self, cases=cases, otherwise=lists["otherwise"])

    @property
    def is_pure(self) -> bool:
        """Whether none of its conditions is a function."""
        return all(isinstance(case.condition, (str, dict)) for case in self.cases)

    def line(self) -> tuple[Any, ...]:
        """Return the line of text in its box."""
        count = len(self.cases)
        return (f"the first of {count} case{'' if count == 1 else 's'} that holds",)

    def shown_branch(self, name: str) -> Branch:
        """Return the name and the condition of a case."""
        if name == "otherwise":
            return Branch(name, counted=name)
        index = int(name.partition("[")[2].partition("]")[0])
        case = self.cases[index]
        label = case.name or str(index)
        return Branch(label, counted=label, why=case.condition)

    def has_taken(self, name: str, result: Any, *, is_resolved: bool) -> bool:
        """Whether the result names the case, or is ``None`` for ``otherwise``."""
        if not is_resolved or result is None or name == "otherwise":
            return is_resolved and result is None and name == "otherwise"
        return str(result) == self.shown_branch(name).counted

    def closes(self) -> bool:
        """Whether the execution always ends in every case and in ``otherwise``."""
        return all(map(closes, self.below().values()))

    async def run(self, context: Context) -> str | int | None:
        """Check the cases in order, and run the first that holds."""
        for index, case in enumerate(self.cases):
            if await is_true(case.condition, context):
                won = case.name or index
                # Set before the branch runs, which may end the execution.
                context.nodes[self.key] = won
                await context.run(case.nodes)
                return won
        await context.run(self.otherwise)
        return None


def _case(item: Any, place: str) -> Case:
    try:
        return _as_case(item)
    except SettingError as error:
        where = f"{place}.{error.setting}" if error.setting else place
        raise SettingError(where, error.problem) from error


def _as_case(item: Any) -> Case:
    case = as_own(item, Case)
    if case is not None:
        return case
    if isinstance(item, (tuple, list)) and len(item) == 2:  # noqa: PLR2004 - a pair
        return Case(*item)
    if (
        isinstance(item, dict)
        and "condition" in item
        and item.keys() <= set(Case.__struct_fields__)
    ):
        return Case(**item)
    raise SettingError("", f"{item!r} is neither a pair (condition, nodes) nor a Case")
