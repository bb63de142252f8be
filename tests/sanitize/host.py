"""The process under the sanitizer: an engine, tables and keys that change all the time, and a look at what is left in the end.

A second engine takes all tunnels that may move, and gives them back: they go round and round.

Hears one command a line and answers each with a line of JSON: first its listeners' ports, then the answers to

  facts     what was done so far
  end       drain, stop, free the engine, and look for what it lost; then the process ends
  cut       the same, but stop at once
"""

import contextlib
import json
import os
import random
import select
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parent.parent.parent))

from edged._fast.memory.arena import Arena
from edged._fast.route.table import TableBuilder, open_table
from edged._fast.run.engine import Engine
from edged.control.slots import Slots
from edged.model.listener import Mode
from tests.sanitize.keys import Keys
from tests.sanitize.leaks import report_leaks
from tests.sanitize.site import LISTENERS, Ports, site

SWAP_S = 0.005
IDLE_S = 30.0
SLOTS = 8192
SPARE_PIPES = 64

CONFIG: dict[str, Any] = {
    "max_connections": 2000, "buffer_bytes": 16384, "max_header_bytes": 15360, "max_target_bytes": 8192, "max_headers": 101,
    "max_body_bytes": 0, "splice": True, "http_reuse": "always", "abort_on_close": True, "pool_idle": 64, "dont_log_null": False,
    "error_files": {}, "log_format": "http", "log_ring_bytes": 1 << 20,
    "timeouts": {                                # long enough for a machine that has other work as well
        "client_ms": 8000, "server_ms": 8000, "connect_ms": 5000, "http_request_ms": 8000, "http_keep_alive_ms": 8000, "queue_ms": 10000,
        "tunnel_ms": 8000, "client_fin_ms": 500, "server_fin_ms": 500, "proxy_header_ms": 8000, "tls_handshake_ms": 8000,
    },
}


