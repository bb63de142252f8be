"""A backend on a stage of its own: a table made by hand, an arena, and a bench."""

import ipaddress
import os

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from edged._fast.base.view cimport View, view
from edged._fast.memory.arena cimport Arena
from edged._fast.parse.head cimport Head
from edged._fast.route.balance cimport (
    Asked, Bench, Choice, balance_choose, balance_forget, balance_has_room, bench_close, bench_open, bench_refresh,
)
from edged._fast.route.digest cimport avalanche as avalanche_of, digest as digest_of
from edged._fast.route.roster cimport rosters_bytes
from edged._fast.route.table cimport (
    BALANCE_FIRST, BALANCE_HDR, BALANCE_LEASTCONN, BALANCE_RANDOM, BALANCE_ROUNDROBIN, BALANCE_SOURCE, BALANCE_STATIC_RR, BALANCE_URI,
    BALANCE_URL_PARAM, HASH_AVALANCHE, HASH_CONSISTENT, HASH_CRC32, HASH_DJB2, HASH_NONE, HASH_SDBM, HASH_WHOLE, HASH_WT6, Backend,
    Endpoint, Table, Text,
)

cdef extern from "<time.h>" nogil:
    struct timespec:
        int64_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* out)

ALGORITHMS = {"roundrobin": BALANCE_ROUNDROBIN, "static-rr": BALANCE_STATIC_RR, "leastconn": BALANCE_LEASTCONN, "source": BALANCE_SOURCE,
              "uri": BALANCE_URI, "url_param": BALANCE_URL_PARAM, "hdr": BALANCE_HDR, "random": BALANCE_RANDOM, "first": BALANCE_FIRST}
FUNCTIONS = {"sdbm": HASH_SDBM, "djb2": HASH_DJB2, "wt6": HASH_WT6, "crc32": HASH_CRC32, "none": HASH_NONE}

def digest(str function, bytes key):
    return digest_of(FUNCTIONS[function], view(key, len(key)))

def avalanche(uint32_t word):
    return avalanche_of(word)

cdef enum:
    ROOM = 1 << 20
    FIRST_SLOT = 10

