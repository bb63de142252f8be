"""Heads on their way through: openshift-routes.md 9, http-edge-behaviour.md 4 and 18."""

import random

import pytest

from edged._fast.parse.head import HeadError, read_request, read_response
from edged.model.policy import Cookie, Forwarded, HeaderAction
from tests._fast.route.sites import build, route
from tests.doors import edit_doors as door

QUIET = {"forwarded": Forwarded.NEVER}


def table(path="", **more):
    return build([route("h", path, **more)])


def request(*lines, of=None, **more):
    """The lines of the head that goes on."""
    return lines_of(door.request(of or table(**QUIET), head(lines), **more))


def response(*lines, of=None, **more):
    return lines_of(door.response(of or table(), head(lines), **more))


def head(lines):
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def lines_of(raw):
    text = raw.decode("latin-1")
    assert text.endswith("\r\n\r\n")
    assert text.replace("\r\n", "").isprintable() or "\xe9" in text
    return text.split("\r\n")[:-2]


GET = "GET /a?b=c HTTP/1.1", "Host: h"


# ---- what stays ------------------------------------------------------------------------------------------------------


def test_a_plain_request_goes_on_as_it_came():
    came = ["GET /a?b=c HTTP/1.1", "Host: h", "User-Agent:curl", "ACCEPT:   */*  ", "X-Empty:", "x-b: 1"]
    assert request(*came) == ["GET /a?b=c HTTP/1.1", "Host: h", "User-Agent:curl", "ACCEPT:   */*", "X-Empty: ", "x-b: 1"]


def test_lines_that_ended_otherwise_are_sent_on_with_crlf():
    raw = b"\r\n\nGET  /a \tHTTP/1.1\nHost: h\nX-A: 1 \nX-B: 2\r\nX-C: 3\n\r\n"
    assert door.request(table(**QUIET), raw) == b"GET /a HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n\r\n"


def test_folded_values_are_unfolded():
    assert request(*GET, "X-A: 1,\r\n  2", "X-B: 3") == [*GET, "X-A: 1,    2", "X-B: 3"]
    assert request(*GET, "X-A: 1,\n 2") == [*GET, "X-A: 1,  2"]


def test_every_cut_of_the_room_is_noticed():
    lines = head([*GET, "Cookie: a=1; s=2; b=3", "Connection: x", "X: y", "Content-Length: 10", "X-A: 1,\r\n 2"])
    of = table("/a", cookie=Cookie("s"), rewrite="/new", request_headers=(HeaderAction("x-set", "1"),))
    whole = door.request(of, lines)
    for room in range(len(whole)):
        assert door.request(of, lines, room=room) is None
    assert door.request(of, lines, room=len(whole)) == whole


def test_http_1_0_stays_and_asks_for_the_connection_to_be_kept():
    assert request("GET / HTTP/1.0", "Host: h") == ["GET / HTTP/1.0", "Host: h", "connection: keep-alive"]
    assert request("GET / HTTP/1.0", flags=door.TO_CLOSE) == ["GET / HTTP/1.0", "connection: close"]
    assert request("GET / HTTP/1.7", "Host: h") == ["GET / HTTP/1.1", "Host: h"]


def test_close_is_asked_for_where_wanted():
    assert request(*GET, "Connection: keep-alive", flags=door.TO_CLOSE) == [*GET, "connection: close"]


# ---- the connection's own fields -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "field",
    ["Connection: close", "Connection: keep-alive", "Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "TE: gzip", "Proxy: http://evil",
     "HTTP2-Settings: AAMAAABkAAQ", "Upgrade: websocket", "Upgrade: h2c", "X-SSL: 1", "x-ssl-client-dn: /CN=me", "X-SSL-Client-Subject: x"],
)
def test_fields_that_end_here(field):
    assert request(*GET, "A: 1", field, "B: 2") == [*GET, "A: 1", "B: 2"]


def test_fields_that_only_look_alike_stay():
    fields = ["X-SSLs: 1", "X-SSL-Other: 1", "Proxy-Authorization: Basic x", "Proxys: 1", "Upgrade-Insecure-Requests: 1", "Trailer: X-T"]
    assert request(*GET, *fields) == [*GET, *fields]


