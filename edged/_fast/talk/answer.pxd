# The endpoint's answer, read and handed on.

from libc.stdint cimport uint32_t
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.wants cimport Shared

# Read heads at the front of back.rx: interim ones are passed on, the final one opens Exchange.answering and PHASE_ANSWER or
# PHASE_TUNNEL. Answers wants; with WANT_NOTHING the phase tells whether the final head has come.
cdef uint32_t answer_head(Shared* s, Exchange* x) noexcept nogil
