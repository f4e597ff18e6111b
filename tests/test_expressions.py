from __future__ import annotations

import contextlib
import datetime as dt
import gc
import subprocess
import sys
import time
import weakref
from decimal import Decimal
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb.errors import ExpressionError, HooknbError, SettingError
from hooknb.expressions import MAX_VALUES, TooManyValuesError, cel, compile_expression, evaluate
from hooknb.expressions.templates import ROOTS
from hooknb.paths import MISSING
from hooknb.payloads.headers import HeaderMap

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
SCOPE = {
    "headers": HeaderMap([("X-Request-Id", "7"), ("Authorization", "Basic x")]),
    "query": {"page": "2"},
    "body": {
        "status": "paid",
        "amount": 11,
        "price": 1.5,
        "none": None,
        "big": 2**70,
        "more": 2**70 + 2**60,
        "huge": 2**5000,
        "unsigned": 2**63,
        "raw": b"ab",
        "items": [{"sku": "x", "n": 1}, {"sku": "y", "n": 2}],
        "a.b": {"c d": 3},
    },
    "nodes": {"total": 125.0, "odd": object(), "loop": []},
    "now": NOW,
    "env": MappingProxyType({"REGION": "eu"}),
}
SCOPE["nodes"]["loop"].append(SCOPE["nodes"]["loop"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('body.status == "paid" && body.amount > 10', True),
        ("body.amount + 1", 12),
        ("double(body.amount) * 1.5", 16.5),
        ("body.price > 1", True),
        ('query.page == "2"', True),
        ("nodes.total * 2.0", 250.0),
        ('env.REGION + "!"', "eu!"),
        ('now > timestamp("2026-01-01T00:00:00Z")', True),
        ('now - timestamp("2026-01-02T03:04:04Z")', dt.timedelta(seconds=1)),
        ("[now][0]", NOW),
        ("body.none == null", True),
        ("has(body.nope)", False),
        ("has(body.nope) && body.nope > 1", False),
        ("has(body.none)", True),
        ('body["a.b"]["c d"] + 1', 4),
        ('body.raw == b"ab"', True),
        ("[body.raw]", [b"ab"]),
        ("body.items.map(i, i.sku)", ["x", "y"]),
        ("body.items.filter(i, i.n > 1)[0].sku", "y"),
        ("body.items.map(i, i.n > 1, i.sku)", ["y"]),
        ('body.items.exists(i, i.sku == "y")', True),
        ("body.items.all(i, body.items.exists(j, j == i))", True),
        ("body.items.exists_one(item, item.n == 1)", True),
        ('body.items.exists(i, i.sku == ", all(x") // a comment, all(', False),
        ('body.status in ["open", "paid"]', True),
        ('{"a": body.amount}', {"a": 11}),
        ("type(body.status) == string", True),
        ("size(body.items)", 2),
        ("body.items.size()", 2),
        ('"body.nope" + r"\\"', "body.nope\\"),
        ("1 + 1", 2),
    ],
)
def test_values(text, value):
    found = evaluate(text, SCOPE)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        'headers["x-request-id"] == "7"',
        'headers["X-Request-Id"] == "7"',
        'headers["X-REQUEST-ID"] == "7"',
        'headers["x-request-id"] == headers["X-Request-ID"]',
        '"x-request-id" in headers',
        '"X-Request-Id" in headers',
        "has(headers.authorization)",
        "has(headers.AUTHORIZATION)",
        'headers.exists(name, headers[name] == "7")',
    ],
)
def test_headers_are_found_whatever_their_case(text):
    assert evaluate(text, SCOPE) is True
    assert evaluate('headers["x-request-id"]', SCOPE) == "7"


def test_credentials_stay_masked_where_headers_are_shown():
    assert "Basic x" not in repr(evaluate("headers", SCOPE))
    with pytest.raises(ExpressionError) as caught:
        evaluate('headers["authorization"] + 1', SCOPE)
    assert "Basic x" not in str(caught.value)


def test_an_expression_that_is_only_a_path_gives_the_value_itself():
    for key in ("big", "huge"):
        assert evaluate(f"body.{key}", SCOPE) == SCOPE["body"][key]
    assert evaluate("body", SCOPE) is SCOPE["body"]
    assert evaluate(" body.items[1].sku ", SCOPE) == "y"
    assert evaluate("nodes.odd", SCOPE) is SCOPE["nodes"]["odd"]
    with pytest.raises(ExpressionError):
        evaluate("body.items.sku", SCOPE)  # CEL takes no key from a list


