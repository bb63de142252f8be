# How an exchange ends: with an answer of our own, cut off, or done.

from libc.stdint cimport uint16_t, uint32_t
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.wants cimport Shared

# Each sets phase and termination letters and answers the wants that follow.
cdef uint32_t end_done(Shared* s, Exchange* x) noexcept nogil
cdef uint32_t end_refuse(Shared* s, Exchange* x, uint16_t status, const char* detail, char cause, char state) noexcept nogil
cdef uint32_t end_said(Shared* s, Exchange* x, uint16_t status, size_t n) noexcept nogil     # n bytes of our own answer lie behind front.tx
cdef uint32_t end_cut(Shared* s, Exchange* x, char cause, char state) noexcept nogil         # no (further) answer: the client is cut off
cdef uint32_t manner(Shared* s, Exchange* x) noexcept nogil                                  # REPLY_* of such an answer; settles whether the client stays
cdef void leave_endpoint(Shared* s, Exchange* x) noexcept nogil                              # out of the `served` cells
cdef void take_head(Exchange* x) noexcept nogil                                              # the request head leaves front.rx