cdef class Stage:
    """`endpoints`: a list of dicts (name, weight, id, backup, cookie, maxconn), or weights by name. Slots are taken in order from
    FIRST_SLOT on, claimed only where `claimed`."""

    cdef readonly Arena arena
    cdef Bench bench
    cdef Table table
    cdef char* room
    cdef uint32_t used
    cdef Backend* backend
    cdef Endpoint* endpoints
    cdef public list names
    cdef list held

    def __init__(self, endpoints, algorithm="roundrobin", *, function="sdbm", consistent=False, avalanche=False, whole=False, depth=0,
                 length=0, key="", draws=2, maxqueue=0, redispatch=-1, stripe=0, stripes=1, arena=None, claimed=False, version=1):
        if isinstance(endpoints, dict):
            endpoints = [{"name": name, "weight": weight} for name, weight in endpoints.items()]
        self.names = [e["name"] for e in endpoints]
        self.held = []
        if arena is None:
            fd = os.memfd_create("arena")
            try:
                arena = Arena(fd, 4096, 8)
            finally:
                os.close(fd)
        self.arena = arena
        for number in range(stripes):
            self.arena.open_stripe(number)
        bench_open(&self.bench, self.arena, stripe)
        self.room = <char*>calloc(1, ROOM)
        self.table.at = self.room
        self.table.bytes = ROOM
        self.table.version = version
        self.used = sizeof(Backend)
        self.backend = <Backend*>self.room
        self.backend.slot = 5
        self.backend.endpoints = self.used
        self.backend.n = len(endpoints)
        self.endpoints = <Endpoint*>(self.room + self.used)
        self.used += len(endpoints) * sizeof(Endpoint)
        self.backend.algorithm = ALGORITHMS[algorithm]
        self.backend.hash_function = FUNCTIONS[function]
        self.backend.hash_flags = HASH_CONSISTENT * consistent | HASH_AVALANCHE * avalanche | HASH_WHOLE * whole
        self.backend.hash_depth = depth
        self.backend.hash_length = length
        self.backend.hash_key = self.text(key)
        self.backend.draws = draws
        self.backend.maxqueue = maxqueue
        self.backend.redispatch = redispatch
        for i, given in enumerate(endpoints):
            self.fill(&self.endpoints[i], i, given)
            if claimed:
                while self.arena.claim_slot(1000 + i) < FIRST_SLOT:
                    self.arena.free_slot(self.arena.claim_slot(1000 + i))
                assert self.arena.claim_slot(1000 + i) == FIRST_SLOT + i
                self.arena.set_standing(FIRST_SLOT + i, weight=given.get("weight", 1), maxconn=given.get("maxconn", 0))

    def __dealloc__(self):
        bench_close(&self.bench)
        free(self.room)

    cdef Text text(self, str word):
        cdef Text t
        cdef bytes encoded = word.encode()
        t.at = self.used
        t.n = len(encoded)
        memcpy(self.room + self.used, <const char*>encoded, t.n)
        self.used += t.n
        return t

    cdef void fill(self, Endpoint* e, int i, dict given):
        e.slot = FIRST_SLOT + i
        e.id = given.get("id", i + 1)
        e.name = self.text(given["name"])
        e.cookie = self.text(given.get("cookie", ""))
        e.weight = given.get("weight", 1)
        e.backup = given.get("backup", False)
        e.maxconn = given.get("maxconn", 0)
        if e.maxconn:
            self.backend.limited = 1
        if not e.backup:
            self.backend.n_active += 1
            self.backend.weight_total += e.weight

    def slot(self, name):
        return FIRST_SLOT + self.names.index(name)

    def begin(self, name, int served=1, *, int stripe=0, int queued=0):
        """Exchanges begin (or, below zero, end) at this endpoint."""
        self.arena.cells(stripe)[<int>self.slot(name)].served += served
        self.arena.cells(stripe)[<int>self.slot(name)].queued += queued

    def refresh(self):
        bench_refresh(&self.bench, self.arena)

    cdef Head* head_of(self, Head* head, str target, headers):
        cdef bytes text = target.encode()
        self.held = [text]
        memset(head, 0, sizeof(Head))
        head.target = view(text, len(text))
        start = 0 if text.startswith(b"/") else text.find(b"/", 8) if b"://" in text else -1
        if start >= 0:
            end = text.find(b"?")
            head.path = view(<const char*>text + <int>start, (len(text) if end < 0 else end) - start)
        for name, value in headers:
            name, value = name.encode(), value.encode()
            self.held += [name, value]
            head.fields[head.n].name = view(<bytes>name, len(name))
            head.fields[head.n].value = view(<bytes>value, len(value))
            head.n += 1
        return head

    cdef object name_of(self, const Endpoint* e):
        return None if e == NULL else self.names[e - self.endpoints]

    cdef Asked asked(self, Head* head, target, headers, bytes cookie, source, avoid):
        cdef Asked asked
        memset(&asked, 0, sizeof(asked))
        if target is not None:
            asked.head = self.head_of(head, target, headers)
        asked.cookie = view(cookie, len(cookie))
        if source:
            packed = ipaddress.ip_address(source).packed
            asked.source.family = 4 if len(packed) == 4 else 6
            memcpy(asked.source.at, <const char*><bytes>packed, len(packed))
        if avoid is not None:
            asked.avoid = &self.endpoints[<int>self.names.index(avoid)]
        return asked

    def ask(self, *, target=None, headers=(), bytes cookie=b"", source="", avoid=None):
        """The whole answer."""
        cdef Head head
        cdef Asked asked = self.asked(&head, target, headers, cookie, source, avoid)
        cdef Choice c
        with nogil:
            c = balance_choose(&self.bench, &self.table, self.backend, &asked)
        return {"endpoint": self.name_of(c.endpoint), "full": bool(c.full), "bound": self.name_of(c.bound),
                "by_cookie": bool(c.by_cookie), "cookie_down": bool(c.cookie_down)}

    def choose(self, **asked):
        return self.ask(**asked)["endpoint"]

    def row(self, int n, **asked):
        """The endpoints of n choices one after the other, none of which lasts."""
        return "".join(self.choose(**asked) or "-" for _ in range(n))

    def has_room(self, name):
        return bool(balance_has_room(&self.bench, &self.endpoints[<int>self.names.index(name)]))

    def remembered_bytes(self):
        return rosters_bytes(&self.bench)

    def forget(self):
        balance_forget(&self.bench, &self.table)

    def nanoseconds(self, int count, *, target=None, headers=(), bytes cookie=b"", source=""):
        """What one choice takes, on average."""
        cdef Head head
        cdef Asked asked = self.asked(&head, target, headers, cookie, source, None)
        cdef timespec begun, ended
        cdef int i
        with nogil:
            clock_gettime(1, &begun)
            for i in range(count):
                balance_choose(&self.bench, &self.table, self.backend, &asked)
            clock_gettime(1, &ended)
        return ((ended.tv_sec - begun.tv_sec) * 1e9 + ended.tv_nsec - begun.tv_nsec) / count
