from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hooknb.errors import PayloadError
from hooknb.payloads.json_faults import find_fault
from hooknb.payloads.json_values import decode

encodable = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | encodable,
    lambda inner: st.lists(inner) | st.dictionaries(encodable, inner),
)
# Fragments that come together into JSON often enough, and as often nearly.
fragments = st.lists(
    st.sampled_from(
        ["[", "]", "{", "}", ",", ":", '"', '"a"', '"b":', "1", "-", "0", ".5",
         "e9", "null", "true", " ",
         "\n", "\\", "\\u00e9", "\\ud83d", "\\ude00", "NaN", "é", "[1,", '{"a":', "1e999", "\ufeff"]
    ),
    max_size=8,
).map("".join)  # fmt: skip


def refusal(raw, charset=None):
    with pytest.raises(PayloadError) as caught:
        decode(raw, charset)
    assert (caught.value.status, caught.value.reason) == (400, "invalid json")
    return caught.value.detail


@given(
    value=values,
    ascii_only=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"])
    | st.sampled_from(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]),
)
@example(value="日", ascii_only=False, encoding="utf-16-le")
@example(value=1, ascii_only=True, encoding="utf-16-be")
def test_every_value_comes_back_in_every_encoding(value, ascii_only, encoding):
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert decode(text.encode(encoding)) == value


@given(fragments)
def test_agrees_with_the_standard_library(text):
    def refuse(constant):
        raise ValueError(constant)

    def number(digits):
        if math.isinf(float(digits)):
            raise ValueError(digits)
        return float(digits)

    raw = text.encode()
    try:
        expected = json.loads(raw, parse_constant=refuse, parse_float=number)
        json.dumps(expected, ensure_ascii=False).encode()  # no lone surrogates
    except ValueError:
        refusal(raw)
    else:
        assert decode(raw) == expected
        assert find_fault(raw.removeprefix(b"\xef\xbb\xbf")) is None


@given(
    st.binary(max_size=40),
    st.sampled_from([None, "iso-8859-1", "utf-16", "hex", "punycode", "nonsense", "\x00"]),
)
def test_any_bytes_give_a_value_or_a_refusal(raw, charset):
    try:
        decode(raw, charset)
    except PayloadError as error:
        assert "byte" in error.detail  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"   ", "white space at line 1, column 4 (byte 3)"),
        (b'[1,\n "a" "b"]', "line 2, column 6 (byte 9)"),
        ('{"é": 1,}'.encode(), "line 1, column 9 (byte 9)"),
        ('{"é": 1,}'.encode("utf-16"), "line 1, column 9 (byte 18)"),
        ('{"é": 1,}'.encode("utf-8-sig"), "line 1, column 9 (byte 12)"),
        (b'{"a": 1', "too early at line 1, column 8 (byte 7)"),
        (b'{"a": NaN}', "NaN is not JSON at line 1, column 7 (byte 6)"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b'["\xff"]', "not UTF-8 at line 1, column 3 (byte 2)"),
        (b'{"a": [0, 1e400]}', "too large for a float at line 1, column 11 (byte 10)"),
        (b"-1e400", "too large for a float"),
        (rb'"\ud800"', "surrogate"),
        (
            rb'{"\udc00": 1}',
            "surrogate pair at line 1, column 3 (byte 2)",
        ),
        (rb'"\ud83d\ud83d"', "surrogate"),
        (b'"\x01"', "control character"),
        (rb'"\x"', "an invalid escape"),
        (b"{'a': 1}", "double quotes"),
    ],
)
def test_faults_are_placed(raw, place):
    assert place in refusal(raw)


def test_pairs_of_surrogate_escapes_are_characters():
    assert decode(rb'{"\ud83d\ude00": "\\ud800"}') == {"😀": "\\ud800"}


def test_the_last_of_duplicate_keys_wins():
    assert decode(b'{"a": 1, "a": 2}') == {"a": 2}


def test_integers_keep_every_digit_up_to_four_thousand():
    assert decode(b"9007199254740993") == 9007199254740993
    assert decode(b"[-" + b"7" * 4_000 + b"]") == [-int("7" * 4_000)]
    assert "4,000 digits at line 1, column 8 (byte 7)" in refusal(
        b'{"a": -'.replace(b"-", b" ") + b"7" * 4_001 + b"}"
    )
    for padding in range(0, 1_000, 83):
        assert "digits" in refusal(b" " * padding + b"[" + b"7" * 4_001 + b"]")
    assert "digits" in refusal(b"7" * 100_000)


def test_many_digits_elsewhere_are_fine():
    digits = b"1" * 6_000
    assert decode(b'["' + digits + b'"]') == [digits.decode()]
    assert decode(b"[0." + digits + b"]") == [float("0." + "1" * 20)]


def nested(levels, kind):
    if kind == "list":
        return b"[" * levels + b"]" * levels
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize("kind", ["list", "object"])
def test_five_hundred_levels_are_read_and_no_more(kind):
    decode(nested(500, kind))
    assert "500 levels" in refusal(nested(501, kind))


def test_many_brackets_are_no_depth():
    assert decode(b"[" + b"[],{}," * 600 + b"0]")[-1] == 0
    assert decode(b'["' + b"[" * 600 + b'"]') == ["[" * 600]


@pytest.mark.parametrize(
    "raw", [b"[" * 1_000_000, b'{"":' * 250_000, b"[" * 100_000 + b"]" * 100_000]
)
def test_bottomless_nesting_is_refused(raw):
    assert "500 levels" in refusal(raw)


def test_a_declared_charset_counts_where_the_bytes_are_not_utf_8():
    raw = '{"é": "ü"}'.encode("latin-1")
    assert decode(raw, "iso-8859-1") == {"é": "ü"}
    assert decode('{"é": 1}'.encode(), "iso-8859-1") == {"é": 1}
    assert "not UTF-8" in refusal(raw)
    assert "not UTF-8" in refusal(raw, "nonsense")
    assert "column 6 (byte 5)" in refusal(b'["\xe9" \xe9]', "iso-8859-1")


def test_byte_order_marks_do_not_pile_up():
    refusal(b"\xef\xbb\xbf" * 5_000 + b"1")


def test_broken_utf_16_is_refused():
    assert "not utf-16" in refusal('["é"]'.encode("utf-16-le") + b"\x00")


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        (b"]", "comma"),
        (b"1e999]", "range"),
        (b'"\xff"]', "not UTF-8"),
        (b"", "truncated"),
        (b"[" * 9_999, "levels"),
    ],
)
def test_faults_far_into_a_body_are_still_told(end, problem):
    assert problem in refusal(b"[" + b"0," * 200_000 + end)
