"""The state compiled to a sealed table file. The work of a build follows the change: records of routes and backends that were
in the table before stay where they are in its image."""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from edged._fast.base.view cimport View, view
from edged._fast.route.actions cimport write_actions
from edged._fast.route.image cimport Image
from edged._fast.route.layout cimport (
    GROUP_ANY, GROUP_NONE, GROUP_WILDCARD, NO_ENTRY, TABLE_MAGIC, Entry, Group, Header, Preface, Row, Slot, host_hash,
)
from edged._fast.route.records cimport copy_backend, copy_recipe, recipe_group, write_backend, write_recipe
from edged._fast.route.table cimport TABLE_LAYOUT, Backend, Recipe, Text

cdef extern from "<stdlib.h>" nogil:
    void qsort_r(void* base, size_t n, size_t size, int (*order)(const void*, const void*, void*) noexcept nogil, void* who)

class TableError(ValueError):
    """A route (`key`) holds what no table can: leave it out and build again."""

    def __init__(self, key, why):
        super().__init__(f"{key}: {why}")
        self.key = key

cdef class Words:
    """An array of 32-bit words, all zero."""
    cdef uint32_t* at

    def __cinit__(self, size_t n):
        self.at = <uint32_t*>calloc(n + 1, sizeof(uint32_t))
        if self.at == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.at)

cdef inline const Preface* preface_at(const char* table, uint32_t record) noexcept nogil:
    return <const Preface*>(table + record - sizeof(Preface))

cdef uint32_t mask_for(size_t n) noexcept nogil:
    """Of an open table with at least a third of its places free."""
    cdef uint32_t places = 8
    while places < n + (n >> 1) + 1:
        places <<= 1
    return places - 1

# ---- which object is in the last table, and where --------------------------------------------------------------------

cdef struct Place:
    PyObject* who
    uint32_t at

cdef class Places:
    """Where objects have their records in the last table. They are told apart by identity: the model is immutable."""
    cdef Place* at
    cdef uint32_t mask

    def __cinit__(self, size_t n):
        self.mask = mask_for(n)
        self.at = <Place*>calloc(<size_t>self.mask + 1, sizeof(Place))
        if self.at == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.at)

    cdef Place* place(self, PyObject* who) noexcept nogil:
        cdef uint32_t i = <uint32_t>((<uint64_t><uintptr_t>who * 0x9E3779B97F4A7C15ULL) >> 32) & self.mask
        while self.at[i].who != NULL and self.at[i].who != who:
            i = (i + 1) & self.mask
        return &self.at[i]

    cdef void put(self, object who, uint32_t at) noexcept:
        cdef Place* place = self.place(<PyObject*>who)
        place.who = <PyObject*>who
        place.at = at

    cdef uint32_t get(self, object who) noexcept:
        return self.place(<PyObject*>who).at

# ---- the groups of routes that claim one host ------------------------------------------------------------------------

cdef struct Draft:               # of a group; its rows are linked in order of the state
    uint32_t hash
    uint32_t first               # row + 1
    uint32_t last
    uint32_t n
    uint32_t group               # offset, once written

cdef class Drafts:
    cdef Draft* at
    cdef uint32_t n
    cdef Words next              # row -> the next row of its group, + 1
    cdef Words places            # open table by hash: number of a draft + 1
    cdef uint32_t mask

    def __cinit__(self, size_t rows):
        self.at = <Draft*>calloc(rows + 1, sizeof(Draft))
        if self.at == NULL:
            raise MemoryError
        self.next = Words(rows)
        self.mask = mask_for(rows)
        self.places = Words(<size_t>self.mask + 1)

    def __dealloc__(self):
        free(self.at)

    cdef void add(self, const char* table, const Row* rows, uint32_t row) noexcept nogil:
        cdef const Recipe* recipe = <const Recipe*>(table + rows[row].recipe)
        cdef uint32_t hash = preface_at(table, rows[row].recipe).hash, i = hash & self.mask
        cdef Draft* draft
        cdef View host
        cdef uint32_t kind = recipe_group(table, recipe, &host)
        if kind == GROUP_NONE:
            return
        while self.places.at[i]:
            draft = &self.at[self.places.at[i] - 1]
            if draft.hash == hash and same_group(table, <const Recipe*>(table + rows[draft.first - 1].recipe), kind, host):
                self.next.at[draft.last - 1] = row + 1
                draft.last = row + 1
                draft.n += 1
                return
            i = (i + 1) & self.mask
        draft = &self.at[self.n]
        self.n += 1
        self.places.at[i] = self.n
        draft.hash = hash
        draft.first = draft.last = row + 1
        draft.n = 1

