"""The choice: first the client's cookie, then the backend's algorithm among those who are usable."""

from libc.stdint cimport int64_t, uint16_t
from libc.string cimport memchr, memcmp, memset

from edged._fast.base.atomic cimport load32
from edged._fast.base.view cimport view, view_is_nocase, view_same
from edged._fast.memory.arena cimport STANDING_DOWN, STANDING_MAINTENANCE
from edged._fast.route.digest cimport avalanche, digest, digest_address
from edged._fast.route.lineup cimport FEW, Lineup, effective_weight, is_full, lineup_fill, room, running, user_weight
from edged._fast.route.roster cimport Roster, roster_by_cookie, roster_node, roster_of, rosters_close, rosters_forget
from edged._fast.route.table cimport (
    BALANCE_FIRST, BALANCE_HDR, BALANCE_LEASTCONN, BALANCE_RANDOM, BALANCE_SOURCE, BALANCE_STATIC_RR, BALANCE_URI, BALANCE_URL_PARAM,
    HASH_AVALANCHE, HASH_CONSISTENT, HASH_WHOLE, table_endpoints, table_text,
)
from edged._fast.route.turns cimport turns_choose

cdef struct Question:            # one choice, as the algorithms want it
    Bench* bench
    const Table* table
    const Backend* backend
    const Asked* asked
    const Lineup* lineup
    Roster* roster               # NULL: the lineup is short and was made for this choice

# ---- the bench

cdef int bench_open(Bench* bench, Arena arena, uint32_t stripe) except -1:
    arena.need_stripe(stripe)
    bench.standings = arena.standings
    bench.cells = arena.cells(stripe)
    bench.epoch = &arena.header.epoch
    bench.random = <uint64_t>0x9E3779B97F4A7C15 * (stripe + 1) ^ <uint64_t><size_t>bench
    bench_refresh(bench, arena)
    return 0

cdef void bench_refresh(Bench* bench, Arena arena) noexcept nogil:
    cdef uint32_t i, n = min(arena.stripes_in_use(), arena.stripes)
    for i in range(bench.n_stripes, n):
        bench.stripes[i] = arena.cells(i)
    bench.n_stripes = n

cdef void bench_close(Bench* bench) noexcept nogil:
    rosters_close(bench)

cdef void balance_forget(Bench* bench, const Table* table) noexcept nogil:
    rosters_forget(bench, table)

cdef bint balance_has_room(Bench* bench, const Endpoint* endpoint) noexcept nogil:
    return room(bench, endpoint) > 0

cdef inline uint32_t draw(Bench* bench, uint32_t below) noexcept nogil:
    cdef uint64_t x = bench.random if bench.random else <uint64_t>0x9E3779B97F4A7C15
    x ^= x << 13
    x ^= x >> 7
    x ^= x << 17
    bench.random = x
    return <uint32_t>((x >> 32) * below >> 32)

# ---- answers

cdef inline Choice nobody(bint full) noexcept nogil:
    cdef Choice c
    memset(&c, 0, sizeof(c))
    c.full = full
    return c

cdef inline Choice chosen(const Endpoint* e) noexcept nogil:
    cdef Choice c = nobody(False)
    c.endpoint = e
    return c

cdef inline bint queue_is_full(const Bench* bench, const Backend* backend, const Endpoint* e) noexcept nogil:
    return backend.maxqueue and bench.cells[e.slot].queued >= <int64_t>backend.maxqueue

cdef Choice only(const Bench* bench, const Backend* backend, const Endpoint* e) noexcept nogil:
    """This one and no other: given, or waited for, or (its queue is full too) nobody."""
    cdef Choice c
    if not is_full(bench, backend, e):
        return chosen(e)
    c = nobody(not queue_is_full(bench, backend, e))
    if c.full:
        c.bound = e
    return c

# ---- by cookie

cdef const Endpoint* owner_of_cookie(Question* q) noexcept nogil:
    cdef const Endpoint* endpoints = table_endpoints(q.table, q.backend)
    cdef uint32_t i
    if q.roster != NULL and q.backend.n > FEW:
        return roster_by_cookie(q.roster, q.asked.cookie)
    for i in range(q.backend.n):
        if endpoints[i].cookie.n == q.asked.cookie.n and view_same(table_text(q.table, endpoints[i].cookie), q.asked.cookie):
            return &endpoints[i]
    return NULL

