# What TLS is made of: certificates by the name that clients ask for, and contexts towards endpoints by the number of their trust.
# A keyring is made and changed by the Python thread, then given to an engine, and never changed after that.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from edged._fast.base.view cimport View

cdef enum:
    NAME_MOST = 255              # longest name that is looked up

cdef struct Shown:               # a certificate as it is shown
    void* x509
    void* key
    void* chain                  # STACK_OF(X509); NULL: none
    View ocsp                    # a response to staple; n == 0: none

cdef struct Entry:
    uint64_t hash
    View name                    # lower case; "*.domain" for all one label below
    const Shown* shown           # NULL: the place is free
    uint8_t alpn                 # protocols are agreed on (openshift-routes.md 7.4)

cdef struct TrustEntry:
    uint64_t id
    void* context

cdef struct Keys:
    Entry* entries               # open addressing
    uint32_t size                # a power of two
    uint32_t n
    Entry default                # shown is NULL: there is none
    TrustEntry* trusts           # by id
    uint32_t n_trusts

# The entry for a name as the client sent it, in any case: exact, then "*.domain" (openshift-routes.md 7.3); NULL: none of its own.
cdef const Entry* keys_find(const Keys* keys, View name) noexcept nogil
cdef void* keys_trust(const Keys* keys, uint64_t id) noexcept nogil          # its SSL_CTX; NULL: unknown

cdef class Served:
    cdef Shown shown
    cdef readonly bytes ocsp
    cdef readonly object owner

cdef class Keyring:
    cdef Keys keys
    cdef dict names              # bytes -> (Served, alpn)
    cdef dict trusts             # id -> (context, owner)
    cdef Served default
    cdef uint32_t trusts_room    # how many there is memory for
    cdef int place(self, bytes name, Served served, bint alpn) except -1
    cdef int make(self, uint32_t size) except -1
    cdef int make_room_for_trusts(self, uint32_t n) except -1
