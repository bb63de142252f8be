"""Small rooms of the run floor by themselves: the wheel of deadlines, the shelves of idle channels, the queues, what is gathered to be sent."""

import os
import socket

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from edged._fast.base.linux cimport EPOLL_CLOEXEC, close, epoll_create1
from edged._fast.memory.arena cimport Arena
from edged._fast.memory.buffer cimport blocks_open, stock_close, stock_open
from edged._fast.route.balance cimport bench_open
from edged._fast.route.table cimport Backend, Endpoint
from edged._fast.run.channel cimport channel_close, channel_open, channel_quiet, channels_bury
from edged._fast.run.core cimport CHANNEL_SERVER, Channel, Core, GATHERED_MOST, Shelf, Waiters, Wheel
from edged._fast.run.gather cimport gather
from edged._fast.run.pool cimport pool_discard, pool_oldest, pool_purge, pool_put, pool_take
from edged._fast.run.waitlist cimport waitlist_add, waitlist_remove
from edged._fast.run.wheel cimport wheel_drop, wheel_due, wheel_open, wheel_plan, wheel_wait_ms
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.wants cimport Deadline, PORT_CONNECTING, PORT_WRITABLE
from tests.doors.wires cimport need

SLOTS = 64


cdef class Timer:
    cdef Deadline deadline
    cdef readonly object name

    def __cinit__(self, name):
        self.name = name

    @property
    def planned(self):
        return self.deadline.next != NULL

    @property
    def planned_ms(self):
        return self.deadline.planned_ms


cdef class Clock:
    """A wheel and its timers, by name. Time only moves when it is told to."""

    cdef Wheel wheel
    cdef readonly dict timers
    cdef readonly int64_t now

    def __cinit__(self, int64_t now=0):
        self.now = now
        self.timers = {}
        wheel_open(&self.wheel, now)

    def plan(self, name, int64_t due):
        cdef Timer timer = self.timers.setdefault(name, Timer(name))
        timer.deadline.due_ms = due
        wheel_plan(&self.wheel, &timer.deadline)
        return timer

    def drop(self, name):
        wheel_drop(&self.wheel, &(<Timer>self.timers[name]).deadline)

    def wait_ms(self, int64_t most=1000):
        return wheel_wait_ms(&self.wheel, self.now, most)

    def at(self, int64_t now):
        """Time jumps there: whose moment has come, in this order."""
        cdef Deadline* due
        cdef Timer timer
        cdef int rounds = 0
        self.now = now
        found = []
        while True:
            due = wheel_due(&self.wheel, now)
            if due == NULL:
                return found
            rounds += 1
            need(rounds <= len(self.timers), "a deadline came twice")
            for timer in self.timers.values():
                if &timer.deadline == due:
                    found.append(timer.name)

    def until(self, int64_t end, int64_t most=1000):
        """Time goes on as in the engine, which sleeps as long as the wheel says: (name, moment) of each."""
        found = []
        while self.now < end:
            found += [(name, self.now) for name in self.at(min(end, self.now + max(1, self.wait_ms(most))))]
        return found


cdef class Idle:
    """A channel to an endpoint: our end; `peer` is the other one."""

    cdef Channel* channel
    cdef readonly object peer

    @property
    def open(self):
        return self.peer.fileno() >= 0 and not self.is_closed()

    def is_closed(self):
        """Has our end been closed? Then the peer reads the end."""
        self.peer.setblocking(False)
        try:
            return self.peer.recv(1) == b""
        except BlockingIOError:
            return False

    def quiet(self):
        return bool(channel_quiet(NULL, self.channel))


