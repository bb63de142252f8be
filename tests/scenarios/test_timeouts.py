"""Every timeout: who is timed, what is answered, and the code in the log."""

import contextlib
import socket
import threading

import pytest

from tests.scenarios.harness.accessline import http_line
from tests.scenarios.harness.backend import Gate, answer_bytes
from tests.scenarios.harness.client import request_bytes
from tests.scenarios.harness.until import until

LONG = "20s"
NAMES = ("client", "server", "connect", "queue", "tunnel")


@pytest.fixture(scope="module")
def patient(lasting_daemon):
    """A daemon all of whose timeouts are long."""
    return lasting_daemon({"timeouts": dict.fromkeys((*NAMES, "http_request", "http_keep_alive"), LONG)})


@pytest.fixture
def impatient(patient, backend):
    """impatient(*scripts, **timeouts): a route with short timeouts of its own; answers the daemon."""
    def lead(*scripts, to=None, retries=0, **timeouts):
        patient.change_routes([{"host": "*", "to": to or [backend(*scripts).address], "retries": retries, "timeouts": timeouts}])
        return patient

    yield lead
    patient.until_idle()


@pytest.fixture(scope="module")
def hasty(lasting_daemon, lasting_backend):
    """A daemon that waits for requests but shortly."""
    timeouts = {"http_request": "400ms", "http_keep_alive": "300ms", "client": LONG}
    return lasting_daemon({"timeouts": timeouts}, [{"host": "*", "to": [lasting_backend().address]}])


@pytest.fixture
def never():
    """A gate that stays shut until the test is over."""
    gate = Gate()
    yield gate
    gate.open()


def line_of(edged, client):
    return http_line(edged.line_of(client))


def test_http_request_a_head_that_never_ends(hasty):
    with hasty.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: any.test\r\nX-Slow: ")
        assert client.answer().status == 408
        assert client.until_gone() == b""
        line = line_of(hasty, client)
    assert (line.status, line.code, line.request) == (408, "cR--", "<BADREQ>")
    assert line.active_ms >= 390


def test_http_request_dripping_does_not_prolong_it(hasty):
    with hasty.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: any.test\r\nX-Slow: ")
        while client.silent_s(0.02):
            client.send(b"v")
        assert client.answer().status == 408
        assert line_of(hasty, client).active_ms < 1500


def test_http_request_nothing_at_all(hasty):
    with hasty.connect() as client:
        assert client.answer().status == 408


def test_http_keep_alive_ends_silently(hasty):
    with hasty.connect() as client:
        assert client.ask().status == 200
        hasty.line_of(client)
        assert client.rest() == b""              # no 408, and no line
        assert len([line for line in hasty.lines() if f"{client.name} " in line]) == 1


def test_client_a_body_that_stops(impatient):
    edged = impatient(client="300ms")
    with edged.connect() as client:
        client.send(request_bytes(method="POST", body=b"x" * 100)[:-50])
        answer = client.answer()
        assert answer.status == 408
        assert line_of(edged, client).code.startswith("c")


def test_client_an_answer_that_is_not_taken(impatient):
    def sends_much(peer):
        peer.request()
        peer.send(answer_bytes(b"x" * 50_000_000))

    edged = impatient(sends_much, client="300ms")
    with edged.connect(receive_bytes=4096) as client:
        client.send(request_bytes())
        client.head()
        assert line_of(edged, client).code == "cD--"


def test_server_no_answer(impatient, never):
    def never_answers(peer):
        peer.request()
        never.pass_()

    edged = impatient(never_answers, server="300ms")
    with edged.connect() as client:
        assert client.ask().status == 504
        line = line_of(edged, client)
    assert (line.status, line.code) == (504, "sH--")
    assert line.active_ms >= 290


