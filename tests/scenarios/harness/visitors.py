"""Clients that come again and again while something else happens."""

import threading
from collections.abc import Callable, Iterator

from tests.scenarios.harness.client import Client, get, secured
from tests.scenarios.harness.until import until

__all__ = ["Visit", "Visitors", "usual_visits"]

Visit = Callable[[], Iterator[None]]             # one client; it yields whenever it was served

SERVED_S = 90.0                                  # on a machine that is busy


class Visitors:
    """Each kind of client in a thread of its own, over and over; whatever goes wrong is kept."""

    def __init__(self, *visits) -> None:
        self.wrong: list[str] = []
        self.served = dict.fromkeys((visit.__name__ for visit in visits), 0)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._come, args=(visit,)) for visit in visits]
        for thread in self._threads:
            thread.start()
        self.go_on()

    def _come(self, visit) -> None:
        while not self._over.is_set():
            try:
                for _ in visit():
                    self.served[visit.__name__] += 1
                    if self._over.is_set():
                        break
            except (OSError, EOFError, AssertionError) as why:
                self.wrong.append(f"{visit.__name__}: {why!r}")

    def go_on(self) -> None:
        """Until each kind was served again."""
        before = dict(self.served)
        until(lambda: all(self.served[name] > count for name, count in before.items()), SERVED_S, "every kind of client is served")

    def leave(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


def usual_visits(edged, context, host):
    """Clients that come anew for each request, and such that stay until they are told that it closes; in plain text, and over TLS."""
    plain, safe = edged.address(), edged.address("tls")

    def anew():
        assert get(plain, host=host, Connection="close").status == 200
        yield

    def anew_over_tls():
        with secured(Client(safe), host, context) as client:
            assert client.ask(host=host, Connection="close").status == 200
        yield

    def stays():
        yield from _kept_alive(Client(plain), host)

    def stays_over_tls():
        yield from _kept_alive(secured(Client(safe), host, context), host)

    return anew, anew_over_tls, stays, stays_over_tls


def _kept_alive(client, host):
    with client:
        while True:
            answer = client.ask(host=host)
            assert answer.status == 200
            yield
            if answer.get("connection") == "close":
                assert client.rest() == b""
                return