cdef bint same_group(const char* table, const Recipe* other, uint32_t kind, View host) noexcept nogil:
    cdef View its
    return recipe_group(table, other, &its) == kind and its.n == host.n and memcmp(its.at, host.at, host.n) == 0

cdef Text path_of(const char* table, const Recipe* recipe) noexcept nogil:
    """As it is matched: a path of slashes alone claims what an empty one claims (openshift-routes.md 5.2)."""
    cdef Text path = recipe.path
    cdef uint32_t i
    for i in range(path.n):
        if table[path.at + i] != c"/":
            return path
    path.n = 0
    return path

cdef int order(const void* a, const void* b, void* table) noexcept nogil:
    cdef const Entry* x = <const Entry*>a
    cdef const Entry* y = <const Entry*>b
    cdef const char* at = <const char*>table
    cdef int by_path = memcmp(at + x.path.at, at + y.path.at, min(x.path.n, y.path.n))
    if by_path:
        return by_path
    if x.path.n != y.path.n:
        return -1 if x.path.n < y.path.n else 1
    return -1 if x.row > y.row else 1

cdef bint begins(const char* table, Text whole, Text part) noexcept nogil:
    return part.n <= whole.n and memcmp(table + whole.at, table + part.at, part.n) == 0

cdef void settle_entries(const char* table, Entry* entries, uint32_t n) noexcept nogil:
    cdef uint32_t i, parent
    qsort_r(entries, n, sizeof(Entry), order, <void*>table)
    for i in range(n):
        parent = i - 1 if i else NO_ENTRY
        while parent != NO_ENTRY and not begins(table, entries[i].path, entries[parent].path):
            parent = entries[parent].parent
        entries[i].parent = parent

cdef uint32_t write_group(Image image, uint32_t rows, Drafts drafts, const Draft* draft) except 0:
    cdef uint32_t at = image.take(sizeof(Group) + draft.n * sizeof(Entry)), row = draft.first, i
    cdef Group* group = <Group*>(image.at + at)
    cdef Entry* entries = <Entry*>(group + 1)
    cdef const Row* of = <const Row*>(image.at + rows)
    cdef const Recipe* recipe = <const Recipe*>(image.at + of[row - 1].recipe)
    cdef View host
    group.kind = recipe_group(image.at, recipe, &host)
    group.host.at = <uint32_t>(host.at - image.at)
    group.host.n = <uint32_t>host.n
    group.n = draft.n
    for i in range(draft.n):
        recipe = <const Recipe*>(image.at + of[row - 1].recipe)
        entries[i].path = path_of(image.at, recipe)
        entries[i].recipe = of[row - 1].recipe
        entries[i].row = row - 1
        entries[i].flags = recipe.flags
        group.flags |= recipe.flags
        row = drafts.next.at[row - 1]
    settle_entries(image.at, entries, draft.n)
    return at

# ---- the build -------------------------------------------------------------------------------------------------------

cdef class TableBuilder:
    """Compiles one state after another. It keeps the image of the last table, and the routes it was made of.

    `request_headers`, `response_headers`: actions for all routes; ValueError where one is none. `keep_client_certificate`: let
    X-SSL fields through as clients send them."""
    cdef Compilation last
    cdef tuple request_headers
    cdef tuple response_headers
    cdef bint keep_client_certificate

    def __init__(self, request_headers=(), response_headers=(), keep_client_certificate=False):
        cdef Image trial = Image(4096)
        cdef uint32_t n
        write_actions(trial, request_headers, False, &n)
        write_actions(trial, response_headers, True, &n)
        self.last = None
        self.request_headers, self.response_headers = request_headers, response_headers
        self.keep_client_certificate = keep_client_certificate

    def build(self, state not None, slots not None):
        """The descriptor of a sealed memory file, owned by the caller. `slots`: (backend name, endpoint name) to the slot in the
        arena, the backend's own under (name, ""); they are read when a backend object is met for the first time, so a backend
        whose slots change must be a new object. Raises TableError for a route that cannot be served; OSError, MemoryError."""
        cdef Compilation work = Compilation(state.routes, slots, self.last)
        work.write_records()
        work.write_rows()
        work.write_groups()
        work.write_listeners(state.listeners)
        work.write_actions_for_all(self.request_headers, self.response_headers)
        work.header.keep = self.keep_client_certificate
        work.write_header(state.version)
        fd = work.image.sealed()
        work.last = None
        self.last = work
        return fd

