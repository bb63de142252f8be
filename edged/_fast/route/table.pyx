"""The state compiled: a sealed file that is mapped, checked once, and then looked up without any check."""

import os

from cpython.exc cimport PyErr_SetFromErrno
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr, memcmp
from posix.mman cimport MAP_FAILED, MAP_PRIVATE, PROT_READ, mmap, munmap

from edged._fast.base.view cimport View, likely, view
from edged._fast.route.layout cimport (
    GROUP_ANY, GROUP_EXACT, GROUP_WILDCARD, HOST_MOST, NO_ENTRY, TABLE_MAGIC, Entry, Group, Header, Row, Slot, group_at,
    group_entries, group_find,
)
from edged._fast.route.out cimport lower

from edged._fast.route.builder import TableBuilder, TableError

__all__ = ["MappedTable", "TableBuilder", "TableError", "open_table"]

cdef extern from "<fcntl.h>" nogil:
    int F_GET_SEALS, F_SEAL_SHRINK, F_SEAL_WRITE
    int fcntl(int fd, int what, ...)

# ---- look-up ---------------------------------------------------------------------------------------------------------

cdef inline View without_port(View host) noexcept nogil:
    """`:digits` and then one dot at the end do not count; an empty port does (openshift-routes.md 5.2)."""
    cdef size_t n = host.n
    while n and c"0" <= host.at[n - 1] <= c"9":
        n -= 1
    if n and n < host.n and host.at[n - 1] == c":":
        host.n = n - 1
    if host.n and host.at[host.n - 1] == c".":
        host.n -= 1
    return host

cdef inline bint meets(const char* at, const Entry* entry, View path) noexcept nogil:
    """The segment rule of openshift-routes.md 5.2."""
    cdef size_t n = entry.path.n
    if n == 0:
        return True
    if n > path.n or memcmp(at + entry.path.at, path.at, n) != 0:
        return False
    return n == path.n or at[entry.path.at + n - 1] == c"/" or path.at[n] == c"/"

cdef uint32_t last_upto(const char* at, const Entry* entries, uint32_t n, View path) noexcept nogil:
    """The last entry whose path is not greater: it or one of its parents is the longest path that begins `path`."""
    cdef uint32_t low = 0, half
    cdef int by_path
    cdef size_t shorter
    while n:
        half = n >> 1
        shorter = min(<size_t>entries[low + half].path.n, path.n)
        by_path = memcmp(at + entries[low + half].path.at, path.at, shorter) if shorter else 0
        if by_path < 0 or (by_path == 0 and entries[low + half].path.n <= path.n):
            low += half + 1
            n -= half + 1
        else:
            n = half
    return low - 1 if low else <uint32_t>NO_ENTRY

cdef struct Search:
    const char* at
    View path
    uint32_t mask
    bint matched                 # some route has matched, whatever its flags: more specific than all that follow
    Found found

cdef bint settle(Search* search, const Group* group) noexcept nogil:
    """Walks the routes of one host that match, the longest path first. True: the answer is found."""
    cdef const Entry* entries = group_entries(group)
    cdef const Entry* entry
    cdef uint32_t i = 0
    if group.n > 1:
        i = last_upto(search.at, entries, group.n, search.path)
    while i != NO_ENTRY:
        entry = &entries[i]
        i = entry.parent
        if not meets(search.at, entry, search.path):
            continue
        if not search.matched:
            search.matched = True
            search.found.redirect = search.mask == RECIPE_PLAIN and entry.flags & RECIPE_REDIRECT
        if search.found.redirect or entry.flags & search.mask:
            search.found.recipe = <const Recipe*>(search.at + entry.recipe)
            return True
    return False

cdef bint is_kept_from_passthrough(const Search* search, const Group* exact) noexcept nogil:
    """A host with TLS routes of its own stays out of a wildcard passthrough route (openshift-routes.md 6.3, first QUIRK)."""
    return search.mask == RECIPE_PASSTHROUGH and exact.flags & RECIPE_TLS

cdef bint settle_by_host(Search* search, const Header* header, View host) noexcept nogil:
    cdef const Slot* slots = <const Slot*>(search.at + header.slots)
    cdef const Group* group = group_find(search.at, slots, header.slot_mask, host, GROUP_EXACT)
    cdef const char* dot
    if group != NULL and (settle(search, group) or is_kept_from_passthrough(search, group)):
        return True
    if header.n_wildcards == 0:
        return False
    dot = <const char*>memchr(host.at, c".", host.n)
    if dot == NULL:
        return False
    group = group_find(search.at, slots, header.slot_mask, view(dot + 1, host.at + host.n - dot - 1), GROUP_WILDCARD)
    return group != NULL and settle(search, group)

