"""PROXY headers from clients (high-availability.md part D): first of all, believed from whom, and what they change."""

from ipaddress import ip_network
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

import pytest
from tests.doors.peers import address_text, trusts

from edged.model.policy import Algorithm, Balance
from tests._fast.talk.scene import GET, OK, ended, head_of, site, stage, status_of

__all__ = ["stage"]

V1 = b"PROXY TCP4 203.0.113.5 198.51.100.1 1111 443\r\n"
V1_UNKNOWN = b"PROXY UNKNOWN\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11\0\x0c" + bytes([203, 0, 113, 5, 198, 51, 100, 1]) + b"\x04\x57\x01\xbb"
V2_LOCAL = SIGNATURE + b"\x20\0\0\0"
V2_TLV = SIGNATURE + b"\x21\x11\0\x13" + bytes([203, 0, 113, 5, 198, 51, 100, 1]) + b"\x04\x57\x01\xbb" + b"\xe0\0\x04abcd"


@pytest.mark.parametrize(
    ("header", "address", "port"),
    [(V1, "203.0.113.5", "443"), (V2, "203.0.113.5", "443"), (V2_TLV, "203.0.113.5", "443"), (V1_UNKNOWN, "192.0.2.7", "80"),
     (V2_LOCAL, "192.0.2.7", "80")],
    ids=["v1", "v2", "v2 with tlv", "v1 unknown", "v2 local"],
)
def test_a_header_glued_to_a_request_and_cut_at_any_byte(stage, header, address, port):
    for cut in range(len(header) + 3):
        play = stage()
        client = play.client((header + GET)[:cut], proxy=True)
        client.send((header + GET)[cut:])
        first, fields, _ = head_of(play.server.take())
        assert (first, fields["x-forwarded-for"], fields["x-forwarded-port"]) == ("GET /x HTTP/1.1", address, port), cut
        play.server.send(OK)
        assert status_of(client.take()) == 200


def test_it_is_read_once(stage):
    play = stage()
    client = play.client(V1 + GET + V1, proxy=True)
    play.server.send(OK)
    assert [status for status, _ in ended(play)] == [200, 400]
    client.fin()


def test_before_tcp(stage):
    play = stage()
    client = play.client(V1 + b"hello", tcp=True, proxy=True)
    assert play.server.take() == b"hello"
    client.reset()


def test_tcp_is_not_dialled_before_it(stage):
    play = stage()
    client = play.client(V1[:-1], tcp=True, proxy=True)
    assert play.servers == []
    client.send(b"\n")
    assert len(play.servers) == 1


@pytest.mark.parametrize(
    "data",
    [GET, b"X", b"PROXY TCP4 1.2.3.4\r\n", b"proxy tcp4", b"PROXY TCP4 203.0.113.5 198.51.100.1 1111 70000\r\n", b"PROXY " + b"x" * 200,
     SIGNATURE + b"\x31", SIGNATURE + b"\x22\0\0\0", SIGNATURE + b"\x21\x11\xff\xff", SIGNATURE + b"\x21\x11\0\x01\0", b"\x16\x03\x01"],
)
def test_anything_else_is_reset_without_a_word(stage, data):
    play = stage()
    client = play.client(data, proxy=True)
    assert (client.take(), client.end, play.log) == (b"", "reset", [])
    assert play.listener["proxy_refused"] == 1


@pytest.mark.parametrize("data", [b"", V1[:20], V2[:14]])
def test_an_end_within_it(stage, data):
    play = stage()
    client = play.client(data, proxy=True).fin()
    assert (client.end, play.log, play.listener["proxy_refused"]) == ("reset", [], 1)


def test_the_balance_by_source_follows_it(stage):
    play = stage(site("a b", balance=Balance(algorithm=Algorithm.SOURCE)))
    client = play.client(V1 + GET, proxy=True)
    chosen = client.back.endpoint
    client.back.send(OK)
    direct = play.client(GET, peer="203.0.113.5:9")
    assert direct.back.endpoint == chosen
    direct.back.send(OK)


@pytest.mark.parametrize(
    ("networks", "peer", "trusted"),
    [
        ([], "192.0.2.7:1", True),
        (["192.0.2.0/24"], "192.0.2.7:1", True),
        (["192.0.2.0/24"], "192.0.3.7:1", False),
        (["192.0.2.7/32"], "192.0.2.7:1", True),
        (["192.0.2.7/32"], "192.0.2.6:1", False),
        (["192.0.2.0/25"], "192.0.2.127:1", True),
        (["192.0.2.0/25"], "192.0.2.128:1", False),
        (["0.0.0.0/0"], "203.0.113.1:1", True),
        (["0.0.0.0/0"], "[2001:db8::1]:1", False),
        (["2001:db8::/33"], "[2001:db8:7fff::1]:1", True),
        (["2001:db8::/33"], "[2001:db8:8000::1]:1", False),
        (["2001:db8::1/128"], "[2001:db8::1]:1", True),
        (["10.0.0.0/8", "192.0.2.0/24"], "192.0.2.1:1", True),
    ],
)
def test_whom_to_believe(networks, peer, trusted):
    assert trusts([ip_network(network) for network in networks], peer) == trusted


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "192.0.2.255", "1.20.100.9", "::", "::1", "2001:db8::1", "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1", "1::",
     "::ffff:1.20.100.9", "::ffff:0.0.0.0", "::fffe:1:2", "0:0:0:0:1:ffff:102:304",
     "fe80::1234:0:5678", "1:2:3:4:5:6:7:8", "1:0:0:4:5:0:0:8", "0:1::", "abcd:ef01:2345:6789:abcd:ef01:2345:6789"],
)
def test_addresses_as_text(address):
    family = AF_INET6 if ":" in address else AF_INET
    assert address_text(address) == inet_ntop(family, inet_pton(family, address))