class Host:
    def __init__(self, config: dict[str, Any], ports: Ports, authority: Path) -> None:
        self.ports = ports
        self.dice = random.Random(0)
        arena_fd = os.memfd_create("arena")
        self.arena = Arena(arena_fd, slots=SLOTS, stripes=2)
        os.close(arena_fd)
        self.arena.open_stripe(0)
        self.arena.open_stripe(1)
        self.engine: Engine | None = Engine(self.arena, 0, {**CONFIG, **config})
        self.json = config.get("log_format") == "json"
        self.builder = TableBuilder()
        self.slots = Slots(self.arena)
        self.version = 0
        self.lines = 0
        self.next_swap_s = 0.0
        self.keys = Keys(authority)
        self.sockets = [listening() for _ in LISTENERS]
        for one, bound in zip(LISTENERS, self.sockets, strict=True):
            spoken = Mode.HTTP if one.mode is Mode.HTTPS else one.mode
            self.engine.add_listener(
                one.number, bound.fileno(), one.name, spoken.value, one.accept_proxy.value, [], bound.getsockname()[1],
                self.keys.spoken(one.number),
            )
        self.swap()
        self.annex: Engine | None = Engine(self.arena, 1, {**CONFIG, **config})
        self.threads = [threading.Thread(target=one.run, name="engine", daemon=True) for one in (self.engine, self.annex)]
        for thread in self.threads:
            thread.start()
        self.lead(self.engine, self.annex)
        self.lead(self.annex, self.engine)

    def lead(self, giver: Engine, taker: Engine) -> None:
        """A way for tunnels."""
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        giver.hand_over(ends[0].fileno())
        taker.take_over(ends[1].fileno())
        while giver.orders_left or taker.orders_left:
            time.sleep(0.001)
        for end in ends:
            end.close()

    def taken_lines(self) -> list[bytes]:
        assert self.engine is not None
        assert self.annex is not None
        return [*self.engine.ring.take(), *self.annex.ring.take()]

    def swap(self) -> None:
        """New certificates and a new table, and slots as control keeps them."""
        assert self.engine is not None
        if self.engine.tables_held > 64 or self.engine.orders_left > 64:
            return                               # the engine is behind: it is given time, as control would
        self.version += 1
        self.keys.turn(self.engine, self.dice)
        state = site(self.version, self.ports)
        self.slots.follow(state.routes, state.version)
        fd = self.builder.build(state, self.slots)
        self.engine.use_table(open_table(fd))
        os.close(fd)
        self.slots.release(self.engine.version_in_force)
        slot = self.dice.choice(list(self.arena.slots_by_key().values()))
        self.arena.set_standing(slot, percent=self.dice.choice([50, 100]))

    def turn(self) -> None:
        """What a worker's Python does between two messages."""
        assert self.engine is not None
        if time.monotonic() >= self.next_swap_s:
            self.swap()
            self.next_swap_s = time.monotonic() + SWAP_S
        self.engine.take_retired()
        lines = self.taken_lines()
        self.lines += len(lines)
        if self.json:
            for line in lines[:3]:
                json.loads(line[line.index(b"{"):])
        for bell in (self.engine.bell, self.engine.ring.bell):
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(bell)

    def facts(self) -> dict[str, Any]:
        assert self.engine is not None
        assert self.annex is not None
        return {
            "tables": self.version, "held": self.engine.tables_held, "lines": self.lines,
            "dropped": self.engine.ring.dropped + self.annex.ring.dropped, "totals": self.arena.totals(),
            "moved": self.engine.taken_over + self.annex.taken_over,
        }

    def gauges(self) -> dict[str, int]:
        """All that must be zero when nobody is there."""
        totals = self.arena.totals()
        left = {name: totals[name] for name in ("connections", "exchanges", "tunnels", "pooled", "buffers")}
        left |= {f"listener {n}": self.arena.listener_totals(n)["current"] for n in range(len(self.sockets))}
        for slot in range(1, SLOTS):
            cell = self.arena.cell_totals(slot)
            left |= {f"{name} of slot {slot}": cell[name] for name in ("served", "queued") if cell[name]}
        return {name: value for name, value in left.items() if value}

    def end(self) -> dict[str, Any]:
        assert self.engine is not None
        before_drain = self.wait(lambda: not self.gauges())
        self.engine.drain()
        findings = [] if before_drain else [f"still there after all clients have left: {self.gauges()}"]
        if not self.wait(lambda: self.engine.orders_left == 0 and self.engine.idle):
            findings.append("the engine is not idle after the drain")
        self.engine.take_retired()
        if self.engine.tables_held != 1:
            findings.append(f"{self.engine.tables_held} tables are held")
        return self.stop(findings + self.descriptors())

    def cut(self) -> dict[str, Any]:
        """Stop in the middle of it all: everything is accounted for, and given back."""
        return self.stop([])

    def stop(self, findings: list[str]) -> dict[str, Any]:
        assert self.engine is not None
        assert self.annex is not None
        self.engine.stop()
        self.annex.stop()
        for thread in self.threads:
            thread.join(IDLE_S)
            if thread.is_alive():
                findings.append("the engine's thread does not end")
        left = self.gauges()
        left.pop("buffers", None)                # told by the loop, which is over
        if left:
            findings.append(f"after the engine has stopped: {left}")
        self.lines += len(self.taken_lines())
        facts = self.facts()
        if facts["lines"] + facts["dropped"] < facts["totals"]["requests"]:
            findings.append(f"{facts['lines']} access lines and {facts['dropped']} dropped ones for {facts['totals']['requests']} requests")
        return {**facts, "findings": findings}

    def wait(self, truth: Any) -> bool:
        deadline_s = time.monotonic() + IDLE_S
        while not truth():
            if time.monotonic() > deadline_s:
                return False
            assert self.engine is not None
            self.engine.take_retired()
            self.lines += len(self.taken_lines())
            time.sleep(0.01)
        return True

    def descriptors(self) -> list[str]:
        """The engine's thread has a table of its own: in it are the listeners, the way for tunnels, spare pipes, and nothing else that it
        ever opened."""
        place = Path(f"/proc/self/task/{self.threads[0].native_id}/fd")
        kinds = []
        for link in place.iterdir():
            with contextlib.suppress(FileNotFoundError):         # that of this very look
                kinds.append(os.readlink(link).split(":")[0])
        findings = []
        if kinds.count("socket") != len(self.sockets) + 1:
            findings.append(f"{kinds.count('socket')} sockets are open, {len(self.sockets)} are listening")
        if kinds.count("pipe") > 2 * SPARE_PIPES + 3:
            findings.append(f"{kinds.count('pipe')} ends of pipes are open")
        return findings

    def free(self) -> None:
        self.engine = self.annex = None
        for bound in self.sockets:
            bound.close()


def listening() -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    bound.bind(("127.0.0.1", 0))
    bound.listen(4096)
    bound.setblocking(False)
    return bound


def tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def main() -> None:
    told = json.loads(sys.argv[1])
    host = Host(told["config"], told["ports"], Path(told["authority"]))
    tell({"listening": [bound.getsockname()[1] for bound in host.sockets]})
    while True:
        readable, _, _ = select.select([0], [], [], 0.001)
        if not readable:
            host.turn()
            continue
        match sys.stdin.readline().strip():
            case "facts":
                tell(host.facts())
            case "end" | "cut" as ending:
                facts = host.end() if ending == "end" else host.cut()
                host.free()
                facts["leaks_checked"] = report_leaks()
                tell(facts)
                return
            case _:
                return


if __name__ == "__main__":
    main()
