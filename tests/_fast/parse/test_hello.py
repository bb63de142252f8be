"""ClientHellos, made by hand and by OpenSSL, however records and segments divide them."""

import ssl

import pytest

from edged._fast.parse.hello import HelloError, read_hello
from tests.doors import hello_doors


def vector(data, length_bytes):
    return len(data).to_bytes(length_bytes, "big") + data


def extension(number, body):
    return number.to_bytes(2, "big") + vector(body, 2)


def names(*entries):
    return extension(0, vector(b"".join(bytes([kind]) + vector(name, 2) for kind, name in entries), 2))


def protocols(*entries):
    return extension(16, vector(b"".join(vector(name, 1) for name in entries), 2))


def versions(*numbers):
    return extension(43, vector(b"".join(n.to_bytes(2, "big") for n in numbers), 1))


def message(extensions=b"", *, version=0x0303, session=b"", suites=b"\x13\x01\x0a\x0a", methods=b"\0", tail=None):
    body = version.to_bytes(2, "big") + bytes(32) + vector(session, 1) + vector(suites, 2) + vector(methods, 1)
    body += vector(extensions, 2) if tail is None else tail
    return b"\x01" + vector(body, 3)


def records(data, size=16384, version=b"\x03\x01"):
    return b"".join(b"\x16" + version + vector(data[i:i + size], 2) for i in range(0, len(data), size))


def ask(data, **how):
    facts = hello_doors.hello(data, **how)
    assert facts == hello_doors.hello(data, at_start=True, **how)
    return facts


def good(*extensions, **how):
    facts = ask(records(message(b"".join(extensions), **how)))
    assert isinstance(facts, dict), facts
    return facts


def bad(*extensions, **how):
    return ask(records(message(b"".join(extensions), **how)))


def from_openssl(name="www.example.org", alpn=("h2", "http/1.1"), highest=ssl.TLSVersion.TLSv1_3):
    context = ssl.create_default_context()
    context.maximum_version = highest
    if alpn:
        context.set_alpn_protocols(list(alpn))
    out = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()


HELLO = from_openssl()
LARGE = records(message(extension(51, bytes(4000)) + names((0, b"large.example")) + protocols(b"h2")), 1500)


def test_openssl_says_hello():
    assert read_hello(HELLO) == (b"www.example.org", [b"h2", b"http/1.1"], True)
    assert read_hello(from_openssl(alpn=(), highest=ssl.TLSVersion.TLSv1_2)) == (b"www.example.org", [], False)
    assert read_hello(from_openssl(name="192.0.2.1")) == (b"", [b"h2", b"http/1.1"], True)


@pytest.mark.parametrize("data", [HELLO, LARGE, records(HELLO[5:], 7)])
def test_a_hello_cut_anywhere_asks_for_more(data):
    for cut in range(len(data)):
        assert ask(data[:cut]) is None
    assert ask(data + b"what follows") == ask(data)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 40, 100, 511, 512])
def test_records_divide_it_at_will(size):
    assert ask(records(HELLO[5:], size)) == ask(HELLO)


def test_a_divided_hello_needs_room():
    assert ask(records(HELLO[5:], 100), scratch=False) == "too_long"
    assert ask(HELLO, scratch=False) == ask(HELLO)


def test_a_record_may_hold_more_than_the_hello():
    assert ask(records(message(names((0, b"a"))) + b"\x0b\x00\x00\x00"))["sni"] == b"a"


def test_no_extensions_at_all():
    assert good(tail=b"") == {"sni": b"", "alpn": b"", "version": 0x0303, "tls13": False}
    assert good(version=0x0301)["version"] == 0x0301


def test_grease_and_unknown_extensions_are_skipped():
    grease = extension(0x0A0A, b""), extension(0xFAFA, b"\0")
    facts = good(grease[0], names((0, b"a.example")), grease[1], versions(0x7A7A, 0x0304), protocols(b"\x6a\x6a", b"h2"))
    assert facts == {"sni": b"a.example", "alpn": b"\x02jj\x02h2", "version": 0x0303, "tls13": True}


def test_names_of_other_types_are_skipped():
    assert good(names((7, b"x"), (0, b"a"), (9, b"")))["sni"] == b"a"
    assert good(names((7, b"x")))["sni"] == b""


