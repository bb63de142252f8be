# A memory file that grows while it is written, and at last is sealed: the table file in the making.

from libc.stdint cimport uint32_t
from edged._fast.route.table cimport Text

cdef class Image:                # Image(first, room): the first bytes are in use from the start
    cdef int fd                  # -1 once it was handed out
    cdef char* at                # the mapping; moves when the image grows, so hold offsets, not pointers
    cdef size_t n                # bytes in use
    cdef size_t room
    cdef int want(self, size_t end) except -1            # room for at least so many bytes in all
    cdef int grow(self, size_t room) except -1
    cdef int map(self, size_t room, int protection, int sharing) except -1
    cdef void unmap(self) noexcept
    # n bytes of zeroes at an offset that is a multiple of 8.
    cdef uint32_t take(self, size_t n) except 0
    # A copy of the text, in UTF-8; `at` is never 0, also for an empty text. ValueError where it holds a control character.
    cdef Text text(self, str text) except *
    # Ends the writing: the file is cut to its size and can change no more. The descriptor is the caller's from now on; the
    # image itself stays readable at `at`.
    cdef int seal(self) except -1
