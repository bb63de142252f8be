"""Certificates by name, and contexts towards endpoints. See keyring.pxd."""

from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memmove

from edged._fast.base.view cimport check, view, view_same

cdef enum:
    SIZE_LEAST = 16

cdef extern from * nogil:
    """
    static inline uint64_t edged_name_hash(const char *at, size_t n) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);
        for (size_t i = 0; i < n; i++) hash = (hash ^ (uint8_t)at[i]) * UINT64_C(0x100000001b3);
        return hash ^ hash >> 29;
    }
    """
    uint64_t name_hash "edged_name_hash"(const char* at, size_t n)


# --- looking up ------------------------------------------------------------------------------------------------------

cdef const Entry* find(const Keys* keys, View name) noexcept nogil:
    cdef uint64_t hash
    cdef uint32_t at
    if keys.n == 0:
        return NULL
    hash = name_hash(name.at, name.n)
    at = <uint32_t>hash & (keys.size - 1)
    while keys.entries[at].shown != NULL:
        if keys.entries[at].hash == hash and view_same(keys.entries[at].name, name):
            return &keys.entries[at]
        at = (at + 1) & (keys.size - 1)
    return NULL


cdef const Entry* keys_find(const Keys* keys, View name) noexcept nogil:
    cdef char lower[NAME_MOST + 1]               # one place more, in front: for the star
    cdef const Entry* entry
    cdef size_t i, dot = 0
    cdef char c
    if name.n == 0 or name.n > NAME_MOST:
        return NULL
    for i in range(name.n):
        c = name.at[i]
        lower[1 + i] = c + 32 if c"A" <= c <= c"Z" else c
        if c == c"." and dot == 0:
            dot = i
    entry = find(keys, view(lower + 1, name.n))
    if entry != NULL or dot == 0:
        return entry
    lower[dot] = c"*"
    return find(keys, view(lower + dot, name.n - dot + 1))


cdef uint32_t trust_place(const Keys* keys, uint64_t id) noexcept nogil:
    """Of the first trust whose id is no less."""
    cdef uint32_t low = 0, high = keys.n_trusts, middle
    while low < high:
        middle = (low + high) // 2
        if keys.trusts[middle].id < id:
            low = middle + 1
        else:
            high = middle
    return low


cdef void* keys_trust(const Keys* keys, uint64_t id) noexcept nogil:
    cdef uint32_t at = trust_place(keys, id)
    return keys.trusts[at].context if at < keys.n_trusts and keys.trusts[at].id == id else NULL


# --- making ----------------------------------------------------------------------------------------------------------

cdef class Served:
    """A certificate that can be shown: the addresses of an X509, its EVP_PKEY and a STACK_OF(X509) (0: no chain), and an OCSP
    response to staple (b"": none). `owner` keeps alive what is at these addresses."""

    def __init__(self, x509: int, key: int, chain: int, ocsp: bytes, owner: object) -> None:
        self.ocsp = ocsp
        self.owner = owner
        self.shown.x509 = <void*><uintptr_t>x509
        self.shown.key = <void*><uintptr_t>key
        self.shown.chain = <void*><uintptr_t>chain
        self.shown.ocsp = view(<const char*>self.ocsp, len(ocsp))


