"""Lines, ids and captures of the operator's own, and names spelled as old software wants them."""

import json
import os
import re

import pytest
from tests.doors.accesslog_doors import new_zone
from tests.doors.format_doors import Story

from edged._fast.talk.format import Format, Notebook
from edged.settings.logformat import pieces
from tests.doors import format_doors as doors

FULL = {"timers": (5, 1, 2, 3, 4, 15), "counts": (6, 5, 4, 3, 2, 1), "bytes": (1234, 56), "retries": (2, True), "lines": 9, "tls": True,
        "spoken": ("TLSv1.3", "TLS_AES_256_GCM_SHA384"), "sni": "a.test", "handshake_ms": 7}


@pytest.fixture(autouse=True)
def berlin(monkeypatch):
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    new_zone()
    yield
    monkeypatch.undo()
    os.environ.setdefault("TZ", "UTC")
    new_zone()


def compiled(text):
    return [(piece.word, piece.flags, piece.text) for piece in pieces(text)]


def line(text, notebook=None, **facts):
    return Story(notebook, **{**FULL, **facts}).own(compiled(text))


def book(*captures, cookies=False):
    sides = [side for side, _, _ in captures]
    return Notebook(captures, sides.count("request"), sides.count("response"), cookies, None, "")


@pytest.mark.parametrize(("text", "expected"), [
    ("%ci:%cp %fi:%fp %si:%sp", "192.0.2.1:33430 198.51.100.7:8080 10.0.0.1:80"), ("%f %ft %b/%s", "public public~ be:x/s1"),
    ("%{+X}o %ci:%cp_%fi:%fp_%Ts_%ms", "C0000201:8296_C6336407:1F90_4F7AD669_76"), ("%{+X}ci %ci", "C0000201 192.0.2.1"),
    ("[%tr] [%t] %T", "[03/Apr/2012:12:52:25.123] [03/Apr/2012:12:52:25.118] 03/Apr/2012:10:52:25 +0000"),
    ("%Tl %trl %trg", "03/Apr/2012:12:52:25 +0200 03/Apr/2012:12:52:25 +0200 03/Apr/2012:10:52:25 +0000"), ("%Ts.%ms", "1333450345.118"),
    ("%TR/%Tw/%Tc/%Tr/%Td/%Ta %Tq %Ti %Th %Tt", "1/2/3/4/5/15 6 5 7 27"), ("%ST %B %U", "200 1234 56"),
    ("%ac/%fc/%bc/%sc/%rc %sq/%bq", "6/5/4/3/+2 2/1"), ("%tsc %ts", "--VN --"), ("%lc", "9"), ("%{+X}lc", "0009"),
    ("%r", "GET /a?b=c HTTP/1.1"), ("%{+Q}r", '"GET /a?b=c HTTP/1.1"'), ("%HM %HU %HP %HQ %HV", "GET /a?b=c /a ?b=c HTTP/1.1"),
    ("%[method] %[path] %[query] %[url] %[src] %[dst_port] %[status]", "GET /a b=c /a?b=c 192.0.2.1 8080 200"),
    ("%CC %CS %ID", "- - -"), ("%{+Q}o%CC %ID %s", '"" "" "s1"'), ("a %hr %hs b", "a b"), ("  a   b ", "a b "), ("%rt", "0"),
    ("%[ssl_fc_sni] %{+Q}[ssl_fc_sni]", 'a.test "a.test"'),
    ("%sslv %sslc %[ssl_fc]", "TLSv1.3 TLS_AES_256_GCM_SHA384 1"),
    ("%{+Q}[ssl_fc_protocol] %[ssl_fc_cipher]", '"TLSv1.3" TLS_AES_256_GCM_SHA384'),
])
def test_variables(text, expected):
    assert line(text) == expected


TOLD = b"".join(b"%s\r\n" % line for line in [
    b"x-ssl: 1", b"x-ssl-client-verify: 0", b'x-ssl-client-serial: "0A1B"', b'x-ssl-client-version: "3"', b'x-ssl-client-sha1: "AB12"',
    b'x-ssl-client-dn: "/CN=a \\"b\\" \\\\ %0D%0A/O=x"', b'x-ssl-client-cn: "a \\"b\\" \\\\ %0D%0A"', b'x-ssl-issuer: "/CN=ca"',
    b'x-ssl-client-notbefore: "240101000000Z"', b'x-ssl-client-notafter: "490101000000Z"', b'x-ssl-client-der: "AAAA"',
])
FETCHES = [
    "ssl_c_used", "ssl_c_verify", "ssl_c_serial,hex", "ssl_c_version", "ssl_c_sha1,hex", "ssl_c_s_dn", "ssl_c_s_dn(cn)", "ssl_c_i_dn",
    "ssl_c_notbefore", "ssl_c_notafter",
]


