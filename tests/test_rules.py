from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb.errors import SettingError
from hooknb.expressions.comparisons import OPERATORS
from hooknb.expressions.rules import check_rules, holds, rule

SCOPE = {"body": {"status": "paid", "amount": "12", "pattern": "^p", "null": None}}
TRUE = rule("{{ body.status }}", "==", "paid")
FALSE = rule("{{ body.status }}", "==", "open")


def test_a_rule_is_plain_data():
    assert rule("{{ body.amount }}", ">", 10) == {
        "left": "{{ body.amount }}",
        "operator": ">",
        "right": 10,
    }
    assert rule("{{ body.x }}", "==") == {"left": "{{ body.x }}", "operator": "==", "right": None}
    assert rule("{{ body.x }}", "is empty") == {"left": "{{ body.x }}", "operator": "is empty"}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (TRUE, True),
        (FALSE, False),
        ({"all": []}, True),
        ({"any": []}, False),
        ({"all": [TRUE, TRUE]}, True),
        ({"all": [TRUE, FALSE]}, False),
        ({"any": [FALSE, TRUE]}, True),
        ({"any": [FALSE, FALSE]}, False),
        ({"any": [{"all": [TRUE, FALSE]}, {"all": [{"any": [TRUE]}]}]}, True),
        ({"all": [{"any": []}]}, False),
        # both sides are rendered
        (rule("{{ body.amount }}", ">", 10), True),
        (rule("is {{ body.status }}", "==", "is paid"), True),
        (rule("paid", "==", "{{ body.status }}"), True),
        (rule(["paid"], "==", ["{{ body.status }}"]), True),
        (rule("{{ body.status }}", "matches", "{{ body.pattern }}"), True),
        # missing
        (rule("{{ body.nope }}", "is empty"), True),
        (rule("{{ body.nope }}", "==", None), True),
        (rule("{{ body.nope }}", "==", "{{ body.null }}"), True),
        (rule("{{ body.nope }}", "==", ""), False),
        (rule("{{ nope.a }}", "!=", "{{ body.status }}"), True),
    ],
)
def test_what_holds(rules, expected):
    check_rules(rules)
    assert holds(rules, SCOPE) is expected


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (
            {"all": [{"left": 1, "operator": "=>", "right": 1}]},
            r"^at\.all\[0\]\.operator: '=>' is not one of ==, !=, ",
        ),
        ({"any": [{"all": [TRUE, 5]}]}, r"^at\.any\[0\]\.all\[1\]: 5 is not a rule"),
        ([], r"^at: \[\] is not a rule"),
        (None, r"^at: None is not a rule"),
        ("body.x == 1", r"^at: 'body.x == 1' is not a rule"),
        ({}, r"^at\.left: it is missing"),
        ({"left": 1}, r"^at\.operator: it is missing"),
        ({"left": 1, "operator": "=="}, r"^at\.right: it is missing"),
        ({"left": 1, "operator": ["=="], "right": 1}, r"^at\.operator: \['=='\] is not one of"),
        ({"left": 1, "op": "=="}, r"^at: 'op' is not one of left, operator, right, all, any"),
        ({"all": TRUE}, r"^at\.all: .* is not a list of rules"),
        ({"all": [], "any": []}, r"^at: a group has 'all' and nothing else, not 'any'"),
        ({"any": [], "left": 1}, r"^at: a group has 'any' and nothing else, not 'left'"),
        (
            {"any": [{"left": "a", "operator": "matches", "right": "("}]},
            r"^at\.any\[0\]\.right: '\(' is not a regular expression",
        ),
        (
            {"left": "a", "operator": "does not match", "right": 5},
            r"^at\.right: 5 is not a regular",
        ),
    ],
)
def test_what_is_no_rule_is_refused_with_its_place(rules, message):
    with pytest.raises(SettingError, match=message):
        check_rules(rules, "at")


def test_the_helper_checks_too():
    with pytest.raises(SettingError, match=r"^rule\.operator: '=>'"):
        rule(1, "=>", 2)
    with pytest.raises(SettingError, match=r"^rule\.right: '\[' is not a regular expression"):
        rule("a", "matches", "[")


def test_a_pattern_with_templates_is_not_checked_and_does_not_match_where_it_is_none():
    rules = rule("a", "matches", "[{{ body.status }}")
    assert not holds(rules, SCOPE)


def nested(levels: int) -> dict:
    rules: dict = TRUE
    for _ in range(levels):
        rules = {"all": [rules]}
    return rules


def test_groups_nest_a_hundred_levels_deep():
    check_rules(nested(99))
    assert holds(nested(99), SCOPE)
    with pytest.raises(SettingError, match=r"at most 100 levels are allowed"):
        check_rules(nested(100))
    with pytest.raises(SettingError, match=r"at most 100 levels are allowed"):
        check_rules(nested(100_000))


texts = st.text(max_size=5)
values = st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2)
leaves = st.builds(
    lambda left, operator, right: {"left": left, "operator": operator, "right": right},
    values,
    st.sampled_from(sorted(set(OPERATORS) - {"matches", "does not match"})),
    values,
)
keys = st.sampled_from(["all", "any", "left", "operator", "right"]) | texts
groups = st.recursive(
    leaves,
    lambda inner: (
        st.fixed_dictionaries({"all": st.lists(inner, max_size=3)})
        | st.fixed_dictionaries({"any": st.lists(inner, max_size=3)})
    ),
    max_leaves=6,
)


@given(groups, st.dictionaries(texts, values, max_size=2))
def test_what_is_checked_holds_or_not_whatever_comes(rules, scope):
    check_rules(rules)
    assert isinstance(holds(rules, scope), bool)


@given(st.lists(groups, max_size=3), st.dictionaries(texts, values, max_size=2))
def test_all_and_any(rules, scope):
    each = [holds(one, scope) for one in rules]
    assert holds({"all": rules}, scope) is all(each)
    assert holds({"any": rules}, scope) is any(each)


@given(
    st.recursive(
        values, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys, inner, max_size=4)
    )
)
def test_checking_raises_nothing_else(rules):
    try:
        check_rules(rules)
    except SettingError as error:
        assert error.setting.startswith("rules")  # noqa: PT017 - either outcome is right