def test_what_connection_names_goes_but_never_host_and_framing():
    named = "Connection: close, X-Hop, host, content-length, Cookie"
    came = [named, "X-HOP: 1", "Cookie: a=1", "x-hop: 2", "Content-Length: 3", "X-Stays: 1"]
    assert request(*GET, *came) == [*GET, "X-Stays: 1", "content-length: 3"]


def test_te_is_reduced_to_trailers():
    assert request(*GET, "TE: gzip;q=0.5, Trailers", "Connection: TE") == [*GET, "te: trailers"]


@pytest.mark.parametrize(
    ("came", "sent"),
    [(["Upgrade: websocket"], ["upgrade: websocket"]), (["Upgrade: h2c, websocket"], ["upgrade: websocket"]),
     (["UPGRADE: WebSocket/13 ,H2C,x"], ["upgrade: WebSocket/13, x"])],
)
def test_an_upgrade_keeps_its_token(came, sent):
    got = request(*GET, "Connection: Upgrade, X-Hop", *came, "X-Hop: 1", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", flags=door.UPGRADE)
    assert got == [*GET, *sent, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "connection: upgrade"]


def test_expect_goes_where_it_was_answered_here():
    came = "Content-Length: 1", "Expect: 100-continue"
    assert request(*GET, *came) == [*GET, "Expect: 100-continue", "content-length: 1"]
    assert request(*GET, *came, flags=door.DROP_EXPECT) == [*GET, "content-length: 1"]


@pytest.mark.parametrize(
    ("came", "sent"),
    [(["Content-Length: 005"], ["content-length: 5"]), (["Content-Length: 7, 7", "content-length: 7"], ["content-length: 7"]),
     (["Transfer-Encoding:  Chunked"], ["transfer-encoding: chunked"]), (["Content-Length: 0"], ["content-length: 0"]),
     ([f"Content-Length: {2**63 - 1}"], [f"content-length: {2**63 - 1}"])],
)
def test_framing_is_written_anew(came, sent):
    assert request("POST / HTTP/1.1", "Host: h", *came, "X: 1") == ["POST / HTTP/1.1", "Host: h", "X: 1", *sent]


def test_the_host_goes_on_in_lower_case():
    assert request("GET / HTTP/1.1", "HOST: WWW.Example.COM.:8080") == ["GET / HTTP/1.1", "HOST: www.example.com.:8080"]


# ---- the target ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "sent"),
    [
        ("GET http://h/x/y?q=http://z/ HTTP/1.1", "GET /x/y?q=http://z/ HTTP/1.1"),
        ("GET http://h HTTP/1.1", "GET / HTTP/1.1"),
        ("GET http://h?q HTTP/1.1", "GET /?q HTTP/1.1"),
        ("OPTIONS http://h HTTP/1.1", "OPTIONS * HTTP/1.1"),
        ("OPTIONS http://h?q HTTP/1.1", "OPTIONS /?q HTTP/1.1"),
        ("OPTIONS http://h/ HTTP/1.1", "OPTIONS / HTTP/1.1"),
        ("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1"),
        ("GET //x/../%00? HTTP/1.1", "GET //x/../%00? HTTP/1.1"),
    ],
)
def test_absolute_form_becomes_origin_form(line, sent):
    assert request(line, "Host: h") == [sent, "Host: h"]


@pytest.mark.parametrize(
    ("own", "came", "target", "sent"),
    [
        ("/foo", "/foo", "/", "/"), ("/foo", "/foo/", "/", "/"), ("/foo", "/foo/bar", "/", "/bar"), ("/foo", "/foo/bar/", "/", "/bar/"),
        ("/foo", "/foo", "/bar", "/bar"), ("/foo", "/foo/", "/bar", "/bar/"), ("/foo", "/foo/bar", "/baz", "/baz/bar"),
        ("/foo", "/foo/bar/", "/baz", "/baz/bar/"), ("/foo/", "/foo/", "/", "/"), ("/foo/", "/foo/bar", "/", "/bar"),
        ("", "/x", "/y", "/y/x"), ("", "/x", "/", "/x"), ("/", "/x", "/y", "/yx"), ("/foo/", "/foo/x", "/bar", "/barx"),
        ("/foo", "/foo/x", "/bar#", "/bar"), ("//", "/x", "/y", "/x"), ("/foo", "/foo//x", "/", "//x"),
    ],
)
def test_the_path_is_rewritten(own, came, target, sent):
    of = table(own, rewrite=target, **QUIET)
    for query in ("", "?", "?a=/foo/", "?a?b"):
        assert request(f"GET {came}{query} HTTP/1.1", "Host: h", of=of)[0] == f"GET {sent}{query} HTTP/1.1"
        assert request(f"GET http://h{came}{query} HTTP/1.1", "Host: h", of=of)[0] == f"GET {sent}{query} HTTP/1.1"