@pytest.mark.parametrize(("fetch", "expected"), list(zip(FETCHES, [
    "1", "0", "0A1B", "3", "AB12", "/CN=a#20#22b#22#20\\#20%0D%0A/O=x", "a#20#22b#22#20\\#20%0D%0A", "/CN=ca", "240101000000Z",
    "490101000000Z",
], strict=True)))
def test_certificates_of_clients(fetch, expected):
    assert line(f"%[{fetch}]", told=TOLD) == expected
    assert line(f"%{{+Q}}[{fetch}]", told=TOLD) == f'"{expected}"'
    nothing = "0" if fetch == "ssl_c_used" else "-"
    assert line(f"%[{fetch}]", told=b"") == nothing
    none_given = b"".join(re.sub(b": [^0].*", b": ", part) + b"\n" for part in TOLD.splitlines())
    assert line(f"%[{fetch}]", told=none_given) in (nothing, expected if fetch == "ssl_c_verify" else nothing)


def test_long_texts_of_certificates_are_cut():
    assert line("%[ssl_c_s_dn]", told=b'x-ssl-client-dn: "' + b"x" * 20_000 + b'"\r\n') == "x" * 1024
    for value in (b' "', b' "\r\n', b' "\\', b" \r\n", b"\r\n"):
        assert line("%[ssl_c_s_dn]", told=b"x-ssl-client-dn:" + value) in ("-", "#22")


def test_who_spoke_no_tls():
    assert line("%sslv %sslc %[ssl_fc] %[ssl_fc_sni] %{+Q}sslv %ft", tls=False) == '- - 0 - "" public'


def test_what_was_not_reached():
    nothing = {"request": b"nonsense", "server": None, "status": -1, "timers": (0, -1, -1, -1, -1, 7)}
    assert line("%r %HM %{+Q}HP %si:%sp %ST %TR/%Tq/%Td", **nothing) == '<BADREQ> <BADREQ> "<BADREQ>" -:0 -1 -1/-1/-1'
    assert line("%[query] %HQ %{+Q}HQ", request=b"GET / HTTP/1.1\r\nHost: h\r\n\r\n") == '- - ""'


def test_addresses_of_version_6():
    assert line("%ci %{+X}ci", client="2001:db8::1") == "2001:db8::1 20010DB8000000000000000000000001"


def test_no_client_breaks_out_of_a_line():
    raw = b'GET /"\\]{|} HTTP/1.1\r\nHost: h\r\nX-A: "a|b}\xc3\xa9]\\\r\n\r\n'
    noted = book(("request", "X-A", 50))
    assert line("%HU", request=raw) == "/#22\\]{|}"
    assert line("%{+E}HU", request=raw) == '/\\"\\\\\\]{|}'
    assert line("%hr", noted, request=raw) == "{#22a#7Cb#7D#C3#A9]\\}"
    assert line("%{+Q,+E}hrl", noted, request=raw) == '"\\"a|b}#C3#A9\\]\\\\"'


def test_captures_are_the_last_field_and_cut():
    raw = b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 123456, 7\r\nX-Empty:\r\n\r\n"
    noted = book(("request", "X-A", 6), ("request", "X-None", 8), ("request", "X-Empty", 8), ("response", "Server", 3))
    answer = b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n"
    assert line("%hr %hs", noted, request=raw, response=answer) == "{123456||} {ngi}"
    assert line("%hrl %hsl", noted, request=raw, response=answer) == "123456 - - ngi"
    assert line("%hr|%hs", noted, request=b"x") == "{||}|{}"
    assert line("%rt", noted) == "3"


@pytest.mark.parametrize(("name", "expected"), [
    ("SES=", "SES=1 SES=9"), ("SE", "SESSION=2 SES=9"), ("none", "- -"), ("SESSION=", "SESSION=2 -"),
])
def test_cookies(name, expected):
    raw = b"GET / HTTP/1.1\r\nHost: h\r\nCookie: a=SES; SESSION=2\r\nCookie: SES=1\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: x=SES; Path=/\r\nSet-Cookie: SES=9; Path=/\r\n\r\n"
    noted = book(("cookie", name, 32), ("set-cookie", name, 32), cookies=True)
    assert line("%CC %CS", noted, request=raw, response=answer) == expected