cdef class Keyring:
    """Names and what is shown for them. A new one begins as a copy of the one `before`, whose owner may let it go."""

    def __init__(self, Keyring before=None) -> None:
        self.names = {}                          # bytes: (Served, alpn)
        self.trusts = {}
        if before is None:
            self.make(SIZE_LEAST)
            return
        self.make(before.keys.size)
        memcpy(self.keys.entries, before.keys.entries, before.keys.size * sizeof(Entry))
        self.keys.n = before.keys.n
        self.keys.default = before.keys.default
        self.default = before.default
        self.names = before.names.copy()
        self.trusts = before.trusts.copy()
        self.make_room_for_trusts(before.keys.n_trusts)
        self.keys.n_trusts = before.keys.n_trusts
        if self.keys.n_trusts:
            memcpy(self.keys.trusts, before.keys.trusts, self.keys.n_trusts * sizeof(TrustEntry))

    def __dealloc__(self) -> None:
        free(self.keys.entries)
        free(self.keys.trusts)

    def __len__(self) -> int:
        return len(self.names)

    def put(self, bytes name not None, Served certificate not None, alpn: bool) -> None:
        """Show the certificate for this name: "host" or "*.domain", in lower case. Raises ValueError for one that no client can ask for."""
        if not 0 < len(name) <= NAME_MOST or name != name.lower():
            raise ValueError(f"{name!r} is no name in lower case")
        self.drop(name)
        if 2 * (self.keys.n + 1) > self.keys.size:
            self.grow()
        self.names[name] = (certificate, bool(alpn))
        self.place(name, certificate, alpn)

    def drop(self, bytes name not None) -> None:
        """Show the default for this name. Nothing happens where the name is unknown."""
        if name not in self.names:
            return
        entry = <Entry*>find(&self.keys, view(<const char*>name, len(name)))
        check(entry != NULL)
        self.close_gap(<uint32_t>(entry - self.keys.entries))
        self.keys.n -= 1
        del self.names[name]                     # only now: the entry's name was in its memory

    def set_default(self, Served certificate) -> None:
        """Shown for all other names and for none; None: there is none, and such handshakes are refused."""
        self.default = certificate
        self.keys.default.shown = NULL if certificate is None else &certificate.shown

    def put_trust(self, id: int, context: int, owner: object) -> None:
        """The SSL_CTX for endpoints of this trust; `owner` keeps it alive."""
        cdef uint32_t at = trust_place(&self.keys, id)
        if id not in self.trusts:
            self.make_room_for_trusts(self.keys.n_trusts + 1)
            memmove(&self.keys.trusts[at + 1], &self.keys.trusts[at], (self.keys.n_trusts - at) * sizeof(TrustEntry))
            self.keys.trusts[at].id = id
            self.keys.n_trusts += 1
        self.keys.trusts[at].context = <void*><uintptr_t>context
        self.trusts[id] = (context, owner)

    def drop_trust(self, id: int) -> None:
        cdef uint32_t at
        if self.trusts.pop(id, None) is not None:
            at = trust_place(&self.keys, id)
            self.keys.n_trusts -= 1
            memmove(&self.keys.trusts[at], &self.keys.trusts[at + 1], (self.keys.n_trusts - at) * sizeof(TrustEntry))

    def find(self, name: bytes) -> Served | None:
        """What is shown for a name as a client sends it; None: neither a certificate of its own nor a default."""
        entry = keys_find(&self.keys, view(<const char*>name, len(name)))
        if entry == NULL:
            return self.default
        return self.names[entry.name.at[:entry.name.n]][0]

    cdef int make(self, uint32_t size) except -1:
        cdef Entry* entries = <Entry*>calloc(size, sizeof(Entry))
        if entries == NULL:
            raise MemoryError
        free(self.keys.entries)
        self.keys.entries = entries
        self.keys.size = size
        self.keys.n = 0
        return 0

    def grow(self) -> None:
        self.make(self.keys.size * 2)
        for name, (certificate, alpn) in self.names.items():
            self.place(name, certificate, alpn)

    cdef int place(self, bytes name, Served served, bint alpn) except -1:
        cdef uint64_t hash = name_hash(<const char*>name, len(name))
        cdef uint32_t at = <uint32_t>hash & (self.keys.size - 1)
        while self.keys.entries[at].shown != NULL:
            at = (at + 1) & (self.keys.size - 1)
        self.keys.entries[at].hash = hash
        self.keys.entries[at].name = view(<const char*>name, len(name))     # `names` holds it
        self.keys.entries[at].shown = &served.shown
        self.keys.entries[at].alpn = alpn
        self.keys.n += 1
        return 0

    def close_gap(self, gap: int) -> None:
        """Move back what stands behind a freed place and belongs further in front."""
        cdef uint32_t mask = self.keys.size - 1, free_at = gap, at = gap, home
        while True:
            at = (at + 1) & mask
            if self.keys.entries[at].shown == NULL:
                break
            home = <uint32_t>self.keys.entries[at].hash & mask
            if (at - home) & mask >= (at - free_at) & mask:
                self.keys.entries[free_at] = self.keys.entries[at]
                free_at = at
        self.keys.entries[free_at].shown = NULL

    cdef int make_room_for_trusts(self, uint32_t n) except -1:
        cdef uint32_t room = max(n, 2 * self.trusts_room)
        cdef TrustEntry* larger
        if n <= self.trusts_room:
            return 0
        larger = <TrustEntry*>realloc(self.keys.trusts, room * sizeof(TrustEntry))
        if larger == NULL:
            raise MemoryError
        self.keys.trusts = larger
        self.trusts_room = room
        return 0
