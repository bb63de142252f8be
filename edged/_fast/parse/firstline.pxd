# The request line and the status line. Each function takes what it reads off `at`, and answers DONE, MORE or BAD.

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp
from edged._fast.base.status cimport DONE, MORE, Status
from edged._fast.base.view cimport likely, unlikely, view
from edged._fast.parse.framing cimport trimmed
from edged._fast.parse.head cimport (
    HEAD_ABSOLUTE, HEAD_ASTERISK, Head, VERB_CONNECT, VERB_DELETE, VERB_GET, VERB_HEAD, VERB_OPTIONS, VERB_OTHER, VERB_PATCH,
    VERB_POST, VERB_PRI, VERB_PUT, VERB_TRACE, head_refuse,
)
from edged._fast.parse.scan cimport blanks_end, is_blank, is_digit, line_end, target_end, text_end, token_end

cdef enum:
    METHOD_MOST = 64             # longer methods: 501

cdef enum:                       # what a version can be, apart from 0 and 1 for HTTP/1.0 and later
    VERSION_WRONG = -1
    VERSION_OLD = -2
    VERSION_NEW = -3

cdef inline uint8_t verb_of(const char* at, size_t n) noexcept nogil:
    if n == 3:
        if memcmp(at, "GET", 3) == 0: return VERB_GET
        if memcmp(at, "PUT", 3) == 0: return VERB_PUT
        if memcmp(at, "PRI", 3) == 0: return VERB_PRI
    elif n == 4:
        if memcmp(at, "POST", 4) == 0: return VERB_POST
        if memcmp(at, "HEAD", 4) == 0: return VERB_HEAD
    elif n == 5:
        if memcmp(at, "PATCH", 5) == 0: return VERB_PATCH
        if memcmp(at, "TRACE", 5) == 0: return VERB_TRACE
    elif n == 6:
        if memcmp(at, "DELETE", 6) == 0: return VERB_DELETE
    elif n == 7:
        if memcmp(at, "OPTIONS", 7) == 0: return VERB_OPTIONS
        if memcmp(at, "CONNECT", 7) == 0: return VERB_CONNECT
    return VERB_OTHER

cdef inline int version_of(const char* p) noexcept nogil:
    """The eight bytes at p as HTTP/d.d: 0, 1 or a VERSION_ word."""
    if likely(memcmp(p, "HTTP/1.1", 8) == 0):
        return 1
    if memcmp(p, "HTTP/", 5) != 0 or not is_digit(p[5]) or p[6] != c'.' or not is_digit(p[7]):
        return VERSION_WRONG
    if p[5] != c'1':
        return VERSION_OLD if p[5] == c'0' else VERSION_NEW
    return 0 if p[7] == c'0' else 1

cdef inline Status absolute_form(Head* out, const char* stop) noexcept nogil:
    """scheme://authority, then the path, which ends at `stop`."""
    cdef const char* p = out.target.at
    cdef const char* start
    if not c'a' <= (p[0] | 0x20) <= c'z':
        return head_refuse(out, 400, "the target has no form that is known")
    while p < stop and (c'a' <= (p[0] | 0x20) <= c'z' or is_digit(p[0]) or p[0] == c'+' or p[0] == c'-' or p[0] == c'.'):
        p += 1
    if stop - p < 3 or memcmp(p, "://", 3) != 0:
        return head_refuse(out, 400, "the target has no form that is known")
    p += 3
    start = p
    while p < stop and p[0] != c'/':
        p += 1
    out.authority = view(start, p - start)
    out.path = view(p, stop - p)
    out.flags |= HEAD_ABSOLUTE
    return DONE

cdef inline Status other_form(Head* out, const char* stop) noexcept nogil:
    """The forms of RFC 9112 3.2 but the origin-form. `stop` is the first "?", or the end."""
    if out.verb == VERB_CONNECT:
        out.authority = out.target
        return DONE
    if out.target.n == 1 and out.target.at[0] == c'*':
        if out.verb != VERB_OPTIONS and out.verb != VERB_PRI:
            return head_refuse(out, 400, "* as target is for OPTIONS only")
        out.flags |= HEAD_ASTERISK
        return DONE
    return absolute_form(out, stop)

