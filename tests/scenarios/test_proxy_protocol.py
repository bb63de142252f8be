"""The PROXY protocol, with HAProxy on the other side."""

import json
import socket
import struct

import pytest

from tests.scenarios.harness.client import Client, get, request_bytes
from tests.scenarios.harness.peers import free_port, haproxy

V2 = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.fixture
def peer(tmp_path):
    """peer(sections, *ports) starts HAProxy."""
    running = []

    def start(sections, *ports):
        running.append(haproxy(tmp_path / f"haproxy-{len(running)}", sections, ports))

    yield start
    for one in running:
        one.stop()


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_haproxy_in_front_tells_us_the_client(daemon, backend, peer, send):
    origin = backend()
    edged = daemon({"listener": [{"name": "web", "address": "127.0.0.1:0", "accept_proxy": True}]}, [{"host": "*", "to": [origin.address]}])
    port = free_port()
    peer(f"""
listen front
    bind 127.0.0.1:{port}
    mode tcp
    server edged 127.0.0.1:{edged.address()[1]} {send}
""", port)
    with Client(("127.0.0.1", port), source="127.0.0.77") as client:
        fields = dict(json.loads(client.ask().body)["fields"])
        assert fields["x-forwarded-for"] == "127.0.0.77"
        assert edged.line_of(client)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_behind_us_is_told_the_client(daemon, peer, version):
    port = free_port()
    peer(f"""
frontend back
    bind 127.0.0.1:{port} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port] %[dst]:%[dst_port]"
""", port)
    edged = daemon(routes=[{"host": "*", "to": [f"127.0.0.1:{port}"], "send_proxy": version}])
    with Client(edged.address(), source="127.0.0.78") as client:
        for _ in range(3):
            told = client.ask().body.decode()
            assert told == f"{client.name} 127.0.0.1:{edged.address()[1]}"
    with Client(edged.address(), source="127.0.0.79") as other:      # its requests never go over the connection of another client
        assert other.ask().body.decode().startswith(f"{other.name} ")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_address_goes_through_from_front_to_back(daemon, peer, version):
    behind, front = free_port(), free_port()
    edged = daemon(
        {"listener": [{"name": "tcp", "address": "127.0.0.1:0", "mode": "tcp", "route": "through", "accept_proxy": True}]},
        [{"name": "through", "to": [f"127.0.0.1:{behind}"], "send_proxy": version}],
    )
    peer(f"""
frontend back
    bind 127.0.0.1:{behind} accept-proxy
    http-request return status 200 content-type text/plain lf-string "%[src]"
listen front
    bind 127.0.0.1:{front}
    mode tcp
    server edged 127.0.0.1:{edged.address("tcp")[1]} send-proxy-v2
""", behind, front)
    with Client(("127.0.0.1", front), source="127.0.0.80") as client:
        assert client.ask().body == b"127.0.0.80"


@pytest.fixture(scope="module")
def trusting(lasting_daemon, lasting_backend):
    """Listeners that take PROXY headers from anybody, from 127.0.0.7 alone, or never."""
    origin = lasting_backend()
    return lasting_daemon(
        {
            "listener": [
                {"name": "required", "address": "127.0.0.1:0", "accept_proxy": "required"},
                {"name": "trusted", "address": "127.0.0.1:0", "accept_proxy": "trusted-only", "trusted": ["127.0.0.7/32"]},
                {"name": "off", "address": "127.0.0.1:0"},
            ],
            "timeouts": {"proxy_header": "300ms"},
        },
        [{"host": "*", "to": [origin.address]}],
    )


def _v2(command: int, family: int, addresses: bytes) -> bytes:
    return V2 + struct.pack("!BBH", 0x20 | command, family, len(addresses)) + addresses


def test_headers_of_every_form_are_understood(trusting):
    packed6 = socket.inet_pton(socket.AF_INET6, "2001:db8::1") * 2
    forms = {
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n": "192.0.2.1",
        b"PROXY TCP6 2001:db8::1 2001:db8::2 1000 80\r\n": "2001:db8::1",
        b"PROXY UNKNOWN\r\n": "127.0.0.1",
        _v2(1, 0x11, bytes([192, 0, 2, 3, 192, 0, 2, 4]) + struct.pack("!HH", 1000, 80)): "192.0.2.3",
        _v2(1, 0x21, packed6 + struct.pack("!HH", 1000, 80)): "2001:db8::1",
        _v2(1, 0x11, bytes([192, 0, 2, 5, 192, 0, 2, 4]) + struct.pack("!HH", 1000, 80) + b"\x04\x00\x03abc"): "192.0.2.5",     # with a TLV
        _v2(0, 0x00, b""): "127.0.0.1",          # LOCAL: the sender speaks for itself
    }
    for header, source in forms.items():
        with trusting.connect("required") as client:
            client.send(header + request_bytes())
            assert dict(json.loads(client.answer().body)["fields"])["x-forwarded-for"] == source, header


def test_a_header_that_comes_byte_by_byte_is_understood(trusting):
    with trusting.connect("required") as client:
        for byte in b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n" + request_bytes():
            client.send(bytes([byte]))
        assert dict(json.loads(client.answer().body)["fields"])["x-forwarded-for"] == "192.0.2.1"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"PROXY TCP4 1.2.3.4\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 1\r\n",
        V2 + b"\x11\x11\0\x0c",
    ],
)
def test_whoever_must_send_a_header_and_does_not_is_cut_off(trusting, nonsense):
    with trusting.connect("required") as client:
        client.send(nonsense)
        assert client.until_gone() == b""


def test_a_header_that_does_not_come_is_not_waited_for_for_ever(trusting):
    with trusting.connect("required") as client:
        client.send(b"PROXY TCP4 192.0")
        assert client.until_gone() == b""


def test_only_trusted_addresses_may_speak_for_others(trusting):
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"
    with trusting.connect("trusted", source="127.0.0.7") as client:
        client.send(header + request_bytes())
        assert dict(json.loads(client.answer().body)["fields"])["x-forwarded-for"] == "192.0.2.1"
    with trusting.connect("trusted", source="127.0.0.8") as client:
        client.send(request_bytes())
        assert dict(json.loads(client.answer().body)["fields"])["x-forwarded-for"] == "127.0.0.8"
    for name in ("trusted", "off"):
        with trusting.connect(name, source="127.0.0.8") as client:
            client.send(header + request_bytes())
            assert client.answer().status == 400         # to us it is a bad request line


def test_a_health_check_of_the_balancer_in_front_is_answered(trusting):
    assert get(trusting.address("off")).status == 200
