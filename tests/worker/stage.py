"""A worker with its real engine, told what to do over real wires, in this process; the supervisor's and control's side of it."""

import contextlib
import gc
import os
import socket

import msgpack
import trio

from edged._fast.memory.arena import Arena
from edged._fast.route.table import TableBuilder
from edged.model.backend import Backend
from edged.model.route import Route
from edged.model.state import State
from edged.settings.load import read
from edged.wire import Wire, wire_pair
from edged.worker.process import worker_main

PLAIN = '[[listener]]\nname = "web"\naddress = "127.0.0.1:0"\n'
SECURE = '[[listener]]\nname = "secure"\naddress = "127.0.0.1:0"\nmode = "https"\n'
SETTINGS = """
[worker]
count = 2
nice = 0
[timeouts]
http_request = "20s"
[run]
drain_timeout = "5s"
"""


def table(version, *hosts):
    routes = tuple(Route(host, host, "", Backend(f"be:{host}")) for host in hosts)
    fd = os.memfd_create("arena")
    arena = Arena(fd)
    os.close(fd)
    slots = {(route.backend.name, ""): arena.claim_slot(hash(route.key) & 0xFFFF | 1) for route in routes}
    return TableBuilder().build(State(version, routes), slots)


class Scene:
    """The supervisor's and control's side."""

    def __init__(self, nursery, settings):
        self.nursery = nursery
        ours, theirs = wire_pair()
        self.wire = Wire(ours)
        self.arena_fd = os.memfd_create("arena")
        self.gone = trio.Event()
        self.controls = []
        nursery.start_soon(self._run, settings, Wire(theirs))

    async def _run(self, settings, wire):
        await worker_main(1, settings, wire, os.dup(self.arena_fd), 1)
        self.gone.set()

    async def control(self):
        """Introduce a control; answers its wire."""
        ours, theirs = wire_pair()
        await self.wire.send({"type": "control"}, [theirs.fileno()])
        theirs.close()
        self.controls.append(Wire(ours))
        return self.controls[-1]

    async def publish(self, control, version, *hosts):
        fd = table(version, *hosts)
        await control.send({"type": "table", "version": version}, [fd])
        os.close(fd)

    async def certify(self, control, version, *, whole=True, body=None, **parts):
        """Send certificates; answers what the worker says."""
        fd = os.memfd_create("certificates")
        os.write(fd, msgpack.packb(parts) if body is None else body)
        await control.send({"type": "certificates", "version": version, "whole": whole}, [fd])
        os.close(fd)
        return (await control.receive())[0]

    async def listen(self, slot=1, number=0):
        """Give the worker a socket of a slot, for a listener; answers its address."""
        with socket.create_server(("127.0.0.1", 0)) as sock:
            sock.setblocking(False)
            await self.wire.send({"type": "listen", "slot": slot, "listeners": [number]}, [sock.fileno()])
            return sock.getsockname()

    async def serving(self, *hosts):
        control = await self.control()
        await self.publish(control, 1, *hosts)
        assert (await self.wire.receive())[0] == {"type": "serving"}
        assert (await control.receive())[0] == {"type": "table_in_force", "version": 1}
        return control


def play(tmp_path, scene, more='[log]\ntarget = "off"\n', listeners=PLAIN):
    path = tmp_path / "edged.toml"
    path.write_text(listeners + SETTINGS + more)
    settings, problems = read(str(path), {})
    assert problems == []

    async def main():
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                stage = Scene(nursery, settings)
                try:
                    await scene(stage)
                    await stage.gone.wait()
                finally:
                    for wire in (stage.wire, *stage.controls):
                        wire.close()
                    os.close(stage.arena_fd)

    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    trio.run(main)
    gc.collect()                                 # tables, rings and arenas close theirs when nobody holds them
    assert len(os.listdir("/proc/self/fd")) == before


async def ask(address, host="a.example"):
    """The status that is answered, or None if nobody takes the connection."""
    try:
        stream = await trio.open_tcp_stream(*address)
    except OSError:
        return None
    answer = b""
    async with stream:
        with contextlib.suppress(trio.BrokenResourceError):          # it waited at a door that was closed
            await stream.send_all(f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            async for got in stream:
                answer += got
    return int(answer.split()[1]) if answer else None
