"""Remembered backends: lineup, map, ring and cookies in one block of memory each."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy, memset

from edged._fast.base.atomic cimport load32, load64
from edged._fast.base.view cimport check, view_same
from edged._fast.route.digest cimport avalanche, digest
from edged._fast.route.lineup cimport FEW, WEIGHT_SCALE, lineup_fill, user_weight
from edged._fast.route.table cimport (
    BALANCE_HDR, BALANCE_SOURCE, BALANCE_STATIC_RR, BALANCE_URI, BALANCE_URL_PARAM, HASH_CONSISTENT, HASH_SDBM, table_endpoints, table_text,
)
from edged._fast.route.turns cimport Waiting

cdef enum:
    BUCKETS = 1024

cdef struct Rosters:
    Roster* buckets[BUCKETS]
    Roster* oldest
    Roster* newest
    size_t bytes

cdef struct Sizes:               # of the arrays, in entries
    size_t n
    size_t many                  # n, or 0 where there are few
    size_t map
    size_t nodes
    size_t cookies

# ---- making one

cdef inline bint by_hash(const Backend* backend) noexcept nogil:
    return backend.algorithm in (BALANCE_SOURCE, BALANCE_URI, BALANCE_URL_PARAM, BALANCE_HDR)

cdef inline bint by_ring(const Backend* backend) noexcept nogil:
    return by_hash(backend) and backend.hash_flags & HASH_CONSISTENT

cdef inline bint by_map(const Backend* backend) noexcept nogil:
    return backend.algorithm == BALANCE_STATIC_RR or (by_hash(backend) and not backend.hash_flags & HASH_CONSISTENT)

cdef inline uint32_t weight_in_map(const Bench* bench, const Lineup* lineup, uint32_t i) noexcept nogil:
    return user_weight(&bench.standings[lineup.who[i].slot], lineup.who[i])

cdef uint32_t common_divisor(uint32_t a, uint32_t b) noexcept nogil:
    cdef uint32_t rest
    while b:
        rest = a % b
        a = b
        b = rest
    return a

cdef uint32_t divisor_of(const Bench* bench, const Lineup* lineup) noexcept nogil:
    """By what all weights are divided for the map: what they have in common, or more where the map would grow too large."""
    cdef uint32_t i, common = 0, most
    cdef uint64_t total = 0
    for i in range(lineup.n):
        common = common_divisor(weight_in_map(bench, lineup, i), common)
        total += weight_in_map(bench, lineup, i)
    if common == 0:
        return 1
    most = MAP_WORK_MOST // lineup.n
    if total // common > most:
        common = <uint32_t>(total // most) + 1
    return common

cdef inline uint32_t share_in_map(const Bench* bench, const Lineup* lineup, uint32_t i, uint32_t divisor) noexcept nogil:
    return max(<uint32_t>1, weight_in_map(bench, lineup, i) // divisor)

cdef inline uint32_t nodes_of(const Lineup* lineup, uint32_t i) noexcept nogil:
    if lineup.total <= NODES_MOST:
        return lineup.weights[i]
    return max(<uint32_t>1, <uint32_t>(<uint64_t>lineup.weights[i] * NODES_MOST // lineup.total))

cdef void fill_map(Roster* r, const Bench* bench, uint32_t divisor, int64_t* scores) noexcept nogil:
    cdef const Lineup* lineup = &r.lineup
    cdef int64_t total = r.n_map, best, level
    cdef uint32_t slot, i, chosen
    for i in range(lineup.n):
        scores[i] = 0
    for slot in range(r.n_map):
        best = -1
        chosen = 0
        for i in range(lineup.n):
            scores[i] += share_in_map(bench, lineup, i, divisor)
            level = scores[i] + total
            if level - level % total > best:     # compared in whole multiples of the total
                best = level - level % total
                chosen = i
        scores[chosen] -= total
        r.map[slot] = chosen

cdef void sort_nodes(Roster* r, uint32_t* keys, uint32_t* owners) noexcept nogil:
    """By key, equals in the order they stand in; four passes of a byte each, so that the result is where it began."""
    cdef uint32_t counts[256]
    cdef uint32_t i, byte, at, sum
    cdef uint32_t* spare
    cdef int shift
    for shift in range(0, 32, 8):
        memset(counts, 0, sizeof(counts))
        for i in range(r.n_nodes):
            counts[r.keys[i] >> shift & 255] += 1
        sum = 0
        for i in range(256):
            at = counts[i]
            counts[i] = sum
            sum += at
        for i in range(r.n_nodes):
            byte = r.keys[i] >> shift & 255
            keys[counts[byte]] = r.keys[i]
            owners[counts[byte]] = r.owners[i]
            counts[byte] += 1
        spare = r.keys
        r.keys = keys
        keys = spare
        spare = r.owners
        r.owners = owners
        owners = spare

cdef void fill_ring(Roster* r, uint32_t* spare) noexcept nogil:
    cdef uint32_t i, node, n = 0
    for i in range(r.lineup.n):
        for node in range(nodes_of(&r.lineup, i)):
            r.keys[n] = avalanche(r.lineup.who[i].id * 4096 + node)
            r.owners[n] = i
            n += 1
    check(n == r.n_nodes)
    sort_nodes(r, spare, spare + n)

cdef void fill_cookies(Roster* r) noexcept nogil:
    cdef const Endpoint* endpoints = table_endpoints(r.table, r.backend)
    cdef uint32_t i, at
    cdef View cookie
    memset(r.cookies, 0, (<size_t>r.cookie_mask + 1) * sizeof(uint32_t))
    for i in range(r.backend.n):
        cookie = table_text(r.table, endpoints[i].cookie)
        if cookie.n == 0:
            continue
        at = avalanche(digest(HASH_SDBM, cookie)) & r.cookie_mask
        while r.cookies[at]:
            at = (at + 1) & r.cookie_mask
        r.cookies[at] = i + 1

cdef Sizes sizes_of(const Bench* bench, const Backend* backend, const Lineup* lineup, uint32_t divisor) noexcept nogil:
    cdef Sizes s
    cdef uint32_t i
    memset(&s, 0, sizeof(s))
    s.n = max(backend.n, 1)
    for i in range(lineup.n):
        if by_map(backend):
            s.map += share_in_map(bench, lineup, i, divisor)
        if by_ring(backend):
            s.nodes += nodes_of(lineup, i)
    if backend.n > FEW:
        s.many = s.n
        s.cookies = 2 * FEW
        while s.cookies < 2 * s.n:
            s.cookies *= 2
    return s

cdef inline size_t padded(size_t n, size_t each) noexcept nogil:
    return (n * each + 7) & ~<size_t>7

cdef inline void* carve(char** at, size_t n, size_t each) noexcept nogil:
    cdef void* here = at[0]
    at[0] += padded(n, each)
    return here if n else NULL

cdef size_t block_bytes(const Sizes* s) noexcept nogil:
    return (padded(1, sizeof(Roster)) + padded(s.n, sizeof(void*)) + padded(s.n, sizeof(uint32_t))
            + 2 * padded(s.many, sizeof(uint32_t)) + 3 * padded(s.many, sizeof(Waiting)) + padded(s.map, sizeof(uint32_t))
            + 2 * padded(s.nodes, sizeof(uint32_t)) + padded(s.cookies, sizeof(uint32_t)))

cdef void lay_out(Roster* r, char* at, const Sizes* s) noexcept nogil:
    carve(&at, 1, sizeof(Roster))
    r.lineup.who = <const Endpoint**>carve(&at, s.n, sizeof(void*))
    r.lineup.weights = <uint32_t*>carve(&at, s.n, sizeof(uint32_t))
    r.sums = <uint32_t*>carve(&at, s.many, sizeof(uint32_t))
    r.turns.skipped = <uint32_t*>carve(&at, s.many, sizeof(uint32_t))
    r.turns.current.at = <Waiting*>carve(&at, s.many, sizeof(Waiting))
    r.turns.first.at = <Waiting*>carve(&at, s.many, sizeof(Waiting))
    r.turns.then.at = <Waiting*>carve(&at, s.many, sizeof(Waiting))
    r.map = <uint32_t*>carve(&at, s.map, sizeof(uint32_t))
    r.n_map = <uint32_t>s.map
    r.keys = <uint32_t*>carve(&at, s.nodes, sizeof(uint32_t))
    r.owners = <uint32_t*>carve(&at, s.nodes, sizeof(uint32_t))
    r.n_nodes = <uint32_t>s.nodes
    r.cookies = <uint32_t*>carve(&at, s.cookies, sizeof(uint32_t))
    r.cookie_mask = <uint32_t>s.cookies - 1
    check(at - <char*>r == <ptrdiff_t>block_bytes(s))

cdef void fill(Roster* r, const Bench* bench, const Lineup* lineup, const Sizes* s, uint32_t divisor, void* scratch) noexcept nogil:
    cdef uint32_t i, sum = 0
    r.lineup.n = lineup.n
    r.lineup.total = lineup.total
    r.lineup.equal = lineup.equal
    r.lineup.even = lineup.even
    memcpy(r.lineup.who, lineup.who, lineup.n * sizeof(void*))
    memcpy(r.lineup.weights, lineup.weights, lineup.n * sizeof(uint32_t))
    if s.many:
        for i in range(lineup.n):
            sum += lineup.weights[i]
            r.sums[i] = sum
        fill_cookies(r)
    if s.map:
        fill_map(r, bench, divisor, <int64_t*>scratch)
    if s.nodes:
        fill_ring(r, <uint32_t*>scratch)

cdef Roster* make_from(const Bench* bench, const Table* table, const Backend* backend, const Lineup* lineup) noexcept nogil:
    cdef uint32_t divisor = divisor_of(bench, lineup) if by_map(backend) and lineup.n else 1
    cdef Sizes s = sizes_of(bench, backend, lineup, divisor)
    cdef size_t bytes = block_bytes(&s)
    cdef Roster* r = <Roster*>malloc(bytes)
    cdef void* scratch = malloc(max(s.n * sizeof(int64_t), 2 * s.nodes * sizeof(uint32_t)))
    if r == NULL or scratch == NULL:
        free(r)
        free(scratch)
        return NULL
    memset(r, 0, sizeof(Roster))
    r.table = table
    r.backend = backend
    r.table_version = table.version
    r.bytes = bytes
    lay_out(r, <char*>r, &s)
    fill(r, bench, lineup, &s, divisor, scratch)
    free(scratch)
    return r

cdef Roster* make_roster(const Bench* bench, const Table* table, const Backend* backend) noexcept nogil:
    cdef Lineup lineup
    cdef Roster* r
    cdef size_t n = max(backend.n, 1)
    cdef uint64_t epoch = load64(bench.epoch) if bench.epoch != NULL else 0
    cdef uint64_t versions = versions_of(bench, table, backend)      # before what they stand for is read
    lineup.who = <const Endpoint**>malloc(n * (sizeof(void*) + sizeof(uint32_t)))
    if lineup.who == NULL:
        return NULL
    lineup.weights = <uint32_t*>(lineup.who + n)
    lineup_fill(&lineup, bench, table, backend)
    r = make_from(bench, table, backend, &lineup)
    free(lineup.who)
    if r != NULL:
        r.epoch = epoch
        r.versions = versions
    return r

# ---- keeping them

cdef uint64_t versions_of(const Bench* bench, const Table* table, const Backend* backend) noexcept nogil:
    cdef const Endpoint* endpoints = table_endpoints(table, backend)
    cdef uint64_t sum = 0
    cdef uint32_t i
    for i in range(backend.n):
        sum += load32(&bench.standings[endpoints[i].slot].version)
    return sum

cdef bint still_right(Roster* r, const Bench* bench) noexcept nogil:
    cdef uint64_t epoch = load64(bench.epoch) if bench.epoch != NULL else 0
    if bench.epoch != NULL and epoch == r.epoch:
        return True
    if versions_of(bench, r.table, r.backend) != r.versions:
        return False
    r.epoch = epoch                          # the change was another backend's
    return True

cdef inline uint32_t bucket_of(const Backend* backend) noexcept nogil:
    return avalanche(<uint32_t>(<size_t>backend >> 3)) % BUCKETS

cdef void unchain(Rosters* all, Roster* gone) noexcept nogil:
    cdef Roster** link = &all.buckets[bucket_of(gone.backend)]
    while link[0] != gone:
        link = &link[0].chain
    link[0] = gone.chain

cdef void drop(Rosters* all, Roster* gone) noexcept nogil:
    unchain(all, gone)
    if gone.earlier == NULL:
        all.oldest = gone.later
    else:
        gone.earlier.later = gone.later
    if gone.later == NULL:
        all.newest = gone.earlier
    else:
        gone.later.earlier = gone.earlier
    all.bytes -= gone.bytes
    free(gone)

cdef void keep(Rosters* all, Roster* r) noexcept nogil:
    cdef uint32_t bucket = bucket_of(r.backend)
    r.chain = all.buckets[bucket]
    all.buckets[bucket] = r
    r.earlier = all.newest
    if all.newest == NULL:
        all.oldest = r
    else:
        all.newest.later = r
    all.newest = r
    all.bytes += r.bytes
    while all.bytes > ROSTERS_BYTES_MOST and all.oldest != r:
        drop(all, all.oldest)

cdef Roster* roster_of(Bench* bench, const Table* table, const Backend* backend) noexcept nogil:
    cdef Rosters* all = <Rosters*>bench.rosters
    cdef Roster* r
    if all == NULL:
        all = <Rosters*>calloc(1, sizeof(Rosters))
        if all == NULL:
            return NULL
        bench.rosters = all
    r = all.buckets[bucket_of(backend)]
    while r != NULL and (r.backend != backend or r.table != table or r.table_version != table.version):
        r = r.chain
    if r != NULL and still_right(r, bench):
        return r
    if r != NULL:
        drop(all, r)
    r = make_roster(bench, table, backend)
    if r != NULL:
        keep(all, r)
    return r

cdef void rosters_forget(Bench* bench, const Table* table) noexcept nogil:
    cdef Rosters* all = <Rosters*>bench.rosters
    cdef Roster* r = all.oldest if all != NULL else NULL
    cdef Roster* later
    while r != NULL:
        later = r.later
        if r.table == table:
            drop(all, r)
        r = later

cdef void rosters_close(Bench* bench) noexcept nogil:
    cdef Rosters* all = <Rosters*>bench.rosters
    if all == NULL:
        return
    while all.oldest != NULL:
        drop(all, all.oldest)
    free(all)
    bench.rosters = NULL

cdef size_t rosters_bytes(const Bench* bench) noexcept nogil:
    return (<Rosters*>bench.rosters).bytes if bench.rosters != NULL else 0

# ---- asking one

cdef const Endpoint* roster_by_cookie(const Roster* r, View cookie) noexcept nogil:
    cdef const Endpoint* endpoints = table_endpoints(r.table, r.backend)
    cdef uint32_t at = avalanche(digest(HASH_SDBM, cookie)) & r.cookie_mask
    while r.cookies[at]:
        if view_same(table_text(r.table, endpoints[r.cookies[at] - 1].cookie), cookie):
            return &endpoints[r.cookies[at] - 1]
        at = (at + 1) & r.cookie_mask
    return NULL

cdef uint32_t roster_node(const Roster* r, uint32_t hash) noexcept nogil:
    check(r.n_nodes > 0)
    cdef uint32_t low = 0, high = r.n_nodes, middle, before
    while low < high:
        middle = (low + high) // 2
        if r.keys[middle] < hash:
            low = middle + 1
        else:
            high = middle
    if low == r.n_nodes:
        low = 0
    before = (low if low else r.n_nodes) - 1
    return before if <uint32_t>(hash - r.keys[before]) <= <uint32_t>(r.keys[low] - hash) else low