cdef class Compilation:
    """One build. Records that are new go behind those that are there, in the image of the build before; what the others leave
    behind stays unused, until it is a quarter: then all go to a fresh image. Lists and index are written anew each time."""
    cdef Image image
    cdef Compilation last        # None once this build is over
    cdef Places places           # of the last build's objects; None until one is sought that is not in its old place
    cdef bint afresh
    cdef object slots
    cdef tuple routes            # held, so that no other object takes their identity
    cdef list backends           # likewise, in order of their records
    cdef Words rows              # Row for each route
    cdef Words offsets           # of the backends' records
    cdef Words names             # open table by name: number of a backend + 1
    cdef uint32_t names_mask
    cdef size_t end              # of the records, in the image
    cdef size_t live             # bytes of records that are in use
    cdef Header header

    def __cinit__(self, tuple routes, object slots, Compilation last):
        cdef size_t n = len(routes)
        self.routes, self.slots, self.last = routes, slots, last
        self.afresh = last is None or last.end - last.live > last.live // 3
        self.image = Image(last.live + last.live // 3 if last is not None else 512 * n) if self.afresh else last.image
        self.image.n = sizeof(Header) if self.afresh else last.end
        self.backends = []
        self.rows = Words(n * 2)
        self.offsets = Words(n)
        self.names_mask = mask_for(n)
        self.names = Words(<size_t>self.names_mask + 1)

    cdef int write_records(self) except -1:
        cdef uint32_t i, backend, recipe
        cdef Row* rows = <Row*>self.rows.at
        for i in range(len(self.routes)):
            route = self.routes[i]
            try:
                backend = self.backend_of(route.backend)
                recipe = self.place_of_route(i)
                if not recipe:
                    recipe = write_recipe(self.image, route)
                elif self.afresh:
                    recipe = copy_recipe(self.image, self.last.image.at, recipe)
            except (ValueError, OverflowError, TypeError) as why:
                raise TableError(route.key, why) from why
            rows[i].recipe = recipe
            rows[i].backend = backend
            (<Recipe*>(self.image.at + recipe)).backend = self.offsets.at[backend]
            self.live += preface_at(self.image.at, recipe).bytes
        self.end = self.image.n
        return 0

    cdef uint32_t place_of_route(self, uint32_t i) except? 0:
        """Where the last build has its record; 0: nowhere."""
        if self.last is None:
            return 0
        if i < len(self.last.routes) and self.routes[i] is self.last.routes[i]:
            return (<Row*>self.last.rows.at)[i].recipe
        return self.place_of(self.routes[i])

    cdef uint32_t place_of(self, object who) except? 0:
        if self.last is None:
            return 0
        if self.places is None:
            self.places = self.last.all_places()
        return self.places.get(who)

    cdef Places all_places(self):
        cdef Places places = Places(len(self.routes) + len(self.backends))
        cdef Py_ssize_t i
        for i in range(len(self.routes)):
            places.put(self.routes[i], (<Row*>self.rows.at)[i].recipe)
        for i in range(len(self.backends)):
            places.put(self.backends[i], self.offsets.at[i])
        return places

    cdef uint32_t place_of_backend(self, object backend) except? 0:
        cdef Py_ssize_t i = len(self.backends)
        if self.last is not None and i < len(self.last.backends) and self.last.backends[i] is backend:
            return self.last.offsets.at[i]
        return self.place_of(backend)

    cdef uint32_t backend_of(self, object backend) except? 0:
        """The number of the backend of that name; of several by one name the first is written."""
        cdef uint32_t old = self.place_of_backend(backend), hash, i
        cdef const char* at
        cdef View name
        cdef bytes encoded
        if old:
            at = self.last.image.at
            hash = preface_at(at, old).hash
            name = view(at + (<const Backend*>(at + old)).name.at, (<const Backend*>(at + old)).name.n)
        else:
            encoded = backend.name.encode()
            name = view(encoded, len(encoded))
            hash = host_hash(name, GROUP_NONE)
        i = hash & self.names_mask
        while self.names.at[i]:
            if self.is_named(self.offsets.at[self.names.at[i] - 1], hash, name):
                return self.names.at[i] - 1
            i = (i + 1) & self.names_mask
        return self.add_backend(backend, old, i)

    cdef uint32_t add_backend(self, object backend, uint32_t old, uint32_t name) except? 0:
        cdef uint32_t number = <uint32_t>len(self.backends), place = old
        if not old:
            place = write_backend(self.image, backend, self.slots)
        elif self.afresh:
            place = copy_backend(self.image, self.last.image.at, old)
        self.backends.append(backend)
        self.offsets.at[number] = place
        self.names.at[name] = number + 1
        self.live += preface_at(self.image.at, place).bytes
        return number

    cdef bint is_named(self, uint32_t record, uint32_t hash, View name) noexcept nogil:
        cdef const char* at = self.image.at
        cdef Text its
        if preface_at(at, record).hash != hash:
            return False
        its = (<const Backend*>(at + record)).name
        return its.n == name.n and memcmp(at + its.at, name.at, name.n) == 0

    cdef uint32_t write_words(self, Words words, size_t n) except? 0:
        cdef uint32_t at = self.image.take(n * sizeof(uint32_t))
        memcpy(self.image.at + at, words.at, n * sizeof(uint32_t))
        return at

    cdef int write_rows(self) except -1:
        self.header.n_rows = <uint32_t>len(self.routes)
        self.header.rows = self.write_words(self.rows, self.header.n_rows * 2)
        self.header.n_backends = <uint32_t>len(self.backends)
        self.header.backends = self.write_words(self.offsets, self.header.n_backends)
        return 0

    cdef int write_groups(self) except -1:
        cdef Drafts drafts = Drafts(self.header.n_rows)
        cdef uint32_t i
        cdef Group* group
        for i in range(self.header.n_rows):
            drafts.add(self.image.at, <const Row*>self.rows.at, i)
        for i in range(drafts.n):
            drafts.at[i].group = write_group(self.image, self.header.rows, drafts, &drafts.at[i])
            group = <Group*>(self.image.at + drafts.at[i].group)
            if group.kind == GROUP_ANY:
                self.header.any_host = drafts.at[i].group
            elif group.kind == GROUP_WILDCARD:
                self.header.n_wildcards += 1
        return self.write_slots(drafts)

    cdef int write_slots(self, Drafts drafts) except -1:
        cdef uint32_t mask = mask_for(drafts.n), i, k
        cdef Slot* slots
        self.header.slot_mask = mask
        self.header.slots = self.image.take((<size_t>mask + 1) * sizeof(Slot))
        slots = <Slot*>(self.image.at + self.header.slots)
        for k in range(drafts.n):
            if drafts.at[k].group == self.header.any_host:
                continue
            i = drafts.at[k].hash & mask
            while slots[i].group:
                i = (i + 1) & mask
            slots[i].hash = drafts.at[k].hash
            slots[i].group = drafts.at[k].group
        return 0

    cdef int write_listeners(self, listeners) except -1:
        cdef dict wanted = {}
        cdef uint32_t i, number
        for listener in listeners:
            if listener.mode == "tcp" and listener.route:
                wanted.setdefault(listener.route, []).append(listener.number)
        if not wanted:
            return 0
        self.header.n_listeners = max([max(numbers) for numbers in wanted.values()]) + 1
        self.header.listeners = self.image.take(self.header.n_listeners * sizeof(uint32_t))
        for i in range(self.header.n_rows):
            for number in wanted.pop(self.routes[i].key, ()):
                (<uint32_t*>(self.image.at + self.header.listeners))[number] = i + 1
        return 0

    cdef int write_actions_for_all(self, tuple request, tuple response) except -1:
        self.header.request_actions = write_actions(self.image, request, False, &self.header.n_request_actions)
        self.header.response_actions = write_actions(self.image, response, True, &self.header.n_response_actions)
        return 0

    cdef int write_header(self, uint64_t version) except -1:
        self.header.magic = TABLE_MAGIC
        self.header.layout = TABLE_LAYOUT
        self.header.version = version
        self.header.bytes = <uint32_t>self.image.n
        memcpy(self.image.at, &self.header, sizeof(Header))
        return 0
