"""Endpoints that misbehave: what the client gets, and what the log says of it."""

import json

import pytest

from tests.scenarios.harness.accessline import http_line
from tests.scenarios.harness.backend import Gate, answer_bytes, tells_requests
from tests.scenarios.harness.until import until


def ask_and_read_log(shop, target="/", method="GET", body=b""):
    with shop.daemon.connect() as client:
        answer = client.ask(target, shop.host, method, body)
        return answer, http_line(shop.line(client))


def resets_at_once(peer):
    peer.request()
    peer.reset()


def closes_at_once(peer):
    peer.request()


def resets_in_the_head(peer):
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-")
    peer.reset()


def closes_in_the_head(peer):
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nContent-")


@pytest.mark.parametrize("script", [resets_at_once, closes_at_once, resets_in_the_head, closes_in_the_head])
def test_no_answer_is_told_as_502(site, script):
    shop = site(script)
    answer, line = ask_and_read_log(shop)
    assert answer.status == 502
    assert (line.status, line.code) == (502, "SH--")
    assert len(shop.backend.peers) == 1          # what may have been acted on is not repeated


GARBAGE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9\r\n\r\n",
    "binary": bytes(range(256)),
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "another version": b"HTTP/3.0 OK\r\n\r\n",
    "a blank before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n",
    "different lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "an unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x\r\n\r\nxx",
    "a head without end": b"HTTP/1.1 200 OK\r\nX-Big: " + b"v" * 20_000 + b"\r\n\r\n",
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 102 + b"\r\n",
    "an upgrade that nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_is_told_as_502(site, what):
    def answers_garbage(peer):
        peer.request()
        peer.send(GARBAGE[what])
        peer.until_gone()

    shop = site(answers_garbage)
    answer, line = ask_and_read_log(shop)
    assert answer.status == 502
    assert (line.status, line.code) == (502, "PH--")


