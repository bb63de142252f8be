# The shape of a table file, for the two rooms that write it (builder) and read it (table). Everything is aligned to 8 bytes,
# all references are offsets from the file's first byte, and an offset of 0 refers to nothing.
#
#   Header | records | rows | offsets of backends | groups | slots | listeners | actions for all routes
#
# A record is a Recipe or a Backend behind its Preface, followed by what it refers to (texts, actions, endpoints): it can be
# copied as it is to another place, its offsets moved by the distance. Some records may be in no use any more.

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcmp, memcpy
from edged._fast.base.view cimport View

cdef enum:
    HOST_MOST = 255              # longer hosts are claimed by nobody
    NO_ENTRY = 0xFFFFFFFF

cdef struct Text:
    uint32_t at                  # offset from the table's first byte
    uint32_t n

cdef extern from *:
    """
    #define EDGED_TABLE_MAGIC 0x314c424154444745ULL   /* "EGDTABL1" */
    """
    const uint64_t TABLE_MAGIC "EDGED_TABLE_MAGIC"

cdef enum GroupKind:             # how a group claims hosts
    GROUP_NONE = 0               # not at all: reached by name from a tcp listener
    GROUP_EXACT
    GROUP_WILDCARD               # `host` is the domain: one label more is claimed
    GROUP_ANY                    # any host that no other group claims, or none

cdef struct Header:
    uint64_t magic
    uint32_t layout
    uint32_t bytes               # of the whole file
    uint64_t version
    uint32_t rows
    uint32_t n_rows
    uint32_t backends            # uint32_t[n_backends]: offsets of the Backends
    uint32_t n_backends
    uint32_t slots               # Slot[slot_mask + 1], open addressing by host_hash; at least one is free
    uint32_t slot_mask
    uint32_t any_host            # Group
    uint32_t n_wildcards         # groups of GROUP_WILDCARD
    uint32_t listeners           # uint32_t[n_listeners]: row + 1 of the route that the listener of that number takes, or 0
    uint32_t n_listeners
    uint32_t request_actions     # Action: for all routes, before those of the route (openshift-routes.md 9.6)
    uint32_t n_request_actions
    uint32_t response_actions    # ... after those of the route
    uint32_t n_response_actions
    uint32_t keep                # 1: fields about client certificates are let through as the client sent them
    uint32_t reserved

cdef struct Row:                 # one route, in order of the state
    uint32_t recipe
    uint32_t backend             # number in `backends`

cdef struct Preface:
    uint32_t bytes               # of the record, with this
    uint32_t hash                # Recipe: its group's host_hash; Backend: of its name

cdef struct Slot:
    uint32_t hash
    uint32_t group               # 0: free

cdef struct Group:               # all routes that claim one host, or one domain; followed by n Entries
    Text host
    uint32_t kind                # a GroupKind
    uint32_t n
    uint32_t flags               # of all its routes together
    uint32_t reserved

cdef struct Entry:               # in order of path; equal paths in opposite order of state
    Text path                    # n == 0: any path
    uint32_t recipe
    uint32_t row
    uint32_t flags               # of the recipe
    uint32_t parent              # number of the entry before with the longest path that begins this one, or NO_ENTRY

cdef inline uint64_t word_at(const char* at) noexcept nogil:
    cdef uint64_t word
    memcpy(&word, at, 8)
    return word

# Hosts come from operators, so the hash needs to be fast and even, not secret.
cdef inline uint32_t host_hash(View host, uint32_t kind) noexcept nogil:
    cdef uint64_t h = (host.n + 1) * 0x9E3779B97F4A7C15ULL ^ kind
    cdef const char* at = host.at
    cdef size_t n = host.n
    if n >= 8:
        while n > 8:
            h = (h ^ word_at(at)) * 0xD6E8FEB86659FD93ULL
            h ^= h >> 32
            at += 8
            n -= 8
        h ^= word_at(at + n - 8)
    else:
        while n:
            n -= 1
            h = h << 8 ^ <unsigned char>at[n] ^ h >> 56
    h *= 0xD6E8FEB86659FD93ULL
    h ^= h >> 32
    h *= 0xD6E8FEB86659FD93ULL
    return <uint32_t>(h >> 32)

cdef inline const Group* group_at(const char* table, uint32_t offset) noexcept nogil:
    return <const Group*>(table + offset)

cdef inline const Entry* group_entries(const Group* group) noexcept nogil:
    return <const Entry*>(group + 1)

# The group of that kind and name, or NULL.
cdef inline const Group* group_find(const char* table, const Slot* slots, uint32_t mask, View host, uint32_t kind) noexcept nogil:
    cdef uint32_t hash = host_hash(host, kind), i = hash & mask
    cdef const Group* group
    while slots[i].group:
        if slots[i].hash == hash:
            group = group_at(table, slots[i].group)
            if group.kind == kind and group.host.n == host.n and memcmp(table + group.host.at, host.at, host.n) == 0:
                return group
        i = (i + 1) & mask
    return NULL
