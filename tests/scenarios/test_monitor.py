"""The monitor path on real listeners: who is answered, over what, and what comes after it on the same connection."""

import contextlib
import json
import socket

import pytest

from tests.scenarios.harness.authority import Authority
from tests.scenarios.harness.backend import Gate
from tests.scenarios.harness.client import Client, get, request_bytes, secured
from tests.scenarios.harness.peers import curl
from tests.scenarios.harness.tls import client_context
from tests.scenarios.harness.until import until

PATH = "/_______internal_router_healthz"
V1 = b"PROXY TCP4 203.0.113.5 198.51.100.1 1111 80\r\n"
V1_NEAR = b"PROXY TCP4 127.0.0.1 127.0.0.1 1111 80\r\n"


def addresses() -> set[str]:
    """Of this node: one of loopback, and the one by which it speaks to others, where it does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
        sock.connect(("198.51.100.1", 9))        # sends nothing
        return {"127.0.0.2", str(sock.getsockname()[0])}
    return {"127.0.0.2"}


@pytest.fixture(scope="module")
def edged(lasting_daemon, lasting_backend, tmp_path_factory):
    path = tmp_path_factory.mktemp("unix") / "near.sock"
    default = tmp_path_factory.mktemp("tls") / "default.pem"
    default.write_text(Authority().issue("default", ["any.test"]).bundle)
    return lasting_daemon(
        {
            "listener": [
                {"name": "web", "address": "127.0.0.1:0"},
                {"name": "all", "address": "127.0.0.1:0", "monitor": "all"},
                {"name": "tls", "address": "127.0.0.1:0", "mode": "https", "monitor": "all"},
                {"name": "near", "address": "0.0.0.0:0", "monitor": "local"},
                {"name": "near6", "address": "[::]:0", "monitor": "local"},
                {"name": "near-unix", "address": f"unix:{path}", "monitor": "local"},
                {"name": "proxied", "address": "127.0.0.1:0", "monitor": "local", "accept_proxy": "required"},
            ],
            "tls": {"default_certificate": str(default)},
        },
        [{"host": "any.test", "to": [lasting_backend().address], "tls": {"insecure": "allow"}}],
    )


def is_monitor(answer) -> bool:
    return (answer.status, answer.body, answer.get("cache-control")) == (200, b"OK\n", "no-store")


def is_routed(answer) -> bool:
    """The endpoint tells what it was asked."""
    return answer.status == 200 and json.loads(answer.body)["target"] == PATH


def test_curl_is_answered(edged):
    told = curl("-i", "-H", "Host: nobody.test", edged.url(PATH, "all"))
    assert told.startswith(b"HTTP/1.1 200 OK\r\n")
    assert told.endswith(b"\r\n\r\nOK\n")
    assert curl("-I", edged.url(PATH, "all")).startswith(b"HTTP/1.1 200 OK\r\n")
    assert curl("-o", "/dev/null", "-w", "%{http_code}", "-d", "x=1", edged.url(PATH, "all")) == b"405"


def test_off_by_default(edged):
    assert is_routed(get(edged.address(), PATH))
    assert get(edged.address(), PATH, "nobody.test").status == 503


def test_one_connection_before_and_after_it(edged):
    with edged.connect("all") as client:
        for _ in range(3):
            assert is_monitor(client.ask(PATH, "nobody.test"))
            assert is_monitor(client.ask(PATH))
            head = client.ask(PATH, method="HEAD")
            assert (head.status, head.get("content-length")) == (200, "3")
            refused = client.ask(PATH, method="POST")
            assert (refused.status, refused.get("allow")) == (405, "GET, HEAD")
            assert json.loads(client.ask("/other").body)["target"] == "/other"
        assert PATH not in edged.line_of(client)


def test_pipelined(edged):
    with edged.connect("all") as client:
        asked = [(PATH, "GET"), ("/a", "GET"), (PATH, "HEAD"), (PATH, "GET"), ("/b", "GET")]
        client.send(b"".join(request_bytes(target, method=method) for target, method in asked))
        assert is_monitor(client.answer())
        assert json.loads(client.answer().body)["target"] == "/a"
        assert client.answer(to_head=True).status == 200
        assert is_monitor(client.answer())
        assert json.loads(client.answer().body)["target"] == "/b"


def test_there_is_no_access_line_but_a_count(edged):
    before = edged.arena.totals()
    with edged.connect("all") as client:
        client.ask(PATH)
        client.ask("/after")
        assert len([line for line in edged.lines() if line.startswith(f"{client.name} ")]) <= 1
        assert "/after" in edged.line_of(client)
    after = edged.arena.totals()
    assert (after["requests"] - before["requests"], after["answered_here"] - before["answered_here"]) == (2, 1)


def test_inside_tls(edged):
    with secured(edged.connect("tls"), "any.test", client_context()) as client:
        for _ in range(2):
            assert is_monitor(client.ask(PATH, "nobody.test"))
        assert json.loads(client.ask("/x").body)["target"] == "/x"


def test_near_are_loopback_and_unix_sockets(edged):
    port = edged.address("near")[1]
    assert is_monitor(get(("127.0.0.1", port), PATH))
    with Client(("127.0.0.1", port), source="127.9.9.9") as client:
        assert is_monitor(client.ask(PATH))
    port6 = edged.address("near6")[1]
    assert is_monitor(get(("::1", port6), PATH))
    assert is_monitor(get(("127.0.0.1", port6), PATH))           # as ::ffff:127.0.0.1
    assert is_monitor(get(edged.address("near-unix"), PATH))


def test_near_is_who_comes_from_the_address_that_it_asks(edged):
    port = edged.address("near")[1]
    for address in addresses():
        with Client((address, port), source=address) as client:
            assert is_monitor(client.ask(PATH, X_Forwarded_For="203.0.113.5"))


def test_others_are_routed(edged):
    """Such as who comes from another address than the one that it asks: so do neighbours."""
    port = edged.address("near")[1]
    for address in addresses() - {"127.0.0.2"}:
        with Client(("127.0.0.1", port), source=address) as client:
            assert is_routed(client.ask(PATH, X_Forwarded_For="127.0.0.1", Forwarded="for=127.0.0.1"))
            assert client.ask(PATH, "nobody.test").status == 503


def test_a_proxy_header_brings_nobody_near_nor_away(edged):
    """It tells of clients of the peer; the peer itself is on this node."""
    for header in (V1, V1_NEAR, b"PROXY UNKNOWN\r\n"):
        with edged.connect("proxied") as client:
            client.send(header)
            assert is_monitor(client.ask(PATH))
            assert client.ask().status == 200
    with edged.connect("proxied") as client:     # no header, no answer
        client.send(request_bytes(PATH))
        assert client.until_gone() == b""


def test_in_a_drain_it_answers_and_closes(daemon, backend):
    gate = Gate()

    def waits(peer):
        peer.request()
        gate.pass_()
        peer.reply(b"late")

    listener = {"name": "web", "address": "127.0.0.1:0", "monitor": "all"}
    edged = daemon({"listener": [listener], "run": {"drain_timeout": "30s"}}, [{"host": "*", "to": [backend(waits).address]}])
    with edged.connect() as idle, edged.connect() as fresh, edged.connect() as busy:
        assert is_monitor(idle.ask(PATH))
        until(lambda: edged.gauges()["connections"] == 3)
        busy.send(request_bytes("/"))
        gate.wait_for_somebody()
        edged.process.terminate()
        edged.until_said("draining")
        until(lambda: _refused(edged.address()), what="new connections are refused")
        while (answer := fresh.ask(PATH)).get("connection") != "close":
            assert is_monitor(answer)
        assert is_monitor(answer)
        assert fresh.rest() == b""
        gate.open()
        assert busy.answer().body == b"late"
    assert edged.process.wait(20) == 0


def _refused(address) -> bool:
    try:
        Client(address).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False


def test_by_the_variable_of_the_router(daemon, backend):
    edged = daemon(None, [{"host": "any.test", "to": [backend().address]}], {"ROUTER_METRICS_TYPE": "haproxy"})
    assert is_monitor(get(edged.address(), PATH, "nobody.test"))
