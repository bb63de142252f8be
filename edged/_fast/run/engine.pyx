"""The loop: one thread without the GIL, from accept to close. See engine.pxd."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc

from edged._fast.base.atomic cimport load64, store64, take_pointer
from edged._fast.base.linux cimport (
    EFD_CLOEXEC, EFD_NONBLOCK, EPOLLIN, EPOLL_CLOEXEC, EPOLL_CTL_ADD, close, edged_errno, edged_mono_us, edged_wall_us, edged_watch,
    epoll_create1, epoll_event, epoll_wait, eventfd, read, write,
)
from edged._fast.base.view cimport check, unlikely
from edged._fast.memory.buffer cimport blocks_close, blocks_open, stock_close, stock_open
from edged._fast.parse.head cimport Head
from edged._fast.parse.hello cimport HELLO_MOST
from edged._fast.route.balance cimport balance_forget, bench_close, bench_open, bench_refresh
from edged._fast.route.table cimport MappedTable
from edged._fast.run.accesslog cimport LOG_OFF
from edged._fast.run.channel cimport channels_bury, channels_watch
from edged._fast.run.core cimport CHANNEL_CLIENT, Channel, Shelf, Waiters
from edged._fast.run.descriptors cimport descriptors_bring, descriptors_close, descriptors_copy, descriptors_part
from edged._fast.run.drain cimport CUT_EXCHANGES, CUT_TUNNELS, drain_begin, drain_cut, drain_turn
from edged._fast.run.events cimport event, events_bulk, events_forget, events_gathered, events_handshakes, events_left
from edged._fast.run.gate cimport gate_resume, gate_watch, gates_use, gates_watch
from edged._fast.run.handoff cimport handoff_close, handoff_give, handoff_open, handoff_take, handoff_turn, handoff_wait_ms
from edged._fast.run.options cimport listener_free, listener_make, options_read
from edged._fast.run.notices cimport notices_take
from edged._fast.run.peercert cimport Subjects
from edged._fast.run.pool cimport pool_discard, pool_oldest, pool_purge
from edged._fast.run.keyring cimport Keyring, Keys
from edged._fast.run.relay cimport relay_close
from edged._fast.run.serve cimport serve_close, serve_deadline, serve_detached, serve_waiting
from edged._fast.run.tls cimport tls_close, tls_open
from edged._fast.run.wheel cimport wheel_due, wheel_open, wheel_wait_ms
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.h1 cimport Front
from edged._fast.talk.wants cimport Deadline, Listener

cdef enum:
    EVENTS_MOST = 256
    SLEEP_MOST_MS = 1000         # the turn counter shows that the engine lives
    WATCH_MS = 50                # new connections that are busy for longer are watched: their clients may leave
    PURGE_MS = 5000              # pool-purge-delay
    POLL_MS = 5                  # places that other workers free are seen by looking
    BLOCKS_KEPT = 512
    TABLES_KEPT = 4              # old ones that running exchanges may hold; beyond that the long ones are detached


cdef class Engine:
    """The data plane of one worker.

    `run` is the loop and belongs into a thread of its own; all other methods are for the one Python thread that made the
    engine. They only leave orders: an order is in force when the loop has taken its next turn. `bell` is readable when there
    is something to look at (a table taken or let go of, accepting paused or resumed, idle reached)."""

    def __cinit__(self, Arena arena not None, uint32_t stripe, config: Mapping[str, Any]) -> None:
        self.arena = arena
        self.stripe = stripe
        self.tables = {}
        self.listening = {}
        self.keyrings = []
        self.subjects = []
        self.core.ep = -1
        self.wake = -1
        self.bell = -1
        arena.need_stripe(stripe)
        self.ring = Ring(config["log_ring_bytes"])
        self.core.ep = epoll_create1(EPOLL_CLOEXEC)
        self.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        self.bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if self.core.ep < 0 or self.wake < 0 or self.bell < 0:
            raise OSError(edged_errno(), os.strerror(edged_errno()))
        edged_watch(self.core.ep, EPOLL_CTL_ADD, self.wake, EPOLLIN, NULL)
        self.open_memory(config)
        options_read(&self.core, config)
        self.read_formats(config)
        bench_open(&self.core.s.bench, arena, stripe)

    def open_memory(self, config: Mapping[str, Any]) -> None:
        cdef Core* core = &self.core
        core.slots = self.arena.slots
        core.shelves = <Shelf*>calloc(core.slots, sizeof(Shelf))
        core.waiters = <Waiters*>calloc(core.slots, sizeof(Waiters))
        core.s.head = <Head*>calloc(1, sizeof(Head))
        core.s.answer = <Head*>calloc(1, sizeof(Head))
        core.s.hello_room = <char*>malloc(HELLO_MOST)
        if core.shelves == NULL or core.waiters == NULL or core.s.head == NULL or core.s.answer == NULL or core.s.hello_room == NULL:
            raise MemoryError
        blocks_open(&core.s.blocks, config["buffer_bytes"], BLOCKS_KEPT)
        stock_open(&core.s.exchanges, sizeof(Exchange))
        stock_open(&core.s.fronts, sizeof(Front))
        stock_open(&core.channels, sizeof(Channel))
        core.s.tally = self.arena.tally(self.stripe)
        core.s.now_ms = edged_mono_us() // 1000
        core.s.wall_us = edged_wall_us()
        wheel_open(&core.wheel, core.s.now_ms)
        if handoff_open(core, self.arena) < 0:
            raise OSError(edged_errno(), os.strerror(edged_errno()))

    def read_formats(self, config: Mapping[str, Any]) -> None:
        """What operators may add: a format of lines, captures, ids, spellings. Most have none of it."""
        cdef Core* core = &self.core
        if config.get("log_pieces"):
            self.format = Format(config["log_pieces"])
            core.format = self.format.ops
            core.format_n = self.format.n
        notes = config.get("notes")
        if notes:
            self.notebook = Notebook(
                notes["captures"], notes["n_request"], notes["n_response"], notes["cookies"],
                Format(notes["id_pieces"]) if notes["id_pieces"] else None, notes["id_header"],
            )
            core.s.plan = &self.notebook.plan
        core.s.sni_wanted = config.get("sni_wanted", False)
        core.s.local_wanted = config.get("local_wanted", False)
        if config.get("h1_case_adjust"):
            self.spellings = SpellingBook(config["h1_case_adjust"])
            core.s.spellings = &self.spellings.spellings

    def __dealloc__(self) -> None:
        cdef Listener* listener
        bench_close(&self.core.s.bench)
        stock_close(&self.core.s.exchanges)
        stock_close(&self.core.s.fronts)
        stock_close(&self.core.channels)
        blocks_close(&self.core.s.blocks)
        free(self.core.shelves)
        free(self.core.waiters)
        free(self.core.s.head)
        free(self.core.s.answer)
        free(self.core.s.hello_room)
        if self.core.bio_method != NULL:
            tls_close(&self.core)
        while self.core.listeners != NULL:
            listener = self.core.listeners
            self.core.listeners = listener.next
            listener_free(listener)
        free_list(self.retired)
        free_list(self.gone)
        for fd in (self.core.ep, self.wake, self.bell):
            if fd >= 0:
                close(fd)

    # --- orders of the Python thread ---------------------------------------------------------------------------------

    cdef int order(self, uint8_t kind, int fd, void* what) except -1:
        cdef uint64_t one = 1
        if self.ordered - load64(&self.obeyed) >= ORDERS:
            raise BufferError("the engine does not take orders")
        self.orders[self.ordered % ORDERS].kind = kind
        self.orders[self.ordered % ORDERS].fd = fd
        self.orders[self.ordered % ORDERS].what = what
        store64(&self.ordered, self.ordered + 1)
        write(self.wake, &one, sizeof(one))
        return 0

    def add_listener(
        self, number: int, fd: int, name: str, mode: str, accept_proxy: str, trusted: Sequence[str], port: int,
        tls: Mapping[str, Any] | None = None, monitor: str = "off",
    ) -> None:
        """Accept on a listening socket, whose descriptor stays the caller's. Raises ValueError for a mode or network that is none.

        `monitor`: who is answered at the monitor path, "off", "local" (clients on this node) or "all".

        `tls`: end TLS there. "context": address of an SSL_CTX that `prepare_server` has seen; "strict_sni": refuse names without
        a certificate of their own; "client_auth": clients are asked for certificates; "filter": which subjects of these are taken, a
        POSIX extended regular expression, "" for all. The caller keeps the context alive until the
        engine has obeyed `use_context` with another, or has ended."""
        cdef Listener* listener
        cdef Subjects subjects
        if tls is not None:
            self.open_tls()
        listener = listener_make(number, fd, name, mode, accept_proxy, trusted, port, tls, monitor)
        if tls is not None and tls.get("filter"):
            subjects = Subjects(tls["filter"])
            listener.filter = &subjects.filter
            self.subjects.append(subjects)
        listener.cell = self.arena.listener(self.stripe, number)
        self.listening[fd] = <uintptr_t>listener
        self.order(ORDER_LISTEN, fd, listener)

    def open_tls(self) -> None:
        if self.core.bio_method == NULL and not tls_open(&self.core):
            raise MemoryError

    def use_keyring(self, Keyring keyring not None) -> None:
        """Show these certificates and believe these endpoints from the next turn on."""
        self.open_tls()
        if self.orders_left == 0:
            del self.keyrings[:-1]               # only the last one can be in force
        self.keyrings.append(keyring)
        self.order(ORDER_KEYRING, -1, &keyring.keys)

    def use_context(self, number: int, context: int) -> None:
        """Accept the clients of a listener by another SSL_CTX from the next turn on."""
        self.order(ORDER_CONTEXT, number, <void*><uintptr_t>context)

    def remove_listener(self, fd: int) -> None:
        """Accept no more on this socket; connections that came through it go on."""
        self.order(ORDER_UNLISTEN, fd, <void*><uintptr_t>self.listening.pop(fd))

    def use_table(self, MappedTable table not None) -> None:
        """Route by this table from the next turn on; running exchanges end by the one they began with."""
        self.tables[<uintptr_t>&table.table] = table
        self.order(ORDER_TABLE, -1, &table.table)

    def drain(self) -> None:
        """Accept no more, tell clients to close with their next answer, and close those that have asked before and ask for nothing in
        the next second."""
        self.order(ORDER_DRAIN, -1, NULL)

    def cut(self, *, tunnels: bool) -> None:
        """In a drain: the time of tunnels, or of all else, is over. What becomes a tunnel only later is cut within a second."""
        self.order(ORDER_CUT, CUT_TUNNELS if tunnels else CUT_EXCHANGES, NULL)

    def hand_over(self, fd: int) -> None:
        """Give established tunnels to the engine that takes over at the other end of this SOCK_SEQPACKET pair, now and from now on."""
        self.order(ORDER_GIVE, fd, NULL)

    def take_over(self, fd: int) -> None:
        """Take tunnels that come over this socket. Of both, the descriptor is the caller's to close when the order was obeyed."""
        self.order(ORDER_TAKE, fd, NULL)

    def stop(self) -> None:
        """Cut everything off and let `run` return."""
        self.order(ORDER_STOP, -1, NULL)

    def take_retired(self) -> int:
        """Let go of tables that nothing refers to any more; answers how many."""
        cdef Retired* retired = <Retired*>take_pointer(<void**>&self.gone, NULL)
        cdef Retired* after
        cdef int n = 0
        while retired != NULL:
            after = retired.next
            del self.tables[<uintptr_t>retired.table]
            free(retired)
            retired = after
            n += 1
        return n

    def take_notices(self) -> list[str]:
        """What the engine wants said in the log, since the last call."""
        return notices_take(&self.core.notices)

    @property
    def version_in_force(self) -> int:
        return load64(&self.in_force)

    @property
    def idle(self) -> bool:
        return self.core.s.tally.connections == 0

    @property
    def accept_paused(self) -> bool:
        return self.core.accept_paused != 0

    @property
    def orders_left(self) -> int:
        """Orders that the loop has not obeyed yet; 0: all that was told so far is in effect."""
        return self.ordered - load64(&self.obeyed)

    @property
    def handed_over(self) -> int:
        """Tunnels that another engine has taken."""
        return load64(&self.core.handoff.given)

    @property
    def taken_over(self) -> int:
        return load64(&self.core.handoff.taken)

    @property
    def cut_off(self) -> int:
        """Exchanges and tunnels that `cut` has ended so far."""
        return load64(&self.core.cut_off)

    @property
    def tables_held(self) -> int:
        return len(self.tables)

    def run(self) -> None:
        """The loop, without the GIL; returns after `stop`."""
        if self.running:
            raise RuntimeError("the engine runs already")
        self.running = True
        with nogil:
            self.loop()

    # --- the loop ----------------------------------------------------------------------------------------------------

    cdef void loop(self) noexcept nogil:
        cdef Core* core = &self.core
        cdef epoll_event events[EVENTS_MOST]
        cdef int64_t wait, now_us
        cdef Deadline* due
        cdef Channel* c
        cdef int i, n
        self.part()
        core.purge_ms = core.s.now_ms + PURGE_MS
        while not self.stopping:
            wait = wheel_wait_ms(&core.wheel, core.s.now_ms, SLEEP_MOST_MS)
            if core.again_first != NULL or core.bulk_first != NULL or core.handshakes_first != NULL or core.place_freed:
                wait = 0
            elif core.waiting:
                wait = min(wait, POLL_MS)
            if core.unwatched[0] != NULL or core.unwatched[1] != NULL:
                wait = min(wait, WATCH_MS)
            if core.no_descriptors:
                wait = min(wait, 50)
            if core.handoff.giving != NULL:
                wait = handoff_wait_ms(core, wait)
            n = epoll_wait(core.ep, events, EVENTS_MOST, <int>wait)
            now_us = edged_mono_us()
            core.s.now_ms = now_us // 1000
            core.s.wall_us = edged_wall_us()
            core.s.tally.turns += 1
            if core.again_first != NULL:
                events_left(core, self.ring)
            for i in range(n):
                if unlikely(events[i].data.ptr == NULL):
                    self.obey()
                else:
                    event(core, self.ring, events[i].data.ptr, events[i].events)
            events_gathered(core, self.ring)
            if core.handshakes_first != NULL:
                events_handshakes(core, self.ring)
            while True:
                due = wheel_due(&core.wheel, core.s.now_ms)
                if due == NULL:
                    break
                serve_deadline(core, self.ring, due)
            if core.bulk_first != NULL:
                events_bulk(core, self.ring)
            self.end_turn()
        self.close_all()

    cdef void part(self) noexcept nogil:
        cdef int keep[4]
        keep[0] = self.wake
        keep[1] = self.core.ep
        keep[2] = self.bell
        keep[3] = self.ring.part.bell
        descriptors_part(&self.own, keep, 4)

    cdef void end_turn(self) noexcept nogil:
        cdef Core* core = &self.core
        cdef uint64_t one = 1
        if core.waiting and (core.place_freed or core.s.now_ms >= core.poll_ms):
            core.poll_ms = core.s.now_ms + POLL_MS
            serve_waiting(core, self.ring)
        else:
            core.place_freed = False
        if unlikely(core.s.now_ms >= core.purge_ms):
            core.purge_ms = core.s.now_ms if pool_purge(core) else core.s.now_ms + PURGE_MS
            bench_refresh(&core.s.bench, self.arena)
        if unlikely(gate_resume(core)):
            write(self.bell, &one, sizeof(one))
        if unlikely(core.handoff.giving != NULL or core.handoff.taking != NULL):
            handoff_turn(core)
        if unlikely(core.noticed):
            core.noticed = False
            write(self.bell, &one, sizeof(one))
        if unlikely(self.retired != NULL):
            self.let_tables_go()
        if unlikely(core.s.draining):
            drain_turn(core, self.ring)
            if core.s.tally.connections == 0 and not self.told_idle:
                self.told_idle = True
                write(self.bell, &one, sizeof(one))
        core.s.tally.buffers = core.s.blocks.out
        if (core.unwatched[0] != NULL or core.unwatched[1] != NULL) and core.s.now_ms >= core.watch_ms:
            core.watch_ms = core.s.now_ms + WATCH_MS
            channels_watch(core)
        if core.grave != NULL:
            channels_bury(core)
        if core.log_format != LOG_OFF:
            self.ring.ring_bell()

    cdef void obey(self) noexcept nogil:
        cdef uint64_t rings
        read(self.wake, &rings, sizeof(rings))
        while self.obeyed != load64(&self.ordered):
            self.obey_one(&self.orders[self.obeyed % ORDERS])
            store64(&self.obeyed, self.obeyed + 1)

    cdef void obey_one(self, Order* order) noexcept nogil:
        cdef Core* core = &self.core
        cdef Listener* listener = <Listener*>order.what
        if order.kind == ORDER_LISTEN:
            listener.fd = descriptors_bring(&self.own, order.fd)
            listener.next = core.listeners
            core.listeners = listener
            if core.s.table != NULL and not core.s.draining and not core.accept_paused:
                gate_watch(core, listener, True)
        elif order.kind == ORDER_UNLISTEN:
            gate_watch(core, listener, False)
            descriptors_close(&self.own, listener.fd)
            listener.removed = True              # its memory stays: connections name it
        elif order.kind == ORDER_TABLE:
            self.swap_table(<Table*>order.what)
        elif order.kind == ORDER_KEYRING:
            core.keys = <Keys*>order.what
        elif order.kind == ORDER_CONTEXT:
            gates_use(core, <uint32_t>order.fd, order.what)
        elif order.kind == ORDER_DRAIN:
            drain_begin(core, self.ring)
        elif order.kind == ORDER_CUT:
            drain_cut(core, order.fd)
        elif order.kind == ORDER_GIVE:
            handoff_give(core, descriptors_copy(&self.own, order.fd))
        elif order.kind == ORDER_TAKE:
            handoff_take(core, descriptors_copy(&self.own, order.fd))
        else:
            self.stopping = True

    cdef void swap_table(self, Table* table) noexcept nogil:
        cdef Core* core = &self.core
        cdef Table* before = core.s.table
        cdef uint64_t one = 1
        cdef Retired* retired
        core.s.table = table
        bench_refresh(&core.s.bench, self.arena)
        store64(&self.in_force, table.version)
        core.s.tally.table_version = table.version
        if before == NULL:                       # the first one: now there is something to serve
            if not core.s.draining and not core.accept_paused:
                gates_watch(core, True)
        else:
            retired = <Retired*>malloc(sizeof(Retired))
            if retired != NULL:                  # else it is simply kept
                retired.table = before
                retired.next = self.retired
                self.retired = retired
        write(self.bell, &one, sizeof(one))

    cdef void let_tables_go(self) noexcept nogil:
        """Hand tables that nobody holds to the Python thread, which owns their mappings."""
        cdef Retired** at = &self.retired
        cdef Retired* done
        cdef Retired* out = NULL
        cdef Retired* last = NULL
        cdef uint64_t one = 1
        cdef uint32_t held = 0
        while at[0] != NULL:
            if at[0].table.holders == 0:
                done = at[0]
                at[0] = done.next
                balance_forget(&self.core.s.bench, done.table)
                done.next = out
                out = done
                if last == NULL:
                    last = done
            else:
                held += 1
                at = &at[0].next
        if held > TABLES_KEPT and self.core.s.now_ms >= self.detach_ms:
            self.detach_ms = self.core.s.now_ms + 1000
            serve_detached(&self.core)
        if out != NULL:
            # Python takes all at once, so only between its swap and ours can the list be empty or not: join what is there.
            last.next = <Retired*>take_pointer(<void**>&self.gone, NULL)
            take_pointer(<void**>&self.gone, out)
            write(self.bell, &one, sizeof(one))

    cdef void close_all(self) noexcept nogil:
        cdef Core* core = &self.core
        cdef Channel* c
        handoff_close(core)
        c = core.all
        while c != NULL:                         # clients first: they let go of their servers
            if c.kind == CHANNEL_CLIENT:
                serve_close(core, self.ring, <Front*>c.owner)
                c = core.all
            else:
                c = c.next
        while pool_oldest(core) != NULL:
            pool_discard(core, pool_oldest(core))
        events_forget(core)
        channels_bury(core)
        relay_close(core)
        check(core.all == NULL and core.waiting == 0 and core.s.tally.connections == 0 and core.s.tally.pooled == 0)
        check(core.links.out == 0)
        check(core.channels.out == 0 and core.s.fronts.out == 0 and core.s.exchanges.out == 0 and core.s.blocks.out == 0)
        self.ring.ring_bell()


cdef void free_list(Retired* retired) noexcept nogil:
    cdef Retired* after
    while retired != NULL:
        after = retired.next
        free(retired)
        retired = after
