"""Where TLS was taken off: which routes there are, what endpoints and answers are told, and clients that are not let in."""

import pytest
from tests.doors.talk_doors import Shown

from edged.model.backend import Backend
from edged.model.policy import Cookie, HeaderAction, Insecure, Termination
from edged.model.route import Route
from tests._fast.talk.scene import GET, OK, ended, endpoints, head_of, site, stage, status_of

__all__ = ["stage"]

TOLD = b'x-ssl: 1\r\nx-ssl-client-dn: "/CN=ann"\r\n'
EDGE = {"termination": Termination.EDGE}
FORGED = GET.replace(b"\r\n\r\n", b"\r\nX-SSL: 0\r\nX-SSL-Client-DN: /CN=admin\r\n\r\n")


def asked(play):
    """The head that the endpoint was sent, as lines."""
    return bytes(play.server.got).split(b"\r\n")


def test_the_endpoint_is_told_by_every_request_of_a_connection(stage):
    play = stage(site(route=EDGE))
    client = play.client(FORGED, shown=Shown(TOLD, b"DER"))
    for _ in range(2):
        assert asked(play).count(b"x-ssl: 1") == asked(play).count(b'x-ssl-client-dn: "/CN=ann"') == 1
        assert not any(b"admin" in line for line in asked(play))
        play.server.take()
        play.server.send(OK)
        assert status_of(client.take()) == 200
        client.send(FORGED)


def test_another_client_s_certificate_is_never_told(stage):
    play = stage(site(route={**EDGE, "insecure": Insecure.ALLOW}), reuse="always")
    nobody = None, False, False
    for shown, told, named in [(Shown(TOLD), True, True), nobody, (Shown(b"x-ssl: 1\r\n"), True, False), nobody]:
        client = play.client(FORGED, shown=shown)
        assert (b"x-ssl: 1" in asked(play)) == told
        assert (b'x-ssl-client-dn: "/CN=ann"' in asked(play)) == named
        assert (b"x-forwarded-proto: https" in asked(play)) == told
        play.server.take()
        play.server.send(OK)
        client.take()


def test_actions_see_the_certificate_in_requests_and_answers(stage):
    value = (HeaderAction("X-Der", "%[ssl_c_der,base64]"),)
    play = stage(site(route={**EDGE, "insecure": Insecure.ALLOW, "request_headers": value, "response_headers": value}))
    for shown, expected in [(Shown(TOLD, b"DER"), "REVS"), (None, "")]:
        client = play.client(GET, shown=shown)
        assert head_of(bytes(play.server.got))[1]["x-der"] == expected
        play.server.take()
        play.server.send(OK)
        assert head_of(client.take())[1]["x-der"] == expected


def test_a_head_that_what_is_told_makes_too_large_is_refused(stage):
    play = stage(site(route=EDGE))
    client = play.client(GET, shown=Shown(b"x-ssl: " + b"1" * 17_000 + b"\r\n"))
    assert status_of(client.take()) == 431
    assert ended(play) == [(431, "PR")]


@pytest.mark.parametrize("data", [GET, GET.replace(b"a.test", b"unknown.test")])
def test_who_is_refused_gets_403_whatever_he_asks_for(stage, data):
    play = stage(site(route=EDGE))
    client = play.client(data, shown=Shown(TOLD, b"DER", True))
    assert status_of(client.take()) == 403
    client.send(data)
    assert status_of(client.take()) == 403
    assert ended(play) == [(403, "PR")] * 2
    assert play.servers == []


def test_who_is_refused_gets_no_tunnel(stage):
    play = stage()
    client = play.client(b"hello", tcp=True, shown=Shown(TOLD, b"DER", True))
    assert client.end == "reset"
    assert ended(play) == [(0, "PR")]
    assert play.servers == []


# ---- routes and answers ------------------------------------------------------------------------------------------------


ROUTES = [
    ("plain", {}, True, False), ("edge", EDGE, False, True), ("allowed", {**EDGE, "insecure": Insecure.ALLOW}, True, True),
    ("reencrypt", {"termination": Termination.REENCRYPT}, False, True), ("passed", {"termination": Termination.PASSTHROUGH}, False, False),
]


@pytest.mark.parametrize(("name", "more", "plain", "tls"), ROUTES, ids=[route[0] for route in ROUTES])
def test_which_routes_there_are(stage, name, more, plain, tls):
    play = stage(site(route=more))
    for shown, served in ((None, plain), (Shown(b""), tls)):
        client = play.client(GET, shown=shown)
        if served:
            play.server.take()
            play.server.send(OK)
        assert status_of(client.take()) == (200 if served else 503)


def test_redirects_are_for_those_without_tls(stage):
    more = {**EDGE, "insecure": Insecure.REDIRECT, "hsts": "max-age=1"}
    play = stage(site(route=more))
    plain = play.client(GET)
    first, fields, _ = head_of(plain.take())
    assert first == "HTTP/1.1 302 Found"
    assert fields["location"] == "https://a.test/x"
    assert "strict-transport-security" not in fields
    client = play.client(GET, shown=Shown(b""))
    play.server.send(OK)
    assert head_of(client.take())[1]["strict-transport-security"] == "max-age=1"


def test_a_host_with_a_plain_and_a_tls_route_by_path(stage):
    be = Backend("other", endpoints("o"))
    play = stage(site(route=EDGE, more=(Route("p", "a.test", "/x", be),)))
    play.client(GET)
    assert play.server.endpoint == "o"
    play.client(GET, shown=Shown(b""))
    assert play.server.endpoint == "e"


def test_what_the_forwarded_fields_say_of_tls(stage):
    play = stage(site(route=EDGE))
    play.client(GET, shown=Shown(b""), local="198.51.100.9:8443")
    lines = asked(play)
    assert b"x-forwarded-proto: https" in lines
    assert b"x-forwarded-port: 8443" in lines
    assert b"forwarded: for=192.0.2.7;host=a.test;proto=https" in lines


def test_sticky_cookies_are_secure_where_the_route_is(stage):
    play = stage(site(route={**EDGE, "cookie": Cookie("s", secure=True, same_site="None")}, each={"cookie": "one"}))
    client = play.client(GET, shown=Shown(b""))
    play.server.send(OK)
    assert head_of(client.take())[1]["set-cookie"] == "s=one; path=/; HttpOnly; Secure; SameSite=None"
