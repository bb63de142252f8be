"""Captured fields. See notes.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from edged._fast.base.status cimport BAD, DONE, MORE
from edged._fast.base.view cimport View, check, view, view_is_nocase
from edged._fast.parse.head cimport Field, Head, KNOWN_COOKIE, KNOWN_SET_COOKIE
from edged._fast.route.cookies cimport next_cookie

cdef enum:
    NOT_THERE = 0xffff

cdef struct PackedNotes:         # followed by the id, and then by Packed captures
    uint64_t number
    uint32_t id_n

cdef struct Packed:              # followed by the name and the bytes
    uint16_t name_n
    uint16_t n
    uint8_t side


cdef inline uint16_t* lengths_of(const Notes* notes) noexcept nogil:
    return <uint16_t*>(<char*>notes + sizeof(Notes))


cdef inline char* room_of(const Notes* notes, const Plan* plan, uint32_t number) noexcept nogil:
    return <char*>notes + sizeof(Notes) + plan.n * sizeof(uint16_t) + plan.captures[number].at


cdef Notes* notes_make(const Plan* plan) noexcept nogil:
    cdef size_t lengths = plan.n * sizeof(uint16_t)
    cdef Notes* notes = <Notes*>malloc(sizeof(Notes) + lengths + plan.bytes)
    if notes != NULL:
        notes.number = 0
        notes.id_n = 0
        memset(lengths_of(notes), 0xff, lengths)
    return notes


cdef View first_cookie(const Head* head, View start) noexcept nogil:
    """The first pair of the request that begins so."""
    cdef View rest, pair, its
    cdef uint32_t i
    for i in range(head.n):
        if head.fields[i].known != KNOWN_COOKIE:
            continue
        rest = head.fields[i].value
        while next_cookie(&rest, &pair, &its):
            if pair.n >= start.n and memcmp(pair.at, start.at, start.n) == 0:
                return pair
    return view(NULL, 0)


cdef View first_set_cookie(const Head* head, View start) noexcept nogil:
    cdef View rest, pair, its
    cdef uint32_t i
    for i in range(head.n):
        rest = head.fields[i].value
        if head.fields[i].known == KNOWN_SET_COOKIE and next_cookie(&rest, &pair, &its):
            if pair.n >= start.n and memcmp(pair.at, start.at, start.n) == 0:
                return pair
    return view(NULL, 0)


cdef View last_field(const Head* head, View name) noexcept nogil:
    """HAProxy captures the whole value of the last field of that name."""
    cdef uint32_t i = head.n
    while i:
        i -= 1
        if head.fields[i].name.n == name.n and view_is_nocase(name, head.fields[i].name.at, name.n):
            return head.fields[i].value if head.fields[i].value.n else view(name.at, 0)
    return view(NULL, 0)


cdef void notes_take(Notes* notes, const Plan* plan, const Head* head, bint response) noexcept nogil:
    cdef const Capture* capture
    cdef View found
    cdef uint32_t i
    for i in range(plan.n):
        capture = &plan.captures[i]
        if (capture.side == SIDE_RESPONSE or capture.side == SIDE_SET_COOKIE) != response:
            continue
        if capture.side == SIDE_COOKIE:
            found = first_cookie(head, capture.name)
        elif capture.side == SIDE_SET_COOKIE:
            found = first_set_cookie(head, capture.name)
        else:
            found = last_field(head, capture.name)
        if found.at == NULL:
            continue
        found.n = min(found.n, <size_t>capture.most)
        check(capture.at + found.n <= plan.bytes)
        lengths_of(notes)[i] = <uint16_t>found.n
        memcpy(room_of(notes, plan, i), found.at, found.n)


cdef View notes_capture(const Notes* notes, const Plan* plan, uint32_t number) noexcept nogil:
    if notes == NULL or number >= plan.n or lengths_of(notes)[number] == NOT_THERE:
        return view(NULL, 0)
    return view(room_of(notes, plan, number), lengths_of(notes)[number])


cdef uint32_t notes_pack(const Notes* notes, const Plan* plan, char* to, uint32_t room) noexcept nogil:
    cdef PackedNotes front
    cdef Packed one
    cdef const Capture* capture
    cdef View found
    cdef uint32_t at = sizeof(front) + notes.id_n, i
    if room < at:
        return 0
    front.number = notes.number
    front.id_n = notes.id_n
    memcpy(to, &front, sizeof(front))
    memcpy(to + sizeof(front), notes.id, notes.id_n)
    for i in range(plan.n):
        capture = &plan.captures[i]
        found = notes_capture(notes, plan, i)
        if found.at == NULL or capture.name.n > NOT_THERE:
            continue
        if room - at < sizeof(one) + capture.name.n + found.n:
            return 0
        one.name_n = <uint16_t>capture.name.n
        one.n = <uint16_t>found.n
        one.side = capture.side
        memcpy(to + at, &one, sizeof(one))
        memcpy(to + at + sizeof(one), capture.name.at, capture.name.n)
        memcpy(to + at + sizeof(one) + capture.name.n, found.at, found.n)
        at += sizeof(one) + <uint32_t>(capture.name.n + found.n)
    return at


cdef void fill_in(Notes* notes, const Plan* plan, uint8_t side, View name, View found) noexcept nogil:
    """A capture that came packed, wherever the plan has one of that name."""
    cdef const Capture* capture
    cdef uint32_t i
    for i in range(plan.n):
        capture = &plan.captures[i]
        if capture.side == side and capture.name.n == name.n and memcmp(capture.name.at, name.at, name.n) == 0:
            lengths_of(notes)[i] = <uint16_t>min(found.n, <size_t>capture.most)
            memcpy(room_of(notes, plan, i), found.at, lengths_of(notes)[i])


cdef Status notes_unpack(Notes** out, const Plan* plan, View packed) noexcept nogil:
    cdef PackedNotes front
    cdef Packed one
    cdef Notes* notes
    cdef size_t at
    out[0] = NULL
    if packed.n < sizeof(front):
        return BAD
    memcpy(&front, packed.at, sizeof(front))
    if front.id_n > ID_MOST or packed.n - sizeof(front) < front.id_n:
        return BAD
    notes = notes_make(plan)
    if notes == NULL:
        return MORE
    notes.number = front.number
    notes.id_n = <uint16_t>front.id_n
    memcpy(notes.id, packed.at + sizeof(front), front.id_n)
    at = sizeof(front) + front.id_n
    while at < packed.n:
        if packed.n - at < sizeof(one):
            break
        memcpy(&one, packed.at + at, sizeof(one))
        at += sizeof(one)
        if packed.n - at < <size_t>one.name_n + one.n or one.n == NOT_THERE or one.side > SIDE_SET_COOKIE:
            break
        fill_in(notes, plan, one.side, view(packed.at + at, one.name_n), view(packed.at + at + one.name_n, one.n))
        at += <size_t>one.name_n + one.n
    else:
        out[0] = notes
        return DONE
    free(notes)
    return BAD
