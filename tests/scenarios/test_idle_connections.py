"""Ten thousand idle connections: what they cost, and that nothing of them stays."""

import os
import resource
import socket

from tests.scenarios.harness.client import get, request_bytes
from tests.scenarios.harness.until import until

COUNT = 10_000
EACH_MOST_BYTES = 640                            # of a worker's own memory, half of what HAProxy takes; the kernel's share is its own


def _connect_all(address, count, sources):
    clients = []
    for n in range(count):
        sock = socket.socket()
        sock.bind((sources[n % len(sources)], 0))
        sock.connect(address)
        clients.append(sock)
    return clients


def _one_request_each(clients, host):
    """Few at a time: this is about connections that are idle, not about a crowd of requests."""
    for at in range(0, len(clients), 50):
        for sock in clients[at:at + 50]:
            sock.sendall(request_bytes("/", host))
        for sock in clients[at:at + 50]:
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_ten_thousand_idle_connections_cost_little_and_leave_nothing(daemon, backend):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        edged = daemon(
            {"worker": {"max_connections": 19_000, "count": 2}, "timeouts": {"http_keep_alive": "10m"}},
            [{"host": "*", "to": [backend().address]}],
        )
        crowd = _connect_all(edged.address(), 200, ["127.0.0.1"])    # what requests need while they run stays at hand
        _one_request_each(crowd, "any.test")
        for sock in crowd:
            sock.close()
        edged.until_idle()
        sockets = [edged.sockets(index) for index in range(2)]
        before = [edged.anonymous_bytes(index) for index in range(2)]
        clients = _connect_all(edged.address(), COUNT, ["127.0.0.1", "127.0.0.2", "127.0.0.3"])
        try:
            _one_request_each(clients, "any.test")
            until(lambda: edged.gauges()["connections"] == COUNT)
            until(lambda: edged.gauges()["exchanges"] == 0)
            assert edged.gauges()["buffers"] == 0        # who has nothing in hand holds no block
            grown = sum(edged.anonymous_bytes(index) for index in range(2)) - sum(before)
            print(f"{COUNT} idle connections: {grown / COUNT:.0f} bytes each of the workers' memory")
            assert grown / COUNT < EACH_MOST_BYTES
            assert get(edged.address(), "/meanwhile").status == 200
        finally:
            for sock in clients:
                sock.close()
        edged.until_idle()
        backend.hang_up()
        until(lambda: edged.gauges()["pooled"] == 0)
        until(lambda: all(edged.sockets(index) <= sockets[index] for index in range(2)), what="no socket is left")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(os.listdir("/proc/self/fd")) < 500