def test_server_half_a_head(impatient, never):
    def stops_in_the_head(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-")
        never.pass_()

    edged = impatient(stops_in_the_head, server="300ms")
    with edged.connect() as client:
        assert client.ask().status == 504
        assert line_of(edged, client).code == "sH--"


def test_server_half_a_body(impatient, never):
    def stops_in_the_body(peer):
        peer.request()
        peer.send(answer_bytes(b"x" * 1000)[:-500])
        never.pass_()

    edged = impatient(stops_in_the_body, server="300ms")
    with edged.connect() as client:
        client.send(request_bytes())
        client.head()
        assert client.until_gone() == b"x" * 500
        line = line_of(edged, client)
    assert (line.status, line.code) == (200, "sD--")


def test_server_a_body_that_is_not_taken(impatient, never):
    def takes_nothing(peer):
        peer.head()
        never.pass_()

    edged = impatient(takes_nothing, server="300ms")
    with edged.connect() as client:
        client.send(b"PUT / HTTP/1.1\r\nHost: any.test\r\nContent-Length: 50000000\r\n\r\n")
        sender = threading.Thread(target=_send_all, args=(client, b"x" * 50_000_000))
        sender.start()                           # more than the kernel holds on the way
        assert client.answer().status == 504
        sender.join()
        assert line_of(edged, client).code == "sH--"


def _send_all(client, data: bytes) -> None:
    with contextlib.suppress(OSError):           # it is cut off at some time
        client.send(data)


def test_server_is_measured_from_byte_to_byte(impatient):
    """A slow answer is in order as long as something comes."""
    gates = [Gate() for _ in range(6)]

    def dribbles(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for gate in gates:
            gate.pass_()
            peer.send(b"x")

    edged = impatient(dribbles, server="600ms")
    with edged.connect() as client:
        client.send(request_bytes())
        client.head()
        for gate in gates:
            assert client.silent_s(0.2)
            gate.open()
            client.take(1)


@pytest.fixture
def unreachable():
    """An address where connecting neither succeeds nor fails: its queue is full, so the kernel drops what comes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        while True:                              # until one more finds no place
            one = socket.socket()
            one.settimeout(0.2)
            waiting.append(one)
            try:
                one.connect(listener.getsockname())
            except TimeoutError:
                break
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        for one in waiting:
            one.close()


def test_connect(impatient, unreachable):
    edged = impatient(to=[unreachable], connect="300ms")
    with edged.connect() as client:
        assert client.ask().status == 503
        line = line_of(edged, client)
    assert (line.status, line.code) == (503, "sC--")
    assert line.active_ms >= 290


def test_connect_each_attempt_has_the_whole_time(impatient, unreachable):
    edged = impatient(to=[unreachable], connect="200ms", retries=2)
    with edged.connect() as client:
        assert client.ask().status == 503
        line = line_of(edged, client)
    assert line.code == "sC--"
    assert line.active_ms >= 590
    assert line.retries.lstrip("+") == "2"


def test_queue(impatient, never, backend):
    def holds(peer):
        peer.request()
        never.pass_()
        peer.reply(b"at last")

    one = backend(holds)
    edged = impatient(to=[{"address": one.address, "maxconn": 1}], queue="300ms")
    with edged.connect() as first, edged.connect() as second:
        first.send(request_bytes("/first"))
        never.wait_for_somebody()
        assert second.ask("/second").status == 503
        line = line_of(edged, second)
        assert (line.status, line.code, line.server) == (503, "sQ--", "<NOSRV>")
        assert line.wait_ms >= 290
        never.open()
        assert first.answer().body == b"at last"
    assert len(one.requests) == 1


def test_tunnel_after_an_upgrade(impatient):
    def upgrades(peer):
        peer.request()
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        peer.until_gone()

    edged = impatient(upgrades, tunnel="300ms")
    with edged.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: any.test\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        assert client.answer().status == 101
        assert client.until_gone() == b""
        assert line_of(edged, client).code in ("cD--", "sD--")


def test_a_thousand_slow_heads_do_not_disturb_others(daemon, backend):
    edged = daemon({"timeouts": {"http_request": "1s"}}, [{"host": "*", "to": [backend().address]}])
    slow = [edged.connect() for _ in range(1000)]
    for client in slow:
        client.send(b"GET / HTTP/1.1\r\nHost: any.test\r\nX-Slow: ")
    with edged.connect() as client:
        for n in range(50):
            assert client.ask(f"/{n}").status == 200
    for client in slow:
        assert client.answer().status == 408
        client.close()
    until(lambda: edged.gauges()["connections"] == 0)