cdef Found table_find(const Table* table, View host, View path, uint32_t mask) noexcept nogil:
    cdef const Header* header = <const Header*>table.at
    cdef char name[HOST_MOST]
    cdef Search search
    search.at = table.at
    search.path = path
    search.mask = mask
    search.matched = False
    search.found.recipe = NULL
    search.found.redirect = False
    if mask != RECIPE_PASSTHROUGH:       # a name of TLS has neither
        host = without_port(host)
    if likely(0 < host.n <= HOST_MOST):
        lower(name, host)
        if settle_by_host(&search, header, view(name, host.n)):
            return search.found
    if header.any_host:
        settle(&search, group_at(search.at, header.any_host))
    return search.found

cdef const Recipe* table_of_listener(const Table* table, uint32_t number) noexcept nogil:
    cdef const Header* header = <const Header*>table.at
    cdef uint32_t row
    if number >= header.n_listeners:
        return NULL
    row = (<const uint32_t*>(table.at + header.listeners))[number]
    return <const Recipe*>(table.at + (<const Row*>(table.at + header.rows))[row - 1].recipe) if row else NULL

# ---- the check at opening: after it, nothing that the look-up and the engine read lies outside the file -------------

cdef struct File:
    const char* at
    uint64_t bytes
    const Header* header

