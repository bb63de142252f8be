# host[:port] as it stands in Host, in absolute-form and in CONNECT (RFC 3986 section 3.2, without user information).

from libc.stdint cimport int32_t, uint32_t
from edged._fast.base.view cimport View, view, view_is_nocase
from edged._fast.parse.scan cimport CLASS_HOST, char_is, is_digit

cdef struct Authority:
    View host                    # with its brackets, if it is an IP literal
    int32_t port                 # -1: none was given, or an empty one

cdef inline const char* literal_end(const char* p, const char* end) noexcept nogil:
    """Behind the "]" of an IPv6 literal that begins at p with "["; NULL if it is none. Zones are refused (RFC 9110 4.2)."""
    cdef bint colon = False
    p += 1
    while p < end and p[0] != c']':
        if p[0] == c':':
            colon = True
        elif not (is_digit(p[0]) or c'a' <= (p[0] | 0x20) <= c'f' or p[0] == c'.'):
            return NULL
        p += 1
    return p + 1 if colon and p < end else NULL

cdef inline bint authority_read(Authority* out, View text) noexcept nogil:
    """False if a character or the form is wrong. An empty text is an empty host."""
    cdef const char* p = text.at
    cdef const char* end = text.at + text.n
    cdef uint32_t port = 0
    if p < end and p[0] == c'[':
        p = literal_end(p, end)
        if p == NULL:
            return False
    else:
        while p < end and char_is(p[0], CLASS_HOST):
            p += 1
    out.host = view(text.at, p - text.at)
    out.port = -1
    if p == end:
        return True
    if p[0] != c':' or out.host.n == 0:
        return False
    p += 1
    if p == end:
        return True
    while p < end and is_digit(p[0]):
        port = port * 10 + <uint32_t>(p[0] - c'0')
        if port > 65535:
            return False
        p += 1
    out.port = <int32_t>port
    return p == end

cdef inline bint authority_same(const Authority* a, const Authority* b, int32_t default_port) noexcept nogil:
    """Equal, ignoring case; a missing port counts as the default one (-1: there is none)."""
    cdef int32_t of_a = a.port if a.port >= 0 else default_port
    cdef int32_t of_b = b.port if b.port >= 0 else default_port
    return of_a == of_b and view_is_nocase(a.host, b.host.at, b.host.n)
