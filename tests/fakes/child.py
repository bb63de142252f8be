"""Children that keep the supervisor's contract and carry no traffic to speak of: each answers a connection with who it is.

Started as `child.py WING INDEX FD`, in place of the real command. The directory in $FAKES steers them:
  hold-control, hold-worker-N   the child says nothing until the file is gone
  fail-control, fail-worker-N   it leaves with status 3 at once
  hold-drain-worker-N           it accepts no more, and does not leave after a drain until the file is gone
  open-worker-N                 it has as many exchanges as stand there when it is told to drain
  cut-worker-N                  and so many of others were cut; without the file it tells of none, as an earlier program's
  deaf                          workers do not leave when they are told to drain or stop
  mute-control, mute-worker-N   it answers no ping
"""

import contextlib
import os
import socket
import sys
from hashlib import sha256
from pathlib import Path

import trio

from edged.child import run_child
from edged.wire import Wire, WireClosed

FAKES = Path(os.environ["FAKES"])


async def held(name):
    while (FAKES / f"hold-{name}").exists():  # noqa: ASYNC110 - files send no events
        await trio.sleep(0.005)
    if (FAKES / f"fail-{name}").exists():
        sys.exit(3)


async def answer_ping(name, wire):
    if not (FAKES / f"mute-{name}").exists():
        await wire.send({"type": "pong"})


def say(name, line):
    """In one piece, as others write there, too."""
    os.write(2, f"fake {name}: {line}\n".encode())


async def control(settings, wire, arena_fd, _stripe):
    await held("control")
    await wire.send({"type": "ready", "routes": 2})
    while True:
        try:
            message, fds = await wire.receive()
        except WireClosed:
            return
        if message["type"] == "worker":
            other = Wire.from_fd(fds[0])
            try:
                await other.send({"type": "hello", "pid": os.getpid()})
            except WireClosed:
                say("control", "that worker is gone already")
        elif message["type"] in ("stop", "retire"):
            return
        elif message["type"] == "ping":
            await answer_ping("control", wire)
        elif message["type"] == "log_level":
            say("control", f"log level {message['level']}")
        elif message["type"] == "pause":
            await wire.send({"type": "paused"})
        elif message["type"] == "others":
            say("control", f"others {({key: message[key] for key in ('control', 'workers')})}")
        else:
            say("control", message["type"])


class FakeWorker:
    def __init__(self, index):
        self.name = f"worker-{index}"
        self.told_by = 0                         # process id of the control that said hello last
        self.open = {}                           # slot -> scopes

    def exchanges(self):
        file = FAKES / f"open-{self.name}"
        return int(file.read_text()) if file.exists() else 0

    def cut(self):
        file = FAKES / f"cut-{self.name}"
        return {"cut": int(file.read_text())} if file.exists() else {}

    async def run(self, settings, wire, arena_fd, stripe):
        say(self.name, f"stripe {stripe}")
        await held(self.name)
        await wire.send({"type": "serving"})
        async with trio.open_nursery() as nursery:
            while True:
                try:
                    message, fds = await wire.receive()
                except WireClosed:
                    break
                match message["type"]:
                    case "control":
                        nursery.start_soon(self.hear, Wire.from_fd(fds[0]))
                    case "listen":
                        for fd in fds:
                            scope = trio.CancelScope()
                            self.open.setdefault(message["slot"], []).append(scope)
                            nursery.start_soon(self.accept, socket.socket(fileno=fd), message["slot"], scope)
                    case "unlisten":
                        for scope in self.open.pop(message["slot"], []):
                            scope.cancel()
                    case "ping":
                        await answer_ping(self.name, wire)
                    case "log_level":
                        say(self.name, f"log level {message['level']}")
                    case "hand_over":
                        with socket.socket(fileno=fds[0]) as taker:
                            taker.send(f"{self.name} ({os.getpid()})".encode())
                    case "take_over":
                        nursery.start_soon(self.take_over, trio.socket.from_stdlib_socket(socket.socket(fileno=fds[0])))
                    case "tickets":
                        say(self.name, f"tickets {message['period']} {sha256(message['secret']).hexdigest()}")
                    case "drain" | "stop" as order:
                        if order == "drain":
                            say(self.name, f"drains: {message['exchanges_ms']} ms, tunnels {message['tunnels_ms']} ms")
                        nursery.start_soon(self.leave, order, wire, nursery.cancel_scope)
                    case other:
                        say(self.name, other)
            nursery.cancel_scope.cancel()

    async def hear(self, wire):
        try:
            message, _ = await wire.receive()
            self.told_by = message["pid"]
        except WireClosed:
            say(self.name, "that control is gone already")

    async def leave(self, order, wire, here):
        for scope in [scope for scopes in self.open.values() for scope in scopes]:
            scope.cancel()
        exchanges = self.exchanges()
        with contextlib.suppress(WireClosed):
            await wire.send({"type": "drains", "open": exchanges, "finished": 0, "handed_over": 0, **self.cut()})
            say(self.name, "has told how its exchanges get on")
            await held(f"{order}-{self.name}")
            if (FAKES / "deaf").exists():
                await trio.sleep_forever()
            if order == "drain":
                await wire.send({"type": "drains", "open": 0, "finished": exchanges, "handed_over": 0, **self.cut()})
        here.cancel()

    async def take_over(self, giver):
        with giver:
            say(f"{self.name} ({os.getpid()})", f"takes the tunnels of {(await giver.recv(100)).decode()}")

    async def accept(self, sock, slot, scope):
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(sock))
        with scope:
            async with listener:
                while True:
                    stream = await listener.accept()
                    with trio.CancelScope(shield=True):          # whoever was let in is answered
                        async with stream:
                            await stream.send_all(f"{self.name} {slot} {os.getpid()} {self.told_by}".encode())


def main():
    wing, index, fd = sys.argv[-3], int(sys.argv[-2]), int(sys.argv[-1])
    if wing == "control":
        return run_child("control", fd, control)
    return run_child(f"worker {index}", fd, FakeWorker(index).run)


if __name__ == "__main__":
    sys.exit(main())
