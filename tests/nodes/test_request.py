from __future__ import annotations

import base64
import gzip
import json
import socket

import pytest

from hooknb import Output, Request, SettingError, Status


def sent_json(outside):
    return json.loads(outside.came[-1].body)


def test_the_result_is_status_headers_and_data(run, outside):
    outside.responses["/orders"] = (
        201,
        {"Content-Type": "application/json", "X-Own": "yes"},
        b'{"id": 1180591620717411303424}',
    )
    ran = run(
        Request(f"{outside.url}/orders", key="ask"),
        Output("{{ nodes.ask.data.id }}", key="id"),
        Output("{{ nodes.ask.headers.X-Own }}", key="own"),
    )
    result = ran.result("ask")
    assert result.keys() == {"status", "headers", "data"}
    assert (result["status"], result["data"]) == (201, {"id": 2**70})
    assert result["headers"]["X-Own"] == "yes"
    assert (ran.result("id"), ran.result("own")) == (2**70, "yes")
    assert outside.came[0].method == "POST"
    assert outside.came[0].body == b""


def test_templates_work_in_url_headers_query_and_body(run, outside):
    ran = run(
        Request(
            f"{outside.url}/orders/{{{{ body.id }}}}?a={{{{ body.text }}}}",
            method="PUT",
            headers={"X-Id": "{{ body.id }}", "X-None": "{{ body.none }}"},
            query={"q": "{{ body.text }}", "none": "{{ body.none }}", "l": "{{ body.list }}"},
            body={"id": "{{ body.id }}", "none": "{{ body.none }}", "list": ["{{ body.list }}"]},
        ),
        body={"id": 7, "text": "a&b=c/ü", "list": [1, 2]},
    )
    assert ran.status == "resolved"
    [came] = outside.came
    assert came.method == "PUT"
    assert came.path == "/orders/7?a=a%26b%3Dc%2F%C3%BC&q=a%26b%3Dc%2F%C3%BC&l=1&l=2"
    assert came.headers["X-Id"] == "7"
    assert "X-None" not in came.headers
    assert sent_json(outside) == {"id": 7, "list": [[1, 2]]}


@pytest.mark.parametrize(
    ("body", "sent", "media_type"),
    [
        ({"a": 1}, b'{"a":1}', "application/json"),
        ([1], b"[1]", "application/json"),
        ("héllo", "héllo".encode(), "text/plain; charset=utf-8"),
        (b"\x00\xff", b"\x00\xff", "application/octet-stream"),
        ("{{ body }}", b'{"x":[1]}', "application/json"),
        ("{{ body.none }}", b"", None),
        (None, b"", None),
    ],
)
def test_the_body_is_sent_by_its_type(run, outside, body, sent, media_type):
    run(Request(outside.url, body=body), body={"x": [1]})
    [came] = outside.came
    assert came.body == sent
    if sent:
        assert came.headers["Content-Type"] == media_type


def test_a_content_type_of_ones_own_is_kept(run, outside):
    run(Request(outside.url, headers={"content-type": "application/x.own"}, body={"a": 1}))
    assert outside.came[0].headers.get_all("Content-Type") == ["application/x.own"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "patch", "{{ body }}"])
def test_methods(run, outside, method):
    run(Request(outside.url, method=method), body="HEAD")
    assert outside.came[0].method == ("HEAD" if "{" in method else method.upper())


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("a/b", "/x/a%2Fb/y"),
        ("a?b#c", "/x/a%3Fb%23c/y"),
        ("../admin", "/x/..%2Fadmin/y"),
        ("@evil.example/", "/x/%40evil.example%2F/y"),
        ("\\evil", "/x/%5Cevil/y"),
        ("a\r\nX: y", "/x/a%0D%0AX%3A%20y/y"),
        ("%2e", "/x/%252e/y"),
        ("ü", "/x/%C3%BC/y"),
        ({"a": 1}, "/x/%7B%22a%22%3A1%7D/y"),
        (None, "/x//y"),
    ],
)
def test_a_value_in_the_path_stays_one_segment(run, outside, value, path):
    run(Request(outside.url + "/x/{{ body }}/y"), body=value)
    assert outside.came[0].path == path


