"""Actions on headers whose values are evaluated, or that hold for all routes: openshift-routes.md 1.4, 9.6."""

from base64 import b64encode

import pytest

from edged._fast.route.table import TableBuilder
from edged.model.policy import Cookie, Forwarded, HeaderAction
from tests._fast.route.sites import build, route
from tests.doors import edit_doors as door

QUIET = {"forwarded": Forwarded.NEVER}
GET = "GET /a HTTP/1.1", "Host: h"
OK = "HTTP/1.1 200 OK"


def sets(*pairs):
    return tuple(HeaderAction(name, value) for name, value in pairs)


def table(*, request_all=(), response_all=(), keep=False, **more):
    return build([route("h", **more)], TableBuilder(request_all, response_all, keep))


def head(lines):
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def request(*lines, of, **more):
    """All lines but the first two of what came."""
    return [line for line in door.request(of, head([*GET, *lines]), **more).decode("latin-1").split("\r\n")[:-2] if line not in GET]


def response(*lines, of, **more):
    return door.response(of, head([OK, *lines]), **more).decode("latin-1").split("\r\n")[1:-2]


@pytest.mark.parametrize(("value", "expected"), [
    ("100%%", "100%"), ("%%[req.hdr(X)]", "%[req.hdr(X)]"), ("%[req.hdr(x-a)]", "One"), ("<%[req.hdr(X-A),lower]>", "<one>"),
    ("%[req.hdr(X-A),base64]", "T25l"), ("%[req.hdr(X-A),lower,base64,base64]", "YjI1bA=="), ("%[req.hdr(X-None)]", ""),
    ("%[req.hdr(X-None),base64]", ""), ("%{+Q}[req.hdr(X-A)]", '"One"'), ("%{Q,-Q}[req.hdr(X-A)]", "One"),
    ("%{+Q}[ssl_c_der,base64]", '""'), ("%[req.hdr(X-List)]", "c"), ("%[req.hdr(X-Twice)]", "2"),
    ("%{+E}[req.hdr(X-Odd)]", "a \\\"b\\\" \\] \\\\"), ("%{+Q,+E}[req.hdr(X-Odd)]", '"a \\"b\\" \\] \\\\"'),
    ("%[req.hdr(X-Quoted)]", '"b,c"'), ("%{+X}[req.hdr(X-A)]%[req.hdr(X-A)]", "OneOne"),
    ("a%[req.hdr(X-A)]b%%c%[ssl_c_der]d", "aOneb%cd"), ("%[req.hdr(X-Folded)]", "1   2"),
])
def test_values_of_requests(value, expected):
    came = (
        "X-A:  One ", "X-List: a, b,  c ", "X-Twice: 1", "x-twice: 2", 'X-Odd: a "b" ] \\', 'X-Quoted: a, "b,c"', "X-Folded: 1\r\n 2",
    )
    assert request(*came, of=table(request_headers=sets(("X-New", value)), **QUIET))[-1] == f"X-New: {expected}"


def test_values_of_answers():
    of = table(response_headers=sets(("X-New", "%[res.hdr(Server),lower]"), ("Server", "x")))
    assert response("Server: Apache", "X-New: old", of=of) == ["X-New: apache", "Server: x"]


def test_base64_of_every_length():
    of = table(request_headers=sets(("X-New", "%[req.hdr(X-A),base64]")), **QUIET)
    for n in range(1, 60):
        assert request(f"X-A: {'k' * n}", of=of)[-1] == f"X-New: {b64encode(b'k' * n).decode()}"


def test_each_action_sees_what_those_before_it_did():
    of = table(request_headers=(
        *sets(("X-A", "%[req.hdr(X-A)]!"), ("X-A", "%[req.hdr(X-A)]?"), ("X-B", "%[req.hdr(X-A)]")),
        HeaderAction("X-A"), *sets(("X-C", "(%[req.hdr(X-A)])"), ("X-B", "%[req.hdr(X-B),base64]")),
    ), **QUIET)
    assert request("X-A: 1", "X-Z: z", "x-a: 2", of=of) == ["X-Z: z", "X-C: ()", f"X-B: {b64encode(b'2!?').decode()}"]


def test_forwarded_headers_are_there_when_the_route_asks():
    of = table(request_headers=sets(("X-Peer", "%[req.hdr(X-Forwarded-For)]"), ("Host", "in.%[req.hdr(Host)]")))
    lines = request("X-Forwarded-For: 203.0.113.9", of=of, ip=b"192.0.2.7")
    assert lines[-2:] == ["X-Peer: 192.0.2.7", "Host: in.h"]


def test_a_value_that_grows_beyond_the_room_is_noticed():
    doubled = sets(*(("X-A", "%[req.hdr(X-A)]%[req.hdr(X-A)]") for _ in range(40)))
    assert door.request(table(request_headers=doubled), head([*GET, "X-A: 12345678"])) is None


