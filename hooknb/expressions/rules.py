"""Rule groups: conditions as plain data, which can be built in a form.

A group is ``{"all": [...]}`` or ``{"any": [...]}``, and may be nested; a rule compares two sides::

    {"all": [
        {"left": "{{ body.status }}", "operator": "==", "right": "paid"},
        {"any": [
            {"left": "{{ body.amount }}", "operator": ">", "right": 10},
            {"left": "{{ body.note }}", "operator": "is not empty"},
        ]},
    ]}

Both sides may contain templates. :mod:`hooknb.expressions.comparisons` defines the operators.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hooknb.errors import SettingError
from hooknb.expressions.comparisons import OPERATORS, UNARY, check_pattern, compare
from hooknb.expressions.templates import has_templates, render

__all__ = ["check_rules", "holds", "rule"]

_MAX_LEVELS: Final = 100
_GROUPS: Final = ("all", "any")
_SIDES: Final = ("left", "operator", "right")
_PATTERNS: Final = frozenset({"matches", "does not match"})


def rule(left: Any, operator: str, right: Any = None) -> dict[str, Any]:
    """Write one rule: ``rule("{{ body.amount }}", ">", 10)``.

    Parameters
    ----------
    left, right
        Values, or strings with templates. ``is empty`` and ``is not empty`` take no right side.
    operator
        A name in :data:`hooknb.expressions.comparisons.OPERATORS`.

    Raises
    ------
    SettingError
        The operator is unknown, or requires a regular expression that ``right`` is not.
    """
    made = {"left": left, "operator": operator, "right": right}
    if isinstance(operator, str) and operator in UNARY and right is None:
        del made["right"]
    check_rules(made, "rule")
    return made


def check_rules(rules: Any, place: str = "rules") -> None:
    """Check a rule or a group of rules.

    Parameters
    ----------
    rules
        In the form that this module's docstring shows.
    place
        The setting that holds them, for the message, such as ``nodes[1].condition``.

    Raises
    ------
    SettingError
        The rules are invalid; the error names the place, such as
        ``nodes[1].condition.all[0].operator``.
    """
    _check(rules, place, 1)


def holds(rules: Mapping[str, Any], scope: Mapping[str, Any]) -> bool:
    """Return whether rules hold; an empty ``all`` does, an empty ``any`` does not.

    Parameters
    ----------
    rules
        Rules that :func:`check_rules` accepts; with them, no values raise an error.
    scope
        The roots of templates. A side that resolves to nothing compares as missing.
    """
    if "all" in rules:
        return all(holds(inner, scope) for inner in rules["all"])
    if "any" in rules:
        return any(holds(inner, scope) for inner in rules["any"])
    left, right = render(rules["left"], scope), render(rules.get("right"), scope)
    return compare(left, rules["operator"], right)


# ---------------------------------------------------------------------------------------


def _check(rules: Any, place: str, depth: int) -> None:
    if depth > _MAX_LEVELS:
        raise SettingError(
            place, f"the rules are nested too deep; at most {_MAX_LEVELS} levels are allowed"
        )
    if not isinstance(rules, dict):
        raise SettingError(
            place,
            f"{_shown(rules)} is not a rule; write an object with left, operator and right, "
            "or a group with all or any",
        )
    named = [name for name in _GROUPS if name in rules]
    if not named:
        _check_leaf(rules, place)
        return
    if len(rules) > 1:
        others = ", ".join(repr(key) for key in rules if key != named[0])
        raise SettingError(place, f"a group has {named[0]!r} and nothing else, not {others}")
    [group] = named
    inner = rules[group]
    if not isinstance(inner, (list, tuple)):
        raise SettingError(f"{place}.{group}", f"{_shown(inner)} is not a list of rules")
    for index, item in enumerate(inner):
        _check(item, f"{place}.{group}[{index}]", depth + 1)


def _check_leaf(rules: dict[str, Any], place: str) -> None:
    for key in rules:
        if key not in _SIDES:
            raise SettingError(
                place, f"{_shown(key)} is not one of {', '.join((*_SIDES, *_GROUPS))}"
            )
    for key in _SIDES[:2]:
        if key not in rules:
            raise SettingError(
                f"{place}.{key}", "it is missing; a rule has left, operator and right"
            )
    operator = rules["operator"]
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise SettingError(
            f"{place}.operator", f"{_shown(operator)} is not one of {', '.join(OPERATORS)}"
        )
    if operator not in UNARY and "right" not in rules:
        raise SettingError(f"{place}.right", f"it is missing; {operator!r} compares with it")
    if operator in _PATTERNS and not has_templates(rules["right"]):
        check_pattern(rules["right"], f"{place}.right")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's repr may raise anything
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else f"{text[:79]}…"  # noqa: PLR2004 - a message fits on a line