def test_a_rewrite_leaves_the_asterisk_alone():
    assert request("OPTIONS * HTTP/1.1", "Host: h", of=table(rewrite="/x", **QUIET))[0] == "OPTIONS * HTTP/1.1"
    assert request("GET http://h HTTP/1.1", "Host: h", of=table(rewrite="/x", **QUIET))[0] == "GET /x/ HTTP/1.1"


# ---- forwarded headers -----------------------------------------------------------------------------------------------

OURS = ["x-forwarded-for: 192.0.2.1", "x-forwarded-host: h:81", "x-forwarded-port: 81", "x-forwarded-proto: http",
        "forwarded: for=192.0.2.1;host=h:81;proto=http"]
THEIRS = ["X-Forwarded-For: 10.9.8.7", "X-Forwarded-Host: other", "X-Forwarded-Port: 1", "X-Forwarded-Proto: https, WSS ",
          "X-Forwarded-Proto-Version: h2", "Forwarded: for=unknown"]
FIRST = ["GET / HTTP/1.1", "Host: h:81"]


def forwarded(mode, *theirs, **more):
    return request(FIRST[0], "Host: H:81", *theirs, of=table(forwarded=mode), local_port=81, **more)


def test_append_adds_a_line_of_each_behind():
    assert forwarded(Forwarded.APPEND) == [*FIRST, *OURS]
    came = [line.rstrip() for line in THEIRS]
    assert forwarded(Forwarded.APPEND, *THEIRS) == [*FIRST, *came, *OURS]


def test_replace_leaves_ours_alone():
    assert forwarded(Forwarded.REPLACE, *THEIRS, *THEIRS[:1]) == [*FIRST, "X-Forwarded-Proto-Version: h2", *OURS]


def test_never_touches_nothing():
    assert forwarded(Forwarded.NEVER) == FIRST
    assert forwarded(Forwarded.NEVER, *THEIRS) == [*FIRST, *[line.rstrip() for line in THEIRS]]


def test_if_none_judges_one_by_one():
    assert forwarded(Forwarded.IF_NONE, *THEIRS) == [*FIRST, *[line.rstrip() for line in THEIRS]]
    for i, (theirs, ours) in enumerate(zip([*THEIRS[:4], THEIRS[5]], OURS, strict=True)):
        expected = OURS[:i] + OURS[i + 1:]
        if i == 3:
            expected[-1] = "forwarded: for=192.0.2.1;host=h:81;proto=wss"        # the last X-Forwarded-Proto
        assert forwarded(Forwarded.IF_NONE, theirs) == [*FIRST, theirs.rstrip(), *expected], ours


def test_an_endpoint_sees_no_second_spelling_of_what_is_decided_here():
    """Those that read hyphens and underscores alike would believe a client that sends both."""
    aliases = ["X_Forwarded_For: 6.6.6.6", "X-Forwarded_Host: evil", "x_forwarded-port: 6", "X_FORWARDED_PROTO: wss"]
    assert forwarded(Forwarded.REPLACE, *aliases) == [*FIRST, *OURS]
    assert forwarded(Forwarded.IF_NONE, *aliases) == [*FIRST, *OURS]
    assert forwarded(Forwarded.IF_NONE, *THEIRS, *aliases) == [*FIRST, *[line.rstrip() for line in THEIRS]]
    for mode, ours in ((Forwarded.APPEND, OURS), (Forwarded.NEVER, [])):
        assert forwarded(mode, *aliases) == [*FIRST, *aliases, *ours]


def test_what_connection_names_counts_as_absent():
    assert forwarded(Forwarded.IF_NONE, "X-Forwarded-For: 1.1.1.1", "Connection: X-Forwarded-For") == [*FIRST, *OURS]