def test_hidden_captures_are_for_the_text_only():
    noted = Notebook([("request", "Host", 9), ("request", "X-A", 9)], 1, 0, False, None, "")
    raw = b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 7\r\n\r\n"
    assert Story(noted, request=raw).own([("hr", "", ""), ("captured", "Q", 1)]) == '{h}"7"'
    assert " {h} " in Story(noted, request=raw).stock()


def test_every_room_is_kept():
    noted = book(("request", "X-A", 300), ("response", "Server", 10))
    raw = b"GET /" + b"x" * 1000 + b" HTTP/1.1\r\nHost: h\r\nX-A: " + b'"' * 300 + b"\r\n\r\n"
    text = "%ci %{+Q}r %hr %{+Q,+E}hrl %tr %HU %hs %rt %{+Q}HU"
    whole = line(text, noted, request=raw)
    for room in range(1, len(whole) + 100):
        assert len(Story(noted, **FULL, request=raw).own(compiled(text), room)) <= room


# ---- our own formats -------------------------------------------------------------------------------------------------


def test_captures_stand_where_haproxy_has_them():
    noted = Notebook(
        [("request", "Host", 9), ("request", "X-A", 9), ("response", "Server", 9), ("cookie", "S=", 9), ("set-cookie", "S=", 9)],
        2, 1, True, None, "",
    )
    raw = b"GET / HTTP/1.1\r\nHost: h\r\nX-A: a|\r\nCookie: S=1\r\n\r\n"
    story = Story(noted, request=raw, response=b"HTTP/1.1 200 OK\r\nServer: nginx\r\n\r\n", **FULL)
    assert re.search(r'200 1234 S=1 - --VN 6/5/4/3/\+2 2/1 \{h\|a#7C\} \{nginx\} "GET / HTTP/1\.1"\n$', story.stock())
    told = json.loads(story.stock(json=True))
    assert told["request_headers"] == {"Host": "h", "X-A": "a|"}
    assert told["response_headers"] == {"Server": "nginx"}
    assert (told["cookie_sent"], told["cookie_set"]) == ("S=1", None)


def test_json_says_how_tls_was_spoken():
    told = json.loads(Story(None, **FULL).stock(json=True))
    assert (told["tls"], told["tls_version"], told["tls_cipher"]) == (True, "TLSv1.3", "TLS_AES_256_GCM_SHA384")
    told = json.loads(Story(None, **{**FULL, "tls": False}).stock(json=True))
    assert not {"tls_version", "tls_cipher"} & told.keys()


def test_many_captures_leave_a_line_whole():
    captures = [("request", f"X-{n}", 1000) for n in range(40)]
    raw = b"GET /" + b"x" * 1500 + b" HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b'"\\' * 400) for n in range(40)) + b"\r\n"
    story = Story(book(*captures, ("response", "Y", 5)), request=raw, **FULL)
    assert re.search(r' \{[^{}]*\} \{\} "GET /x+ HTTP/1\.1"\n$', story.stock())
    assert json.loads(story.stock(json=True))["request_headers"]["X-0"].startswith('"\\')


def test_words_that_there_are_not():
    with pytest.raises(KeyError):
        Format([("nonsense", "", "")])


# ---- spelling --------------------------------------------------------------------------------------------------------


def test_names_are_respelled_and_nothing_else():
    head = b"HTTP/1.1 200 content-length: x\r\ncontent-length: 5\r\nX-A: soapaction: 1\r\nSOAPACTION:\r\nx: y\r\n\r\ncontent-length: 5\r\n"
    assert doors.spelled(["Content-Length", "SOAPAction"], head) == (
        b"HTTP/1.1 200 content-length: x\r\nContent-Length: 5\r\nX-A: soapaction: 1\r\nSOAPAction:\r\nx: y\r\n\r\ncontent-length: 5\r\n"
    )
    assert doors.spelled([], head) == head
    assert doors.spelled(["x", "X"], b"A\r\nx: 1\r\n\r\n") == b"A\r\nX: 1\r\n\r\n"
    for cut in range(len(head)):
        doors.spelled(["Content-Length"], head[:cut])
    many = [f"Name-{n}" for n in range(300)]
    assert doors.spelled(many, b"A\r\nname-17: 1\r\n\r\n") == b"A\r\nName-17: 1\r\n\r\n"