cdef Choice by_cookie(Question* q) noexcept nogil:
    """Weight 0 and draining still honour the cookie. Nobody and not full: the algorithm decides."""
    cdef const Endpoint* e = owner_of_cookie(q)
    cdef Choice c = nobody(False)
    cdef uint8_t standing
    if e == NULL or e == q.asked.avoid:
        return c
    standing = q.bench.standings[e.slot].standing
    if standing == STANDING_DOWN or standing == STANDING_MAINTENANCE:
        c.cookie_down = True
        return c
    c = only(q.bench, q.backend, e)
    c.by_cookie = c.endpoint != NULL or c.full
    return c

# ---- leastconn, random, first, static-rr

cdef Choice by_load(Question* q) noexcept nogil:
    """Idle ones in turn, whatever their weight; else the lowest load for its weight, equals in turn."""
    cdef const Lineup* lineup = q.lineup
    cdef uint64_t* next = &q.bench.cells[q.backend.slot].turn
    cdef uint64_t least = ~<uint64_t>0, key
    cdef uint32_t i, index = <uint32_t>(next[0] % lineup.n), best = lineup.n
    cdef bint avoided = False
    index = index - 1 if index else lineup.n - 1
    for i in range(lineup.n):
        index = index + 1 if index + 1 < lineup.n else 0
        if is_full(q.bench, q.backend, lineup.who[index]):
            continue
        if lineup.who[index] == q.asked.avoid:
            avoided = True
            continue
        key = <uint64_t>running(q.bench, lineup.who[index].slot, True)
        if key:
            key = (key + 1) * 4096 // lineup.weights[index]
        if best == lineup.n or key < least:
            least = key
            best = index
        if least == 0:
            break
    if best < lineup.n:
        next[0] = best + 1
        return chosen(lineup.who[best])
    return chosen(q.asked.avoid) if avoided else nobody(True)

cdef uint32_t drawn(Question* q) noexcept nogil:
    """One of the lineup by chance, as often as its share of the weight."""
    cdef uint32_t point, low = 0, high = q.lineup.n - 1, middle
    if q.lineup.even:
        return draw(q.bench, q.lineup.n)
    point = draw(q.bench, q.lineup.total)
    if q.backend.n <= FEW:
        while low < high and point >= q.lineup.weights[low]:
            point -= q.lineup.weights[low]
            low += 1
        return low
    while low < high:
        middle = (low + high) // 2
        if q.roster.sums[middle] <= point:
            low = middle + 1
        else:
            high = middle
    return low

cdef bint is_busier(Question* q, uint32_t a, uint32_t b) noexcept nogil:
    """Is `a` busier than `b` for its weight? If neither is, the one that was chosen last stands back."""
    cdef const Lineup* lineup = q.lineup
    cdef uint64_t of_a = <uint64_t>running(q.bench, lineup.who[a].slot, False) * lineup.weights[b]
    cdef uint64_t of_b = <uint64_t>running(q.bench, lineup.who[b].slot, False) * lineup.weights[a]
    if of_a != of_b:
        return of_a > of_b
    return q.bench.cells[lineup.who[a].slot].turn > q.bench.cells[lineup.who[b].slot].turn

cdef Choice by_chance(Question* q) noexcept nogil:
    cdef const Lineup* lineup = q.lineup
    cdef Cell* group = &q.bench.cells[q.backend.slot]
    cdef uint32_t best = drawn(q), other
    cdef int i
    for i in range(1, q.backend.draws if q.backend.draws else 2):
        other = drawn(q)
        if lineup.who[best] == q.asked.avoid or (other != best and lineup.who[other] != q.asked.avoid and is_busier(q, best, other)):
            best = other
    if lineup.who[best] == q.asked.avoid:
        best = best + 1 if best + 1 < lineup.n else 0
    if is_full(q.bench, q.backend, lineup.who[best]):
        return by_load(q)                    # nobody waits while another one has room
    group.turn += 1
    q.bench.cells[lineup.who[best].slot].turn = group.turn
    return chosen(lineup.who[best])

cdef Choice by_order(Question* q) noexcept nogil:
    cdef uint32_t i
    cdef bint avoided = False
    for i in range(q.lineup.n):
        if is_full(q.bench, q.backend, q.lineup.who[i]):
            continue
        if q.lineup.who[i] != q.asked.avoid:
            return chosen(q.lineup.who[i])
        avoided = True
    return chosen(q.asked.avoid) if avoided else nobody(True)