def test_ipv6_is_quoted_and_tls_is_told():
    got = request(*FIRST, of=table(), ip=b"2001:db8::1", tls=True, local_port=443)
    assert got[2:] == ["x-forwarded-for: 2001:db8::1", "x-forwarded-host: h:81", "x-forwarded-port: 443", "x-forwarded-proto: https",
                       'forwarded: for="[2001:db8::1]";host=h:81;proto=https']


def test_a_peer_without_address_adds_none_and_replace_removes_what_was_claimed():
    got = request(*FIRST, *THEIRS, of=table(forwarded=Forwarded.REPLACE), ip=b"", local_port=0)
    assert got == [*FIRST, "X-Forwarded-Proto-Version: h2", "x-forwarded-host: h:81", "x-forwarded-proto: http",
                   "forwarded: for=unknown;host=h:81;proto=http"]


def test_without_host_none_is_told():
    assert request("GET / HTTP/1.0", of=table()) == [
        "GET / HTTP/1.0", "x-forwarded-for: 192.0.2.1", "x-forwarded-port: 80", "x-forwarded-proto: http",
        "forwarded: for=192.0.2.1;proto=http", "connection: keep-alive"]


@pytest.mark.parametrize(
    ("field", "told"),
    [("Host: a;proto=https", 'host="a;proto=https";proto=http'), ("Host: [::1]:80", "host=[::1]:80;proto=http"),
     ("Host: a=b", 'host="a=b";proto=http')],
)
def test_a_host_cannot_end_its_parameter(field, told):
    assert request("GET / HTTP/1.1", field, of=table())[-1] == f"forwarded: for=192.0.2.1;{told}"


def test_a_proto_cannot_end_its_parameter():
    proto = 'X-Forwarded-Proto: a";\\b,\r\n x"y'
    got = request("GET / HTTP/1.0", proto, of=table(forwarded=Forwarded.IF_NONE))
    assert 'forwarded: for=192.0.2.1;proto="x\\"y"' in got


# ---- the sticky cookie -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("came", "sent"),
    [
        (["Cookie: s=1"], []),
        (["Cookie: a=1; s=2; b=3"], ["Cookie: a=1; b=3"]),
        (["Cookie: s=1; a=1;s=2 ;b;s=3"], ["Cookie: a=1; b"]),
        (["Cookie: s=1;"], []),
        (["cookie: a=s=1; ss=1; S=2; xs=s"], ["cookie: a=s=1; ss=1; S=2; xs=s"]),
        (["Cookie: s=1", "Cookie: a=2", "Cookie: b=3; s = 4"], ["Cookie: a=2", "Cookie: b=3"]),
        (["Cookie: s"], ["Cookie: s"]),
        (["Cookie:"], ["Cookie: "]),
        (["Cookie: a=1;\r\n s=2;\r\n b=3"], ["Cookie: a=1; b=3"]),
    ],
)
def test_the_sticky_cookie_stays_here(came, sent):
    assert request(*GET, *came, "X: y", of=table(cookie=Cookie("s"), **QUIET)) == [*GET, *sent, "X: y"]


def test_cookies_of_a_route_without_stickiness_stay():
    assert request(*GET, "Cookie: s=1;;x") == [*GET, "Cookie: s=1;;x"]


@pytest.mark.parametrize(
    ("came", "value"),
    [
        (["Cookie: s=1"], b"1"), (["Cookie: a=1; s=v=w ; s=3"], b"v=w"), (["Cookie: a=1", "Cookie:s=2"], b"2"), (["Cookie: s="], b""),
        (["Cookie: S=1; ss=1; as=1; s"], None), ([], None), (["Cookie:"], None), (["X: s=1"], None), (["Cookie: a=1;\r\n s=2"], b"2"),
        (["Cookie: =s; s=5"], b"5"),
    ],
)
def test_the_sticky_value_is_found(came, value):
    assert door.cookie(head([*GET, *came]), b"s") == value


def test_an_empty_name_finds_nothing():
    assert door.cookie(head([*GET, "Cookie: =1; x"]), b"") is None


# ---- actions of the route --------------------------------------------------------------------------------------------