@pytest.mark.parametrize("end", ["reset", "close"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_body_that_breaks_off_is_never_completed(site, end, coding):
    framing = {"length": b"Content-Length: 1000\r\n\r\n", "chunked": b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n"}
    gate = Gate()

    def breaks_off(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n" + framing[coding] + b"x" * 500)
        gate.pass_()
        peer.reset() if end == "reset" else peer.close()

    shop = site(breaks_off)
    client = shop.connect()
    client.send(shop.request())
    assert client.head().status == 200
    client.take_until(b"x" * 500)
    gate.open()
    assert client.until_gone() in (b"", b"\r\n")         # the end of the chunk that came, and no last one
    assert http_line(shop.line(client)).code == "SD--"


def test_a_bad_chunk_in_the_middle_cuts_the_client_off(site):
    gate = Gate()

    def answers(peer):
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        gate.pass_()
        peer.send(b"zz\r\n0\r\n\r\n")
        peer.until_gone()

    shop = site(answers)
    client = shop.connect()
    client.send(shop.request())
    client.head()
    client.take_until(b"first\r\n")
    gate.open()
    assert b"0\r\n\r\n" not in client.until_gone()
    assert http_line(shop.line(client)).code in ("SD--", "PD--")


def test_an_answer_before_a_reset_is_not_lost(site):
    """An endpoint that has had enough of a request may answer and reset."""
    def answers_and_resets(peer):
        peer.head()
        peer.reply(b"no more", "413 Payload Too Large", Connection="close")
        peer.reset()

    shop = site(answers_and_resets)
    for _ in range(5):
        with shop.daemon.connect() as client:
            client.send(f"PUT / HTTP/1.1\r\nHost: {shop.host}\r\nContent-Length: 10\r\n\r\n".encode())
            answer = client.answer()
            assert answer.status in (413, 502)   # the kernel may drop what it had received when the reset comes


# ---- connections that were kept


def test_a_get_on_a_connection_that_closes_under_it_is_repeated(site):
    def closes_at_the_second(peer):
        peer.request()
        peer.reply(b"first")
        peer.request()                           # and no answer

    shop = site(closes_at_the_second, tells_requests)
    client = shop.connect()
    assert client.ask("/1", shop.host).body == b"first"
    assert json.loads(client.ask("/2", shop.host).body)["target"] == "/2"
    assert [request.target for request in shop.backend.requests] == ["/1", "/2", "/2"]


def test_a_post_on_a_connection_that_closes_under_it_is_not_repeated(site):
    def closes_at_the_second(peer):
        peer.request()
        peer.reply(b"first")
        peer.request()

    shop = site(closes_at_the_second, tells_requests)
    client = shop.connect()
    assert client.ask("/1", shop.host).body == b"first"
    client.send(shop.request("/2", "POST", b"once"))
    told = client.until_gone()
    assert told == b"" or told.startswith(b"HTTP/1.1 502 ")
    assert [request.target for request in shop.backend.requests] == ["/1", "/2"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_was_closed_while_idle_is_not_used(site, method):
    def answers_once(peer):
        peer.request()
        peer.reply(b"once")

    shop = site(answers_once)
    client = shop.connect()
    for n in range(5):
        assert client.ask("/", shop.host, method, b"x" if method == "POST" else b"").body == b"once"
        shop.backend.peers[n].over.wait(10)
        until(lambda: shop.daemon.gauges()["pooled"] == 0)
    assert len(shop.backend.peers) == 5


def test_a_storm_of_closing_connections_loses_no_get(site):
    """Closing and reuse meet at every moment."""
    def answers_once(peer):
        peer.request()
        peer.send(answer_bytes(b"once"))

    shop = site(answers_once)
    client = shop.connect()
    for _ in range(300):
        assert client.ask("/", shop.host).body == b"once"


# ---- endpoints that cannot be reached


def test_a_lone_endpoint_that_refuses_is_tried_again(site, refusing):
    shop = site(to=[refusing.address], retries=1)
    answer, line = ask_and_read_log(shop)
    assert answer.status == 503
    assert (line.status, line.code, line.retries.lstrip("+")) == (503, "SC--", "1")


def test_an_endpoint_that_comes_back_between_attempts_is_reached(site, refusing):
    shop = site(to=[refusing.address])
    client = shop.connect()
    client.send(shop.request("/patient", "POST", b"kept"))       # nothing of it was sent: it may be tried again
    until(lambda: shop.daemon.gauges()["exchanges"])
    late = refusing.listen()
    try:
        assert json.loads(client.answer().body)["length"] == 4
        assert http_line(shop.line(client)).retries in ("1", "2", "3", "+3")
    finally:
        late.stop()


def test_another_endpoint_is_taken_at_once(site, refusing, backend):
    alive = backend()
    shop = site(to=[refusing.address, alive.address])
    for n in range(6):
        answer, line = ask_and_read_log(shop, f"/{n}", "POST", b"x")
        assert answer.status == 200
        assert line.active_ms < 900              # it does not wait before it goes elsewhere
    assert len(alive.requests) == 6


def test_where_all_refuse_the_client_knows_soon(site, refusing):
    shop = site(to=[refusing.address.replace("127.0.0.1", host) for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3")])
    answer, line = ask_and_read_log(shop)
    assert answer.status == 503
    assert (line.code, line.retries) == ("SC--", "+3")


def test_no_endpoint_at_all(site):
    answer, line = ask_and_read_log(site(to=[]))
    assert answer.status == 503
    assert (line.server, line.code) == ("<NOSRV>", "SC--")


def test_a_backup_is_used_only_when_needed(site, backend):
    main, backup = backend(), backend()
    shop = site(to=[main.address, {"address": backup.address, "backup": True}])
    for _ in range(4):
        assert shop.ask().status == 200
    assert (len(main.requests), len(backup.requests)) == (4, 0)
