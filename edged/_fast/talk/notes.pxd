# What is kept of heads that are long gone when it is wanted: captured fields and cookies, and the id of the request.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.status cimport Status
from edged._fast.base.view cimport View
from edged._fast.parse.head cimport Head

cdef enum Side:                  # where a capture is taken from
    SIDE_REQUEST = 0
    SIDE_RESPONSE
    SIDE_COOKIE
    SIDE_SET_COOKIE

cdef enum:
    ID_MOST = 128                # bytes of an id

cdef struct Capture:
    View name                    # of a cookie: how the pair must begin
    uint32_t at                  # offset of its bytes behind Notes.lengths
    uint16_t most
    uint8_t side                 # a Side

cdef struct Plan:                # what is noted of every exchange
    Capture* captures            # in this order: those of requests that lines show, those of responses, the two cookies, all others
    uint32_t n
    uint32_t n_request           # shown in braces
    uint32_t n_response
    uint32_t bytes               # of all captures together
    uint8_t cookies              # 1: two captures follow these, a cookie of the request and of the response
    const void* id_format        # Op[id_n]; NULL: there are no ids
    uint32_t id_n
    View id_header               # n == 0: endpoints are not told

cdef struct Notes:               # followed by uint16_t lengths[n] (NOT_THERE: nothing was captured) and the bytes
    uint64_t number              # of the request, in this worker
    uint16_t id_n
    char id[ID_MOST]

cdef Notes* notes_make(const Plan* plan) noexcept nogil                   # NULL: no memory. Freed with free().
cdef void notes_take(Notes* notes, const Plan* plan, const Head* head, bint response) noexcept nogil
# For another engine, whose plan may be another one: captures go by their names.
cdef uint32_t notes_pack(const Notes* notes, const Plan* plan, char* to, uint32_t room) noexcept nogil     # bytes; 0: they do not fit
cdef Status notes_unpack(Notes** out, const Plan* plan, View packed) noexcept nogil    # BAD: that is nothing packed; MORE: no memory
cdef View notes_capture(const Notes* notes, const Plan* plan, uint32_t number) noexcept nogil      # at == NULL: nothing was captured
