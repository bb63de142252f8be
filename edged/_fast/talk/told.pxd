# What is told of a client's certificate, taken out of its ready lines again: for access lines, which know other escapes.

from libc.string cimport memchr, memcmp
from edged._fast.base.view cimport View, view

cdef inline View told_bare(View value, char* room, size_t most) noexcept nogil:
    """The text within the quotes, without its backslashes, cut where `room` is full."""
    cdef size_t i = 1, n = 0
    if value.n < 2 or value.at[0] != c'"':
        return value
    while i + 1 < value.n and n < most:
        if value.at[i] == c"\\":
            i += 1
        room[n] = value.at[i]
        n += 1
        i += 1
    return view(room, n)

# Of the line of that name, which is in lower case; n == 0: there is no such line, or no text in it. `room` may be borrowed.
cdef inline View told_value(View told, View name, char* room, size_t most) noexcept nogil:
    cdef const char* at = told.at
    cdef const char* end = told.at + told.n
    cdef const char* feed
    while at < end:
        feed = <const char*>memchr(at, c"\n", end - at)
        if feed == NULL:
            break
        if <size_t>(feed - at) > name.n + 2 and at[name.n] == c":" and memcmp(at, name.at, name.n) == 0:
            return told_bare(view(at + name.n + 2, feed - 1 - (at + name.n + 2)), room, most)
        at = feed + 1
    return view(NULL, 0)
