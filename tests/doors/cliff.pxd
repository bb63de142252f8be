# Bytes laid against unreadable pages, so that a parser that reads one byte too far dies.

from edged._fast.base.view cimport View

cdef class Cliff:
    cdef char* floor             # owned: a page without rights, `room` bytes, a page without rights
    cdef size_t room
    cdef View lay(self, const unsigned char[:] data, bint at_start) except *