@pytest.mark.parametrize("value", [".", ".."])
@pytest.mark.parametrize("segment", ["{{ body }}", "{{ body }}{{ query.none }}"])
def test_a_segment_of_dots_is_refused(run, outside, value, segment):
    ran = run(Request(f"{outside.url}/x/{segment}/y", key="ask"), body=value)
    assert ran.status == "error"
    assert "cannot be a segment of the path" in ran.job("ask").error
    assert outside.came == []


def test_dots_made_of_two_halves_are_refused(run, outside):
    ran = run(Request(outside.url + "/x/{{ body }}%2E/y", key="ask"), body=".")
    assert ran.status == "error"
    assert outside.came == []


def test_a_literal_text_is_encoded_and_an_encoded_one_stays(run, outside):
    run(Request(outside.url + "/a b/ü/%2F?q=a b&r=%20#part"))
    assert outside.came[0].path == "/a%20b/%C3%BC/%2F?q=a%20b&r=%20"


def test_a_default_inside_of_a_template_may_hold_anything(run, outside):
    run(Request(outside.url + '/x/{{ body.a | "p/q?r#s}}" }}?b={{ body.b | "?" }}'), body={})
    assert outside.came[0].path == "/x/p%2Fq%3Fr%23s%7D%7D?b=%3F"


# ------------------------------------------------------------------ where a request may go


@pytest.mark.parametrize(
    "url",
    [
        "{{ body.url }}",
        "{{ body.scheme }}://api.example.com/",
        "https://{{ body.host }}/x",
        "https://{{ body.user }}@api.example.com/",
        "https://user:{{ body.password }}@api.example.com/",
        "https://api{{ body.x }}/",
        "https://api.example.com{{ body.x }}",
        "https://api.example.com:{{ body.port }}/",
        "https://api.example.com:80{{ body.port }}/x",
        "{{ body.url }}/x",
        '{{ body.url | "https://api.example.com" }}/x',
    ],
)
def test_a_template_may_not_choose_where_a_request_goes(url):
    with pytest.raises(SettingError, match="allow_hosts") as caught:
        Request(url)
    assert caught.value.setting == "url"
    Request(url, allow_hosts=["api.example.com"])


@pytest.mark.parametrize(
    "came",
    [
        "http://evil.example/",
        "http://127.0.0.1:1/",
        "http://{own}@evil.example/",
        "http://evil.example\\@{own}/",
        "http://{own}\\.evil.example/",
        "http://{own}.evil.example/",
        "http://{own}\r\nHost: evil.example",
        "//{own}/",
        "ftp://{own}/",
        "javascript:alert(1)",
        "http://a@b@{own}/",
        "https://{own}/\n",
        "http://%31%32%37.0.0.1/",
        "http://127.1/",
        "",
        None,
        5,
    ],
)
def test_what_a_template_leads_to_is_checked_when_it_is_known(run, outside, came):
    own = f"127.0.0.1:{outside.port}"
    body = came.replace("{own}", own) if isinstance(came, str) else came
    ran = run(
        Request("{{ body }}", allow_hosts=[own], headers={"X-Secret": "s"}, key="ask"), body=body
    )
    assert ran.status == "error"
    assert outside.came == []


@pytest.mark.parametrize("value", ["@evil.example/", ".evil.example/", ":1/", "/../", "\\@evil/"])
def test_what_stands_behind_a_chosen_host_is_checked_too(run, outside, value):
    url = f"http://127.0.0.1{{{{ body }}}}:{outside.port}/x"
    run(Request(url, allow_hosts=[f"127.0.0.1:{outside.port}"]), body=value)
    assert outside.came == []


@pytest.mark.parametrize(
    ("allowed", "goes"),
    [
        ("127.0.0.1:{port}", True),
        ("127.0.0.1:*", True),
        ("*", True),
        ("127.0.0.1", False),
        ("localhost:*", False),
        ("127.0.0.1:1", False),
    ],
)
def test_allow_hosts_names_hosts_and_ports(run, outside, allowed, goes):
    hosts = (allowed.replace("{port}", str(outside.port)),)
    ran = run(
        Request("{{ body.url }}", allow_hosts=hosts, key="ask"), body={"url": outside.url + "/a?b"}
    )
    assert len(outside.came) == goes
    assert ran.status == ("resolved" if goes else "error")
    if not goes:
        assert "127.0.0.1 is not one of allow_hosts" in ran.job("ask").error