cdef inline uint32_t map_size(const Question* q) noexcept nogil:
    return q.lineup.n if q.lineup.equal else q.roster.n_map      # equal weights: the map is the order of declaration

cdef inline const Endpoint* on_map(const Question* q, uint32_t slot) noexcept nogil:
    return q.lineup.who[slot if q.lineup.equal else q.roster.map[slot]]

cdef Choice by_map_turn(Question* q) noexcept nogil:
    """static-rr, and requests without what is hashed; also roundrobin where all are even: then it is the order of declaration."""
    cdef uint32_t n = map_size(q), i
    cdef uint32_t* position = &q.bench.cells[q.backend.slot].npos
    cdef uint32_t at = position[0] % n, after_avoided = n
    cdef const Endpoint* e
    for i in range(n):
        e = on_map(q, at)
        at = at + 1 if at + 1 < n else 0
        if is_full(q.bench, q.backend, e):
            continue
        if e != q.asked.avoid:
            position[0] = at
            return chosen(e)
        after_avoided = at
    if after_avoided == n:
        return nobody(True)
    position[0] = after_avoided
    return chosen(q.asked.avoid)

# ---- by hash

cdef View uri_key(const Backend* backend, const Head* head) noexcept nogil:
    cdef View key = head.path
    cdef size_t i, slashes = 0
    if key.n and backend.hash_flags & HASH_WHOLE:
        key.n = head.target.at + head.target.n - key.at
    if backend.hash_length and key.n > backend.hash_length:
        key.n = backend.hash_length
    if backend.hash_depth:
        for i in range(key.n):
            slashes += key.at[i] == c"/"
            if slashes > backend.hash_depth:
                key.n = i
                break
    return key

cdef bint url_param(const Head* head, View name, View* out) noexcept nogil:
    """The value up to the next `&`, undecoded; the first one where there are several."""
    cdef const char* end = head.target.at + head.target.n
    cdef const char* at = <const char*>memchr(head.target.at, c"?", head.target.n) if head.target.n else NULL
    cdef const char* stop
    while at != NULL and at < end:
        at += 1                              # behind the "?" or "&"
        stop = <const char*>memchr(at, c"&", end - at)
        if stop == NULL:
            stop = end
        if <size_t>(stop - at) > name.n and at[name.n] == c"=" and memcmp(at, name.at, name.n) == 0:
            out[0] = view(at + name.n + 1, stop - at - name.n - 1)
            return True
        at = stop
    return False

cdef size_t element(View value) noexcept nogil:
    """Length of the first element of a list: up to a comma that is not within quotes."""
    cdef bint quoted = False
    cdef size_t i = 0
    while i < value.n:
        if value.at[i] == c'"':
            quoted = not quoted
        elif value.at[i] == c"\\" and quoted:
            i += 1                           # the next one is meant as it is
        elif value.at[i] == c"," and not quoted:
            break
        i += 1
    return min(i, value.n)

cdef View header_key(const Head* head, View name) noexcept nogil:
    """The first element of the first such field."""
    cdef View value = view(NULL, 0)
    cdef uint16_t i
    for i in range(head.n):
        if view_is_nocase(head.fields[i].name, name.at, name.n):
            value = head.fields[i].value
            break
    value.n = element(value)
    while value.n and (value.at[value.n - 1] == c" " or value.at[value.n - 1] == c"\t"):
        value.n -= 1
    return value

cdef bint hash_of(const Question* q, uint32_t* out) noexcept nogil:
    """False: the request has not got what is hashed."""
    cdef const Backend* backend = q.backend
    cdef const Head* head = q.asked.head
    cdef View key
    if backend.algorithm == BALANCE_SOURCE:
        if not digest_address(&q.asked.source, out):
            return False
    else:
        if head == NULL:
            return False
        if backend.algorithm == BALANCE_URL_PARAM:
            if not url_param(head, table_text(q.table, backend.hash_key), &key):
                return False
        else:
            key = uri_key(backend, head) if backend.algorithm == BALANCE_URI else header_key(head, table_text(q.table, backend.hash_key))
            if key.n == 0:
                return False
        out[0] = digest(backend.hash_function, key)
    if backend.hash_flags & HASH_AVALANCHE:
        out[0] = avalanche(out[0])
    return True

