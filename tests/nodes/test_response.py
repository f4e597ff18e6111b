from __future__ import annotations

import pytest

from hooknb import Response, SettingError
from hooknb.records import SentResponse
from hooknb.workflow.nodes import render_response


def test_templates_work_anywhere_in_the_body(run):
    ran = run(
        Response(
            200,
            body={
                "id": "{{ body.id }}",
                "text": "Order {{ body.id }}",
                "list": [{"deep": "{{ body.tags }}"}],
                "dropped": "{{ body.none }}",
                "kept": 1,
            },
        ),
        body={"id": 2**70, "tags": ["a"]},
    )
    assert ran.response.json() == {
        "id": 2**70,
        "text": f"Order {2**70}",
        "list": [{"deep": ["a"]}],
        "kept": 1,
    }
    assert ran.response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("template", "sent", "media_type"),
    [
        ("{{ body.text }}", b"caf\xc3\xa9", "text/plain; charset=utf-8"),
        ("{{ body.object }}", b'{"a":[1.5,null]}', "application/json"),
        ("{{ body.null }}", b"null", "application/json"),
        ("n={{ body.object.a[0] }}", b"n=1.5", "text/plain; charset=utf-8"),
        ("{{ body.none }}", b"", None),
    ],
)
def test_a_body_that_is_one_template_keeps_its_type(run, template, sent, media_type):
    body = {"text": "café", "object": {"a": [1.5, None]}, "null": None}
    response = run(Response(200, body=template), body=body).response
    assert response.body == sent
    assert response.headers.get("Content-Type") == media_type


@pytest.mark.parametrize(("came", "status"), [(201, 201), ("422", 422), (503.0, 503)])
def test_the_status_may_be_a_template(run, came, status):
    ran = run(Response("{{ body.status }}", body="x", key="answer"), body={"status": came})
    assert ran.response.status == status
    assert ran.execution.response_status == status
    assert ran.result("answer") == status
    assert ran.status == "resolved"


@pytest.mark.parametrize(
    "came",
    [99, 199, 600, "abc", "\uff12\uff10\uff10", 200.5, True, None, [], "200\r\nX: y", 10**30],
)
def test_a_status_that_is_none_is_an_error_that_says_what_came(run, came):
    ran = run(Response("{{ body.status }}", key="answer"), body={"status": came})
    assert (ran.status, ran.response.status) == ("error", 500)
    assert f"status: {came!r} is not a status code" in ran.job("answer").error


def test_a_status_that_is_missing_is_an_error_and_a_default_helps(run):
    ran = run(Response("{{ body.status }}", key="answer"), body={})
    assert "status: {{ body.status }} resolved to nothing" in ran.job("answer").error
    assert run(Response("{{ body.status | 418 }}"), body={}).response.status == 418


def test_header_values_are_filled_and_missing_ones_dropped(run):
    response = run(
        Response(
            200,
            headers={
                "X-Id": "{{ body.id }}",
                "X-Text": "no. {{ body.id }}",
                "X-None": "{{ body.none }}",
                "X-Latin": "{{ body.latin }}",
            },
        ),
        body={"id": 7, "latin": "é"},
    ).response
    assert response.headers["X-Id"] == "7"
    assert response.headers["X-Text"] == "no. 7"
    assert response.headers["X-Latin"] == "é"
    assert "X-None" not in response.headers


@pytest.mark.parametrize("came", ["a\r\nSet-Cookie: b=c", "a\nb", "a\rb", "a\0b", "€", "\x7f"])
def test_a_header_value_that_cannot_be_is_an_error_and_never_another_header(run, came):
    ran = run(Response(200, headers={"X-Id": "v{{ body }}"}, key="answer"), body=came)
    assert (ran.status, ran.response.status) == ("error", 500)
    assert "headers['X-Id']" in ran.job("answer").error
    assert "Set-Cookie" not in ran.response.headers


