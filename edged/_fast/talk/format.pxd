# HAProxy's log-format text, compiled: one operation after another, filled from the facts of an exchange. For lines of the operator's
# own, and for ids of requests. The text itself is read where settings are.

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from edged._fast.base.view cimport View
from edged._fast.talk.logline cimport LogLine
from edged._fast.talk.notes cimport Plan

cdef enum:                       # Op.flags
    FORMAT_QUOTE = 1
    FORMAT_ESCAPE = 2
    FORMAT_HEX = 4

cdef struct Op:
    View text                    # of a literal
    uint16_t number              # of a capture
    uint8_t word                 # a Word
    uint8_t flags

# Answers behind the last byte written. What does not fit before `end` is left out.
cdef char* format_write(char* to, char* end, const Op* ops, uint32_t n, const LogLine* line) noexcept nogil

cdef class Format:               # Format(pieces): (word, flags of "QEX", literal or number of a capture)
    cdef Op* ops
    cdef uint32_t n
    cdef list texts              # held: the ops borrow from them

cdef class Notebook:             # Notebook(captures, n_request, n_response, cookies, id_format, id_header): owns a Plan
    cdef Plan plan
    cdef list names
    cdef Format id_format