cdef inline bint has(const File* file, uint64_t offset, uint64_t n, uint64_t size) noexcept nogil:
    """n structs of that size lie within the file, behind the header and aligned."""
    return n == 0 or (
        sizeof(Header) <= offset <= file.bytes and not offset & 7 and n <= (file.bytes - offset) // size)

cdef inline bint has_text(const File* file, Text text) noexcept nogil:
    return text.at <= file.bytes and text.n <= file.bytes - text.at

cdef bint has_actions(const File* file, uint32_t start, uint32_t n) noexcept nogil:
    cdef const Action* actions = <const Action*>(file.at + start)
    cdef uint32_t i
    if not has(file, start, n, sizeof(Action)):
        return False
    for i in range(n):
        if not has_text(file, actions[i].name) or not has_text(file, actions[i].value) or not has_parts(file, &actions[i]):
            return False
    return True

cdef bint has_parts(const File* file, const Action* action) noexcept nogil:
    cdef const Part* parts = <const Part*>(file.at + action.parts)
    cdef uint32_t i
    if not has(file, action.parts, action.n_parts, sizeof(Part)):
        return False
    for i in range(action.n_parts):
        if not has_text(file, parts[i].text) or not has_text(file, parts[i].converters) or parts[i].kind > PART_CERTIFICATE:
            return False
    return True

cdef bint is_recipe(const File* file, const Row* row) noexcept nogil:
    cdef const Recipe* recipe = <const Recipe*>(file.at + row.recipe)
    cdef const uint32_t* backends = <const uint32_t*>(file.at + file.header.backends)
    return (
        has(file, row.recipe, 1, sizeof(Recipe)) and row.backend < file.header.n_backends and recipe.backend == backends[row.backend]
        and has_text(file, recipe.key) and has_text(file, recipe.host) and has_text(file, recipe.path)
        and has_text(file, recipe.cookie_name) and has_text(file, recipe.cookie_tail)
        and has_text(file, recipe.hsts) and has_text(file, recipe.rewrite)
        and has_actions(file, recipe.request_actions, recipe.n_request_actions)
        and has_actions(file, recipe.response_actions, recipe.n_response_actions)
        and recipe.forwarded <= FORWARDED_NEVER)

cdef bint is_endpoint(const File* file, const Endpoint* endpoint) noexcept nogil:
    if not has_text(file, endpoint.name) or not has_text(file, endpoint.cookie):
        return False
    if not has_text(file, endpoint.path) or not has_text(file, endpoint.server_name):
        return False
    if endpoint.family == 4:
        return endpoint.socket_bytes == 16
    if endpoint.family == 6:
        return endpoint.socket_bytes == 28
    return endpoint.family == 1 and endpoint.socket_bytes == 0

cdef bint is_backend(const File* file, uint32_t offset) noexcept nogil:
    cdef const Backend* backend = <const Backend*>(file.at + offset)
    cdef const Endpoint* endpoints
    cdef uint32_t i
    if not has(file, offset, 1, sizeof(Backend)) or not has(file, backend.endpoints, backend.n, sizeof(Endpoint)):
        return False
    if not has_text(file, backend.name) or not has_text(file, backend.hash_key) or backend.n_active > backend.n:
        return False
    if backend.algorithm > BALANCE_FIRST or backend.hash_function > HASH_NONE or backend.send_proxy > 2:
        return False
    if backend.tls > (BACKEND_CHECK_NAME | BACKEND_SEND_SNI if backend.trust else 0):
        return False
    endpoints = <const Endpoint*>(file.at + backend.endpoints)
    for i in range(backend.n):
        if not is_endpoint(file, &endpoints[i]):
            return False
    return True

cdef bint is_group(const File* file, uint32_t offset, bint any_host) noexcept nogil:
    cdef const Group* group = group_at(file.at, offset)
    cdef const Entry* entry
    cdef const Row* rows = <const Row*>(file.at + file.header.rows)
    cdef uint32_t i
    if not has(file, offset, 1, sizeof(Group)) or not has(file, offset + <uint64_t>sizeof(Group), group.n, sizeof(Entry)):
        return False
    if group.n == 0 or not has_text(file, group.host) or (group.kind == GROUP_ANY) != any_host:
        return False
    for i in range(group.n):
        entry = group_entries(group) + i
        if not has_text(file, entry.path) or entry.row >= file.header.n_rows or rows[entry.row].recipe != entry.recipe:
            return False
        if entry.parent >= i and entry.parent != NO_ENTRY:       # parents stand before: each walk ends
            return False
    return True

cdef bint are_slots(const File* file) noexcept nogil:
    cdef const Slot* slots = <const Slot*>(file.at + file.header.slots)
    cdef uint64_t mask = file.header.slot_mask, i, free = 0
    if mask & (mask + 1) or not has(file, file.header.slots, mask + 1, sizeof(Slot)):
        return False
    for i in range(mask + 1):
        if slots[i].group == 0:
            free += 1
        elif not is_group(file, slots[i].group, False):
            return False
    return free > 0

cdef const char* fault_of(const char* at, uint64_t bytes) noexcept nogil:
    """What is wrong with a file of at least the size of a header; NULL: nothing."""
    cdef File file
    cdef const Header* header = <const Header*>at
    cdef uint32_t i
    file.at, file.bytes, file.header = at, bytes, header
    if header.magic != TABLE_MAGIC:
        return b"this file is no table"
    if header.layout != TABLE_LAYOUT:
        return b"the table has another layout than this program"
    if header.bytes != bytes:
        return b"the table is not whole"
    if not has(&file, header.rows, header.n_rows, sizeof(Row)) or not has(&file, header.backends, header.n_backends, sizeof(uint32_t)):
        return b"the table's lists are broken"
    for i in range(header.n_backends):
        if not is_backend(&file, (<const uint32_t*>(at + header.backends))[i]):
            return b"a backend of the table is broken"
    for i in range(header.n_rows):
        if not is_recipe(&file, <const Row*>(at + header.rows) + i):
            return b"a route of the table is broken"
    if not are_slots(&file) or (header.any_host and not is_group(&file, header.any_host, True)):
        return b"the table's index is broken"
    if not has(&file, header.listeners, header.n_listeners, sizeof(uint32_t)):
        return b"the table's listeners are broken"
    if (not has_actions(&file, header.request_actions, header.n_request_actions)
            or not has_actions(&file, header.response_actions, header.n_response_actions)):
        return b"the table's actions are broken"
    for i in range(header.n_listeners):
        if (<const uint32_t*>(at + header.listeners))[i] > header.n_rows:
            return b"a listener of the table is broken"
    return NULL

# ---- the mapping -----------------------------------------------------------------------------------------------------

cdef class MappedTable:
    """A table that was built by TableBuilder, mapped for reading. The descriptor is not kept: close it when you like."""

    def __cinit__(self, int fd):
        cdef const char* fault
        cdef int seals = fcntl(fd, F_GET_SEALS)
        # What is not sealed could change or shrink under the engine's feet.
        if seals < 0 or not seals & F_SEAL_WRITE or not seals & F_SEAL_SHRINK:
            raise ValueError("this file is no sealed memory file")
        cdef size_t bytes = os.fstat(fd).st_size
        if bytes < sizeof(Header):
            raise ValueError("this file is no table")
        cdef void* at = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0)
        if at == MAP_FAILED:
            PyErr_SetFromErrno(OSError)
        self.table.at = <const char*>at
        self.table.bytes = bytes
        with nogil:
            fault = fault_of(self.table.at, bytes)
        if fault != NULL:
            raise ValueError(fault.decode())
        self.table.version = (<const Header*>self.table.at).version

    def __dealloc__(self):
        if self.table.at != NULL:
            munmap(<void*>self.table.at, self.table.bytes)

    @property
    def version(self):
        """The state's."""
        return self.table.version

    @property
    def size_bytes(self):
        """Of the file, and so of the mapping."""
        return self.table.bytes

    cdef str text(self, Text text):
        return self.table.at[text.at:text.at + text.n].decode()

    cdef object key(self, const Recipe* recipe):
        return None if recipe == NULL else self.text(recipe.key)

    def lookup(self, bytes host not None, bytes path not None, bint plain=True):
        """The key of the route that answers a request for `host` (as the client wrote it) and `path` (up to the "?"), and
        whether it answers by a redirect to https. `plain`: the request came without TLS."""
        cdef Found found = table_find(
            &self.table, view(host, len(host)), view(path, len(path)), RECIPE_PLAIN if plain else RECIPE_TLS)
        return self.key(found.recipe), bool(found.redirect)

    def lookup_sni(self, bytes name not None):
        """The key of the passthrough route that takes a TLS connection for this name; None: TLS ends here."""
        return self.key(table_find(&self.table, view(name, len(name)), view(NULL, 0), RECIPE_PASSTHROUGH).recipe)

    def listener(self, uint32_t number):
        """The key of the route that takes all connections of a tcp listener."""
        return self.key(table_of_listener(&self.table, number))

    def routes(self):
        """All that the table says, for people: a mapping for each route, in order of the state."""
        cdef const Header* header = <const Header*>self.table.at
        cdef const Row* rows = <const Row*>(self.table.at + header.rows)
        cdef uint32_t i
        return [self.route(<const Recipe*>(self.table.at + rows[i].recipe)) for i in range(header.n_rows)]

    cdef dict route(self, const Recipe* recipe):
        return {
            "key": self.text(recipe.key), "host": self.text(recipe.host), "path": self.text(recipe.path),
            "flags": {word for word, flag in FLAGS.items() if recipe.flags & <uint32_t>flag},
            "forwarded": recipe.forwarded, "cookie_name": self.text(recipe.cookie_name), "cookie_tail": self.text(recipe.cookie_tail),
            "hsts": self.text(recipe.hsts), "rewrite": self.text(recipe.rewrite), "max_body_bytes": recipe.max_body_bytes,
            "request_actions": self.actions(recipe.request_actions, recipe.n_request_actions),
            "response_actions": self.actions(recipe.response_actions, recipe.n_response_actions),
            "backend": self.backend(table_backend(&self.table, recipe)),
        }

    cdef list actions(self, uint32_t start, uint32_t n):
        cdef const Action* actions = <const Action*>(self.table.at + start)
        cdef uint32_t i
        return [(self.text(actions[i].name), self.value(&actions[i])) for i in range(n)]

    cdef object value(self, const Action* action):
        """None: the header is deleted; a list of (kind, text, converters, flags): it is evaluated."""
        cdef const Part* parts = <const Part*>(self.table.at + action.parts)
        cdef uint32_t i
        if action.n_parts:
            return [(parts[i].kind, self.text(parts[i].text), self.text(parts[i].converters), parts[i].flags) for i in range(action.n_parts)]
        return self.text(action.value) if action.value.at else None

    cdef dict backend(self, const Backend* backend):
        cdef const Endpoint* endpoints = table_endpoints(&self.table, backend)
        cdef uint32_t i
        out = dict(backend[0])
        del out["reserved"]
        out["name"], out["hash_key"] = self.text(backend.name), self.text(backend.hash_key)
        out["endpoints"] = [self.endpoint(&endpoints[i]) for i in range(backend.n)]
        return out

    cdef dict endpoint(self, const Endpoint* endpoint):
        out = dict(endpoint[0])
        out["name"], out["cookie"], out["path"] = self.text(endpoint.name), self.text(endpoint.cookie), self.text(endpoint.path)
        out["server_name"] = self.text(endpoint.server_name)
        out["socket"] = (<const char*>endpoint.socket)[:endpoint.socket_bytes]
        return out

cdef dict FLAGS = {
    "plain": RECIPE_PLAIN, "tls": RECIPE_TLS, "passthrough": RECIPE_PASSTHROUGH, "redirect": RECIPE_REDIRECT,
    "reencrypt": RECIPE_REENCRYPT, "wildcard": RECIPE_WILDCARD, "evaluate": RECIPE_EVALUATE, "adjust_case": RECIPE_ADJUST_CASE,
}

def open_table(int fd):
    """Map and check a table. Raises ValueError where the file is no table of this layout, is not sealed or is damaged; OSError
    where it cannot be mapped."""
    return MappedTable(fd)
