"""The PROXY protocol, both versions, both ways: the rows of high-availability.md part D."""

import socket

import pytest

from edged._fast.parse.proxyline import ProxyError, read_proxyline
from tests.doors import proxyline_doors

SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")
V4 = bytes.fromhex("C0000207 C6336409 C822 01BB")
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + socket.inet_pton(socket.AF_INET6, "2001:db8::9") + bytes.fromhex("C822 01BB")
CLIENT, EDGE = (bytes([192, 0, 2, 7]), 51234), (bytes([198, 51, 100, 9]), 443)
CLIENT6, EDGE6 = (V6[:16], 51234), (V6[16:32], 443)


def tlv(kind, value):
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def v2(body=V4, command=0x21, family=0x11, length=None):
    return SIGNATURE + bytes([command, family]) + (len(body) if length is None else length).to_bytes(2, "big") + body


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def sealed(body, at, **how):
    """A header whose CRC32C value stands at body[at:at+4]."""
    header = v2(body, **how)
    return header[:16 + at] + crc32c(header).to_bytes(4, "big") + header[16 + at + 4:]


def ask(data, **how):
    facts = proxyline_doors.parse(data, **how)
    assert facts == proxyline_doors.parse(data, at_start=True, **how)
    return facts


EXAMPLE_V1 = b"PROXY TCP4 192.0.2.7 198.51.100.9 51234 443\r\n"
ALL_GOOD = [
    EXAMPLE_V1, b"PROXY TCP6 2001:db8::7 2001:DB8::9 51234 443\r\n", b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff:f...f:ffff whatever 65536 x\r\n",
    v2(), v2(b"", 0x20, 0), v2(V6, family=0x21), v2(V4 + tlv(2, b"example.org")), v2(b"anything", 0x20, 0xFF), v2(b"", 0x21, 0),
]


def test_the_examples():
    expected = {"version": 1, "local": False, "size": 45, "source": CLIENT, "target": EDGE}
    expected |= dict.fromkeys(("authority", "alpn", "unique_id", "ssl"), b"")
    assert ask(EXAMPLE_V1) == expected
    assert ask(v2()) == expected | {"version": 2, "size": 28}
    assert ask(v2(b"", 0x20, 0)) == expected | {"version": 2, "size": 16, "local": True, "source": None, "target": None}
    assert ask(v2(V4 + tlv(2, b"example.org"))) == expected | {"version": 2, "size": 42, "authority": b"example.org"}
    assert read_proxyline(EXAMPLE_V1)["source"] == ("192.0.2.7", 51234)


@pytest.mark.parametrize("data", ALL_GOOD)
def test_a_header_cut_anywhere_asks_for_more_and_what_follows_is_left(data):
    for cut in range(len(data)):
        assert ask(data[:cut]) is None, data[:cut]
    assert ask(data + b"\x16\x03\x01GET")["size"] == len(data)


