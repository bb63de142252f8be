"""Conversations on a stage: the engine's part is played without a socket, and `now` is told by the test. A Play dials, parks,
queues and keeps time as edged/_fast/run does; its ports are Wires."""

import os

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t, uint32_t, uint64_t, uintptr_t

from edged._fast.base.view cimport view
from edged._fast.memory.arena cimport Arena, ListenerCell, Tally
from edged._fast.memory.buffer cimport blocks_close, blocks_open, buffer_drop, buffer_n, stock_close, stock_open
from edged._fast.parse.head cimport Head
from edged._fast.route.balance cimport bench_close, bench_open
from edged._fast.route.table cimport MappedTable, table_text
from edged._fast.talk.detach cimport detach
from edged._fast.talk.exchange cimport (
    PHASE_DIAL, X_FRESH, X_PRIVATE, X_QUEUED, X_REDISPATCHED, X_SILENT, Exchange, exchange_close, exchange_connected,
    exchange_dialled, exchange_step, exchange_timeout,
)
from edged._fast.talk.h1 cimport (
    FRONT_BEGUN, FRONT_CLOSE, FRONT_CLOSED, FRONT_EXCHANGE, FRONT_PROXY, FRONT_RESET, FRONT_WAIT, Front, FrontWant, front_close,
    front_ended, front_open, front_step, front_timeout,
)
from edged._fast.talk.reach cimport reach_failed, reach_may_reuse, reach_place, reach_place_at
from edged._fast.talk.wants cimport (
    ClientCertificate, MODE_HTTP, MODE_TCP, Listener, PORT_CONNECTING, PORT_READ, PORT_READABLE, PORT_REUSED, Port,
    REUSE_AGGRESSIVE, REUSE_ALWAYS, REUSE_NEVER, REUSE_SAFE, Shared, WANT_DIAL, WANT_DROP, WANT_END, WANT_NOTHING, WANT_PARK, WANT_QUEUE,
)

from tests.doors.peers cimport set_address
from tests.doors.wires cimport Wire, due_of, need

REUSE = {"never": REUSE_NEVER, "safe": REUSE_SAFE, "aggressive": REUSE_AGGRESSIVE, "always": REUSE_ALWAYS}

cdef class Shown:
    """What is told of a client's certificate."""
    cdef ClientCertificate certificate
    cdef tuple held

    def __init__(self, bytes lines, bytes der=b"", bint refused=False):
        self.held = lines, der
        self.certificate = ClientCertificate(view(lines, len(lines)), view(der, len(der)), refused)