def test_set_replaces_every_instance_and_delete_removes_all():
    of = table(request_headers=(HeaderAction("X-Set", "new"), HeaderAction("x-gone")), **QUIET)
    came = ["x-set: 1", "A: 1", "X-GONE: 2", "X-Set: 3", "X-Gone: 4", "B: 2"]
    assert request(*GET, *came, of=of) == [*GET, "A: 1", "B: 2", "X-Set: new"]
    assert request(*GET, of=of) == [*GET, "X-Set: new"]


def test_actions_follow_one_another():
    actions = HeaderAction("A", "1"), HeaderAction("B", "2"), HeaderAction("a"), HeaderAction("b", "3"), HeaderAction("C", "")
    assert request(*GET, "A: 0", of=table(request_headers=actions, **QUIET)) == [*GET, "b: 3", "C: "]


def test_actions_come_after_all_else():
    of = table(request_headers=(HeaderAction("Host", "inner"), HeaderAction("X-Forwarded-For", "no"), HeaderAction("forwarded")))
    assert request("GET / HTTP/1.1", "Host: h:81", of=of) == [
        "GET / HTTP/1.1", "x-forwarded-host: h:81", "x-forwarded-port: 80", "x-forwarded-proto: http", "Host: inner", "X-Forwarded-For: no"]


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "CONNECTION", "Upgrade", "te", "Keep-Alive", "HTTP2-Settings"])
def test_actions_cannot_touch_framing_and_the_connection(name):
    actions = HeaderAction(name, "1"), HeaderAction("x", "y")
    assert request(*GET, "Content-Length: 5", of=table(request_headers=actions, **QUIET)) == [*GET, "content-length: 5", "x: y"]
    assert response("HTTP/1.1 200 OK", "Content-Length: 5", of=table(response_headers=actions)) == [
        "HTTP/1.1 200 OK", "content-length: 5", "x: y"]


# ---- responses -------------------------------------------------------------------------------------------------------


def test_a_plain_response_goes_back_as_it_came():
    came = ["HTTP/1.1 200 OK", "Server: x", "Set-Cookie: a=1", "Date: now", "Proxy: stays"]
    assert response(*came, "Content-Length: 010") == [*came, "content-length: 10"]


@pytest.mark.parametrize(
    ("line", "sent"),
    [("HTTP/1.0 404 Not  Found ", "HTTP/1.1 404 Not  Found"), ("HTTP/1.1 204", "HTTP/1.1 204 "),
     ("HTTP/1.9 599 \xe9t\xe9", "HTTP/1.1 599 \xe9t\xe9")],
)
def test_the_status_line_is_written_anew(line, sent):
    assert response(line, "A: 1") == [sent, "A: 1"]


def test_the_connection_of_the_endpoint_is_not_the_clients():
    came = ["Connection: close, X-Hop", "Keep-Alive: timeout=5", "X-Hop: 1", "Proxy-Connection: close", "Upgrade: h2,h2c", "A: 1"]
    assert response("HTTP/1.1 200 OK", *came) == ["HTTP/1.1 200 OK", "A: 1"]
    assert response("HTTP/1.1 200 OK", *came, flags=door.CLOSE) == ["HTTP/1.1 200 OK", "A: 1", "connection: close"]
    assert response("HTTP/1.1 200 OK", *came, flags=door.KEEP_ALIVE) == ["HTTP/1.1 200 OK", "A: 1", "connection: keep-alive"]


def test_a_switch_of_protocols_keeps_upgrade():
    got = response("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Accept: x",
                   flags=door.SWITCH | door.NO_FRAMING)
    assert got == ["HTTP/1.1 101 Switching Protocols", "upgrade: websocket", "Sec-WebSocket-Accept: x", "connection: upgrade"]


def test_426_may_say_what_it_wants():
    came = ["HTTP/1.1 426 Upgrade Required", "Upgrade: websocket", "Connection: upgrade, close"]
    assert response(*came) == [came[0], "upgrade: websocket", "connection: upgrade"]
    assert response(*came, flags=door.CLOSE) == [came[0], "upgrade: websocket", "connection: close, upgrade"]
    assert response(came[0], flags=door.KEEP_ALIVE) == [came[0], "connection: keep-alive"]