def test_a_content_type_of_ones_own_stays(run):
    response = Response(200, headers={"content-type": "text/html"}, body="<b>{{ body }}</b>")
    response = run(response, body=1).response
    assert (response.headers["Content-Type"], response.body) == ("text/html", b"<b>1</b>")


def test_what_is_inserted_is_not_read_as_a_template_again(run):
    response = run(Response(200, body="{{ body }}"), body="{{ env.PATH }}").response
    assert response.body == b"{{ env.PATH }}"


def test_bytes_go_out_as_bytes(run):
    response = run(Response(200, body=b"\x00{{ body }}"), body=1).response
    assert response.body == b"\x00{{ body }}"
    assert response.headers["Content-Type"] == "application/octet-stream"


def test_a_status_that_has_no_body_has_none(run):
    response = run(Response("{{ body }}", body={"a": 1}), body=204).response
    assert (response.status, response.body) == (204, b"")


def test_an_answer_without_templates_is_rendered_once():
    node = Response(200, body={"a": 1})
    responses = []

    class Context:
        respond = responses.append

    for _ in range(2):
        with pytest.raises(StopIteration):
            node.run(Context()).send(None)
    assert responses[0] is responses[1]


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"status": 99}, "status"),
        ({"status": "201"}, "status"),
        ({"status": True}, "status"),
        ({"status": None}, "status"),
        ({"headers": {"X": "€{{ body }}"}}, "headers['X']"),
        ({"headers": {"X": "{{ body }}\r\nY: z"}}, "headers['X']"),
        ({"headers": {"X": 1}}, "headers['X']"),
        ({"headers": {"a b": "{{ body }}"}}, "headers"),
        ({"headers": {"Content-Length": "{{ body }}"}}, "headers"),
        ({"headers": []}, "headers"),
        ({"body": object()}, "body"),
        ({"body": {"a": ["{{ body }}", {1, object()}]}}, "body"),
        ({"status": 204, "body": "{{ body }}"}, "body"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_definition(settings, setting):
    with pytest.raises(SettingError) as caught:
        Response(**settings)
    assert caught.value.setting == setting


def test_templates_pass_at_definition():
    Response("{{ body.status }}", {"X": '{{ body.größe | "x" }}'}, {"{{ a }}": "{{ body }}"})


def test_a_status_that_only_a_node_can_fill_is_refused_elsewhere():
    with pytest.raises(SettingError, match="only Response nodes can fill it"):
        render_response("{{ body.status }}", {}, "x")


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (SentResponse(status=199), "status"),
        (SentResponse(status=600), "status"),
        (SentResponse(status=True), "status"),
        (SentResponse(status="200"), "status"),
        (SentResponse(status=200, headers=(("X", "a\r\nY: b"),)), "headers"),
        (SentResponse(status=200, headers=(("X", "{{ a\r\nY: b }}"),)), "headers"),
        (SentResponse(status=200, headers=(("X y", "a"),)), "headers"),
        (SentResponse(status=200, headers=(("X", 5),)), "headers"),
        (SentResponse(status=200, headers=("X",)), "headers"),
        (SentResponse(status=200, headers=(("Content-Length", "5"),)), "headers"),
        (SentResponse(status=200, headers=(("transfer-encoding", "chunked"),)), "headers"),
        (SentResponse(status=200, body="text"), "body"),
        (SentResponse(status=204, body=b"text"), "body"),
    ],
)
def test_what_a_function_responds_is_checked_as_a_response_node_is(run, response, problem):
    ran = run(lambda context: context.respond(response))
    assert ran.response.status == 500
    assert f"SettingError: {problem}" in ran.execution.reason


def test_a_function_may_respond_with_a_response_that_holds_templates(run):
    def node(context):
        context.respond(
            Response("{{ body.status }}", headers={"X-A": "{{ body.none }}"}, body="{{ body.a }}")
        )

    ran = run(node, body={"status": "201", "a": [1]})
    assert (ran.response.status, ran.response.body) == (201, b"[1]")
    assert "X-A" not in ran.response.headers