@pytest.mark.parametrize(("address", "packed"), [
    ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("ABCD::ef01", "abcd::ef01"),
    ("::ffff:1.2.3.4", "::ffff:102:304"),
    ("0001:0002:0003:0004:0005:0006:0007:0008", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
])
def test_addresses_of_version_6(address, packed):
    facts = ask(f"PROXY TCP6 {address} ::1 0 65535\r\n".encode())
    assert facts["source"] == (socket.inet_pton(socket.AF_INET6, packed), 0)
    assert facts["target"][1] == 65535


@pytest.mark.parametrize("line", [
    "PROXY  TCP4 1.2.3.4 5.6.7.8 1 2", "PROXY\tTCP4 1.2.3.4 5.6.7.8 1 2", "PROXY TCP4  1.2.3.4 5.6.7.8 1 2",
    "PROXY TCP4 1.2.3.4  5.6.7.8 1 2",
    "PROXY TCP4 1.2.3.4 5.6.7.8  1 2", "PROXY TCP4 1.2.3.4 5.6.7.8 1  2", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 ",
    "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3",
    "PROXY TCP4 1.2.3.4 5.6.7.8 1", "PROXY TCP4 1.2.3.4 5.6.7.8", "PROXY TCP4", "PROXY TCP", "PROXY", "PROXY ",
    "PROXY TCP5 1.2.3.4 5.6.7.8 1 2",
    "PROXY UDP4 1.2.3.4 5.6.7.8 1 2", "PROXY tcp4 1.2.3.4 5.6.7.8 1 2", "PROXY TCP 1.2.3.4 5.6.7.8 1 2", "PROXY TCP44 1.2.3.4 5.6.7.8 1 2",
    "PROXY TCP4 1.2.3 5.6.7.8 1 2", "PROXY TCP4 1.2.3.4.5 5.6.7.8 1 2", "PROXY TCP4 1.2.3.256 5.6.7.8 1 2",
    "PROXY TCP4 1.2.3.04 5.6.7.8 1 2",
    "PROXY TCP4 01.2.3.4 5.6.7.8 1 2", "PROXY TCP4 1.2.3.+4 5.6.7.8 1 2", "PROXY TCP4 1.2.3. 5.6.7.8 1 2",
    "PROXY TCP4 0x1.2.3.4 5.6.7.8 1 2",
    "PROXY TCP4 16909060 5.6.7.8 1 2", "PROXY TCP4 ::1 ::1 1 2", "PROXY TCP4 1.2.3.4 ::1 1 2", "PROXY TCP6 1.2.3.4 ::1 1 2",
    "PROXY TCP6 ::1::2 ::1 1 2",
    "PROXY TCP6 1:2:3:4:5:6:7 ::1 1 2", "PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2", "PROXY TCP6 12345::1 ::1 1 2", "PROXY TCP6 g::1 ::1 1 2",
    "PROXY TCP6 [::1] ::1 1 2", "PROXY TCP6 fe80::1%eth0 ::1 1 2", "PROXY TCP6 ::1.2.3.04 ::1 1 2", "PROXY TCP6 : ::1 1 2",
    "PROXY TCP6  ::1 1 2",
    "PROXY TCP6 " + "0" * 46 + " ::1 1 2", "PROXY TCP4 1.2.3.4 5.6.7.8 01 2", "PROXY TCP4 1.2.3.4 5.6.7.8 00 2",
    "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536",
    "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2", "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2", "PROXY TCP4 1.2.3.4 5.6.7.8 1 99999999999",
    "PROXY TCP4 1.2.3.4 5.6.7.8  2",
    "PROXY TCP4 1.2.3.4 5.6.7.8 1 ", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "PROXY UNKNOWN\r",
    "PROXY UNKNOWN a\rb",
    "PROXY UNKNOWN\n", "PROXY UNKNOWN a\nb", "PROXY UNKNOWNX", "PROXY UNKNOW", "PROXY unknown", "PROXYX",
    "PROXY TCP4\0 1.2.3.4 5.6.7.8 1 2",
])
def test_other_lines_are_bad_headers(line):
    assert ask(line.encode() + b"\r\n") == "bad_header"


@pytest.mark.parametrize("data", [
    b"GET / HTTP/1.1", b"P ", b"PROXy", b"PQ", b"proxy", b"\x16", b"\n", b"\r\r", b"\r\n\r\n\0\r\nQUIX", b" PROXY", b"PROX ",
])
def test_what_is_neither_form_is_told_with_the_first_wrong_byte(data):
    assert ask(data) == "not_proxy"
    for cut in range(len(data)):
        assert ask(data[:cut]) in (None, "not_proxy")
    with pytest.raises(ProxyError, match="not_proxy"):
        read_proxyline(data)


@pytest.mark.parametrize("data", [
    b"PROXY X", b"PROXY TCX", b"PROXY TCP4 x", b"PROXY TCP4 1.2.3.4x", b"PROXY TCP4 1.2.3.4 5.6.7.8 9x", b"PROXY UNKNOWN\rx",
])
def test_a_wrong_byte_in_a_line_is_told_before_its_end(data):
    assert ask(data) == "bad_header"
    assert ask(data[:-1]) is None


def test_lines_have_a_limit():
    longest = b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n"
    assert len(longest) == 107
    assert ask(longest)["size"] == 107
    assert ask(longest[:-1]) is None
    assert ask(b"PROXY UNKNOWN " + b"x" * 92 + b"\r\n") == "too_long"
    assert ask(b"PROXY UNKNOWN " + b"x" * 92 + b"\r") == "too_long"
    assert ask(b"PROXY UNKNOWN " + b"x" * 200) == "too_long"


@pytest.mark.parametrize(("data", "reason"), [
    (SIGNATURE + b"\x11", "bad_version"), (SIGNATURE + b"\x31", "bad_version"), (SIGNATURE + b"\x01", "bad_version"),
    (SIGNATURE + b"\xf1", "bad_version"),
    (SIGNATURE + b"\x22", "bad_command"), (SIGNATURE + b"\x2f", "bad_command"), (SIGNATURE + b"\x21\x41", "bad_family"),
    (SIGNATURE + b"\x21\x13", "bad_family"),
    (SIGNATURE + b"\x21\xff", "bad_family"), (v2(V4[:11]), "bad_header"), (v2(V6[:35], family=0x21), "bad_header"),
    (v2(bytes(215), family=0x31), "bad_header"),
    (v2(V4[:11], family=0x12), "bad_header"), (v2(b"", length=4097), "too_long"), (v2(b"", 0x20, 0, length=4097), "too_long"),
    (v2(b"", length=65535), "too_long"),
    (v2(b"", length=3), "bad_header"),
])
def test_version_2_is_judged_by_its_first_bytes(data, reason):
    assert ask(data) == reason


def test_the_limit_of_version_2_is_the_callers():
    assert ask(v2(V4 + tlv(4, bytes(85))), v2_most=100)["size"] == 116
    assert ask(v2(V4 + tlv(4, bytes(86))), v2_most=100) == "too_long"
    assert ask(v2(V4 + tlv(4, bytes(4081))))["size"] == 16 + 4096
    assert ask(v2(V4 + tlv(4, bytes(65520))), v2_most=65535)["size"] == 16 + 65535


@pytest.mark.parametrize("family", [0x00, 0x01, 0x02, 0x10, 0x20, 0x30])
def test_unspecified_keeps_the_real_addresses_and_skips_the_rest(family):
    facts = ask(v2(b"\xff" * 7, family=family))
    assert (facts["source"], facts["target"], facts["size"], facts["local"]) == (None, None, 23, False)


@pytest.mark.parametrize(("family", "block"), [(0x12, 12), (0x22, 36), (0x31, 216), (0x32, 216)])
def test_datagrams_and_paths_keep_the_real_addresses_but_have_tlvs(family, block):
    facts = ask(v2(bytes(block) + tlv(2, b"a"), family=family))
    assert (facts["source"], facts["target"], facts["authority"]) == (None, None, b"a")
    assert ask(v2(bytes(block) + b"\x02\0", family=family)) == "bad_tlv"


def test_version_6_in_version_2():
    facts = ask(v2(V6, family=0x21))
    assert (facts["source"], facts["target"]) == (CLIENT6, EDGE6)


def test_tlvs():
    ssl = b"\x07\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x22, b"name")
    ours = tlv(1, b"h2") + tlv(5, b"x" * 128) + tlv(0x20, ssl) + tlv(2, b"y" * 255)
    facts = ask(v2(V4 + tlv(0xE0, b"custom") + tlv(4, bytes(9)) + ours + tlv(0x30, b"ns")))
    assert (facts["alpn"], facts["unique_id"], facts["ssl"], facts["authority"]) == (b"h2", b"x" * 128, ssl, b"y" * 255)


def test_of_several_tlvs_the_first_counts():
    facts = ask(v2(V4 + b"".join(tlv(kind, b"\0\0\0\0\0" + who) for who in (b"", b"\xe0\0\x01x") for kind in (1, 2, 5, 0x20))))
    assert [facts[key] for key in ("alpn", "authority", "unique_id", "ssl")] == [bytes(5)] * 4
    assert ask(v2(V4 + tlv(2, b"") + tlv(2, b"second")))["authority"] == b""


@pytest.mark.parametrize("tlvs", [
    b"\x02", b"\x02\0", b"\x02\0\x01", b"\x02\0\x05abcd", tlv(4, b"") + b"\0\0", tlv(2, b"x" * 256), tlv(5, b"x" * 129), tlv(0x20, b""),
    tlv(0x20, bytes(4)),
    tlv(0x20, bytes(6)), tlv(0x20, bytes(5) + b"\x21\0\x02x"), tlv(0x20, bytes(5)) + tlv(0x20, bytes(6)), tlv(3, b""), tlv(3, bytes(3)),
    tlv(3, bytes(5)),
    tlv(3, bytes(4)) + tlv(3, bytes(4)),
])
def test_tlvs_that_do_not_hold_together(tlvs):
    assert ask(v2(V4 + tlvs)) == "bad_tlv"


def test_the_checksum_covers_the_whole_header():
    assert crc32c(b"123456789") == 0xE3069283
    data = sealed(V4 + tlv(2, b"a.example") + tlv(3, bytes(4)) + tlv(4, b"tail"), 12 + 12 + 3)
    assert ask(data)["authority"] == b"a.example"
    for i in range(16, len(data)):
        broken = data[:i] + bytes([data[i] ^ 1]) + data[i + 1:]
        if i not in (40, 41, 42):                            # the TLV's own type and length: then there is no checksum
            assert ask(broken) in ("bad_crc", "bad_tlv")
    assert ask(v2(V4 + tlv(3, bytes(4)))) == "bad_crc"


@pytest.mark.parametrize(("source", "target", "line"), [
    (CLIENT, EDGE, EXAMPLE_V1), (CLIENT6, EDGE6, b"PROXY TCP6 2001:db8::7 2001:db8::9 51234 443\r\n"),
    (CLIENT, EDGE6, b"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::9 51234 443\r\n"),
    (CLIENT6, EDGE, b"PROXY TCP6 2001:db8::7 ::ffff:198.51.100.9 51234 443\r\n"),
    ((bytes(4), 0), (b"\xff" * 4, 65535), b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), (None, EDGE, b"PROXY UNKNOWN\r\n"),
    (CLIENT, None, b"PROXY UNKNOWN\r\n"),
    ((bytes(4), 7), (bytes(4), 10), b"PROXY TCP4 0.0.0.0 0.0.0.0 7 10\r\n"),
])
def test_version_1_is_written(source, target, line):
    assert proxyline_doors.write(1, source, target) == line
    assert ask(line)


@pytest.mark.parametrize(("source", "target", "body", "family"), [
    (CLIENT, EDGE, V4, 0x11), (CLIENT6, EDGE6, V6, 0x21),
    (CLIENT, EDGE6, bytes(10) + b"\xff\xff" + V4[:4] + V6[16:], 0x21), (CLIENT6, EDGE, V6[:16] + bytes(10) + b"\xff\xff" + V4[4:], 0x21),
])
def test_version_2_is_written(source, target, body, family):
    assert proxyline_doors.write(2, source, target) == v2(body, family=family)


def test_version_2_without_addresses_is_local():
    assert proxyline_doors.write(2, None, None) == proxyline_doors.write(2, CLIENT, None) == v2(b"", 0x20, 0)


def test_tlvs_and_checksum_are_written():
    data = proxyline_doors.write(2, CLIENT6, EDGE6, tlvs=[(2, b"a" * 255), (1, b"h2"), (0xE0, b"")], seal=True)
    assert data == sealed(V6 + tlv(2, b"a" * 255) + tlv(1, b"h2") + tlv(0xE0, b"") + tlv(3, bytes(4)), 36 + 258 + 5 + 3 + 3, family=0x21)
    assert ask(data)["authority"] == b"a" * 255
    assert len(proxyline_doors.write(2, CLIENT6, EDGE6, tlvs=[(2, b"a" * 255)], seal=True)) <= proxyline_doors.line_most()