@pytest.mark.parametrize(
    ("came", "flags", "sent"),
    [
        (["Transfer-Encoding: chunked", "Trailer: T"], 0, ["Trailer: T", "transfer-encoding: chunked"]),
        (["Transfer-Encoding: chunked", "Trailer: T"], door.DECHUNK | door.CLOSE, ["connection: close"]),
        (["Content-Length: 5"], door.NO_FRAMING, []),
        (["Content-Length: 5"], door.DECHUNK, ["content-length: 5"]),
        ([], 0, []),
    ],
)
def test_framing_of_responses(came, flags, sent):
    assert response("HTTP/1.1 200 OK", *came, flags=flags) == ["HTTP/1.1 200 OK", *sent]


def test_hsts_replaces_the_endpoints_own():
    got = response("HTTP/1.1 200 OK", "Strict-Transport-Security: max-age=0", "A: 1", of=table(hsts="max-age=9;preload"))
    assert got == ["HTTP/1.1 200 OK", "A: 1", "strict-transport-security: max-age=9;preload"]


def test_the_sticky_cookie_is_set_and_the_answer_private():
    of = table(cookie=Cookie("s", secure=True, same_site="None"))
    ok = "HTTP/1.1 200 OK"
    assert response(ok, "Set-Cookie: a=s=1", "Set-Cookie: s=evil; path=/", of=of, cookie=b"abc") == [
        ok, "Set-Cookie: a=s=1", "set-cookie: s=abc; path=/; HttpOnly; Secure; SameSite=None", "cache-control: private"]
    assert response(ok, of=of) == [ok]
    assert response(ok, of=table(), cookie=b"abc") == [ok]


def test_response_actions_come_last_and_win():
    actions = HeaderAction("Server"), HeaderAction("Cache-Control", "no-store"), HeaderAction("X-New", "1")
    of = table(cookie=Cookie("s"), hsts="max-age=1", response_headers=actions)
    assert response("HTTP/1.1 200 OK", "Server: x", "cache-control: public", of=of, cookie=b"v") == [
        "HTTP/1.1 200 OK", "strict-transport-security: max-age=1", "set-cookie: s=v; path=/; HttpOnly",
        "Cache-Control: no-store", "X-New: 1"]


def test_interim_answers_get_none_of_it():
    of = table(cookie=Cookie("s"), hsts="max-age=1", response_headers=(HeaderAction("Link"), HeaderAction("X", "1")))
    came = ["HTTP/1.1 103 Early Hints", "Link: </a.css>"]
    assert response(*came, "Content-Length: 1", of=of, cookie=b"v", flags=door.NO_FRAMING) == came


def test_every_cut_of_the_room_for_a_response_is_noticed():
    lines = head(["HTTP/1.1 200 OK", "Set-Cookie: s=1", "A: 1", "Content-Length: 10", "X-A: 1,\r\n 2", "Connection: close"])
    of = table(cookie=Cookie("s"), hsts="max-age=1", response_headers=(HeaderAction("x-set", "1"),))
    whole = door.response(of, lines, cookie=b"abc", flags=door.CLOSE)
    for room in range(len(whole)):
        assert door.response(of, lines, cookie=b"abc", flags=door.CLOSE, room=room) is None
    assert door.response(of, lines, cookie=b"abc", flags=door.CLOSE, room=len(whole)) == whole


# ---- whatever comes --------------------------------------------------------------------------------------------------

PIECES = [
    "Host: A.example:80", "Connection: close, x-hop", "Connection: Upgrade", "X-Hop: 1", "Upgrade: h2c, websocket", "TE: trailers",
    "Cookie: s=1; a=2", "Cookie: ;;s=;=", "Cookie:", "Content-Length: 3", "Transfer-Encoding: chunked", "X-Fold: a,\r\n\tb", "X-Empty:",
    "X-Forwarded-For: 1.1.1.1", "X-Forwarded-Proto: a\"b;,c\r\n d", "Forwarded: for=x", "Expect: 100-continue", "Proxy: p", "X-SSL: 1",
    "Set-Cookie: s=9; path=/", "set-cookie: s", "Strict-Transport-Security: x", "Cache-Control: public", "Keep-Alive: 5", "X-Set: 0",
    "X-Long: " + "y" * 300, "Trailer: T", "X-\xe9: bad name", "x-obs: \xe9\xff",
]
ALL_RECIPES = [
    {"forwarded": mode, "cookie": cookie, "rewrite": rewrite, "hsts": hsts, "request_headers": actions, "response_headers": actions}
    for mode in Forwarded for cookie in (None, Cookie("s")) for rewrite in (None, "/", "/new#")
    for hsts, actions in (("", ()), ("max-age=1", (HeaderAction("X-Set", "1"), HeaderAction("host", "inner"), HeaderAction("COOKIE"))))
]