def test_every_cut_of_the_room_is_noticed():
    of = table(
        request_all=sets(("X-All", "%{+Q,+E}[req.hdr(X-A),base64]")),
        request_headers=(*sets(("X-B", "%[req.hdr(X-All)]")), HeaderAction("Accept")),
    )
    came = head([*GET, "X-A: abc", "Accept: */*", "X-All: 0"])
    whole = door.request(of, came, id_name=b"X-Id", id=b"77")
    for room in range(len(whole)):
        assert door.request(of, came, room=room, id_name=b"X-Id", id=b"77") in (None, whole)
    assert door.request(of, came, room=len(whole) + 200, id_name=b"X-Id", id=b"77") == whole


# ---- for all routes --------------------------------------------------------------------------------------------------


def test_those_for_all_requests_come_first_and_the_route_wins():
    of = table(
        request_all=(*sets(("X-A", "all"), ("X-B", "all %[req.hdr(X-In)]")), HeaderAction("X-Gone")),
        request_headers=sets(("x-b", "route")), **QUIET,
    )
    assert request("X-In: in", "X-Gone: 1", "x-a: client", of=of) == ["X-In: in", "X-A: all", "x-b: route"]


def test_those_for_all_answers_come_last_and_win():
    of = table(
        response_all=(*sets(("Server", "edge"), ("Strict-Transport-Security", "max-age=9")), HeaderAction("X-Debug")),
        response_headers=sets(("Server", "route"), ("X-Debug", "1"), ("X-R", "1")), hsts="max-age=1", cookie=Cookie("s"),
    )
    assert response("Server: inner", of=of, cookie=b"v") == [
        "X-R: 1", "Server: edge", "Strict-Transport-Security: max-age=9", "set-cookie: s=v; path=/; HttpOnly", "cache-control: private",
    ]


