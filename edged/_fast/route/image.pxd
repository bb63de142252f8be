# A table file in the making: memory that grows while it is written, and is then copied to a sealed file.

from libc.stdint cimport uint32_t
from edged._fast.route.layout cimport Text

cdef class Image:                # Image(room)
    cdef char* at                # moves when the image grows, so hold offsets, not pointers
    cdef size_t n                # bytes in use
    cdef size_t room             # bytes that are mapped
    cdef int want(self, size_t end) except -1            # room for at least so many bytes in all
    # n bytes of zeroes at an offset that is a multiple of 8.
    cdef uint32_t take(self, size_t n) except? 0
    # A copy of the text, in UTF-8; `at` is never 0, also for an empty text. ValueError where it holds a control character.
    cdef Text text(self, str text) except *
    # The descriptor of a sealed file of the bytes in use; it is the caller's.
    cdef object sealed(self)