def some_head(chance, first):
    lines = [chance.choice(first), *chance.sample(PIECES, chance.randrange(12))]
    raw = b"".join(line.encode("latin-1") + chance.choice([b"\r\n", b"\r\n", b" \r\n", b"\n"]) for line in lines) + b"\r\n"
    if chance.random() < 0.3:
        at = chance.randrange(len(raw))
        raw = raw[:at] + chance.choice([b"", b"\r", b"\n", b" ", b":", b"\x00", b"\r\n ", b";", b","]) + raw[at + chance.randrange(2):]
    return raw


def names(fields):
    return [name.lower() for name, _ in fields]


def sound(data, read):
    """The facts of a head; None if it is refused or unfinished."""
    try:
        return read(data)
    except HeadError:
        return None


def has_whole_lines(data):
    return data.count(b"\r\n") == data.count(b"\n") == data.count(b"\r")


def test_any_request_goes_on_as_a_sound_one():
    chance = random.Random(5)
    tables = [table("/a", **recipe) for recipe in ALL_RECIPES]
    first = [
        "GET /a/b?c HTTP/1.1", "POST /a HTTP/1.0", "OPTIONS * HTTP/1.1", "GET http://A.example:80/a HTTP/1.1",
        "PUT http://a.example HTTP/1.1",
    ]
    went_on = 0
    for _ in range(20_000):
        raw, flags = some_head(chance, first), chance.choice([0, door.TO_CLOSE, door.DROP_EXPECT])
        came = sound(raw, read_request)
        if came is None:
            continue
        went_on += 1
        data = door.request(chance.choice(tables), raw, flags=flags, tls=chance.random() < 0.5)
        sent = sound(data, read_request)
        assert sent is not None, (raw, data)
        assert has_whole_lines(data)
        assert (sent["method"], sent["length"], sent["minor"]) == (came["method"], came["length"], came["minor"])
        assert "chunked" in sent["flags"] or "chunked" not in came["flags"]
        gone = {b"keep-alive", b"upgrade", b"proxy", b"x-ssl", *(name.lower() for name in came["hop"])}
        if came["minor"] and not flags & door.TO_CLOSE:
            gone.add(b"connection")
        assert not gone & set(names(sent["fields"])), (raw, data)
    assert went_on > 1000


def test_any_response_goes_back_as_a_sound_one():
    chance = random.Random(6)
    tables = [table("/a", **recipe) for recipe in ALL_RECIPES]
    first = ["HTTP/1.1 200 OK", "HTTP/1.0 404", "HTTP/1.1 304 Not Modified", "HTTP/1.1 503 \xe9"]
    went_back = 0
    for _ in range(6000):
        raw, flags = some_head(chance, first), chance.choice([0, door.CLOSE, door.KEEP_ALIVE, door.DECHUNK])
        came = sound(raw, read_response)
        if came is None:
            continue
        went_back += 1
        data = door.response(chance.choice(tables), raw, flags=flags, cookie=chance.choice([b"", b"value"]))
        sent = sound(data, read_response)
        assert sent is not None, (raw, data)
        assert has_whole_lines(data)
        assert (sent["status"], sent["reason"], sent["minor"]) == (came["status"], came["reason"], 1)
        assert sent["length"] == (came["length"] if "chunked" not in came["flags"] else None)
        assert ("chunked" in sent["flags"]) == ("chunked" in came["flags"] and flags != door.DECHUNK)
        gone = {b"keep-alive", b"upgrade", *(name.lower() for name in came["hop"])}
        assert not gone & set(names(sent["fields"])), (raw, data)
    assert went_back > 1000