cdef class Shelves:
    cdef Core core
    cdef Arena arena
    cdef list idles

    def __cinit__(self, uint32_t most=4, uint32_t in_all=1000):
        cdef Core* core = &self.core
        core.ep = -1
        fd = os.memfd_create("arena")
        try:
            self.arena = Arena(fd, SLOTS, 1)
        finally:
            os.close(fd)
        self.arena.open_stripe(0)
        bench_open(&core.s.bench, self.arena, 0)
        core.s.tally = self.arena.tally(0)
        core.slots = SLOTS
        core.shelves = <Shelf*>calloc(SLOTS, sizeof(Shelf))
        core.waiters = <Waiters*>calloc(SLOTS, sizeof(Waiters))
        core.ep = epoll_create1(EPOLL_CLOEXEC)
        core.pool_most = most
        core.pooled_most = in_all
        blocks_open(&core.s.blocks, 4096, 4)
        stock_open(&core.channels, sizeof(Channel))
        self.idles = []

    def __dealloc__(self):
        while self.core.all != NULL:
            channel_close(&self.core, self.core.all)
        stock_close(&self.core.channels)
        free(self.core.shelves)
        free(self.core.waiters)
        if self.core.ep >= 0:
            close(self.core.ep)

    cdef Idle idle_of(self, Channel* c):
        cdef Idle idle
        if c == NULL:
            return None
        for idle in self.idles:
            if idle.channel == c and not idle.is_closed():
                return idle
        raise LookupError

    def connect(self, uint32_t slot=1, uint64_t leads_to=1):
        """A new channel, in use."""
        cdef Idle idle = Idle()
        ours, idle.peer = socket.socketpair()
        ours.setblocking(False)
        idle.channel = channel_open(&self.core, ours.detach(), CHANNEL_SERVER)
        idle.channel.slot = slot
        idle.channel.address_hash = leads_to
        self.idles.append(idle)
        return idle

    def put(self, Idle idle):
        pool_put(&self.core, idle.channel)
        return idle

    def take(self, uint32_t slot=1, uint64_t leads_to=1):
        return self.idle_of(pool_take(&self.core, slot, leads_to))

    def discard(self, Idle idle):
        pool_discard(&self.core, idle.channel)

    def oldest(self):
        return self.idle_of(pool_oldest(&self.core))

    def purge(self):
        more = pool_purge(&self.core)
        channels_bury(&self.core)
        return more

    @property
    def pooled(self):
        return self.core.s.tally.pooled

    def listed(self):
        """Slots whose shelves the purge looks at."""
        cdef uint32_t at = self.core.shelves_listed
        found = []
        while at:
            found.append(at - 1)
            at = self.core.shelves[at - 1].next_listed
        return found


cdef class Waiter:
    cdef Exchange x
    cdef Backend backend
    cdef Endpoint endpoint
    cdef readonly object name


cdef class Queues(Shelves):
    def waiter(self, name, uint32_t backend=1, uint32_t bound=0):
        """An exchange that may wait for its backend, or (with its slot) for one endpoint."""
        cdef Waiter w = Waiter()
        w.name = name
        w.backend.slot = backend
        w.endpoint.slot = bound
        w.x.backend = &w.backend
        w.x.bound = &w.endpoint if bound else NULL
        return w

    def add(self, Waiter w):
        waitlist_add(&self.core, &w.x)
        self.idles.append(w)

    def remove(self, Waiter w):
        waitlist_remove(&self.core, &w.x)

    def names(self, uint32_t slot):
        """Who waits there, the first one first; forwards and backwards must agree."""
        cdef Exchange* x = self.core.waiters[slot].first
        cdef Waiter w
        found, back = [], []
        while x != NULL:
            found.append(self.name_of(x))
            x = x.next
        x = self.core.waiters[slot].last
        while x != NULL:
            back.append(self.name_of(x))
            x = x.prev
        need(found == back[::-1], "backwards it is another queue")
        need(len(found) == self.core.waiters[slot].n == self.core.s.bench.cells[slot].queued, "they are miscounted")
        return found

    cdef object name_of(self, Exchange* x):
        cdef Waiter w
        for w in self.idles:
            if &w.x == x:
                return w.name
        raise LookupError

    @property
    def waiting(self):
        return self.core.waiting

    def listed_queues(self):
        cdef uint32_t at = self.core.waiters_listed
        found = []
        while at:
            found.append(at - 1)
            at = self.core.waiters[at - 1].next_listed
        return found


cdef class Pair:
    """An exchange between two channels; `front` and `back` are what each of them has in hand."""

    cdef Exchange exchange
    cdef Channel client
    cdef Channel endpoint

    def __cinit__(self, front=0, back=0, relayed=0, dialled=True, connecting=False, writable=True):
        self.exchange.front = &self.client.port
        self.exchange.back = &self.endpoint.port if dialled else NULL
        self.client.port.tx.tail = front
        self.endpoint.port.tx.tail = back
        self.client.port.rx.tail = relayed
        self.endpoint.port.raw_from = &self.client.port
        self.endpoint.port.raw_left = relayed
        self.client.port.flags = self.endpoint.port.flags = PORT_WRITABLE if writable else 0
        if connecting:
            self.endpoint.port.flags |= PORT_CONNECTING


cdef class Sheaf:
    """What an engine gathers in one turn."""

    MOST = GATHERED_MOST
    cdef Core core

    def __cinit__(self, gathers=True):
        self.core.gathers = gathers

    def gather(self, Pair pair):
        return bool(gather(&self.core, &pair.exchange))

    def holds(self, Pair pair):
        """How many times."""
        return sum(self.core.gathered[i] == &pair.client for i in range(self.core.n_gathered))
