from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hooknb.errors import PayloadError
from hooknb.payloads.multipart import decode


def part(disposition, content=b"", *headers):
    lines = [b"--B", b"Content-Disposition: form-data; " + disposition, *headers, b"", content]
    return b"\r\n".join(lines) + b"\r\n"


def body(*parts):
    return b"".join(parts) + b"--B--\r\n"


def refusal(raw, boundary="B"):
    with pytest.raises(PayloadError) as caught:
        decode(raw, boundary)
    assert (caught.value.status, caught.value.reason) == (400, "invalid multipart")
    return caught.value.detail


def test_fields_are_nested():
    raw = body(part(b'name="a"', b"1"), part(b'name="a"', b"2"), part(b'name="b[c]"', "é".encode()))
    assert decode(raw, "B") == {"a": ["1", "2"], "b": {"c": "é"}}


def test_files_keep_name_type_and_bytes():
    raw = body(
        part('name="f"; filename="ü.png"'.encode(), b"\x00\r\n--\xff", b"Content-Type: image/png"),
        part(b'name="g"; filename=""'),
        part(b"name=h; filename*=UTF-8''%C3%BC.txt", b"x"),
    )
    assert decode(raw, "B") == {
        "f": {"filename": "ü.png", "content_type": "image/png", "content": b"\x00\r\n--\xff"},
        "g": {"filename": "", "content_type": None, "content": b""},
        "h": {"filename": "ü.txt", "content_type": None, "content": b"x"},
    }


def test_files_of_one_name_are_a_list_of_whole_files():
    raw = body(part(b'name="f"; filename="1"', b"x"), part(b'name="f"; filename="2"', b"y"))
    assert [file["content"] for file in decode(raw, "B")["f"]] == [b"x", b"y"]


def test_text_is_utf_8_else_its_charset_else_latin_1():
    raw = body(
        part(b'name="a"', b"\xe9"),
        part(b'name="b"', b"\xa4", b"Content-Type: text/plain; charset=iso-8859-15"),
    )
    assert decode(raw, "B") == {"a": "é", "b": "€"}
    assert decode(body(part(b'name="a"', b"\xa4")), "B", "iso-8859-15") == {"a": "€"}


def test_what_surrounds_the_parts_is_passed_over():
    assert decode(b"preamble --B\r\n" + body(part(b'name="a"', b"1")) + b"epilogue", "B") == {
        "a": "1"
    }


def test_no_parts_are_an_empty_form():
    assert decode(b"--B--\r\n", "B") == {}


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "does not occur"),
        (b"x=1", "does not occur"),
        (part(b'name="a"', b"1"), "ends before the last boundary"),
        (body(part(b'filename="a"', b"1")), "part 1 has no name"),
        (b"--Bx\r\n", ""),
        (b"--B\r\nbad header\r\n\r\n--B--\r\n", ""),
        (body(part(b'name="a"', b"1", b"X: " + b"y" * 100_000)), ""),
    ],
)
def test_malformed_bodies_are_refused(raw, problem):
    assert problem in refusal(raw)


@pytest.mark.parametrize("boundary", ["", "€", "x" * 1_000])
def test_impossible_boundaries_are_refused(boundary):
    refusal(body(part(b'name="a"', b"1")), boundary)


def test_ten_thousand_parts_are_read_and_no_more():
    one = part(b'name="a[]"', b"1")
    assert len(decode(body(one * 10_000), "B")["a"]) == 10_000
    assert "10,000" in refusal(body(one * 10_001))


def test_a_refusal_is_not_printed(capfd):
    refusal(b"--Bx\r\n")
    assert capfd.readouterr().err == ""
    assert logging.getLogger("python_multipart").handlers


@given(st.binary(max_size=60))
def test_any_bytes_give_a_form_or_a_refusal(content):
    for raw in (content, b"--B" + content, b"--B\r\n" + content, part(b'name="a"', content)):
        try:
            decode(raw, "B")
        except PayloadError as error:
            assert error.status == 400  # noqa: PT017 - either outcome is right


@given(st.binary().filter(lambda content: b"\r\n--B" not in b"\r\n" + content))
def test_the_bytes_of_a_file_come_back(content):
    assert decode(body(part(b'name="f"; filename="x"', content)), "B")["f"]["content"] == content