@pytest.mark.parametrize("name", [b"192.0.2.1", b"1.2.3.4.", b"::1", b"2001:db8::1", b"1", b"..."])
def test_an_address_is_no_name(name):
    assert good(names((0, name)))["sni"] == b""


@pytest.mark.parametrize("name", [b"a", b"A.Example", b"1.2.3.4.example", b"a_b", b"x" * 255, b"1a", b"a."])
def test_a_name_comes_as_it_was_sent(name):
    assert good(names((0, name)))["sni"] == name


def test_offers():
    assert hello_doors.offers(HELLO, b"h2")
    assert not hello_doors.offers(HELLO, b"h")
    assert not hello_doors.offers(HELLO, b"http/1.0")
    assert not hello_doors.offers(records(message()), b"h2")


@pytest.mark.parametrize("extensions", [
    names((0, b"")), names((0, b"a"), (0, b"b")), names((0, b"a")) + names((0, b"a")), names(), names((0, b"a\0b")), names((0, b"a b")),
    names((0, b"\xc3\xa4")), names((0, b"x" * 256)), extension(0, b""), extension(0, b"\0"), extension(0, b"\0\x04\0\0\x01a" + b"x"),
    extension(0, b"\0\x05\0\0\x01a"), extension(0, b"\0\x03\0\0\x01a"), protocols(), protocols(b""), protocols(b"h2") * 2,
    extension(16, b""),
    extension(16, b"\0\x03\x03h2"), extension(16, b"\0\x03\x02h2x"), versions(), versions(0x0304) * 2, extension(43, b"\x03\x03\x04\x03"),
    extension(43, b"\x02\x03\x04\x03"), b"\0", b"\0\0\0", b"\0\x05\0\x01", extension(5, b"x") + b"\0",
])
def test_malformed_extensions(extensions):
    assert bad(extensions) == "malformed"


@pytest.mark.parametrize("how", [
    {"session": bytes(33)}, {"suites": b""}, {"suites": b"\x13"}, {"suites": b"\x13\x01\x13"}, {"methods": b""}, {"version": 0x0200},
    {"version": 0x0400},
    {"tail": b"\0"}, {"tail": b"\0\x01"}, {"tail": b"\0\0x"}, {"tail": b"\0\x01xy"},
])
def test_malformed_messages(how):
    assert bad(**how) == "malformed"


def test_every_truncated_message_is_malformed():
    whole = HELLO[9:]
    no_extensions = 2 + 32 + 1 + 32 + 2 + int.from_bytes(whole[67:69], "big") + 2
    for cut in range(len(whole)):
        expected = "malformed" if cut != no_extensions else {"sni": b"", "alpn": b"", "version": 0x0303, "tls13": False}
        assert ask(records(b"\x01" + vector(whole[:cut], 3))) == expected


@pytest.mark.parametrize(("data", "why"), [
    (b"GET / HTTP/1.1\r\n", "not_tls"), (b"\x15\x03\x01\0\x02\x01\0", "not_tls"), (b"\x16\x02", "not_tls"), (b"\0", "not_tls"),
    (b"\x80\x2e\x01", "sslv2"),
    (b"\x80\x2e\x02", "not_tls"), (b"\x16\x03\x01\0\x05\x02", "malformed"), (b"\x16\x03\x01\0\0", "malformed"),
    (b"\x16\x03\x01\x40\x01", "too_long"), (b"\x16\x03\x01\0\x04\x01\0\x3f\xfd", "too_long"),
    (b"\x16\x03\x01\0\x04\x01\xff\xff\xff", "too_long"),
    (b"\x16\x03\x01\0\x01\x01\x15", "malformed"), (b"\x16\x03\x01\0\x01\x01\x16\x02", "malformed"),
    (b"\x16\x03\x01\0\x01\x01\x16\x03\x01\0\0", "malformed"),
])
def test_what_is_no_hello_is_told_early(data, why):
    assert ask(data) == why
    with pytest.raises(HelloError, match=why):
        read_hello(data)


def test_the_largest_hello():
    room = 16384 - len(message()) - 4
    assert good(extension(51, bytes(room)))["sni"] == b""
    assert ask(records(message(extension(51, bytes(room))), 999))["version"] == 0x0303
    assert bad(extension(51, bytes(room + 1))) == "too_long"
