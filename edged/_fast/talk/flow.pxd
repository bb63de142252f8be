# One direction of an exchange: a message body from one port to another, its framing read strictly and written anew.

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from edged._fast.memory.buffer cimport Blocks
from edged._fast.parse.chunked cimport Chunked
from edged._fast.talk.wants cimport Port

cdef enum FlowKind:
    FLOW_NONE = 0                # no body
    FLOW_LENGTH = 1
    FLOW_CHUNKED = 2
    FLOW_TO_EOF = 3

cdef enum FlowState:             # what flow_step answers
    FLOW_LARGE = -3              # more payload than Flow.most
    FLOW_BAD = -2                # broken framing
    FLOW_CUT = -1                # the sender ended too early
    FLOW_GOING = 0
    FLOW_DONE = 1                # every byte has been handed to `to` (it may still be in to.tx)

cdef struct Flow:
    uint8_t kind
    uint8_t done
    uint8_t decode               # chunked in, bare bytes out
    uint8_t raw                  # a piece is on its way as raw bytes
    uint8_t broken               # with `done`: the sender broke off, so nobody knows whether this was all
    uint64_t left                # FLOW_LENGTH: not yet handed over; FLOW_CHUNKED: of the raw piece
    uint64_t total               # payload bytes handed over
    uint64_t most                # of payload; more is not handed over. 0: no limit
    Chunked chunk

cdef void flow_open(Flow* flow, uint8_t kind, uint64_t length) noexcept nogil
cdef int flow_step(Flow* flow, Port* source, Port* to, Blocks* blocks) noexcept nogil