cdef class Play:
    """`dials`: what the next attempts to connect come to: "connected" (also when it is empty), "refused", or "pending". `pipes`: raw
    bytes go past the buffers where the engine would splice them. `idle_ok`: waits without an end are no mistake."""

    cdef Shared s
    cdef Listener http
    cdef Listener tcp
    cdef readonly Arena arena
    cdef MappedTable table
    cdef list old_tables
    cdef list shown
    cdef dict wires                  # address of a port -> Wire
    cdef readonly list servers       # all that were ever connected to
    cdef list parked                 # Wires anybody may have
    cdef list waiting                # client Wires whose exchanges queue
    cdef public list dials
    cdef readonly list log           # of ended exchanges
    cdef public bint pipes
    cdef bint idle_ok
    cdef int64_t start_ms

    def __cinit__(self, MappedTable table, *, buffer=16384, reuse="safe", max_body=0, abort_on_close=False, ignore_probes=False,
                  dont_log_null=False, no_route_status=False, head_bytes=15360, pipes=False, idle_ok=False, **times):
        cdef Shared* s = &self.s
        fd = os.memfd_create("arena")
        try:
            self.arena = Arena(fd, 256, 8)
        finally:
            os.close(fd)
        self.arena.open_stripe(0)
        bench_open(&s.bench, self.arena, 0)
        s.tally = self.arena.tally(0)
        blocks_open(&s.blocks, buffer, 64)
        stock_open(&s.exchanges, sizeof(Exchange))
        stock_open(&s.fronts, sizeof(Front))
        s.head = <Head*>PyMem_Calloc(1, sizeof(Head))
        s.answer = <Head*>PyMem_Calloc(1, sizeof(Head))
        s.limits.head_bytes = head_bytes
        s.limits.target_bytes = 8192
        s.limits.fields = 101
        s.max_body_bytes = max_body
        s.reuse = REUSE[reuse]
        s.abort_on_close, s.ignore_probes, s.dont_log_null, s.no_route_status = abort_on_close, ignore_probes, dont_log_null, no_route_status
        s.remember_lines = True
        s.now_ms = self.start_ms = 1_000_000
        s.wall_us = 1_700_000_000_000_000
        self.set_times(times)
        self.http.number, self.http.port, self.http.mode, self.http.cell = 0, 80, MODE_HTTP, self.arena.listener(0, 0)
        self.tcp.number, self.tcp.port, self.tcp.mode, self.tcp.cell = 1, 81, MODE_TCP, self.arena.listener(0, 1)
        self.old_tables, self.wires, self.servers, self.parked, self.waiting, self.dials, self.log = [], {}, [], [], [], [], []
        self.shown = []
        self.pipes = pipes
        self.idle_ok = idle_ok
        self.use_table(table)

    def set_times(self, times):
        known = dict(client=30000, server=31000, connect=5000, http_request=10000, http_keep_alive=300000, queue=5500, tunnel=3600000,
                     client_fin=1000, server_fin=1100, proxy_header=5000)
        if times.keys() - known:
            raise TypeError(f"no such times: {times.keys() - known}")
        t = known | times
        self.s.times.client_ms, self.s.times.server_ms, self.s.times.connect_ms = t["client"], t["server"], t["connect"]
        self.s.times.http_request_ms, self.s.times.http_keep_alive_ms = t["http_request"], t["http_keep_alive"]
        self.s.times.queue_ms, self.s.times.tunnel_ms = t["queue"], t["tunnel"]
        self.s.times.client_fin_ms, self.s.times.server_fin_ms = t["client_fin"], t["server_fin"]
        self.s.times.proxy_header_ms = t["proxy_header"]

    def __dealloc__(self):
        bench_close(&self.s.bench)
        stock_close(&self.s.exchanges)
        stock_close(&self.s.fronts)
        blocks_close(&self.s.blocks)
        PyMem_Free(self.s.head)
        PyMem_Free(self.s.answer)

    # --- for the test ---

    def use_table(self, MappedTable table):
        if self.table is not None:
            self.old_tables.append(self.table)
        self.table = table
        self.s.table = &table.table if table is not None else NULL

    def client(self, bytes data=b"", *, tcp=False, proxy=False, peer="192.0.2.7:40000", local="198.51.100.9:80", Shown shown=None,
               monitored=False):
        """A connection that has been accepted; `proxy`: a PROXY header comes first; `shown`: it spoke TLS, which has been taken off."""
        cdef Wire w = self.new_wire()
        w.front = front_open(&self.s, &self.tcp if tcp else &self.http, &w.port)
        if w.front == NULL:
            raise MemoryError
        set_address(&w.front.client.peer, peer)
        set_address(&w.front.client.local, local)
        w.front.client.local_known = True
        w.front.client.monitored = monitored
        if proxy:
            w.front.state = FRONT_PROXY
        if shown is not None:
            self.shown.append(shown)
            w.front.client.tls = True
            w.front.client.certificate = &shown.certificate
        w.waiting += data
        self.stir(w)
        return w

    @property
    def server(self):
        """The one connected to last."""
        return self.servers[len(self.servers) - 1]

    @property
    def now(self):
        return self.s.now_ms - self.start_ms

    def wait(self, int ms):
        """Time passes, and each deadline on the way is kept."""
        cdef int64_t until = self.s.now_ms + ms
        cdef Wire w, next_one
        while True:
            next_one = None
            for w in list(self.wires.values()):
                due = due_of(w.front)
                if due and due <= until and (next_one is None or due < due_of(next_one.front)):
                    next_one = w
            if next_one is None:
                break
            self.s.now_ms = max(self.s.now_ms, due_of(next_one.front))
            self.keep_deadline(next_one)
            self.end_turn()
        self.s.now_ms = until

    def drain(self):
        self.s.draining = True
        self.s.drained_ms = self.s.now_ms
        for w in [w for w in self.wires.values() if (<Wire>w).front != NULL]:
            self.stir(w)

    def detach(self, Wire client):
        return bool(detach(client.front.exchange))

    def cell(self, int slot):
        return self.arena.cell(0, slot)

    @property
    def tally(self):
        cdef Tally* t = self.s.tally
        return {"exchanges": t.exchanges, "tunnels": t.tunnels, "requests": t.requests, "answered_here": t.answered_here}

    @property
    def listener(self):
        cdef ListenerCell* c = self.http.cell
        return {"current": c.current, "requests": c.requests, "bad_requests": c.bad_requests, "proxy_refused": c.proxy_refused}

    @property
    def blocks_out(self): return self.s.blocks.out

    @property
    def table_holders(self):
        return [(<MappedTable>table).table.holders for table in [*self.old_tables, self.table]]

    def finish(self):
        """All leave; what was lent must be back."""
        cdef Wire w
        for w in list(self.wires.values()):
            if w.front != NULL and w.open:
                w.reset()
        for w in list(self.wires.values()):
            need(w in self.parked, "a wire to an endpoint was left open")
            w.close("closed")
        left = {"blocks": self.s.blocks.out, "exchanges": self.s.exchanges.out, "fronts": self.s.fronts.out, "waiting": len(self.waiting),
                "counted": self.s.tally.exchanges, "tunnels": self.s.tally.tunnels, "holders": sum(self.table_holders),
                "current": self.http.cell.current + self.tcp.cell.current, "listened": self.http.holders + self.tcp.holders}
        for gauge in ("served", "queued"):
            left[gauge] = sum(abs(self.cell(slot)[gauge]) for slot in range(16))
        need(not any(left.values()), f"something was not given back: {left}")

    # --- the engine: serve.pyx without descriptors ---

    cdef Wire wire_of(self, Port* port):
        return self.wires[<uintptr_t>port]

    cdef Wire new_wire(self):
        cdef Wire w = Wire()
        w.play, w.wires, w.pipes = self, self.wires, self.pipes
        w.blocks = &self.s.blocks
        w.now_ms = &self.s.now_ms
        self.wires[<uintptr_t>&w.port] = w
        return w

    cdef uint32_t dial(self, Exchange* x) except? 0xffffffff:
        cdef Wire w = self.kept_wire(x)
        if w is None:
            outcome = self.dials.pop(0) if self.dials else "connected"
            if outcome == "refused":
                return reach_failed(&self.s, x, False)
            w = self.new_wire()
            w.slot = x.endpoint.slot
            name = table_text(x.table, x.endpoint.name)
            w.endpoint = name.at[:name.n].decode()
            if outcome == "pending":
                w.port.flags |= PORT_CONNECTING
            self.servers.append(w)
        w.exchange = x
        return exchange_dialled(&self.s, x, &w.port)

    cdef Wire kept_wire(self, Exchange* x):
        cdef Wire w
        if x.client.own != NULL:
            w = self.wire_of(x.client.own)
            x.client.own = NULL
            w.private_to = None
            if w.slot == x.endpoint.slot and w.is_quiet() and not x.flags & X_FRESH:
                x.flags |= X_PRIVATE
                return w
            w.close("closed")
        if reach_may_reuse(&self.s, x):
            for w in self.parked:
                if w.slot == x.endpoint.slot:
                    self.parked.remove(w)
                    return w
        return None

    cdef int let_go(self, Exchange* x, bint keep) except -1:
        cdef Wire w, front = self.wire_of(x.front)
        if x.back == NULL:
            return 0
        w = self.wire_of(x.back)
        x.back = NULL
        if x.front.raw_from == &w.port:
            front.pipe.clear()
            x.front.in_pipe = 0
            x.front.raw_from = NULL
            x.front.raw_left = 0
        w.exchange = NULL
        if not keep or not w.is_quiet():
            w.close("closed")
            return 0
        w.port.flags |= PORT_REUSED
        w.port.raw_from = NULL
        buffer_drop(&w.port.rx, &self.s.blocks)
        if x.flags & X_PRIVATE or self.s.reuse == REUSE_NEVER:
            need(x.client.own == NULL, "a client has one kept wire")
            w.private_to = front
            x.client.own = &w.port
            x.client.own_slot = w.slot
        else:
            self.parked.insert(0, w)
        return 0

    cdef bint move(self, Exchange* x) except -1:
        cdef Wire front = self.wire_of(x.front), back = self.wire_of(x.back) if x.back != NULL else None
        cdef bint moved = False
        if back is not None:
            moved = back.push()
        moved |= front.push()
        if back is not None and back.port.flags & PORT_READ and not front.is_fed_by_pipe(back):
            moved |= back.pull()
        if front.port.flags & PORT_READ and not (back is not None and back.is_fed_by_pipe(front)):
            moved |= front.pull()
        return moved

    cdef bint settle(self, Exchange* x, uint32_t wants) except -1:
        cdef int rounds = 0
        while True:
            rounds += 1
            need(rounds < 100000, "it goes round and round")
            if wants & (WANT_PARK | WANT_DROP):
                self.let_go(x, wants & WANT_PARK != 0)
            if wants & WANT_END:
                self.end(x)
                return True
            if wants & WANT_QUEUE:
                self.enqueue(x)
                break
            if wants & WANT_DIAL:
                wants = self.dial(x)
                continue
            if wants == WANT_NOTHING and not self.move(x):
                break
            wants = exchange_step(&self.s, x)
        need(x.deadline.due_ms != 0 or self.idle_ok, "it waits without an end")
        self.tidy(x.front)
        if x.back != NULL:
            self.tidy(x.back)
        return False

    cdef int tidy(self, Port* port) except -1:
        if buffer_n(&port.rx) == 0:
            buffer_drop(&port.rx, &self.s.blocks)
        return 0

    cdef int enqueue(self, Exchange* x) except -1:
        x.flags |= X_QUEUED
        self.waiting.append(self.wire_of(x.front))
        self.s.bench.cells[x.bound.slot if x.bound != NULL else x.backend.slot].queued += 1
        return 0

    cdef int unqueue(self, Exchange* x) except -1:
        if x.flags & X_QUEUED:
            x.flags &= ~<uint32_t>X_QUEUED
            self.waiting.remove(self.wire_of(x.front))
            self.s.bench.cells[x.bound.slot if x.bound != NULL else x.backend.slot].queued -= 1
        return 0

    cdef int end(self, Exchange* x) except -1:
        cdef Front* f = <Front*>x.owner
        cdef Wire front = self.wire_of(x.front)
        self.unqueue(x)
        code = chr(x.cause) + chr(x.state) + chr(x.cookie_in) + chr(x.cookie_out)
        name = table_text(x.table, x.endpoint.name) if x.endpoint != NULL else view(NULL, 0)
        self.log.append({
            "status": x.status, "code": code, "retries": x.retries, "redispatched": bool(x.flags & X_REDISPATCHED),
            "silent": bool(x.flags & X_SILENT), "server": name.at[:name.n].decode() if name.n else None,
            "line": (x.method.at[:x.method.n], x.target.at[:x.target.n], x.host.at[:x.host.n]) if x.line != NULL else None,
            "ahead": (x.ahead_endpoint, x.ahead_backend),
            "times": [at - x.began_ms if at else None for at in (x.head_ms, x.placed_ms, x.connected_ms, x.asked_ms, x.answered_ms)],
        })
        front.pipe.clear()
        x.front.in_pipe = 0
        f.wants = <uint32_t>front_ended(&self.s, f)
        f.exchange = NULL
        exchange_close(&self.s, x)
        return 0

    cdef int close_client(self, Wire w, bint reset) except -1:
        cdef Front* f = w.front
        if f.client.own != NULL:
            self.wire_of(f.client.own).close("closed")
            f.client.own = NULL
        f.state = FRONT_CLOSED
        front_close(&self.s, f)
        w.front = NULL
        w.close("reset" if reset else "closed")
        return 0

    cdef bint go_on(self, Wire w, FrontWant want) except -1:
        """False: nothing more can be done now, or somebody else goes on."""
        cdef Front* f = w.front
        if want == FRONT_BEGUN:
            if not self.settle(f.exchange, f.wants):
                return False
            want = <FrontWant>f.wants
            if want == FRONT_WAIT:
                return True
            w.push()
        if want == FRONT_WAIT:
            return w.push()
        self.close_client(w, want == FRONT_RESET)
        return False

    cdef int serve_client(self, Wire w) except -1:
        cdef int rounds = 0
        if w.port.flags & PORT_READ:
            w.pull()
        while w.front != NULL and w.front.state != FRONT_EXCHANGE:
            rounds += 1
            need(rounds < 100000, "it goes round and round")
            w.port.flags = w.port.flags | PORT_READABLE if w.waiting or w.ends or w.breaks else w.port.flags & ~<uint32_t>PORT_READABLE
            if self.go_on(w, front_step(&self.s, w.front)) or w.front == NULL or w.front.state == FRONT_EXCHANGE:
                continue
            if not (w.port.flags & PORT_READ and w.pull()):
                need(w.front.deadline.due_ms != 0 or self.idle_ok, "it waits without an end")
                self.tidy(&w.port)
                return 0
        return 0

    def connected(self, Wire w):
        self.carry(w.exchange, exchange_connected(&self.s, w.exchange))

    def refused(self, Wire w):
        cdef Exchange* x = w.exchange
        w.close("reset")
        self.carry(x, reach_failed(&self.s, x, False))

    cdef int carry(self, Exchange* x, uint32_t wants) except -1:
        cdef Wire front = self.wire_of(x.front)
        if self.settle(x, wants):
            self.serve_ended(front)
        self.end_turn()
        return 0

    cdef int serve_ended(self, Wire w) except -1:
        if w.front.wants == FRONT_CLOSE or w.front.wants == FRONT_RESET:
            w.push()
            self.close_client(w, w.front.wants == FRONT_RESET)
        else:
            self.serve_client(w)
        return 0

    def stir(self, Wire w):
        """Something happened on it."""
        if not w.open:
            return
        if w.front != NULL:
            if w.front.state == FRONT_EXCHANGE:
                self.carry(w.front.exchange, exchange_step(&self.s, w.front.exchange))
            else:
                self.serve_client(w)
                self.end_turn()
        elif w.exchange != NULL:
            if not w.port.flags & PORT_CONNECTING:
                self.carry(w.exchange, exchange_step(&self.s, w.exchange))
        elif w.private_to is not None:
            w.private_to.front.client.own = NULL
            w.close("closed")
        else:
            self.parked.remove(w)
            w.close("closed")

    cdef int keep_deadline(self, Wire w) except -1:
        cdef Exchange* x = w.front.exchange
        if w.front.state != FRONT_EXCHANGE:
            w.front.deadline.due_ms = 0
            if self.go_on(w, front_timeout(&self.s, w.front)):
                self.serve_client(w)
            elif w.front != NULL and w.front.state != FRONT_EXCHANGE:
                self.serve_client(w)
        elif x.phase == PHASE_DIAL:
            self.wire_of(x.back).close("closed")
            self.carry(x, reach_failed(&self.s, x, True))
        else:
            self.unqueue(x)
            self.carry(x, exchange_timeout(&self.s, x))
        return 0

    cdef int end_turn(self) except -1:
        """Places may have become free."""
        cdef Wire w
        while True:
            for w in self.waiting:
                if self.offer(w):
                    break
            else:
                return 0

    cdef bint offer(self, Wire w) except -1:
        """To him, or to who waits longer: `waiting` is in order of arrival. True: one has left his queue."""
        cdef Exchange* x = w.front.exchange
        cdef uint32_t wants = WANT_NOTHING
        cdef Wire elder
        for elder in self.waiting[:self.waiting.index(w)] if x.bound != NULL else ():
            if elder.front.exchange.bound == NULL and elder.front.exchange.backend == x.backend:
                wants = reach_place_at(&self.s, elder.front.exchange, x.bound)
                if wants != WANT_NOTHING:
                    w = elder
                break
        if wants == WANT_NOTHING:
            wants = reach_place(&self.s, x)
        if wants == WANT_NOTHING:
            return False
        self.unqueue(w.front.exchange)
        if self.settle(w.front.exchange, wants):
            self.serve_ended(w)
        return True