def test_interim_answers_are_left_alone():
    of = table(response_all=sets(("X-A", "1")))
    assert b"X-A" not in door.response(of, b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", flags=door.NO_FRAMING)


@pytest.mark.parametrize(("mode", "expected"), [
    (Forwarded.APPEND, ["x-forwarded-proto: odd", "x-forwarded-for: 192.0.2.1", "x-forwarded-proto: http", "host=other"]),
    (Forwarded.REPLACE, ["x-forwarded-for: 192.0.2.1", "x-forwarded-proto: http", "host=other"]),
    (Forwarded.IF_NONE, ["x-forwarded-proto: odd", "x-forwarded-for: 192.0.2.1", "proto=odd"]),
    (Forwarded.NEVER, ["x-forwarded-proto: odd"]),
])
def test_forwarded_headers_follow_what_those_for_all_routes_left(mode, expected):
    of = table(request_all=(HeaderAction("X-Forwarded-For"), *sets(("x-forwarded-proto", "odd"), ("Host", "Other"))), forwarded=mode)
    lines = request("X-Forwarded-For: 1", "X-Forwarded-Proto: https", of=of)
    kept = [line for line in lines if line.startswith(("x-forwarded-for", "x-forwarded-proto"))]
    assert kept == [line for line in expected if line.startswith("x-")]
    forwarded = [line for line in lines if line.startswith("forwarded:")]
    assert all(part in forwarded[0] for part in expected if not part.startswith("x-"))


def test_the_connection_and_framing_are_nobody_s():
    of = table(request_all=(HeaderAction("content-length"), *sets(("Connection", "close"))), **QUIET)
    assert request("Content-Length: 5", of=of) == ["content-length: 5"]


def test_an_id_takes_the_place_of_what_the_client_sent():
    of = table(request_all=sets(("X-Copy", "%[req.hdr(X-Request-Id)]")), **QUIET)
    assert request("x-request-id: forged", of=of, id_name=b"X-Request-Id", id=b"7F:1") == ["X-Request-Id: 7F:1", "X-Copy: 7F:1"]
    assert request(of=table(**QUIET), id_name=b"X-Request-Id", id=b"7F:1") == ["X-Request-Id: 7F:1"]


def test_fields_about_client_certificates_are_stripped_unless_the_operator_wants_them():
    assert request("X-SSL: 1", "X-SSL-Client-DN: /CN=me", of=table(**QUIET)) == []
    assert request("X-SSL: 1", "X-SSL-Client-DN: /CN=me", of=table(keep=True, **QUIET)) == ["X-SSL: 1", "X-SSL-Client-DN: /CN=me"]
    assert request("x_ssl: 1", "X_SSL_Client_DN: /CN=me", "X-SSL_Issuer: me", of=table(**QUIET)) == []
    assert request("X_SSL_Client_DN: /CN=me", of=table(keep=True, **QUIET)) == ["X_SSL_Client_DN: /CN=me"]


# ---- certificates of clients -----------------------------------------------------------------------------------------

TOLD = b'x-ssl: 1\r\nx-ssl-client-dn: "/CN=ann"\r\n'
TOLD_LINES = ["x-ssl: 1", 'x-ssl-client-dn: "/CN=ann"']
CERTIFICATE = b"0\x82\x01\r\n\tA\x7f\xffB\x00C"


def test_what_is_told_of_a_certificate_takes_the_place_of_what_the_client_says():
    forged = "X-SSL: 0", "X-Ssl-Client-DN: /CN=admin", "X-SSL-Client-Subject: admin", "A: 1", "X_SSL: 0", "x-ssl_client-Dn: /CN=admin"
    assert request(*forged, of=table(**QUIET), told=TOLD) == ["A: 1", *TOLD_LINES]
    kept = table(keep=True, **QUIET)
    assert request(*forged, of=kept, told=TOLD) == ["X-SSL-Client-Subject: admin", "A: 1", *TOLD_LINES]
    assert request("X_SSLs: 1", "X_SSL_Client: 2", of=kept, told=TOLD) == ["X_SSLs: 1", "X_SSL_Client: 2", *TOLD_LINES]


def test_what_is_told_stands_between_the_id_and_the_forwarded_fields():
    lines = request("X-Id: forged", of=table(), told=TOLD, id_name=b"X-Id", id=b"7")
    assert lines[:3] == ["X-Id: 7", *TOLD_LINES]
    assert lines[3] == "x-forwarded-for: 192.0.2.1"


def test_actions_come_after_what_is_told():
    of = table(
        request_all=sets(("X-All", "%[req.hdr(X-SSL-Client-DN)]"), ("X-SSL", "yes")),
        request_headers=(*sets(("X-Own", "%[req.hdr(x-ssl)]")), HeaderAction("x-ssl-client-dn")), **QUIET,
    )
    assert request(of=of, told=TOLD) == ['X-All: "/CN=ann"', "X-SSL: yes", "X-Own: yes"]
    assert request("X-SSL: 0", of=table(request_headers=(HeaderAction("X-SSL-CLIENT-DN"),), **QUIET), told=TOLD) == ["x-ssl: 1"]
    assert request(of=table(request_headers=sets(("x-ssl", "2")), **QUIET), told=TOLD) == [TOLD_LINES[1], "x-ssl: 2"]


def test_every_cut_of_the_room_is_noticed_with_what_is_told():
    of = table(request_headers=sets(("X", "%[ssl_c_der]%{+Q,+E}[ssl_c_der,base64]")), keep=True)
    raw = head([*GET, "X-SSL: 0", "A: 1"])
    whole = door.request(of, raw, told=TOLD, certificate=CERTIFICATE)
    for room in range(len(whole)):
        assert door.request(of, raw, told=TOLD, certificate=CERTIFICATE, room=room) is None
    assert b"x-ssl: 1\r\n" in whole


@pytest.mark.parametrize(("value", "expected"), [
    ("%[ssl_c_der,base64]", b64encode(CERTIFICATE).decode()), ("%{+Q}[ssl_c_der,base64]", f'"{b64encode(CERTIFICATE).decode()}"'),
    ("%[ssl_c_der,base64,lower]", b64encode(CERTIFICATE).decode().lower()),
    # As a text it ends at the first zero byte, and what would end the line is spelled out.
    ("%[ssl_c_der]", "0\x82%01%0D%0A\tA%7F\xffB"), ("<%[ssl_c_der,lower]>", "<0\x82%01%0D%0A\ta%7F\xffb>"),
    ("%[ssl_c_der,lower,base64]", b64encode(CERTIFICATE[:-2].lower()).decode()), ("%{+Q,+E}[ssl_c_der]", '"0\x82%01%0D%0A\tA%7F\xffB"'),
])
def test_values_of_certificates(value, expected):
    assert request(of=table(request_headers=sets(("X", value)), **QUIET), certificate=CERTIFICATE) == [f"X: {expected}"]
    assert request(of=table(request_all=sets(("X", value)), **QUIET), certificate=CERTIFICATE) == [f"X: {expected}"]
    assert response(of=table(response_headers=sets(("X", value))), certificate=CERTIFICATE) == [f"X: {expected}"]
    assert response(of=table(response_all=sets(("X", value))), certificate=CERTIFICATE) == [f"X: {expected}"]


# ---- the table -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [
    "%", "5%", "%[", "%[res.hdr(X)]", "%[req.hdr()]", "%[env(A)]", "%{Z}[ssl_c_der]", "a\r\nb", "%[req.hdr(X),up]",
])
def test_values_that_are_none_are_refused(value):
    with pytest.raises(ValueError, match=r"value|hdr|control"):
        build([route("h", request_headers=sets(("X", value)))])
    with pytest.raises(ValueError, match=r"value|hdr|control"):
        TableBuilder(sets(("X", value)))


def test_parts_are_kept_over_builds_and_when_records_move():
    builder = TableBuilder(sets(("X-All", "%[req.hdr(X-B)]")))
    wanted = route("h", request_headers=sets(("X", "a%[req.hdr(X-A),lower]")), **QUIET)
    for n in range(400, 4, -40):
        of = build([wanted, *(route(f"h{k}.{n}.example") for k in range(n))], builder)
        told = next(one for one in of.routes() if one["key"] == "h")
        assert told["request_actions"] == [("X", [(0, "a", "", 0), (1, "X-A", "l", 0)])]
        assert "evaluate" in told["flags"]
        assert request("X-A: B", "X-B: b", of=of)[-2:] == ["X-All: b", "X: ab"]