cdef const Endpoint* hashed_to(const Question* q, uint32_t hash) noexcept nogil:
    """The next one upwards where the one that is meant has just failed."""
    cdef const Roster* r = q.roster
    cdef const Endpoint* e = NULL
    cdef bint ring = q.backend.hash_flags & HASH_CONSISTENT
    cdef uint32_t n = r.n_nodes if ring else map_size(q), i
    cdef uint32_t at = roster_node(r, hash) if ring else hash % n
    for i in range(n):
        e = q.lineup.who[r.owners[at]] if ring else on_map(q, at)
        if e != q.asked.avoid:
            return e
        at = at + 1 if at + 1 < n else 0
    return e

# ---- all together

cdef inline bint is_hashed(const Backend* backend) noexcept nogil:
    return backend.algorithm in (BALANCE_SOURCE, BALANCE_URI, BALANCE_URL_PARAM, BALANCE_HDR)

cdef Choice by_turn(Question* q) noexcept nogil:
    cdef Cell* group = &q.bench.cells[q.backend.slot]
    cdef const Endpoint* e
    if q.lineup.even and q.lineup.equal:
        group.rw = 0                         # should weights differ one day, the cycle of turns.pyx begins anew
        return by_map_turn(q)
    e = turns_choose(q.bench, q.backend, q.lineup, &q.roster.turns if q.backend.n > FEW else NULL, q.asked.avoid)
    return chosen(e) if e != NULL else nobody(True)

cdef Choice by_algorithm(Question* q) noexcept nogil:
    cdef uint8_t algorithm = q.backend.algorithm
    cdef uint32_t hash
    if q.lineup.n == 0:
        return nobody(False)
    if q.lineup.n == 1:
        if is_hashed(q.backend):
            return only(q.bench, q.backend, q.lineup.who[0])
        return nobody(True) if is_full(q.bench, q.backend, q.lineup.who[0]) else chosen(q.lineup.who[0])
    if algorithm == BALANCE_LEASTCONN:
        return by_load(q)
    if algorithm == BALANCE_RANDOM:
        return by_chance(q)
    if algorithm == BALANCE_FIRST:
        return by_order(q)
    if algorithm == BALANCE_STATIC_RR:
        return by_map_turn(q)
    if is_hashed(q.backend):
        if hash_of(q, &hash):
            return only(q.bench, q.backend, hashed_to(q, hash))
        if not q.backend.hash_flags & HASH_CONSISTENT:
            return by_map_turn(q)
    return by_turn(q)

cdef inline bint needs_roster(const Backend* backend, const Lineup* lineup) noexcept nogil:
    if lineup.n < 2:
        return False
    if is_hashed(backend):
        return backend.hash_flags & HASH_CONSISTENT or not lineup.equal
    return backend.algorithm == BALANCE_STATIC_RR and not lineup.equal

cdef Choice choose_first_usable(Question* q) noexcept nogil:
    """Where there is no memory for a roster: better a poor choice than none."""
    cdef const Endpoint* endpoints = table_endpoints(q.table, q.backend)
    cdef uint32_t i
    for i in range(q.backend.n):
        if effective_weight(&q.bench.standings[endpoints[i].slot], &endpoints[i]) and not is_full(q.bench, q.backend, &endpoints[i]):
            return chosen(&endpoints[i])
    return nobody(False)

cdef Choice balance_choose(Bench* bench, const Table* table, const Backend* backend, const Asked* asked) noexcept nogil:
    cdef Question q
    cdef Lineup few
    cdef const Endpoint* who[FEW]
    cdef uint32_t weights[FEW]
    cdef Choice c
    cdef bint cookie_down = False
    q.bench = bench
    q.table = table
    q.backend = backend
    q.asked = asked
    q.roster = NULL
    if backend.n > FEW:
        q.roster = roster_of(bench, table, backend)
        if q.roster == NULL:
            return choose_first_usable(&q)
    if asked.cookie.n:
        c = by_cookie(&q)
        if c.endpoint != NULL or c.full:
            return c
        cookie_down = c.cookie_down
    if backend.n <= FEW:
        few.who = &who[0]
        few.weights = &weights[0]
        lineup_fill(&few, bench, table, backend)
        q.lineup = &few
        if needs_roster(backend, &few):
            q.roster = roster_of(bench, table, backend)
            if q.roster == NULL:
                return choose_first_usable(&q)
    if q.roster != NULL:
        q.lineup = &q.roster.lineup
    c = by_algorithm(&q)
    c.cookie_down = cookie_down
    return c
