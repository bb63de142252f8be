# Cookies in the fields Cookie and Set-Cookie. No pair is ever unquoted: values go on as they came.

from libc.string cimport memchr
from edged._fast.base.view cimport View, view, view_same
from edged._fast.parse.framing cimport is_gap

cdef inline View trimmed(const char* at, const char* end) noexcept nogil:
    while at < end and is_gap(at[0]):
        at += 1
    while at < end and is_gap((end - 1)[0]):
        end -= 1
    return view(at, end - at)

cdef inline bint next_cookie(View* rest, View* pair, View* name) noexcept nogil:
    """The next pair of a Cookie value, without the blanks around it; False at the end."""
    cdef const char* end
    cdef const char* sign
    if rest.n == 0:
        return False
    end = <const char*>memchr(rest.at, c";", rest.n)
    if end == NULL:
        pair[0] = trimmed(rest.at, rest.at + rest.n)
        rest.n = 0
    else:
        pair[0] = trimmed(rest.at, end)
        rest[0] = view(end + 1, rest.at + rest.n - end - 1)
    sign = <const char*>memchr(pair.at, c"=", pair.n)
    name[0] = trimmed(pair.at, sign) if sign != NULL else view(NULL, 0)
    return True

cdef inline bint sets_cookie(View value, View name) noexcept nogil:
    cdef const char* sign = <const char*>memchr(value.at, c"=", value.n) if value.n else NULL
    return sign != NULL and view_same(trimmed(value.at, sign), name)