def test_credentials_in_the_address_are_sent_as_basic_authentication(run, outside):
    run(Request(f"http://shop:s%3Acret@127.0.0.1:{outside.port}/"))
    token = base64.b64encode(b"shop:s:cret").decode()
    assert outside.came[0].headers["Authorization"] == f"Basic {token}"


# ------------------------------------------------------------------------------- redirects


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (302, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
        (302, "GET", "GET"),
        (303, "HEAD", "HEAD"),
    ],
)
def test_redirects_are_followed_by_the_rules(run, outside, status, method, then):
    outside.redirect("/a/b", "../c?d=1", status)
    body = None if method in {"GET", "HEAD"} else {"x": 1}
    headers = {"Authorization": "Bearer t", "X-Own": "1"}
    ran = run(Request(outside.url + "/a/b", method, headers, body=body, key="ask"))
    assert ran.result("ask")["status"] == 200
    first, second = outside.came
    assert (second.method, second.path) == (then, "/c?d=1")
    assert second.headers["Authorization"] == "Bearer t"
    assert second.headers["X-Own"] == "1"
    kept = then == method
    assert second.body == (first.body if kept else b"")
    assert second.headers["Content-Type"] == (first.headers["Content-Type"] if kept else None)


def test_at_most_five_redirects_are_followed(run, outside):
    for number in range(6):
        outside.redirect(f"/{number}", f"/{number + 1}")
    assert run(Request(outside.url + "/1", key="ask")).result("ask")["status"] == 200
    assert [came.path for came in outside.came] == ["/1", "/2", "/3", "/4", "/5", "/6"]
    ran = run(Request(outside.url + "/0", key="ask"))
    assert "more than 5 redirects" in ran.job("ask").error


def test_redirects_may_be_left_alone(run, outside):
    outside.redirect("/a", "http://evil.example/")
    ran = run(Request(outside.url + "/a", follow_redirects=False, key="ask"))
    assert ran.status == "resolved"
    assert ran.result("ask")["status"] == 302
    assert ran.result("ask")["headers"]["Location"] == "http://evil.example/"


def test_a_redirect_to_another_host_is_refused_unless_it_is_allowed(run, outside):
    outside.redirect("/a", f"{outside.other_name}/b", 307)
    headers = {"Authorization": "Bearer t", "cookie": "c", "X-Own": "1"}
    ran = run(Request(outside.url + "/a?secret=1", headers=headers, key="ask"))
    assert ran.status == "error"
    assert "it redirects to localhost, which is another host" in ran.job("ask").error
    assert "secret" not in ran.job("ask").error
    assert [came.path for came in outside.came] == ["/a?secret=1"]

    allowed = [f"localhost:{outside.port}"]
    ran = run(Request(outside.url + "/a", headers=headers, allow_hosts=allowed, key="ask"))
    assert ran.status == "resolved"
    assert outside.came[-1].path == "/b"
    assert outside.came[-1].headers["Authorization"] is None
    assert outside.came[-1].headers["Cookie"] is None
    assert outside.came[-1].headers["X-Own"] == "1"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:1/",
        "//evil.example/",
        "https://127.0.0.1/",
        "ftp://127.0.0.1/",
        "http://127.0.0.1:1\\@x/",
        "javascript:alert(1)",
    ],
)
def test_a_redirect_that_leads_elsewhere_is_refused(run, outside, location):
    outside.redirect("/a", location)
    ran = run(Request(outside.url + "/a", key="ask"))
    assert ran.status == "error"
    assert "it redirects" in ran.job("ask").error
    assert len(outside.came) == 1


# --------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_an_error_status_fails_the_job(run, outside, status):
    outside.json("/a", {"why": "no"}, status)
    ran = run(Request(outside.url + "/a?token=1", key="ask"), Output(1, key="after"))
    assert (ran.status, ran.response.status) == ("failed", 500)
    assert ran.execution.reason == f"POST {outside.url}/a responded with {status}"
    assert ran.job("ask").status is Status.FAILED
    assert ran.job("ask").result["data"] == {"why": "no"}
    assert ran.keys == ["ask"]


