"""An endpoint's limit of exchanges, and those who wait for a place."""

import threading

from tests.scenarios.harness.accessline import http_line
from tests.scenarios.harness.backend import Gate
from tests.scenarios.harness.until import until


class Busy:
    """A script that counts how many are with it at once."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, peer) -> None:
        while True:
            peer.request()
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            self.gate.pass_()
            with self._lock:
                self.now -= 1
            peer.reply(b"served")


def test_never_more_than_the_limit_and_nobody_is_forgotten(site, backend):
    busy = Busy()
    shop = site(to=[{"address": backend(busy).address, "maxconn": 3}])
    clients = [shop.connect() for _ in range(20)]
    for client in clients:
        client.send(shop.request())
    until(lambda: busy.now == 3)
    until(lambda: shop.daemon.gauges()["queued"] == 17)
    busy.gate.open()
    assert all(client.answer().body == b"served" for client in clients)
    assert busy.most == 3
    assert shop.daemon.gauges()["queued"] == 0


def test_the_first_come_is_served_first(site, backend):
    busy = Busy()
    one = backend(busy)
    shop = site(to=[{"address": one.address, "maxconn": 1}])
    clients = [shop.connect() for _ in range(6)]
    for n, client in enumerate(clients):
        client.send(shop.request(f"/{n}"))
        until(lambda n=n: shop.daemon.gauges()["exchanges"] == n + 1)
    busy.gate.open()
    for client in clients:
        assert client.answer().body == b"served"
    assert [request.target for request in one.requests] == [f"/{n}" for n in range(6)]


def test_the_line_tells_the_wait(site, backend):
    busy = Busy()
    shop = site(to=[{"address": backend(busy).address, "maxconn": 1}])
    first, second = shop.connect(), shop.connect()
    first.send(shop.request("/1"))
    busy.gate.wait_for_somebody()
    second.send(shop.request("/2"))
    until(lambda: shop.daemon.gauges()["queued"] == 1)
    assert first.silent_s(0.3)
    busy.gate.open()
    assert second.answer().status == 200
    line = http_line(shop.line(second))
    assert line.wait_ms >= 290
    assert line.backend_queue == 0               # nobody was before it


def test_a_full_endpoint_leaves_requests_to_another(site, backend):
    busy, free = Busy(), backend()
    shop = site(to=[{"address": backend(busy).address, "maxconn": 1}, free.address])
    held = shop.connect()
    held.send(shop.request())
    busy.gate.wait_for_somebody()
    for _ in range(5):
        assert shop.ask().status == 200
    assert len(free.requests) == 5
    busy.gate.open()
    assert held.answer().status == 200


def test_the_limit_holds_over_all_workers(daemon, backend):
    busy = Busy()
    edged = daemon({"worker": {"count": 2}}, [{"host": "*", "to": [{"address": backend(busy).address, "maxconn": 4}]}])
    clients = [edged.connect() for _ in range(24)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: edged.gauges()["exchanges"] == 24)
    assert busy.most <= 4
    busy.gate.open()
    assert all(client.answer().body == b"served" for client in clients)
    assert busy.most <= 4
    for client in clients:
        client.close()