@pytest.mark.parametrize(
    "text",
    [
        "body.status == 'paid'",
        "size(body) > 1",
        "body.big > 10",
        "body.huge > 10",
        "body.more > body.big",
        "body.unsigned > 10",
        "-body.price < 0.0",
    ],
)
def test_integers_beyond_64_bits_break_nothing(text):
    assert evaluate(text, SCOPE) is True


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        (MISSING, "body == null", True),
        (MISSING, "has(body.a)", False),
        (MISSING, "body == null || has(body.a)", True),
        (MISSING, "body", None),
        (None, "body == null", True),
        ([1, 2], "body[1]", 2),
        ("text", "body.startsWith('te')", True),
        (dt.date(2026, 1, 2), "[body][0]", dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
        (Decimal("1.5"), "body + 1.0", 2.5),
        (Decimal("sNaN"), "body == body", False),
        (np.int64(5), "body + 1", 6),
        (np.float64(0.5), "body * 2.0", 1.0),
        (np.bool_(True), "body && true", True),  # noqa: FBT003
        ((1, 2), "size(body)", 2),
        ({1}, "1 in body", True),
        ({None: 1, 2**70: 2, "\ud800": 3}, "size(body)", 3),
        ({"a": MISSING}, "has(body.a)", False),
        ([MISSING], "body == [null]", True),
        (-(2**70), "body < 0", True),
        (-(10**400), "body < 0", True),
        ("\ud800", "body == '?'", True),
        (object, "size(body) > 0", True),
        (print, "size(body) > 0", True),
    ],
)
def test_values_that_cel_has_no_type_for(value, text, expected):
    assert evaluate(text, {"body": value}) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("body.nope", r"there is no body\.nope; check has\(…\)"),
        ("body.nope.a == 1", r"there is no body\.nope; check has\(…\)"),
        ('body["a.b"].x == 1', r'there is no body\["a\.b"\]\.x; check'),
        ("body.items.all(i, i.nope == 1)", r"there is no key 'nope'; check"),
        (
            "body.amount * body.price",
            r"these types do not match: body\.amount is int, body\.price is double; convert",
        ),
        ("body.amount * 1.25", r"body\.amount is int, 1\.25 is double; convert with .*double\("),
        ('body.amount + "a"', r'body\.amount is int, "a" is string'),
        ("body.none > 1", r"body\.none is null, 1 is int"),
        ("body.unsigned + 1", r"body\.unsigned is uint, 1 is int"),
        ("body.raw + 'a'", r"body\.raw is bytes, 'a' is string"),
        ("now + 1", r"now is timestamp, 1 is int"),
        ("body.items + 1u", r"body\.items is list, 1u is uint"),
        ("body + true", r"body is map, true is bool"),
        ("1 / 0", r"division by zero"),
        ("body.items[5].sku", r"out of bounds"),
        ("item.sku == 1", r"there is no item here"),
        ("zork(1)", r"zork"),
        ("size(nodes.loop)", r"nested too deep"),
        ('body.status.matches("[")', r"not a valid regex"),
    ],
)
def test_what_does_not_apply_says_why(text, message):
    with pytest.raises(ExpressionError, match=message) as caught:
        evaluate(text, SCOPE)
    assert repr(text) in str(caught.value)
    assert not isinstance(caught.value, SettingError)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"is not an expression"),
        ("  ", r"is not an expression"),
        ("1 +", r"line 1, column 4: "),
        ("body.status = 1", r"line 1, column 13: CEL writes = as ==$"),
        ("body.status === 1", r"line 1, column 15: CEL writes === as ==$"),
        ("body.a and body.b", r"line 1, column 8: CEL writes and as &&$"),
        ("1 +\n not body.a", r"line 2, column 6: CEL writes not as !$"),
        ("body.and >", r"line 1, column 11: it ends too early$"),
        ("body.a b", r"line 1, column 8: 'b' is not expected here$"),
        ("1 +\n  * 2", r"line 2, column 3: "),
        ("body.a == bodyy.a", r"line 1, column 11: there is no bodyy; use one of headers, query"),
        ("true &&\n  x", r"line 2, column 3: there is no x"),
        ("{{ body.a }} == 1", r"is not CEL"),
        ("1" + " + 1" * 1000, r"4,001 characters"),
        ("(" * 1000 + "1" + ")" * 1000, r"is not CEL"),
    ],
)
def test_what_is_no_expression_is_refused_with_its_column(text, message):
    with pytest.raises(SettingError, match=message):
        compile_expression(text)
    with pytest.raises(SettingError, match=message):
        evaluate(text, SCOPE)


def test_only_what_is_named_is_looked_at():
    class Untouched(dict):
        def get(self, *_: object) -> object:
            raise AssertionError

        items = keys = values = __iter__ = __getitem__ = get  # type: ignore[assignment]

    untouched = Untouched(a=1)
    scope = {"body": {"a": 1, "b": untouched}, "query": untouched, "headers": untouched}
    assert evaluate("body.a == 1 && 'query' != 'headers'", scope) is True
    with pytest.raises(ExpressionError):
        evaluate("query.a == 1", scope)


