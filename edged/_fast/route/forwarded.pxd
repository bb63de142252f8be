# The parameters of Forwarded (RFC 7239), and what X-Forwarded-Proto says.

from libc.stdint cimport uint8_t, uint32_t
from edged._fast.base.view cimport View, likely, view
from edged._fast.parse.framing cimport next_element
from edged._fast.parse.head cimport (
    FIELD_HOP, Head, KNOWN_FORWARDED, KNOWN_X_FORWARDED_FOR, KNOWN_X_FORWARDED_HOST, KNOWN_X_FORWARDED_PORT, KNOWN_X_FORWARDED_PROTO,
)
from edged._fast.route.out cimport Out, lower, put, put_lower, room_for, say

cdef inline View forwarded_name(uint8_t known) noexcept nogil:
    if known == KNOWN_X_FORWARDED_FOR:
        return view(b"x-forwarded-for", 15)
    if known == KNOWN_X_FORWARDED_HOST:
        return view(b"x-forwarded-host", 16)
    if known == KNOWN_X_FORWARDED_PORT:
        return view(b"x-forwarded-port", 16)
    return view(b"x-forwarded-proto", 17) if known == KNOWN_X_FORWARDED_PROTO else view(b"forwarded", 9)

cdef inline bint is_plain_value(char c) noexcept nogil:
    """May it stand in a Forwarded parameter without quotes? As HAProxy writes it also the signs of host and port."""
    return (c"a" <= (c | 0x20) <= c"z" or c"0" <= c <= c"9" or c == c"." or c == c"-" or c == c":" or c == c"_"
            or c == c"[" or c == c"]" or c == c"~" or c == c"!" or c == c"$" or c == c"&" or c == c"'" or c == c"*" or c == c"+")

cdef inline void put_parameter(Out* out, View value) noexcept nogil:
    """What clients chose must not end the parameter: quoted if it could."""
    cdef size_t i = 0
    cdef char* to
    while i < value.n and is_plain_value(value.at[i]):
        i += 1
    if likely(i == value.n):
        put_lower(out, value)
        return
    say(out, b"\"")
    for i in range(value.n):
        if value.at[i] == c"\"" or value.at[i] == c"\\":
            say(out, b"\\")
        to = room_for(out, 1)
        if to != NULL:
            lower(to, view(value.at + i, 1))
            to[0] = c" " if <unsigned char>to[0] < 0x20 or to[0] == 0x7F else to[0]
    say(out, b"\"")

cdef inline View last_proto(const Head* head) noexcept nogil:
    """The last element of the last X-Forwarded-Proto."""
    cdef View rest = view(NULL, 0), last = rest
    cdef uint32_t i
    for i in range(head.n):
        if head.fields[i].known == KNOWN_X_FORWARDED_PROTO and not head.fields[i].flags & FIELD_HOP:
            rest = head.fields[i].value
    while next_element(&rest, &last):
        pass
    return last
