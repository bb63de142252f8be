"""One shared memory file of numbers: written by its owners, read by everybody, outliving each of them.

All is zero at first and zero means nothing yet, so a fresh file needs only its shape written; what nobody touches stays a
hole that takes no memory.
"""

import errno
import os
from collections import deque

from libc.string cimport memset
from posix.unistd cimport close
from posix.mman cimport MAP_FAILED, MAP_NORESERVE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from edged._fast.base.atomic cimport add32, add64, load32, load64, store32, store64, swap32, swap64
from edged._fast.base.view cimport check

cdef enum:
    PAGE = 4096
    TAG = 0xED6A
    SLOTS_MOST = 1 << 24
    CELL_WORDS = sizeof(Cell) // 8
    LISTENER_WORDS = sizeof(ListenerCell) // 8
    TALLY_WORDS = sizeof(Tally) // 8
    CELL_GAUGES = 2              # words at the start of a struct that a worker's death leaves wrong
    LISTENER_GAUGES = 1
    TALLY_GAUGES = 5

cdef size_t whole_pages(size_t n) noexcept nogil:
    return (n + PAGE - 1) & ~(<size_t>PAGE - 1)

cdef size_t stripe_size(uint32_t slots) noexcept nogil:
    return whole_pages(sizeof(Tally) + LISTENERS_MOST * sizeof(ListenerCell) + slots * sizeof(Cell))

cdef size_t arena_size(uint32_t slots, uint32_t stripes) noexcept nogil:
    return PAGE + whole_pages(slots * sizeof(Standing)) + stripes * stripe_size(slots) + PAGE

LAYOUT = ARENA_LAYOUT            # for who has to know before a file is opened

def arena_bytes(uint32_t slots, uint32_t stripes):
    """Size of the file for so many slots and stripes. The last page is never used: growing the file touches it."""
    return arena_size(slots, stripes)

cdef uint64_t shape_of(uint32_t slots, uint32_t stripes) noexcept nogil:
    return <uint64_t>TAG << 48 | <uint64_t>ARENA_LAYOUT << 40 | <uint64_t>stripes << 32 | slots

cdef uint64_t settle_shape(int fd, uint32_t slots, uint32_t stripes) except 0:
    """The shape that the file has or, if it was blank, has from now on. Of several who format at once, one decides."""
    cdef uint64_t wanted = shape_of(slots, stripes), shape = 0
    # Growing this way never shrinks a file that another process has grown meanwhile.
    os.posix_fallocate(fd, 0, PAGE)
    cdef void* page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
    if page == MAP_FAILED:
        raise OSError("the arena cannot be mapped")
    if swap64(&(<ArenaHeader*>page).shape, &shape, wanted):
        shape = wanted
    munmap(page, PAGE)
    if shape >> 48 != TAG:
        raise ValueError("this file is no arena")
    if (shape >> 40 & 0xFF) != ARENA_LAYOUT:
        raise ValueError(f"the arena has layout {shape >> 40 & 0xFF}, this program needs {ARENA_LAYOUT}")
    return shape

