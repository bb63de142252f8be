"""Request heads: what is read, row by row of http-edge-behaviour.md 1. Every input lies against an unreadable page."""

import pytest

from edged._fast.parse.head import HeadError, read_request
from tests.doors import head_doors

HOST = b"Host: a.example\r\n"
VERBS = ["OTHER", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI"]


def ask(data, **limits):
    """The facts of a request, the same from whichever side it touches the unreadable page."""
    facts = head_doors.request(data, **limits)
    assert facts == head_doors.request(data, at_start=True, **limits)
    return facts


def head(line=b"GET / HTTP/1.1", fields=HOST):
    return line + b"\r\n" + fields + b"\r\n"


def fault(data, **limits):
    facts = ask(data, **limits)
    assert facts is not None, "asked for more"
    assert "fault" in facts, "accepted"
    with pytest.raises(HeadError) as raised:
        read_request(data, **limits)
    assert (raised.value.status, raised.value.why) == (facts["fault"], facts["why"])
    return facts["fault"]


def test_a_request_is_taken_apart():
    data = b"GET /a/b?c=d HTTP/1.1\r\nHost: a.example:8080\r\nX-Empty:\r\nAccept: \t a, b \t\r\n\r\nBODY"
    assert read_request(data) == {
        "method": b"GET", "target": b"/a/b?c=d", "path": b"/a/b", "authority": b"a.example:8080", "minor": 1,
        "flags": frozenset(), "length": None, "size": len(data) - 4, "hop": [],
        "fields": [(b"Host", b"a.example:8080"), (b"X-Empty", b""), (b"Accept", b"a, b")],
    }


@pytest.mark.parametrize("verb", VERBS[1:7] + VERBS[8:10])
def test_the_verb_tells_the_method(verb):
    assert ask(head(verb.encode() + b" / HTTP/1.1"))["verb"] == VERBS.index(verb)


@pytest.mark.parametrize("method", [b"get", b"PURGE", b"M-SEARCH", b"!#$%&'*+-.^_`|~", b"GETT", b"GE", b"PRO", b"A" * 64])
def test_any_other_token_is_a_method_too(method):
    facts = ask(head(method + b" / HTTP/1.1"))
    assert facts["verb"] == 0
    assert facts["method"] == (0, method)


@pytest.mark.parametrize("lead", [b"\r\n", b"\n", b"\r\n\r\n\n\n\r\n", b"\r\n" * 40, b"\n\r\n" * 33])
def test_empty_lines_before_the_request_line_are_skipped(lead):
    facts = ask(lead + head())
    assert facts["method"] == (len(lead), b"GET")
    assert facts["size"] == len(lead + head())


@pytest.mark.parametrize("line", [b"GET  / HTTP/1.1", b"GET \t/\t \tHTTP/1.1", b"GET / " + b" " * 50 + b"HTTP/1.1"])
def test_blanks_between_the_parts_may_be_several(line):
    facts = ask(head(line))
    assert (facts["method"][1], facts["target"][1], facts["minor"]) == (b"GET", b"/", 1)


def test_lines_may_end_in_lf_alone():
    facts = ask(b"GET / HTTP/1.1\nHost: a\nX: b\r\nY: c\n\n")
    assert [value for _, (_, value), *_ in facts["fields"]] == [b"a", b"b", b"c"]


@pytest.mark.parametrize(("version", "minor"), [(b"1.0", 0), (b"1.1", 1), (b"1.2", 1), (b"1.9", 1)])
def test_versions_from_1_1_on_are_1_1(version, minor):
    assert ask(head(b"GET / HTTP/" + version))["minor"] == minor


@pytest.mark.parametrize("line", [
    b" GET / HTTP/1.1", b"\tGET / HTTP/1.1", b"GET / HTTP/1.1 ", b"GET / HTTP/1.1\t", b"GET / HTTP/1.1 x", b"GET / HTTP/1.10",
    b"GET / HTTP/11.1", b"GET / HTTP/1.", b"GET / HTTP/1.x", b"GET / http/1.1", b"GET / HTTP1.1", b"GET / HTTP/1,1", b"GET /", b"GET / ",
    b"GET", b"GET ", b"GET / HTTP/0.9", b"GET / HTTP/0.0", b"G\x00T / HTTP/1.1", b"G(T / HTTP/1.1", b"G\xc3T / HTTP/1.1", b": / HTTP/1.1",
    b"GET / FTP/1.1aa", b"GET\r / HTTP/1.1", b"GET /\r HTTP/1.1", b"GET / HTTP/1.1\r", b"GET /a b HTTP/1.1", b"\x16\x03\x01\x02\x00",
])
def test_other_request_lines_are_refused(line):
    assert fault(head(line)) == 400


@pytest.mark.parametrize("version", [b"2.0", b"2.1", b"3.0", b"9.9"])
def test_later_versions_are_not_supported(version):
    assert fault(head(b"GET / HTTP/" + version)) == 505


@pytest.mark.parametrize("byte", [bytes([c]) for c in [*range(0x20), 0x7f, *range(0x80, 0x100, 17), 0xff, ord("#")] if c != 9])
@pytest.mark.parametrize("place", [b"/%sabc", b"/abcdefghijklmnopqrst%s", b"/a?b=%sc", b"/" + b"a" * 40 + b"%s?"])
def test_targets_hold_visible_ascii_without_hash(place, byte):
    if byte == b" ":
        return
    assert fault(head(b"GET " + place % byte + b" HTTP/1.1")) == 400


@pytest.mark.parametrize(("target", "path"), [
    (b"/", b"/"), (b"//x/y", b"//x/y"), (b"/../", b"/../"), (b"/%00%zz", b"/%00%zz"), (b"/a?", b"/a"), (b"/a?b?c", b"/a"),
    (b"/?/", b"/"), (b"/a;b=c,\"<>\\^`{|}[]@:", b"/a;b=c,\"<>\\^`{|}[]@:"), (b"/" + b"x" * 100 + b"?" + b"y" * 100, b"/" + b"x" * 100),
])
def test_the_path_ends_at_the_question_mark_and_is_not_normalised(target, path):
    facts = ask(head(b"GET " + target + b" HTTP/1.1"))
    assert (facts["target"][1], facts["path"][1]) == (target, path)


def test_the_asterisk_is_for_options():
    facts = ask(head(b"OPTIONS * HTTP/1.1"))
    assert facts["flags"] == 4096
    assert facts["path"] is None
    assert fault(head(b"GET * HTTP/1.1")) == 400
    assert fault(head(b"OPTIONS *x HTTP/1.1")) == 400


@pytest.mark.parametrize(("target", "host", "path"), [
    (b"http://a.example/b?c", b"a.example", b"/b"), (b"HTTP://A.EXAMPLE/", b"a.example", b"/"), (b"http://a.example", b"a.example", b""),
    (b"http://a.example?x", b"a.example", b""), (b"http://a.example:80/", b"a.example", b"/"),
    (b"http://a.example/", b"a.example:80", b"/"),
    (b"https://a.example:443/", b"a.example", b"/"), (b"http://a.example:/", b"a.example", b"/"),
    (b"http://[::1]:8080/x", b"[::1]:8080", b"/x"),
    (b"ftp://a.example:21/", b"a.example:21", b"/"), (b"a+b-c.d://a.example/", b"a.example", b"/"),
    (b"http://a.example:0080/", b"a.example", b"/"),
])
def test_absolute_form_agrees_with_host(target, host, path):
    facts = ask(head(b"GET " + target + b" HTTP/1.1", b"Host: " + host + b"\r\n"))
    assert facts["flags"] == 64
    assert (facts["authority"][1], facts["path"][1]) == (host, path)


@pytest.mark.parametrize(("target", "host"), [
    (b"http://b.example/", b"a.example"), (b"http://a.example:8080/", b"a.example"), (b"https://a.example:80/", b"a.example"),
    (b"http://a.example:443/", b"a.example"), (b"ftp://a.example:80/", b"a.example"), (b"http://u@a.example/", b"a.example"),
    (b"http:///x", b""), (b"http://:80/", b":80"), (b"http:/a.example/", b"a.example"), (b"http:a.example", b"a.example"),
    (b"1ttp://a.example/", b"a.example"), (b"a.example", b"a.example"), (b"a.example:80", b"a.example:80"), (b"x/y", b"a.example"),
    (b"?x", b"a.example"), (b"http://a.example\\b/", b"a.example"), (b"http://a.example:99999/", b"a.example"), (b"a://b", b"c"),
])
def test_absolute_form_that_disagrees_or_is_none(target, host):
    assert fault(head(b"GET " + target + b" HTTP/1.1", b"Host: " + host + b"\r\n")) == 400


def test_absolute_form_names_the_host_on_1_0_without_host():
    assert ask(head(b"GET http://a.example:81/ HTTP/1.0", b""))["authority"][1] == b"a.example:81"


def test_connect_has_authority_form():
    facts = ask(head(b"CONNECT a.example:443 HTTP/1.1", b"Host: A.example:443\r\n"))
    assert (facts["verb"], facts["authority"][1], facts["path"]) == (VERBS.index("CONNECT"), b"A.example:443", None)
    assert ask(head(b"CONNECT [::1]:443 HTTP/1.0", b""))["authority"][1] == b"[::1]:443"
    for target in (b"a.example", b"/", b"http://a.example:443/", b"a.example:", b":443", b"a.example:443/", b"*"):
        assert fault(head(b"CONNECT " + target + b" HTTP/1.1", b"Host: a.example:443\r\n")) == 400
    assert fault(head(b"CONNECT b.example:443 HTTP/1.1", b"Host: a.example:443\r\n")) == 400
    assert fault(head(b"CONNECT a.example:443 HTTP/1.1", b"Host: a.example\r\n")) == 400


def test_the_preface_of_http_2():
    facts = ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert (facts["verb"], facts["size"]) == (VERBS.index("PRI"), 18)
    for line in (b"PRI * HTTP/1.1", b"PRI / HTTP/2.0", b"PRI * HTTP/3.0"):
        assert fault(head(line)) == 400
    assert fault(head(b"PRI * HTTP/2.0", HOST)) == 400


@pytest.mark.parametrize("host", [
    b"a", b"A.Example", b"a.example:80", b"a.example:", b"a_b.example", b"127.0.0.1:8080", b"[::1]", b"[::1]:80", b"[2001:db8::1]:8443",
    b"[::ffff:1.2.3.4]", b"xn--bcher-kva.example", b"a.example.", b"a%20b", b"a!$&'()*+;=~-", b"a:65535", b"",
])
def test_hosts_that_pass(host):
    assert ask(head(fields=b"Host: " + host + b"\r\n"))["authority"][1] == host


@pytest.mark.parametrize("host", [
    b"a/b", b"u@a", b"a?b", b"a#b", b"a,b", b"a b", b"a\\b", b"a[b", b"a]b", b"[a]", b"[", b"[]", b"[::1", b"[::1]x", b"x[::1]",
    b"[::1]:8x",
    b"[fe80::1%eth0]", b"[::g]", b"[1.2.3.4]", b"a:b", b"a:80:80", b"a:-1", b"a:65536", b"a:99999999999999999999", b":80", b"a\x80",
    b"a\xff", b"::1",
    b"a\tb", b"a\"b", b"a<b", b"a{b", b"a|b", b"a^b", b"a`b", b"http://a",
])
def test_hosts_that_do_not(host):
    assert fault(head(fields=b"Host: " + host + b"\r\n")) == 400


def test_a_host_must_be_there_on_1_1_and_only_once():
    assert fault(head(fields=b"")) == 400
    assert fault(head(fields=b"X: y\r\n")) == 400
    assert ask(head(b"GET / HTTP/1.0", b""))["authority"] is None
    assert fault(head(fields=HOST + HOST)) == 400
    assert fault(head(fields=HOST + b"hOST: b\r\n")) == 400
    assert fault(head(b"GET / HTTP/1.0", HOST + HOST)) == 400


@pytest.mark.parametrize("line", [
    b"X : y", b"X\t: y", b": y", b"X", b"X y", b" ", b"X\x00: y", b"X\x80: y", b"(X): y", b"X/Y: z", b"X\x7f: y", b"@: y", b"X=Y: z",
    b"X\"Y\": z",
])
def test_names_are_tokens_with_their_colon_at_once(line):
    assert fault(head(fields=HOST + line + b"\r\n")) == 400


@pytest.mark.parametrize("name", [b"X", b"x_y", b"!#$%&'*+-.^_`|~", b"A" * 15, b"A" * 16, b"A" * 17, b"a" * 33 + b"_" + b"b" * 40, b"0-9"])
def test_any_token_is_a_name(name):
    facts = ask(head(fields=HOST + name + b":v\r\n"))
    assert facts["fields"][1][:2] == ((31 + 2, name), (31 + 2 + len(name) + 1, b"v"))


@pytest.mark.parametrize("byte", [bytes([c]) for c in [*range(9), 0x0b, 0x0c, *range(0x0e, 0x20), 0x7f]])
@pytest.mark.parametrize("place", [b"%s", b"a%sb", b"0123456789abcdef0123456789abcdef%s", b"x" * 63 + b"%s" + b"y" * 64])
def test_control_characters_in_values_are_refused(place, byte):
    assert fault(head(fields=HOST + b"X: " + place % byte + b"\r\n")) == 400


@pytest.mark.parametrize("place", [b"a\rb", b"\r", b"a\r\r\n", b"x" * 62 + b"\r" + b"y" * 70])
def test_a_cr_needs_its_lf(place):
    assert fault(head(fields=HOST + b"X: " + place + b"\r\nY: z\r\n")) == 400


@pytest.mark.parametrize("value", [b"\t", b"a\tb", b"a\t\tb" * 30, bytes(range(0x80, 0x100)), b" ~" + bytes(range(0x21, 0x7f)), b"x" * 200])
def test_all_other_bytes_pass_in_values(value):
    facts = ask(head(fields=HOST + b"X: " + value + b"\r\n"))
    assert facts["fields"][1][1][1] == value.strip(b" \t")


@pytest.mark.parametrize("n", range(1, 140))
def test_values_of_every_length_end_where_they_end(n):
    facts = ask(head(fields=b"X:" + b"v" * n + b"\r\nY: z\r\n" + HOST))
    assert [value for _, (_, value), *_ in facts["fields"]] == [b"v" * n, b"z", b"a.example"]


def test_folded_values_are_joined_in_one_view():
    facts = ask(head(fields=b"X: a\r\n b\r\n\t c \r\nY: d\n e\r\nZ:\r\n \r\n f\r\n" + HOST))
    values = [(value, flags) for _, (_, value), _, flags in facts["fields"]]
    assert values == [(b"a\r\n b\r\n\t c", 2), (b"d\n e", 2), (b"f", 2), (b"a.example", 0)]
    assert facts["flags"] == 2048


def test_a_first_field_must_not_begin_with_a_blank():
    assert fault(head(fields=b" X: y\r\n" + HOST)) == 400
    assert fault(head(fields=b"\tX: y\r\n" + HOST)) == 400


@pytest.mark.parametrize("fields", [
    b"Host:\r\n a\r\n", HOST + b"Content-Length: 1\r\n 2\r\n", HOST + b"Transfer-Encoding:\r\n chunked\r\n",
])
def test_framing_fields_must_not_be_folded(fields):
    assert fault(head(b"POST / HTTP/1.1", fields)) == 400


def test_limits():
    line = b"GET /%s HTTP/1.1"
    assert ask(head(line % (b"a" * 99)), target_bytes=100)
    assert fault(head(line % (b"a" * 100)), target_bytes=100) == 414
    assert fault(b"GET /" + b"a" * 100, target_bytes=100) == 414                      # no end in sight
    assert fault(b"GET /?" + b"a" * 100, target_bytes=100) == 414
    assert fault(b"GET / " + b" " * 300, head_bytes=300) == 414
    assert fault(b"A" * 65) == 501
    assert fault(head(b"A" * 65 + b" / HTTP/1.1")) == 501
    whole = head(fields=HOST + b"X: " + b"a" * 100 + b"\r\n")
    assert ask(whole, head_bytes=len(whole))
    assert ask(whole + b"more", head_bytes=len(whole))
    assert fault(whole, head_bytes=len(whole) - 1) == 431
    assert fault(whole[:-1], head_bytes=len(whole) - 1) == 431
    assert ask(whole[:-1], head_bytes=len(whole)) is None
    assert fault(b"\r\n" * 200, head_bytes=300) == 414
    many = head(fields=HOST + b"X: y\r\n" * 9)
    assert ask(many, fields=10)
    assert fault(many, fields=9) == 431
    assert ask(head(fields=HOST + b"X: y\r\n" * 127), fields=1000)
    assert fault(head(fields=HOST + b"X: y\r\n" * 128), fields=1000) == 431           # FIELDS_MOST, whatever the limit


def test_the_first_value_of_a_kind():
    data = head(fields=HOST + b"Cookie: a=b\r\nCookie: c=d\r\n")
    assert head_doors.first_value(data, 12)[1] == b"a=b"
    assert head_doors.first_value(data, 11) is None
