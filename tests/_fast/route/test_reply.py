"""Answers of our own (http-edge-behaviour.md 11, openshift-routes.md 6.4 and 6.5)."""

import json
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest

from tests.doors import reply_doors as door

REASONS = {
    200: "OK", 400: "Bad request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    407: "Proxy Authentication Required", 408: "Request Time-out", 410: "Gone", 413: "Payload Too Large", 414: "URI Too Long",
    421: "Misdirected Request", 422: "Unprocessable Content", 425: "Too Early", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Time-out", 505: "HTTP Version Not Supported",
}


def parts(raw):
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    fields = dict(field.split(": ", 1) for field in lines)
    assert len(fields) == len(lines)
    assert "\n" not in head.decode().replace("\r\n", "")
    return line, fields, body


class Page(HTMLParser):
    """Refers to nothing outside, and closes what it opens."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words = [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert not {name for name, _ in attrs} & {"src", "href", "action"}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        assert "url(" not in data
        assert "@import" not in data
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def test_the_monitor_path_is_answered_shortly():
    line, fields, body = parts(door.monitor())
    assert (line, body) == ("HTTP/1.1 200 OK", b"OK\n")
    assert fields == {"cache-control": "no-store", "content-type": "text/plain", "content-length": "3"}
    assert door.monitor(flags=door.HEAD) + b"OK\n" == door.monitor()
    line, fields, body = parts(door.monitor(allowed=False, flags=door.CLOSE))
    assert (line, body) == ("HTTP/1.1 405 Method Not Allowed", b"")
    assert fields == {"allow": "GET, HEAD", "cache-control": "no-store", "content-length": "0", "connection": "close"}


def test_the_monitor_path_is_answered_whole_or_not_at_all():
    whole = door.monitor(flags=door.KEEP_ALIVE)
    assert [door.monitor(flags=door.KEEP_ALIVE, room=room) for room in range(len(whole) + 1)] == [b""] * len(whole) + [whole]


@pytest.mark.parametrize("status", REASONS)
def test_each_status_has_its_page(status):
    line, fields, body = parts(door.error(status, b"the cause"))
    assert line == f"HTTP/1.1 {status} {REASONS[status]}"
    assert fields.pop("content-length") == str(len(body))
    assert (fields.pop("cache-control"), fields.pop("content-type")) == ("no-cache", "text/html")
    assert set(fields) == {401: {"www-authenticate"}, 405: {"allow"}, 407: {"proxy-authenticate"}, 503: {"pragma"}}.get(status, set())
    words = Page(body.decode()).words
    assert {str(status), REASONS[status], "the cause"} < set(words)
    assert len(body) < 2048
    assert b"prefers-color-scheme:dark" in body


@pytest.mark.parametrize("status", REASONS)
def test_each_status_has_its_json(status):
    line, fields, body = parts(door.error(status, b"the cause", door.JSON))
    assert line == f"HTTP/1.1 {status} {REASONS[status]}"
    assert (fields["content-length"], fields["content-type"]) == (str(len(body)), "application/json")
    assert json.loads(body) == {"status": status, "error": REASONS[status], "detail": "the cause"}


def test_without_a_detail_json_has_the_sentence_and_the_page_nothing():
    assert json.loads(parts(door.error(504, b"", door.JSON))[2])["detail"] == "The application did not answer in time."
    assert b"<small></small>" in parts(door.error(504))[2]


@pytest.mark.parametrize("status", [0, 199, 299, 418, 499, 599, 600, 65535])
def test_a_status_without_a_page_is_an_error_of_ours(status):
    assert parts(door.error(status))[0] == "HTTP/1.1 500 Internal Server Error"


def test_503_is_not_cached_by_anybody():
    assert parts(door.error(503, b"no route"))[1]["pragma"] == "no-cache"


@pytest.mark.parametrize(
    ("flag", "told"), [(0, None), (door.CLOSE, "close"), (door.KEEP_ALIVE, "keep-alive"), (door.CLOSE | door.KEEP_ALIVE, "close")]
)
def test_what_becomes_of_the_connection_is_said(flag, told):
    assert parts(door.error(400, b"", flag))[1].get("connection") == told
    assert parts(door.redirect(b"h", b"/", flag))[1].get("connection") == told


@pytest.mark.parametrize("kind", [0, door.JSON])
def test_head_has_the_length_but_no_body(kind):
    whole, only_head = door.error(503, b"no route", kind), door.error(503, b"no route", kind | door.HEAD)
    assert only_head == whole[: whole.index(b"\r\n\r\n") + 4]


HOSTILE = bytes(range(256))


def test_a_hostile_detail_cannot_leave_its_place():
    for kind in (0, door.JSON):
        for at in range(0, 256, 8):
            _, fields, body = parts(door.error(502, HOSTILE[at:] + b'</small><script>"\\', kind))
            assert fields["content-length"] == str(len(body))
            if kind:
                assert set(json.loads(body)) == {"status", "error", "detail"}
            else:
                assert "script" not in str(Page(body.decode()).open)
                assert b"<script" not in body


def test_a_long_detail_is_cut_and_always_fits():
    for detail in (b"x" * 5000, b"&" * 5000, b'"' * 5000, b"\xff" * 5000):
        for kind in (0, door.JSON):
            raw = door.error(431, detail, kind | door.CLOSE)
            assert 0 < len(raw) <= door.MOST
            assert parts(raw)[1]["content-length"] == str(len(parts(raw)[2]))


@pytest.mark.parametrize("kind", [0, door.JSON, door.HEAD])
def test_too_little_room_is_noticed(kind):
    whole = door.error(404, b"x<y", kind)
    for room in range(len(whole)):
        assert door.error(404, b"x<y", kind, room=room) == b""
    assert door.error(404, b"x<y", kind, room=len(whole)) == whole


# ---- an operator's own files -----------------------------------------------------------------------------------------


@pytest.fixture
def restored() -> Iterator[None]:
    yield
    for status in (404, 503):
        door.install(status, b"")


@pytest.mark.usefixtures("restored")
def test_an_error_file_is_sent_as_it_is():
    raw = b"HTTP/1.0 503 Service Unavailable\r\nConnection: close\r\n\r\n<h1>mine</h1>"
    assert not door.installed(503)
    door.install(503, raw)
    assert door.installed(503)
    assert door.error(503, b"no route", door.JSON | door.CLOSE) == raw
    assert door.error(503, b"", door.HEAD) == raw[:-len(b"<h1>mine</h1>")]
    assert parts(door.error(502))[0] == "HTTP/1.1 502 Bad Gateway"
    door.install(503, b"")
    assert not door.installed(503)
    assert parts(door.error(503))[1]["content-type"] == "text/html"


@pytest.mark.usefixtures("restored")
def test_an_error_file_that_does_not_fit_gives_way_to_the_page():
    door.install(404, b"HTTP/1.1 404 Not Found\r\n\r\n" + b"x" * 5000)
    assert parts(door.error(404))[1]["content-type"] == "text/html"
    assert len(door.error(404, room=8192)) == 5026


def test_an_error_file_for_a_status_that_has_no_page_changes_nothing():
    door.install(299, b"x")
    assert not door.installed(299)
    assert not door.installed(500)


# ---- redirects and 100 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "target", "location"),
    [
        (b"h.example", b"/a?b=c", "https://h.example/a?b=c"),
        (b"H.Example:8080", b"/A//b/../%00?C", "https://h.example/A//b/../%00?C"),
        (b"h.example.:80", b"/", "https://h.example./"),
        (b"[::1]:80", b"/", "https://[::1]/"),
        (b"[::1]", b"/", "https://[::1]/"),
        (b"h:", b"/", "https://h/"),
        (b"h", b"http://h:80/x?y=http://z", "https://h/x?y=http://z"),
        (b"h", b"http://h", "https://h/"),
        (b"h", b"http://h?q=/", "https://h/?q=/"),
        (b"h", b"*", "https://h/"),
        (b"h", b"//evil.example/", "https://h//evil.example/"),
    ],
)
def test_a_redirect_keeps_host_and_target(host, target, location):
    line, fields, body = parts(door.redirect(host, target))
    assert (line, body) == ("HTTP/1.1 302 Found", b"")
    assert fields == {"location": location, "cache-control": "no-cache", "content-length": "0"}


def test_too_little_room_for_a_redirect_is_noticed():
    whole = door.redirect(b"h:80", b"/a")
    assert [door.redirect(b"h:80", b"/a", room=room) for room in range(len(whole) + 1)] == [b""] * len(whole) + [whole]


def test_going_on_is_said_in_one_line():
    assert door.go_on() == b"HTTP/1.1 100 Continue\r\n\r\n"


# ---- what Accept prefers ---------------------------------------------------------------------------------------------

BROWSER = b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    "accepts",
    [
        [b"application/json"], [b"APPLICATION/JSON"], [b"application/problem+json"], [b"application/*"],
        [b"application/json, text/plain, */*"], [b"application/json, */*;q=0.5"], [b"text/html;q=0.5, application/json"],
        [b"text/*;q=0.2,application/json;q=0.3"], [b"application/json;q=0.001"], [b"application/json;q=1.0"], [b"application/json;q=9"],
        [b"application/json; charset=utf-8 ; Q=0.5, */*;q=0.4"], [b"text/html;q=0.5", b"application/json"],
        [b",,;;, application/json ;"], [b"a/b," * 60 + b"application/json"], [b"application/json;q="],
    ],
)
def test_json_is_for_those_who_prefer_it(accepts):
    assert door.wants_json(*accepts)


@pytest.mark.parametrize(
    "accepts",
    [
        [], [b""], [b"*/*"], [BROWSER], [b"text/html"], [b"application/json;q=0.9, */*"], [b"text/html, application/json"],
        [b"application/json;q=0"], [b"application/json;q=nonsense"], [b"application/json;q=0.5", b"text/html;q=0.6"],
        [b"application/jsonx"], [b"+json"], [b"text/html;q=0,application/json;q=0"],
        [b"a/b," * 64 + b"application/json"],                            # nobody means that
    ],
)
def test_all_others_get_html(accepts):
    assert not door.wants_json(*accepts)