cdef class Arena:
    """The arena behind a descriptor, which the caller may close afterwards. A blank file is given its shape (`slots`, `stripes`);
    one that has a shape keeps it. Raises ValueError for a file of another layout or kind, OSError where it cannot be mapped."""

    def __cinit__(self, int fd, uint32_t slots=65536, uint32_t stripes=STRIPES_MOST):
        self.at = NULL
        self.fd = -1
        if not 2 <= slots <= SLOTS_MOST or not 1 <= stripes <= STRIPES_MOST:
            raise ValueError(f"an arena has 2 to {SLOTS_MOST} slots and 1 to {STRIPES_MOST} stripes")
        cdef uint64_t shape = settle_shape(fd, slots, stripes)
        self.slots = <uint32_t>shape
        self.stripes = shape >> 32 & 0xFF
        self.bytes = arena_size(self.slots, self.stripes)
        os.posix_fallocate(fd, self.bytes - 1, 1)
        cdef void* at = mmap(NULL, self.bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0)
        if at == MAP_FAILED:
            raise OSError("the arena cannot be mapped")
        self.at = <char*>at
        self.fd = os.dup(fd)
        self.header = <ArenaHeader*>at
        self.standings = <Standing*>(self.at + PAGE)
        self.stripe_bytes = stripe_size(self.slots)
        self.first_stripe = self.at + PAGE + whole_pages(self.slots * sizeof(Standing))
        self.slot_of = None
        self.free = None

    def __dealloc__(self):
        if self.at != NULL:
            munmap(self.at, self.bytes)
        if self.fd >= 0:
            close(self.fd)

    cdef Tally* tally(self, uint32_t stripe) noexcept nogil:
        check(stripe < self.stripes)
        return <Tally*>(self.first_stripe + stripe * self.stripe_bytes)

    cdef ListenerCell* listener(self, uint32_t stripe, uint32_t number) noexcept nogil:
        check(stripe < self.stripes and number < LISTENERS_MOST)
        return <ListenerCell*>(self.first_stripe + stripe * self.stripe_bytes + sizeof(Tally)) + number

    cdef Cell* cells(self, uint32_t stripe) noexcept nogil:
        check(stripe < self.stripes)
        return <Cell*>(self.first_stripe + stripe * self.stripe_bytes + sizeof(Tally) + LISTENERS_MOST * sizeof(ListenerCell))

    cdef uint32_t stripes_in_use(self) noexcept nogil:
        return load32(&self.header.stripes_in_use)

    # ---- stripes: one worker each

    cdef int need_stripe(self, uint32_t stripe) except -1:
        if stripe >= self.stripes:
            raise IndexError(f"stripe {stripe} of {self.stripes}")
        return 0

    def open_stripe(self, uint32_t stripe):
        """Count this stripe among those in use, for ever. Called by the worker that writes it, before it does."""
        self.need_stripe(stripe)
        raise_to(&self.header.stripes_in_use, stripe + 1)

    def reset_gauges(self, uint32_t stripe):
        """Set to zero what a dead worker left running in its stripe. Called by its successor, before its engine starts."""
        self.need_stripe(stripe)
        cdef uint32_t i
        memset(self.tally(stripe), 0, TALLY_GAUGES * 8)
        for i in range(<uint32_t>LISTENERS_MOST):
            memset(self.listener(stripe, i), 0, LISTENER_GAUGES * 8)
        cdef size_t first = <char*>self.cells(stripe) - self.at
        cdef size_t at = first, end = first + self.slots * sizeof(Cell), until
        while at < end:                      # only what was ever written: a look at a hole would fill it
            try:
                at = max(at, <size_t>os.lseek(self.fd, at, os.SEEK_DATA))
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            until = min(end, <size_t>os.lseek(self.fd, at, os.SEEK_HOLE))
            self.reset_cells(self.cells(stripe), at - min(at, first), until - min(until, first))
            at = until

    cdef void reset_cells(self, Cell* cells, size_t at, size_t until) noexcept nogil:
        # The gauges at the start of a cell lie within one page, as cells and pages are aligned.
        cdef size_t i
        for i in range((at + sizeof(Cell) - 1) // sizeof(Cell), (until + sizeof(Cell) - 1) // sizeof(Cell)):
            memset(&cells[i], 0, CELL_GAUGES * 8)

    def read_stripes_in_use(self):
        """Highest stripe ever opened, plus one."""
        return self.stripes_in_use()

    # ---- slots: claimed and given a standing by control alone

    cdef int need_slot(self, uint32_t slot) except -1:
        if slot >= self.slots:
            raise IndexError(f"slot {slot} of {self.slots}")
        return 0

    cdef int recover_slots(self) except -1:
        """Who claimed what before this process was started."""
        cdef uint32_t slot, high = max(load32(&self.header.slots_high), 1)
        self.slot_of = {}
        self.free = deque()
        for slot in range(1, high):
            if self.standings[slot].key:
                self.slot_of[self.standings[slot].key] = slot
            else:
                self.free.append(slot)
        return 0

    def look_again(self):
        """Forget who claimed what: another process may have claimed since. It is read anew when it is needed."""
        self.slot_of = None
        self.free = None

    def slots_by_key(self):
        """All claimed slots, as a new dict: key to slot."""
        if self.slot_of is None:
            self.recover_slots()
        return dict(self.slot_of)

    def claim_slot(self, uint64_t key):
        """The slot of this key: the one it has, or a free one, then up, with weight 1, without limit and with counters at zero.
        Raises ValueError for key 0 and MemoryError if all slots are taken."""
        if key == 0:
            raise ValueError("key 0 marks free slots")
        if self.slot_of is None:
            self.recover_slots()
        known = self.slot_of.get(key)
        if known is not None:
            return known
        cdef uint32_t slot = load32(&self.header.slots_high) or 1
        if slot < self.slots:                # a slot never used is taken first, so that a freed one rests as long as possible
            raise_to(&self.header.slots_high, slot + 1)
        elif self.free:
            slot = self.free.popleft()
            self.forget_counts(slot)
        else:
            raise MemoryError(f"all {self.slots - 1} slots of the arena are taken")
        cdef Standing* s = &self.standings[slot]
        s.weight = 1
        s.standing = STANDING_UP
        s.percent = 100
        s.maxconn = 0
        store64(&s.key, key)
        self.tell_change(s)
        self.slot_of[key] = slot
        return slot

    cdef void forget_counts(self, uint32_t slot) noexcept nogil:
        # The gauges stay: exchanges that began with the old owner still take themselves off. An increment that races with
        # this survives; it is one too many in a new counter, no more.
        cdef uint32_t stripe
        for stripe in range(self.stripes_in_use()):
            memset(<uint64_t*>&self.cells(stripe)[slot] + CELL_GAUGES, 0, sizeof(Cell) - CELL_GAUGES * 8)

    def free_slot(self, uint32_t slot):
        """Give a slot back. It is claimed again only after all others; tables that still name it then mean its new owner, so
        free it when no worker holds such a table any more."""
        self.need_slot(slot)
        if self.slot_of is None:
            self.recover_slots()
        cdef Standing* s = &self.standings[slot]
        if s.key == 0:
            raise ValueError(f"slot {slot} is free already")
        del self.slot_of[s.key]
        store64(&s.key, 0)
        self.tell_change(s)
        self.free.append(slot)

    cdef void tell_change(self, Standing* s) noexcept nogil:
        add32(&s.version, 1)                 # after the fields: who has seen the new version sees them too
        add64(&self.header.epoch, 1)

    def set_standing(self, uint32_t slot, *, weight=None, standing=None, maxconn=None, percent=None):
        """Change what is given; the workers' next choice obeys. `standing`: a StandingWord; `percent`: 0..100 of weight and maxconn."""
        self.need_slot(slot)
        cdef Standing* s = &self.standings[slot]
        if weight is not None and not 0 <= weight <= 256:
            raise ValueError(f"weight {weight} is not within 0..256")
        if standing is not None and not STANDING_UP <= standing <= STANDING_MAINTENANCE:
            raise ValueError(f"{standing} is no standing")
        if percent is not None and not 0 <= percent <= 100:
            raise ValueError(f"percent {percent} is not within 0..100")
        cdef uint32_t limit = s.maxconn if maxconn is None else maxconn
        if weight is not None:
            s.weight = weight
        if standing is not None:
            s.standing = standing
        if percent is not None:
            s.percent = percent
        s.maxconn = limit
        self.tell_change(s)

    def standing(self, uint32_t slot):
        """Key, version, weight, standing, percent and maxconn of a slot."""
        self.need_slot(slot)
        cdef Standing* s = &self.standings[slot]
        return {"key": s.key, "version": s.version, "weight": s.weight, "standing": s.standing, "percent": s.percent, "maxconn": s.maxconn}

    # ---- numbers

    def read_tally(self, uint32_t stripe):
        """The numbers of one worker."""
        self.need_stripe(stripe)
        return tally_dict(self.tally(stripe))

    def totals(self):
        """The sum over all workers; `table_version` is the lowest that is in force anywhere."""
        cdef Tally sum
        cdef uint32_t stripe, n = self.stripes_in_use()
        cdef uint64_t oldest = 0
        memset(&sum, 0, sizeof(sum))
        for stripe in range(n):
            add_words(<uint64_t*>&sum, <uint64_t*>self.tally(stripe), TALLY_WORDS)
            if stripe == 0 or self.tally(stripe).table_version < oldest:
                oldest = self.tally(stripe).table_version
        sum.table_version = oldest
        return tally_dict(&sum)

    def cell(self, uint32_t stripe, uint32_t slot):
        """How one worker sees one endpoint or backend."""
        self.need_stripe(stripe)
        self.need_slot(slot)
        return cell_dict(&self.cells(stripe)[slot])

    def cell_totals(self, uint32_t slot):
        """The sum over all workers."""
        self.need_slot(slot)
        cdef Cell sum
        cdef uint32_t stripe
        memset(&sum, 0, sizeof(sum))
        for stripe in range(self.stripes_in_use()):
            add_words(<uint64_t*>&sum, <uint64_t*>&self.cells(stripe)[slot], CELL_WORDS)
        return cell_dict(&sum)

    def listener_totals(self, uint32_t number):
        """The numbers of one listener, summed over all workers."""
        if number >= LISTENERS_MOST:
            raise IndexError(f"listener {number} of {LISTENERS_MOST}")
        cdef ListenerCell sum
        cdef uint32_t stripe
        memset(&sum, 0, sizeof(sum))
        for stripe in range(self.stripes_in_use()):
            add_words(<uint64_t*>&sum, <uint64_t*>self.listener(stripe, number), LISTENER_WORDS)
        return {"current": sum.current, "accepted": sum.accepted, "requests": sum.requests, "bytes_in": sum.bytes_in,
                "bytes_out": sum.bytes_out, "bad_requests": sum.bad_requests, "denied": sum.denied, "proxy_refused": sum.proxy_refused}

cdef void raise_to(uint32_t* at, uint32_t least) noexcept nogil:
    cdef uint32_t was = load32(at)
    while was < least and not swap32(at, &was, least):
        pass

cdef void add_words(uint64_t* to, const uint64_t* words, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        to[i] += load64(&words[i])

cdef dict tally_dict(const Tally* t):
    return {"connections": t.connections, "exchanges": t.exchanges, "tunnels": t.tunnels, "pooled": t.pooled, "buffers": t.buffers,
            "accepted": t.accepted, "requests": t.requests, "bytes_in": t.bytes_in, "bytes_out": t.bytes_out, "spliced": t.spliced,
            "log_dropped": t.log_dropped, "accept_paused": t.accept_paused, "answered_here": t.answered_here,
            "table_version": t.table_version, "turns": t.turns, "tls_handshakes": t.tls_handshakes, "tls_resumed": t.tls_resumed,
            "tls_failed": t.tls_failed, "tls_absent": t.tls_absent, "tls_endpoint_handshakes": t.tls_endpoint_handshakes,
            "tls_endpoint_resumed": t.tls_endpoint_resumed, "tls_endpoint_failed": t.tls_endpoint_failed}

cdef dict cell_dict(const Cell* c):
    return {"served": c.served, "queued": c.queued, "sessions": c.sessions, "connects": c.connects, "reused": c.reused,
            "bytes_in": c.bytes_in, "bytes_out": c.bytes_out, "answers": [c.answers[i] for i in range(6)],
            "connect_errors": c.connect_errors, "response_errors": c.response_errors, "retries": c.retries,
            "redispatches": c.redispatches, "client_aborts": c.client_aborts}