cdef inline Status read_target(Head* out, const char** at, const char* end, uint32_t most) noexcept nogil:
    cdef const char* p = at[0]
    cdef const char* query = target_end(p, end, c'?')
    cdef const char* stop = query
    if stop < end and stop[0] == c'?':
        stop = target_end(stop, end, c'#')
    if unlikely(stop - p > <ptrdiff_t>most):
        return head_refuse(out, 414, "the target is too long")
    if unlikely(stop == end):
        return MORE
    if unlikely(not is_blank(stop[0])):
        return head_refuse(out, 400, "no version" if stop[0] == c'\r' or stop[0] == c'\n' else "a character that no target may hold")
    if unlikely(stop == p):
        return head_refuse(out, 400, "no target")
    at[0] = stop
    out.target = view(p, stop - p)
    if likely(p[0] == c'/' and out.verb != VERB_CONNECT):
        out.path = view(p, query - p)
        return DONE
    return other_form(out, query)

cdef inline Status request_version(Head* out, const char* p) noexcept nogil:
    cdef int version = version_of(p)
    if unlikely(out.verb == VERB_PRI):
        if out.flags & HEAD_ASTERISK and memcmp(p, "HTTP/2.0", 8) == 0:
            return DONE
        return head_refuse(out, 400, "PRI is for the preface of HTTP/2 only")
    if unlikely(version < 0):
        if version == VERSION_NEW:
            return head_refuse(out, 505, "the version is not 1.x")
        return head_refuse(out, 400, "no version that is known")
    out.minor = <uint8_t>version
    return DONE

cdef inline Status request_line(Head* out, const char** at, const char* end, uint32_t target_most) noexcept nogil:
    cdef const char* p = at[0]
    cdef const char* stop = token_end(p, end)
    cdef Status status
    cdef int ending
    if unlikely(stop - p > METHOD_MOST):
        return head_refuse(out, 501, "the method is too long")
    if unlikely(stop == end):
        return MORE
    if unlikely(stop == p or not is_blank(stop[0])):
        return MORE if line_end(p, end) == 0 else head_refuse(out, 400, "no method")
    out.method = view(p, stop - p)
    out.verb = verb_of(p, stop - p)
    p = blanks_end(stop, end)
    status = read_target(out, &p, end, target_most)
    if unlikely(status != DONE):
        return status
    p = blanks_end(p, end)
    if unlikely(end - p < 8):
        if p == end: return MORE
        return MORE if p[0] == c'H' and text_end(p, end) == end else head_refuse(out, 400, "no version that is known")
    status = request_version(out, p)
    if unlikely(status != DONE):
        return status
    ending = line_end(p + 8, end)
    if unlikely(ending <= 0):
        return MORE if ending == 0 else head_refuse(out, 400, "more text behind the version")
    at[0] = p + 8 + ending
    return DONE

cdef inline Status status_line(Head* out, const char** at, const char* end) noexcept nogil:
    cdef const char* p = at[0]
    cdef int version, ending
    if end - p < 13:                                         # the shortest: version, blank, three digits, LF
        if line_end(p, end) == 0: return MORE
        return MORE if p[0] == c'H' and text_end(p, end) == end else head_refuse(out, 502, "no status line")
    version = version_of(p)
    if version < 0 or not is_blank(p[8]):
        return head_refuse(out, 502, "no version that is known")
    out.minor = <uint8_t>version
    p = blanks_end(p + 8, end)
    if end - p < 4:
        return MORE if text_end(p, end) == end else head_refuse(out, 502, "the status has not three digits")
    if not (c'1' <= p[0] <= c'9' and is_digit(p[1]) and is_digit(p[2])):
        return head_refuse(out, 502, "the status has not three digits")
    out.status = <uint16_t>((p[0] - c'0') * 100 + (p[1] - c'0') * 10 + (p[2] - c'0'))
    p += 3
    if not is_blank(p[0]) and p[0] != c'\r' and p[0] != c'\n':
        return head_refuse(out, 502, "the status has not three digits")
    p = blanks_end(p, end)
    at[0] = text_end(p, end)
    out.reason = trimmed(p, at[0])
    ending = line_end(at[0], end)
    if ending <= 0:
        return MORE if ending == 0 else head_refuse(out, 502, "a control character in the status line")
    at[0] += ending
    return DONE