def test_an_error_status_may_be_ignored(run, outside):
    outside.json("/a", {"why": "no"}, 404)
    ran = run(Request(outside.url + "/a", ignore_status=True, key="ask"), Output(1, key="after"))
    assert ran.status == "resolved"
    assert ran.result("ask")["status"] == 404
    assert ran.keys == ["ask", "after"]


@pytest.mark.parametrize(
    ("headers", "body", "data"),
    [
        ({"Content-Type": "application/problem+json"}, b"[1]", [1]),
        ({"Content-Type": "application/json"}, b'{"a": ', '{"a": '),
        ({"Content-Type": "application/json"}, b"NaN", "NaN"),
        ({"Content-Type": "application/json"}, b"", None),
        ({"Content-Type": "text/plain; charset=iso-8859-1"}, b"caf\xe9", "café"),
        ({"Content-Type": "text/html"}, b"<b>", "<b>"),
        ({"Content-Type": "application/xml"}, b"<b/>", "<b/>"),
        ({"Content-Type": "application/atom+xml; x=y"}, b"<b/>", "<b/>"),
        ({"Content-Type": "application/octet-stream"}, b"\x00\xff", b"\x00\xff"),
        ({}, b'{"a":1}', {"a": 1}),
        (
            {"Content-Type": "text/plain", "Content-Encoding": "gzip"},
            gzip.compress(b"x", mtime=0),
            "x",
        ),
    ],
)
def test_the_data_is_json_text_or_bytes(run, outside, headers, body, data):
    outside.responses["/"] = (200, headers, body)
    seen = []
    ran = run(Request(outside.url, key="ask"), lambda context: seen.append(context.nodes["ask"]))
    assert ran.status == "resolved"
    assert seen[0]["data"] == data
    assert type(seen[0]["data"]) is type(data)


# --------------------------------------------------------------------------------- no answer


def test_a_slow_answer_is_an_error_after_the_time_limit(run, outside):
    outside.responses["/slow"] = lambda _came: (outside.gate.wait(30), (200, {}, b""))[1]
    url = f"http://user:secret@127.0.0.1:{outside.port}/slow?token=1"
    ran = run(Request(url, timeout=0.1, key="ask"))
    assert ran.status == "error"
    shown = f"RequestError: POST {outside.url}/slow: no response within 0.1 s"
    assert shown in ran.job("ask").error
    assert "secret" not in ran.job("ask").error
    assert "token" not in ran.job("ask").error


def test_the_time_limit_is_5_seconds_by_default():
    assert Request("http://127.0.0.1").timeout == 5


def test_the_time_limit_is_for_all_redirects_together(run, outside):
    def slow(came):
        outside.gate.wait(0.08)
        return 302, {"Location": f"/{int(came.path[1:]) + 1}"}, b""

    for number in range(4):
        outside.responses[f"/{number}"] = slow
    ran = run(Request(outside.url + "/0", timeout=0.2, key="ask"))
    assert "no response within 0.2 s" in ran.job("ask").error


def test_a_huge_answer_is_an_error(run, outside):
    outside.responses["/"] = (200, {}, b"x" * 100_001)
    ran = run(Request(outside.url, max_size=100_000, key="ask"))
    assert ran.status == "error"
    assert "more than 100000 bytes" in ran.job("ask").error
    ran = run(Request(outside.url, max_size=100_001, key="ask"))
    assert ran.status == "resolved"


def test_a_huge_answer_prints_no_traceback(run, outside, caplog, capfd):
    outside.responses["/"] = (200, {}, b"x" * 5_000_000)
    outside.responses["/chunked"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 10**7))
    for path in ("/", "/chunked"):
        ran = run(Request(outside.url + path, max_size=1000, key="ask"))
        assert ran.status == "error"
    assert [record for record in caplog.records if record.levelname != "INFO"] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("location", ["//[", "http://[", "//[::1", "http://a]b/", "//a:99999/"])
