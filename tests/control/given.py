"""Routes, objects and plugins for the tests of control, with as little said as each test needs."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import trio

from edged.hooks import Backend, Endpoint, Object, Origin, Route, Snapshot

TEST_MOST_S = 30


def endpoint(address: str = "127.0.0.1:80", **more: Any) -> Endpoint:
    host, _, port = address.rpartition(":")
    return Endpoint(host, int(port), more.pop("name", address), **more)


def route(key: str = "r", host: str = "h.example.com", path: str = "", *, to: Sequence[Endpoint | str] = (), line: int = 0,
    **more: Any) -> Route:
    backend = more.pop("backend", None) or Backend(key or "nameless", tuple(endpoint(one) if isinstance(one, str) else one for one in to))
    return Route(key, host, path, backend, origin=Origin(more.pop("where", "routes.yaml"), line), **more)


def thing(kind: str, name: str, namespace: str = "ns", **more: Any) -> Object:
    """An object of a cluster; `metadata` is added to what every object has."""
    meta = {"name": name, "namespace": namespace, **more.pop("metadata", {})}
    return Object({"kind": kind, "metadata": meta, **more}, Origin("objects.yaml", more.pop("line", 1)))


def endpoints(name: str, *addresses: str, port: int = 8080, port_name: str = "http", **more: Any) -> Object:
    """An Endpoints object with one subset."""
    subset = {"addresses": [{"ip": ip} for ip in addresses], "ports": [{"name": port_name, "port": port}]}
    return thing("Endpoints", name, subsets=[subset], **more)


def play(story: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous test; one that hangs fails."""

    async def bounded() -> None:
        with trio.fail_after(TEST_MOST_S):
            await story()

    trio.run(bounded)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for a condition; the test's own deadline bounds it."""
    while not condition():  # noqa: ASYNC110 - what is waited for is seen from outside
        await trio.sleep(0.005)


class Given:
    """A source that publishes what it is told to: `await given(snapshot)`."""

    def __init__(self, name: str = "given", *, filter_addresses: bool = False) -> None:
        self.name = name
        self.filter_addresses = filter_addresses
        self.runs = 0
        self._send, self._receive = trio.open_memory_channel[Snapshot](100)

    async def __call__(self, *routes: Route, objects: Sequence[Object] = ()) -> None:
        await self._send.send(Snapshot(routes, tuple(objects)))

    async def run(self, publish: Callable[[Snapshot], Awaitable[None]]) -> None:
        self.runs += 1
        async for snapshot in self._receive.clone():
            await publish(snapshot)
