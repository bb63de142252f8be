# A head being written into room that may be too small: then nothing more is taken, and its end answers 0.

from libc.stdint cimport uint64_t
from libc.string cimport memcpy, strlen
from edged._fast.base.view cimport View, unlikely

cdef struct Out:
    char* start
    char* at                     # the next byte
    char* end
    bint full                    # something did not fit

cdef inline Out out_begin(char* at, size_t room) noexcept nogil:
    cdef Out out
    out.start = out.at = at
    out.end = at + room
    out.full = False
    return out

cdef inline size_t out_end(const Out* out) noexcept nogil:
    return 0 if out.full else <size_t>(out.at - out.start)

# Room for n bytes, already counted as written; NULL: there is none.
cdef inline char* room_for(Out* out, size_t n) noexcept nogil:
    cdef char* at = out.at
    if unlikely(n > <size_t>(out.end - at)):
        out.full = True
        out.end = at
        return NULL
    out.at = at + n
    return at

cdef inline void put(Out* out, const char* at, size_t n) noexcept nogil:
    cdef char* to = room_for(out, n)
    if to != NULL and n:
        memcpy(to, at, n)

cdef inline void put_view(Out* out, View text) noexcept nogil:
    put(out, text.at, text.n)

# A literal: its length is known to the compiler.
cdef inline void say(Out* out, const char* literal) noexcept nogil:
    put(out, literal, strlen(literal))

# The copy in lower case; bytes that are no letters stay as they are.
cdef inline void put_lower(Out* out, View text) noexcept nogil:
    cdef char* to = room_for(out, text.n)
    if to != NULL:
        lower(to, text)

cdef inline void lower(char* to, View text) noexcept nogil:
    cdef size_t i
    cdef unsigned char c
    for i in range(text.n):
        c = <unsigned char>text.at[i]
        to[i] = <char>(c | ((<unsigned char>(c - c"A") < 26) << 5))

cdef inline void put_number(Out* out, uint64_t number) noexcept nogil:
    cdef char digits[20]
    cdef size_t n = 0
    while True:
        n += 1
        digits[20 - n] = <char>(c"0" + number % 10)
        number //= 10
        if number == 0:
            break
    put(out, digits + 20 - n, n)