def test_a_location_that_is_no_address_is_a_request_error(run, outside, location):
    outside.redirect("/a", location)
    ran = run(Request(outside.url + "/a", key="ask"))
    assert ran.job("ask").error.startswith("hooknb.errors.RequestError")
    assert "redirects nowhere" in ran.job("ask").error


def test_an_answer_that_is_huge_once_it_is_unpacked_is_an_error(run, outside):
    outside.responses["/"] = (200, {"Content-Encoding": "gzip"}, gzip.compress(b"x" * 10_000_000))
    ran = run(Request(outside.url, max_size=100_000, key="ask"))
    assert ran.status == "error"
    assert "RequestError" in ran.job("ask").error


def test_an_answer_that_breaks_off_is_an_error(run, outside):
    def half(_came):
        return 200, {"Content-Length": "100", "Connection": "close"}, b"half"

    outside.responses["/half"] = half
    ran = run(Request(outside.url + "/half?token=1", key="ask"))
    assert ran.status == "error"
    assert f"RequestError: POST {outside.url}/half: " in ran.job("ask").error


def test_nobody_there_is_an_error(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        ran = run(Request(f"http://user:secret@127.0.0.1:{port}/a?token=1", key="ask"))
    assert ran.status == "error"
    assert f"RequestError: POST http://127.0.0.1:{port}/a: " in ran.job("ask").error
    assert "secret" not in ran.job("ask").error
    assert "token" not in ran.job("ask").error


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "€", "\0"])
def test_a_header_value_that_cannot_be_is_an_error(run, outside, value):
    ran = run(Request(outside.url, headers={"X-Id": "{{ body }}"}, key="ask"), body=value)
    assert ran.status == "error"
    assert "headers['X-Id']" in ran.job("ask").error
    assert outside.came == []


@pytest.mark.parametrize("value", ["CONNECT", "G T", "GET / HTTP/1.1\r\nX: y", "", 5])
def test_a_method_that_is_none_is_an_error(run, outside, value):
    ran = run(Request(outside.url, method="{{ body }}", key="ask"), body=value)
    assert ran.status == "error"
    assert outside.came == []


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({"url": 5}, "url"),
        ({"url": ""}, "url"),
        ({"url": "api.example.com/x"}, "url"),
        ({"url": "ftp://api.example.com/"}, "url"),
        ({"url": "https:///x"}, "url"),
        ({"url": "https://a b/"}, "url"),
        ({"url": "https://a@b@c/"}, "url"),
        ({"url": "https://a\\b/"}, "url"),
        ({"url": "https://a/\r\nX: y"}, "url"),
        ({"url": "https://a:99999/"}, "url"),
        ({"url": "https://%61/"}, "url"),
        ({"method": "CONNECT"}, "method"),
        ({"method": "G T"}, "method"),
        ({"method": 5}, "method"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "headers"),
        ({"headers": {"X": "a\nb{{ body }}"}}, "headers['X']"),
        ({"headers": None}, "headers"),
        ({"query": "a=1"}, "query"),
        ({"query": {1: 2}}, "query"),
        ({"body": object()}, "body"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"follow_redirects": 1}, "follow_redirects"),
        ({"verify": None}, "verify"),
        ({"ignore_status": "no"}, "ignore_status"),
        ({"max_size": 0}, "max_size"),
        ({"max_size": 1.5}, "max_size"),
        ({"allow_hosts": "api.example.com"}, "allow_hosts"),
        ({"allow_hosts": [5]}, "allow_hosts[0]"),
        ({"allow_hosts": ["*", "http://x/"]}, "allow_hosts[1]"),
        ({"allow_hosts": ["a b"]}, "allow_hosts[0]"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(settings, setting):
    with pytest.raises(SettingError) as caught:
        Request(**({"url": "https://api.example.com/"} | settings))
    assert caught.value.setting == setting


def test_hosts_are_the_same_whatever_their_case_and_script(run, outside):
    assert Request(
        "https://x/", allow_hosts=["API.Example.com", "bücher.example:*"]
    ).allow_hosts == (
        "api.example.com",
        "xn--bcher-kva.example:*",
    )
    ran = run(Request(f"HTTP://LocalHost:{outside.port}/"))
    assert ran.status == "resolved"
    assert outside.came[0].headers["Host"] == f"localhost:{outside.port}"
