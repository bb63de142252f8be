"""The state compiled to a sealed table file. The cost of a build follows the change: records of routes and backends that
were in the table before are copied from it, so nothing is kept between builds but that table itself."""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from edged._fast.base.view cimport View, view
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
        cdef uint32_t hash = (<const Preface*>(<const char*>recipe - sizeof(Preface))).hash, i = hash & self.mask
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
    """Compiles one state after another. It keeps the last table mapped, and the routes it was made of."""
    cdef Image last              # the table that was made last, read for its records; None until the first build
    cdef tuple routes            # it was made of these, in this order; held so that no other object takes their identity
    cdef list backends           # likewise, in order of its backends

    def __init__(self):
        self.last = None
        self.routes = ()
        self.backends = []

    def build(self, state not None, slots not None):
        """The descriptor of a sealed memory file, owned by the caller. `slots`: (backend name, endpoint name) to the slot in the
        arena, the backend's own under (name, ""); they are read when a backend object is met for the first time, so a backend
        whose slots change must be a new object. Raises TableError for a route that cannot be served; OSError, MemoryError."""
        cdef tuple routes = state.routes
        cdef Image image = Image(sizeof(Header), 512 * len(routes) if self.last is None else self.last.n + (self.last.n >> 4))
        cdef Compilation work = Compilation(image, routes, slots, self.last, self.known())
        work.write_records()
        work.write_backends()
        work.write_groups()
        work.write_listeners(state.listeners)
        work.write_header(state.version)
        fd = image.seal()
        self.last = image
        self.routes = routes
        self.backends = work.backends
        return fd

    cdef Places known(self):
        cdef Places places = Places(len(self.routes) + len(self.backends))
        cdef const Header* header
        cdef const Row* rows
        cdef const uint32_t* backends
        cdef Py_ssize_t i
        if self.last is not None:
            header = <const Header*>self.last.at
            rows = <const Row*>(self.last.at + header.rows)
            backends = <const uint32_t*>(self.last.at + header.backends)
            for i in range(len(self.routes)):
                places.put(self.routes[i], rows[i].recipe)
            for i in range(len(self.backends)):
                places.put(self.backends[i], backends[i])
        return places

cdef class Compilation:
    """One build."""
    cdef Image image
    cdef tuple routes
    cdef object slots
    cdef Image last
    cdef Places known
    cdef list backends           # model objects, in order of their records
    cdef Words offsets           # of the records
    cdef Words names             # open table by name: number of a backend + 1
    cdef uint32_t names_mask
    cdef Header header

    def __cinit__(self, Image image, tuple routes, object slots, Image last, Places known):
        self.image, self.routes, self.slots, self.last, self.known = image, routes, slots, last, known
        self.backends = []
        self.offsets = Words(len(routes))
        self.names_mask = mask_for(len(routes))
        self.names = Words(<size_t>self.names_mask + 1)

    cdef int write_records(self) except -1:
        cdef uint32_t i, n = <uint32_t>len(self.routes), recipe, backend
        cdef Row* row
        cdef Image image = self.image
        self.header.rows = image.take(n * sizeof(Row))
        self.header.n_rows = n
        for i in range(n):
            route = self.routes[i]
            try:
                backend = self.write_backend(route.backend) - 1
                recipe = self.known.get(route)
                recipe = copy_recipe(image, self.last.at, recipe) if recipe else write_recipe(image, route)
            except (ValueError, OverflowError, TypeError, KeyError) as why:
                raise TableError(route.key, why) from why
            row = <Row*>(image.at + self.header.rows) + i
            row.recipe = recipe
            row.backend = backend
            (<Recipe*>(image.at + recipe)).backend = self.offsets.at[backend]
        return 0

    cdef uint32_t write_backend(self, object backend) except 0:
        """Number of the backend of that name, + 1; of several by one name the first is written."""
        cdef uint32_t old = self.known.get(backend), hash, i
        cdef View name
        cdef bytes encoded
        if old:
            hash = (<const Preface*>(self.last.at + old - sizeof(Preface))).hash
            name = view(self.last.at + (<const Backend*>(self.last.at + old)).name.at, (<const Backend*>(self.last.at + old)).name.n)
        else:
            encoded = backend.name.encode()
            name = view(encoded, len(encoded))
            hash = host_hash(name, GROUP_NONE)
        i = hash & self.names_mask
        while self.names.at[i]:
            if self.is_named(self.offsets.at[self.names.at[i] - 1], hash, name):
                return self.names.at[i]
            i = (i + 1) & self.names_mask
        self.offsets.at[len(self.backends)] = (
            copy_backend(self.image, self.last.at, old) if old else write_backend(self.image, backend, self.slots))
        self.backends.append(backend)
        self.names.at[i] = <uint32_t>len(self.backends)
        return self.names.at[i]

    cdef bint is_named(self, uint32_t record, uint32_t hash, View name) noexcept nogil:
        cdef const char* at = self.image.at + record
        cdef Text its = (<const Backend*>at).name
        return (<const Preface*>(at - sizeof(Preface))).hash == hash and its.n == name.n and (
            memcmp(self.image.at + its.at, name.at, name.n) == 0)

    cdef int write_backends(self) except -1:
        self.header.n_backends = <uint32_t>len(self.backends)
        self.header.backends = self.image.take(self.header.n_backends * sizeof(uint32_t))
        memcpy(self.image.at + self.header.backends, self.offsets.at, self.header.n_backends * sizeof(uint32_t))
        return 0

    cdef int write_groups(self) except -1:
        cdef Drafts drafts = Drafts(self.header.n_rows)
        cdef uint32_t i
        cdef Group* group
        for i in range(self.header.n_rows):
            drafts.add(self.image.at, <const Row*>(self.image.at + self.header.rows), i)
        for i in range(drafts.n):
            drafts.at[i].group = write_group(self.image, self.header.rows, drafts, &drafts.at[i])
            group = <Group*>(self.image.at + drafts.at[i].group)
            if group.kind == GROUP_ANY:
                self.header.any_host = drafts.at[i].group
            elif group.kind == GROUP_WILDCARD:
                self.header.n_wildcards += 1
        self.write_slots(drafts)
        return 0

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

    cdef int write_header(self, uint64_t version) except -1:
        self.header.magic = TABLE_MAGIC
        self.header.layout = TABLE_LAYOUT
        self.header.version = version
        self.header.bytes = <uint32_t>self.image.n
        memcpy(self.image.at, &self.header, sizeof(Header))
        return 0
