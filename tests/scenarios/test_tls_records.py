"""Records of TLS 1.3 as hostile clients make them (RFC 8446 section 5): each is understood, or ends its own connection alone."""

import pytest

from tests.scenarios.harness.objects import certificate_of, document, exposed
from tests.scenarios.harness.records import ALERT, DATA, HANDSHAKE, KEY_UPDATE, RecordClient
from tests.scenarios.harness.settings import TLS

HOST = "one.test"
REQUEST = f"GET /asked HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
ANSWERED = b'"/asked"'
UNEXPECTED_MESSAGE, BAD_RECORD_MAC, RECORD_OVERFLOW, DECODE_ERROR = 10, 20, 22, 50
CONTENT_MOST, LENGTH_MOST = 16384, 16640


@pytest.fixture(scope="module")
def edge(lasting_daemon, lasting_backend, authority):
    edged = lasting_daemon(TLS)
    shown = certificate_of(authority.issue("of one", [HOST]))
    edged.change_routes(document(*exposed("one", HOST, lasting_backend().address, tls={"termination": "edge", **shown})))
    return edged


@pytest.fixture
def client(edge, tmp_path):
    with RecordClient(edge.address("tls"), HOST, tmp_path) as client:
        yield client
    edge.until_idle()


def asks(client):
    client.send(DATA, REQUEST)
    assert ANSWERED in client.data(ANSWERED)


def test_one_byte_a_record(client):
    for byte in REQUEST:
        client.send(DATA, bytes([byte]))
    client.data(ANSWERED)


def test_one_byte_a_segment(client):
    for byte in client.sending.seal(DATA, REQUEST):
        client.sock.sendall(bytes([byte]))
    client.data(ANSWERED)
    asks(client)


def test_many_requests_in_one_segment(client):
    client.sock.sendall(b"".join(client.sending.seal(DATA, REQUEST) for _ in range(200)))
    got = b""
    while got.count(ANSWERED) < 200:
        kind, content = client.record()
        assert kind == DATA
        got += content


def test_a_head_and_then_a_record_for_which_there_is_little_room_left(client):
    """All of it is there; nothing that comes later wakes anybody."""
    size = 12_000
    head = REQUEST[:-2] + b"Content-Length: %d\r\n" % CONTENT_MOST
    client.send(DATA, head + b"X-Long: " + b"x" * size)
    client.sock.sendall(client.sending.seal(DATA, b"\r\n\r\n" + bytes(CONTENT_MOST - 4)) + client.sending.seal(DATA, bytes(4)))
    client.data(ANSWERED)


def test_more_empty_records_than_are_read_at_once(client):
    client.sock.sendall(b"".join(client.sending.seal(DATA, b"", 200) for _ in range(5000)) + client.sending.seal(DATA, REQUEST))
    client.data(ANSWERED)


@pytest.mark.parametrize("padding", [1, 255, CONTENT_MOST - len(REQUEST)])
def test_padding(client, padding):
    client.send(DATA, REQUEST, padding)
    client.data(ANSWERED)
    asks(client)


def test_empty_records(client):
    client.sock.sendall(b"".join(client.sending.seal(DATA, b"", number) for number in range(50)))
    asks(client)


def test_largest_record(client):
    body = bytes(CONTENT_MOST)
    client.send(DATA, f"PUT /asked HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    client.send(DATA, body)
    client.data(ANSWERED)
    asks(client)


@pytest.mark.parametrize("follow", [0, 1])
def test_new_keys(client, follow):
    asks(client)
    for _ in range(3):
        client.send(HANDSHAKE, KEY_UPDATE + bytes([follow]))
        client.sending.turn()
        if follow:
            assert client.record() == (HANDSHAKE, KEY_UPDATE + b"\0")
            client.receiving.turn()
        asks(client)


def test_new_keys_and_data_in_one_segment(client):
    first = client.sending.seal(HANDSHAKE, KEY_UPDATE + b"\0")
    client.sending.turn()
    client.sock.sendall(first + client.sending.seal(DATA, REQUEST))
    client.data(ANSWERED)


def test_endless_new_keys(client):
    for _ in range(33):
        client.send(HANDSHAKE, KEY_UPDATE + b"\0")
        client.sending.turn()
    assert client.alert() == UNEXPECTED_MESSAGE


@pytest.mark.parametrize(
    "message", [KEY_UPDATE + b"\2", KEY_UPDATE, KEY_UPDATE + b"\0" + KEY_UPDATE + b"\0", b"\x01\0\0\1\0", b"\x04\0\0\1\0", b"\0", b""],
)
def test_handshakes_that_have_no_place(client, message):
    client.send(HANDSHAKE, message)
    assert client.alert() == UNEXPECTED_MESSAGE


@pytest.mark.parametrize("kind", [0x14, 24, 255, 1])
def test_contents_that_do_not_exist(client, kind):
    client.send(kind, b"x")
    assert client.alert() == UNEXPECTED_MESSAGE


def test_nothing_but_padding(client):
    client.send(0, b"", 30)
    assert client.alert() == UNEXPECTED_MESSAGE


def test_a_record_that_was_changed(client):
    sealed = bytearray(client.sending.seal(DATA, REQUEST))
    sealed[20] ^= 1
    client.sock.sendall(sealed)
    assert client.alert() == BAD_RECORD_MAC


def test_a_record_that_comes_again(client):
    sealed = client.sending.seal(DATA, REQUEST)
    client.sock.sendall(sealed)
    client.data(ANSWERED)
    client.sock.sendall(sealed)
    assert client.alert() == BAD_RECORD_MAC


@pytest.mark.parametrize("length", [0, 1, 16])
def test_too_short_to_be_sealed(client, length):
    client.sock.sendall(b"\x17\x03\x03" + length.to_bytes(2, "big") + bytes(length))
    assert client.alert() == BAD_RECORD_MAC


def test_longer_than_any_record(client):
    client.sock.sendall(b"\x17\x03\x03" + (LENGTH_MOST + 1).to_bytes(2, "big") + bytes(100))
    assert client.alert() == RECORD_OVERFLOW


def test_longer_content_than_any(client):
    client.send(DATA, bytes(CONTENT_MOST + 1))
    assert client.alert() == RECORD_OVERFLOW


@pytest.mark.parametrize(
    "plain", [b"\x15\x03\x03\0\2\1\0", b"\x14\x03\x03\0\1\1", b"\x16\x03\x03\0\5" + KEY_UPDATE + b"\0", b"GET / HTTP/1.1\r\n"],
)
def test_records_that_nobody_sealed(client, plain):
    client.sock.sendall(plain)
    assert client.alert() == UNEXPECTED_MESSAGE


def test_goodbye(client):
    client.send(ALERT, b"\1\0")
    assert client.record() == (ALERT, b"\1\0")
    assert client.record() is None


def test_a_cancel_says_nothing(client):
    client.send(ALERT, b"\1\x5a")
    asks(client)


@pytest.mark.parametrize("alert", [b"\2\x28", b"\1\x64"])
def test_an_alert_ends_all(client, alert):
    client.send(ALERT, alert)
    assert client.record() is None


@pytest.mark.parametrize("alert", [b"", b"\1", b"\1\0\0"])
def test_an_alert_of_a_wrong_size(client, alert):
    client.send(ALERT, alert)
    assert client.alert() == DECODE_ERROR


@pytest.mark.parametrize("cut", [1, 4, 5, 6, 100])
def test_cut_off_in_a_record(edge, client, cut):
    client.sock.sendall(client.sending.seal(DATA, REQUEST + b"x" * 100)[:cut])
    client.close()
    edge.until_idle()