def test_a_second_is_the_limit(capfd):
    start = time.thread_time()
    with pytest.raises(ExpressionError, match="took longer than 1 s; use a Code node"):
        evaluate("body.map(x, x)", {"body": list(range(30_000))})
    assert 1 <= time.thread_time() - start < 4
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "text",
    [
        "body.map(x, true, x)",
        "body.filter(x, x in body)",
        "body.exists(x, body.exists(y, body.exists(z, z == -1)))",
        "body.all(x, !body.exists(y, y == -1) || body.all(z, z == 0))",
        "[1].map(x, body.map(y, body.map(z, [x, y, z])))",
        "body . all ( x , body // a comment\n . all(y, body.all(z, z >= 0)))",
    ],
)
def test_nothing_goes_on_for_ever(text, capfd, monkeypatch):
    monkeypatch.setattr(cel, "_MAX_SECONDS", 0.1)
    start = time.thread_time()
    with pytest.raises(ExpressionError, match=r"took longer than 0\.1 s; use a Code node"):
        evaluate(text, {"body": list(range(30_000))})
    assert time.thread_time() - start < 4
    assert capfd.readouterr() == ("", "")


def test_the_longest_and_the_deepest_do_not_end_the_process():
    program = """
import threading
from hooknb.errors import HooknbError
from hooknb.expressions import evaluate

deep = []
for _ in range(100_000):
    deep = [deep]
texts = ["1" + "+1" * 1999, "body" + ".a" * 1998, "!" * 3990 + "true", "-" * 3999 + "1",
         "body" + "[0]" * 1332, "(" * 1999 + "1" + ")" * 1999, "true" + "?1:2" * 999, "size(body)",
         "[" * 1999 + "]" * 1999, "true" + "||true" * 666, "[1]" + ".map(x,x)" * 444]

def run():
    for text in texts:
        try:
            evaluate(text, {"body": deep})
        except HooknbError:
            pass

threading.stack_size(4 * 2**20)
thread = threading.Thread(target=run)
thread.start()
thread.join()
while deep:
    deep = deep[0]
print("alive")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "alive\n", done.stderr


fragments = st.sampled_from(
    [*ROOTS, ".a", '["a"]', "[0]", "+", "==", "&&", "||", "!", "(", ")", "1", "1.5", '"t"', "null",
     "has(", "size(", ".all(x,", ".map(x,", "x", " ", ",", "?", ":", "in", "//", "\n", "'", "r'\\'"]
)  # fmt: skip
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.datetimes(timezones=st.just(dt.timezone(dt.timedelta(hours=14))))
    | st.timedeltas()
    | st.decimals()
    | st.sampled_from([MISSING, object(), 10**400, 2**64, -(2**63) - 1])
)
things = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["a", "b", 1, None, 2**70]), inner)
    ),
    max_leaves=8,
)


@given(
    st.lists(fragments, max_size=10).map("".join) | st.text(),
    st.dictionaries(st.sampled_from(ROOTS), things),
)
def test_it_raises_its_own_errors_only(text, scope):
    try:
        evaluate(text, scope)
    except HooknbError as error:
        assert isinstance(error, SettingError | ExpressionError)  # noqa: PT017 - either is right


@given(things)
def test_every_value_can_be_handed_over(value):
    assert evaluate("[body].size()", {"body": value}) == 1
    evaluate("[body]", {"body": value})


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([0] * MAX_VALUES, "size(body)"),
        ([{"a": 1}] * (MAX_VALUES // 2), "size(body.items)"),
        ([0] * MAX_VALUES, "body.exists(x, body.exists(y, x + y < 0))"),
        (["a" * 1024 * 100] * (MAX_VALUES // 100), "size(body)"),
    ],
)
def test_what_an_expression_is_handed_is_bounded(body, text):
    body = {"items": body} if "items" in text else body
    with pytest.raises(TooManyValuesError, match="names more than 100,000 values; use a Code node"):
        evaluate(text, {"body": body})


def test_what_no_expression_names_does_not_count():
    body = {"id": 5, "items": [0] * (2 * MAX_VALUES)}
    assert evaluate("body.id + 1", {"body": body}) == 6
    assert evaluate("body.items", {"body": body}) is body["items"]


@pytest.mark.parametrize("text", ["size(body) + 'a'", "body.all(x, x.none)", "size(body) == 2"])
def test_no_cycle_keeps_alive_what_an_expression_was_handed(text):
    class Listed(list):
        pass

    gc.disable()
    try:
        body = Listed([Listed(), 1])
        seen = weakref.ref(body)
        with contextlib.suppress(ExpressionError):
            evaluate(text, {"body": body, "nodes": {}})
        del body
        assert seen() is None
    finally:
        gc.enable()
