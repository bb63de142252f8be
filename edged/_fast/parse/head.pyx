"""HTTP/1 heads to facts, without a copy. A first pass finds the lines, a second one judges what the fields say together."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp
from edged._fast.base.status cimport BAD, DONE, MORE, Status
from edged._fast.base.view cimport View, check, likely, unlikely, view, view_is_nocase
from edged._fast.parse.authority cimport Authority, authority_read, authority_same
from edged._fast.parse.framing cimport (
    CODING_CHUNKED, CODING_OTHER, CODING_WRONG, is_gap, next_element, read_codings, read_length,
)
from edged._fast.parse.known cimport known_name
from edged._fast.parse.scan cimport (
    has_empty_line, is_blank, is_digit, newlines_end, target_end, text_end, token_end,
)

cdef extern from *:
    int __builtin_clzll(unsigned long long) noexcept nogil

cdef enum:
    METHOD_MOST = 64             # longer methods: 501
    NAMES_MOST = 64              # fields that Connection may name: each is sought among all fields
    WEBSOCKET_KEY_BYTES = 24

cdef enum:                       # what a version can be, apart from 0 and 1 for HTTP/1.0 and later
    VERSION_WRONG = -1
    VERSION_OLD = -2
    VERSION_NEW = -3

cdef struct Facts:               # gathered over the fields, before they are judged together
    View host
    uint32_t hosts
    uint32_t codings             # Coding bits; 0: no Transfer-Encoding
    uint32_t names               # fields that Connection names
    uint32_t keys                # good Sec-WebSocket-Key fields; two of them are none
    bint asks_upgrade            # Connection: upgrade
    bint upgrade                 # an Upgrade field is there ...
    bint h2c                     # ... and names h2c
    bint websocket


cdef inline Status refuse(Head* out, uint16_t fault, const char* why) noexcept nogil:
    out.fault = fault
    out.why = why
    return BAD

cdef inline void begin(Head* out) noexcept nogil:
    """Everything but `fields`, which is large and valid only up to `n`."""
    cdef View none = view(NULL, 0)
    out.method = out.target = out.path = out.authority = out.reason = none
    out.length = 0
    out.flags = out.size = 0
    out.status = out.n = out.fault = 0
    out.verb = VERB_OTHER
    out.minor = 0
    out.why = NULL

cdef inline int line_end(const char* p, const char* end) noexcept nogil:
    """Bytes of the line end at p: 2 or 1; 0: it is not all there; -1: this is no line end."""
    if unlikely(p == end):
        return 0
    if p[0] == c'\n':
        return 1
    if p[0] != c'\r':
        return -1
    if unlikely(end - p < 2):
        return 0
    return 2 if p[1] == c'\n' else -1

cdef inline const char* blanks_end(const char* p, const char* end) noexcept nogil:
    while p < end and is_blank(p[0]):
        p += 1
    return p

cdef inline View trimmed(const char* at, const char* stop) noexcept nogil:
    while stop > at and is_gap((stop - 1)[0]):
        stop -= 1
    return view(at, stop - at)

cdef inline bint still_open(View data, size_t seen) noexcept nogil:
    """Would parsing be in vain? True if the new bytes brought no end, and the size of the head has not passed a power of two
    since: so faults in a head that drips in are found early, and all passes together stay within twice its length."""
    cdef const char* p
    if seen == 0 or __builtin_clzll(seen) != __builtin_clzll(data.n):
        return False
    p = newlines_end(data.at, data.at + data.n)
    if seen > 3 and data.at + seen - 3 > p:
        p = data.at + seen - 3
    return not has_empty_line(p, data.at + data.n)


# ---- the first line

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

cdef Status absolute_form(Head* out, const char* stop) noexcept nogil:
    """scheme://authority, then the path, which ends at `stop`."""
    cdef const char* p = out.target.at
    cdef const char* start
    if not c'a' <= (p[0] | 0x20) <= c'z':
        return refuse(out, 400, "the target has no form that is known")
    while p < stop and (c'a' <= (p[0] | 0x20) <= c'z' or is_digit(p[0]) or p[0] == c'+' or p[0] == c'-' or p[0] == c'.'):
        p += 1
    if stop - p < 3 or memcmp(p, "://", 3) != 0:
        return refuse(out, 400, "the target has no form that is known")
    p += 3
    start = p
    while p < stop and p[0] != c'/':
        p += 1
    out.authority = view(start, p - start)
    out.path = view(p, stop - p)
    out.flags |= HEAD_ABSOLUTE
    return DONE

cdef Status other_form(Head* out, const char* stop) noexcept nogil:
    """The forms of RFC 9112 3.2 but the origin-form. `stop` is the first "?", or the end."""
    if out.verb == VERB_CONNECT:
        out.authority = out.target
        return DONE
    if out.target.n == 1 and out.target.at[0] == c'*':
        if out.verb != VERB_OPTIONS and out.verb != VERB_PRI:
            return refuse(out, 400, "* as target is for OPTIONS only")
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
        return refuse(out, 414, "the target is too long")
    if unlikely(stop == end):
        return MORE
    if unlikely(not is_blank(stop[0])):
        return refuse(out, 400, "no version" if stop[0] == c'\r' or stop[0] == c'\n' else "a character that no target may hold")
    if unlikely(stop == p):
        return refuse(out, 400, "no target")
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
        return refuse(out, 400, "PRI is for the preface of HTTP/2 only")
    if unlikely(version < 0):
        if version == VERSION_NEW:
            return refuse(out, 505, "the version is not 1.x")
        return refuse(out, 400, "no version that is known")
    out.minor = <uint8_t>version
    return DONE

cdef inline Status request_line(Head* out, const char** at, const char* end, uint32_t target_most) noexcept nogil:
    cdef const char* p = at[0]
    cdef const char* stop = token_end(p, end)
    cdef Status status
    cdef int ending
    if unlikely(stop - p > METHOD_MOST):
        return refuse(out, 501, "the method is too long")
    if unlikely(stop == end):
        return MORE
    if unlikely(stop == p or not is_blank(stop[0])):
        return refuse(out, 400, "no method")
    out.method = view(p, stop - p)
    out.verb = verb_of(p, stop - p)
    p = blanks_end(stop, end)
    status = read_target(out, &p, end, target_most)
    if unlikely(status != DONE):
        return status
    p = blanks_end(p, end)
    if unlikely(end - p < 8):
        if p < end and p[0] != c'H': return refuse(out, 400, "no version that is known")
        return MORE
    status = request_version(out, p)
    if unlikely(status != DONE):
        return status
    ending = line_end(p + 8, end)
    if unlikely(ending <= 0):
        return MORE if ending == 0 else refuse(out, 400, "more text behind the version")
    at[0] = p + 8 + ending
    return DONE

cdef inline Status status_line(Head* out, const char** at, const char* end) noexcept nogil:
    cdef const char* p = at[0]
    cdef int version, ending
    if end - p < 13:                                         # the shortest: version, blank, three digits, LF
        if p < end and p[0] != c'H': return refuse(out, 502, "no status line")
        return MORE
    version = version_of(p)
    if version < 0 or not is_blank(p[8]):
        return refuse(out, 502, "no version that is known")
    out.minor = <uint8_t>version
    p = blanks_end(p + 8, end)
    if end - p < 4:
        return MORE
    if not (c'1' <= p[0] <= c'9' and is_digit(p[1]) and is_digit(p[2])):
        return refuse(out, 502, "the status has not three digits")
    out.status = <uint16_t>((p[0] - c'0') * 100 + (p[1] - c'0') * 10 + (p[2] - c'0'))
    p += 3
    if not is_blank(p[0]) and p[0] != c'\r' and p[0] != c'\n':
        return refuse(out, 502, "the status has not three digits")
    p = blanks_end(p, end)
    at[0] = text_end(p, end)
    out.reason = trimmed(p, at[0])
    ending = line_end(at[0], end)
    if ending <= 0:
        return MORE if ending == 0 else refuse(out, 502, "a control character in the status line")
    at[0] += ending
    return DONE


# ---- the fields

cdef inline Status read_name(Head* out, Field* field, const char** at, const char* end) noexcept nogil:
    cdef const char* p = at[0]
    cdef const char* stop = token_end(p, end)
    if unlikely(stop == end):
        return MORE
    if unlikely(stop[0] != c':' or stop == p):
        return refuse(out, 400, "a blank before the colon" if stop > p and is_blank(stop[0]) else "no name of a field")
    field.name = view(p, stop - p)
    field.known = known_name(p, stop - p)
    field.flags = 0
    at[0] = stop + 1
    return DONE

cdef inline Status read_value(Head* out, View* value, const char** at, const char* end) noexcept nogil:
    """The rest of a line. What `value` shows already goes on: over the line end between them, if the line is a folded one."""
    cdef const char* start = blanks_end(at[0], end)
    cdef const char* stop = text_end(start, end)
    cdef int ending = line_end(stop, end)
    if unlikely(ending <= 0):
        return MORE if ending == 0 else refuse(out, 400, "a control character in a value")
    at[0] = stop + ending
    value[0] = trimmed(value.at if value.n else start, stop)
    return DONE

cdef inline Status fold(Head* out, uint32_t n, const char** at, const char* end) noexcept nogil:
    if n == 0:
        return refuse(out, 400, "the first field begins with a blank")
    out.fields[n - 1].flags |= FIELD_FOLDED
    out.flags |= HEAD_FOLDED
    return read_value(out, &out.fields[n - 1].value, at, end)

cdef inline Status read_fields(Head* out, const char** at, const char* end, uint32_t limit) noexcept nogil:
    cdef uint32_t most = limit if limit < FIELDS_MOST else FIELDS_MOST
    cdef const char* p = at[0]
    cdef uint32_t n = 0
    cdef Status status
    cdef int ending
    cdef Field* field
    while True:
        if unlikely(p == end):
            return MORE
        if unlikely(p[0] <= c' '):
            ending = line_end(p, end)
            if ending >= 0:
                break
            if is_blank(p[0]):
                status = fold(out, n, &p, end)
                if status != DONE: return status
                continue
        if unlikely(n == most):
            return refuse(out, 431, "too many fields")
        field = &out.fields[n]
        status = read_name(out, field, &p, end)
        if unlikely(status != DONE):
            return status
        field.value = view(NULL, 0)
        status = read_value(out, &field.value, &p, end)
        if unlikely(status != DONE):
            return status
        n += 1
    out.n = <uint16_t>n
    at[0] = p + ending
    return MORE if ending == 0 else DONE


# ---- what the fields say

cdef Status read_connection(Head* out, Facts* facts, View value) noexcept nogil:
    cdef View element
    while next_element(&value, &element):
        if view_is_nocase(element, "keep-alive", 10):
            out.flags |= HEAD_KEEP_ALIVE
        elif view_is_nocase(element, "close", 5):
            out.flags |= HEAD_CLOSE
        elif view_is_nocase(element, "upgrade", 7):
            facts.asks_upgrade = True
        elif element.n:
            facts.names += 1
            if facts.names > NAMES_MOST:
                return refuse(out, 400, "Connection names too many fields")
    return DONE

cdef void read_upgrade(Facts* facts, View value) noexcept nogil:
    cdef View element
    while next_element(&value, &element):
        facts.upgrade |= element.n > 0
        facts.websocket |= view_is_nocase(element, "websocket", 9)
        if element.n >= 3 and view_is_nocase(view(element.at, 3), "h2c", 3) and (element.n == 3 or element.at[3] == c'/'):
            facts.h2c = True

cdef bint has_element(View value, const char* word, size_t n) noexcept nogil:
    cdef View element
    while next_element(&value, &element):
        if view_is_nocase(element, word, n):
            return True
    return False

cdef bint is_of_connection(View value) noexcept nogil:
    """Does a WWW-Authenticate offer a scheme that authenticates the connection, not the request?"""
    cdef View element, scheme
    while next_element(&value, &element):
        scheme = view(element.at, token_end(element.at, element.at + element.n) - element.at)
        if view_is_nocase(scheme, "negotiate", 9) or view_is_nocase(scheme, "ntlm", 4):
            return True
    return False

cdef Status read_field_length(Head* out, Field* field) noexcept nogil:
    cdef uint64_t length
    if not read_length(&field.value, &length):
        return refuse(out, 400, "Content-Length is no number")
    if out.flags & HEAD_LENGTH:
        if length != out.length:
            return refuse(out, 400, "different Content-Lengths")
        field.flags |= FIELD_HOP
    out.length = length
    out.flags |= HEAD_LENGTH
    return DONE

cdef inline Status gather(Head* out, Facts* facts) noexcept nogil:
    cdef Field* field
    cdef uint32_t i
    cdef Status status = DONE
    facts.hosts = facts.codings = facts.names = facts.keys = 0
    facts.asks_upgrade = facts.upgrade = facts.h2c = facts.websocket = False
    for i in range(out.n):
        field = &out.fields[i]
        if field.known == KNOWN_NONE:
            continue
        elif field.known == KNOWN_HOST:
            facts.hosts += 1
            facts.host = field.value
        elif field.known == KNOWN_CONTENT_LENGTH:
            status = read_field_length(out, field)
        elif field.known == KNOWN_TRANSFER_ENCODING:
            facts.codings = read_codings(field.value, facts.codings)
        elif field.known == KNOWN_CONNECTION:
            status = read_connection(out, facts, field.value)
        elif field.known == KNOWN_UPGRADE:
            read_upgrade(facts, field.value)
        elif field.known == KNOWN_EXPECT:
            if out.minor and view_is_nocase(field.value, "100-continue", 12): out.flags |= HEAD_EXPECT_CONTINUE
        elif field.known == KNOWN_TE:
            if has_element(field.value, "trailers", 8): out.flags |= HEAD_TRAILERS_OK
        elif field.known == KNOWN_SEC_WEBSOCKET_KEY:
            facts.keys += 1 if field.value.n == WEBSOCKET_KEY_BYTES and not field.flags & FIELD_FOLDED else 2
        elif field.known == KNOWN_WWW_AUTHENTICATE:
            if is_of_connection(field.value): out.flags |= HEAD_PRIVATE_AUTH
        if unlikely(status != DONE):
            return status
    return DONE

cdef inline bint is_framing(const Field* field) noexcept nogil:
    return field.known == KNOWN_HOST or field.known == KNOWN_CONTENT_LENGTH or field.known == KNOWN_TRANSFER_ENCODING

cdef Status refuse_folded_framing(Head* out) noexcept nogil:
    """Folded lines are read differently here and there: no fact that others depend on may stand in one."""
    cdef uint32_t i
    for i in range(out.n):
        if out.fields[i].flags & FIELD_FOLDED and is_framing(&out.fields[i]):
            return refuse(out, 400, "a framing field is folded")
    return DONE

cdef void mark_named(Head* out) noexcept nogil:
    """FIELD_HOP for what the Connection fields name."""
    cdef uint32_t i, k
    cdef View rest, element
    for i in range(out.n):
        if out.fields[i].known != KNOWN_CONNECTION:
            continue
        rest = out.fields[i].value
        while next_element(&rest, &element):
            for k in range(out.n):
                if view_is_nocase(element, out.fields[k].name.at, out.fields[k].name.n) and not is_framing(&out.fields[k]):
                    out.fields[k].flags |= FIELD_HOP
                    out.flags |= HEAD_CONNECTION_NAMES

cdef inline Status settle(Head* out, Facts* facts) noexcept nogil:
    """What requests and responses have in common."""
    cdef Status status
    if unlikely(out.flags & HEAD_FOLDED):
        status = refuse_folded_framing(out)
        if status != DONE: return status
    status = gather(out, facts)
    if unlikely(status != DONE):
        return status
    if out.flags & HEAD_CLOSE:
        out.flags &= ~<uint32_t>HEAD_KEEP_ALIVE
    if facts.asks_upgrade and facts.upgrade and not facts.h2c and out.minor:
        out.flags |= HEAD_UPGRADE | (HEAD_WEBSOCKET if facts.websocket else 0)
    if facts.names:
        mark_named(out)
    if facts.codings:
        if facts.codings & CODING_WRONG or not facts.codings & CODING_CHUNKED:
            return refuse(out, 400, "Transfer-Encoding does not end in chunked, once")
        if not out.minor:
            return refuse(out, 400, "Transfer-Encoding on HTTP/1.0")
        if facts.codings & CODING_OTHER:
            return refuse(out, 422, "a transfer coding other than chunked")
        out.flags |= HEAD_CHUNKED
    return DONE

cdef inline int default_port(View target) noexcept nogil:
    if target.n >= 7 and view_is_nocase(view(target.at, 7), "http://", 7): return 80
    return 443 if target.n >= 8 and view_is_nocase(view(target.at, 8), "https://", 8) else -1

cdef Status compare_authority(Head* out, const Authority* host) noexcept nogil:
    """The target names an authority itself: it must be a good one, and equal to Host. `host` is NULL on HTTP/1.0 without it."""
    cdef Authority asked
    if not authority_read(&asked, out.authority) or asked.host.n == 0:
        return refuse(out, 400, "the authority of the target is none")
    if out.verb == VERB_CONNECT and asked.port < 0:
        return refuse(out, 400, "CONNECT without a port")
    if host != NULL and not authority_same(&asked, host, default_port(out.target) if out.flags & HEAD_ABSOLUTE else -1):
        return refuse(out, 400, "the target's authority and Host differ")
    return DONE

cdef inline Status judge_request(Head* out) noexcept nogil:
    cdef Facts facts
    cdef Authority host
    cdef Status status = settle(out, &facts)
    if unlikely(status != DONE):
        return status
    if unlikely(facts.hosts != 1):
        if facts.hosts: return refuse(out, 400, "more than one Host")
        if out.minor: return refuse(out, 400, "no Host")
    elif unlikely(not authority_read(&host, facts.host)):
        return refuse(out, 400, "a character or form that no Host may have")
    if unlikely(out.flags & HEAD_ABSOLUTE or out.verb == VERB_CONNECT):
        status = compare_authority(out, &host if facts.hosts else NULL)
        if status != DONE: return status
    if facts.hosts:
        out.authority = facts.host
    if out.flags & HEAD_CHUNKED and out.flags & HEAD_LENGTH:
        return refuse(out, 400, "Transfer-Encoding with Content-Length")
    if not out.minor and out.length and (out.verb == VERB_GET or out.verb == VERB_HEAD or out.verb == VERB_DELETE):
        return refuse(out, 413, "a body that this method has not on HTTP/1.0")
    if out.flags & HEAD_WEBSOCKET and facts.keys != 1:
        return refuse(out, 400, "no good Sec-WebSocket-Key")
    return DONE

cdef Status judge_response(Head* out) noexcept nogil:
    cdef Facts facts
    cdef uint32_t i
    cdef Status status = settle(out, &facts)
    if status == DONE and out.flags & HEAD_CHUNKED and out.flags & HEAD_LENGTH:
        out.flags = out.flags & ~<uint32_t>(HEAD_LENGTH | HEAD_KEEP_ALIVE) | HEAD_CLOSE
        for i in range(out.n):
            if out.fields[i].known == KNOWN_CONTENT_LENGTH:
                out.fields[i].flags |= FIELD_HOP
    return status


# ---- the public functions

cdef Status head_request(Head* out, View data, size_t seen, const HeadLimits* limits) noexcept nogil:
    cdef bint whole = data.n >= limits.head_bytes
    cdef const char* end = data.at + (limits.head_bytes if whole else data.n)
    cdef const char* p = data.at
    cdef Status status
    check(seen <= data.n)
    begin(out)
    if seen and not whole and still_open(data, seen):
        return MORE
    p = newlines_end(p, end)
    status = request_line(out, &p, end, limits.target_bytes)
    if unlikely(status != DONE):
        return refuse(out, 414, "the request line is too long") if status == MORE and whole else status
    status = read_fields(out, &p, end, limits.fields)
    if unlikely(status != DONE):
        return refuse(out, 431, "the head is too large") if status == MORE and whole else status
    out.size = <uint32_t>(p - data.at)
    if unlikely(out.verb == VERB_PRI):
        return DONE if out.n == 0 else refuse(out, 400, "PRI is for the preface of HTTP/2 only")
    return judge_request(out)

cdef Status head_response(Head* out, View data, size_t seen, const HeadLimits* limits) noexcept nogil:
    cdef bint whole = data.n >= limits.head_bytes
    cdef const char* end = data.at + (limits.head_bytes if whole else data.n)
    cdef const char* p = data.at
    cdef Status status
    check(seen <= data.n)
    begin(out)
    if seen and not whole and still_open(data, seen):
        return MORE
    p = newlines_end(p, end)
    status = status_line(out, &p, end)
    if status == DONE:
        status = read_fields(out, &p, end, limits.fields)
    if status == DONE:
        out.size = <uint32_t>(p - data.at)
        status = judge_response(out)
    if status == MORE and whole:
        return refuse(out, 502, "the head is too large")
    if status == BAD:
        out.fault = 502
    return status

cdef View head_value(const Head* head, uint8_t known) noexcept nogil:
    cdef uint32_t i
    for i in range(head.n):
        if head.fields[i].known == known:
            return head.fields[i].value
    return view(NULL, 0)


# ---- for Python

class HeadError(ValueError):
    """A head breaks the protocol; `status` is the answer it deserves, `why` says what is wrong."""

    def __init__(self, status, why):
        super().__init__(f"{status}: {why}")
        self.status = status
        self.why = why

FLAG_WORDS = {
    HEAD_LENGTH: "length", HEAD_CHUNKED: "chunked", HEAD_CLOSE: "close", HEAD_KEEP_ALIVE: "keep_alive", HEAD_UPGRADE: "upgrade",
    HEAD_EXPECT_CONTINUE: "expect_continue", HEAD_ABSOLUTE: "absolute", HEAD_TRAILERS_OK: "trailers_ok",
    HEAD_CONNECTION_NAMES: "connection_names", HEAD_PRIVATE_AUTH: "private_auth", HEAD_WEBSOCKET: "websocket",
    HEAD_FOLDED: "folded", HEAD_ASTERISK: "asterisk",
}

cdef bytes seen_bytes(View v):
    return v.at[:v.n] if v.n else b""

cdef dict facts_of(const Head* head):
    cdef uint32_t i
    return {
        "minor": head.minor,
        "flags": frozenset(word for bit, word in FLAG_WORDS.items() if head.flags & bit),
        "length": head.length if head.flags & HEAD_LENGTH else None,
        "fields": [(seen_bytes(head.fields[i].name), seen_bytes(head.fields[i].value)) for i in range(head.n)],
        "hop": [seen_bytes(head.fields[i].name) for i in range(head.n) if head.fields[i].flags & FIELD_HOP],
        "size": head.size,
    }

def read_request(bytes data not None, *, uint32_t head_bytes=16384, uint32_t target_bytes=8192, uint16_t fields=101):
    """The facts of a request head, or None while it is incomplete. Raises HeadError.

    Stricter than RFC 9112 where it leaves a choice: control characters but HTAB in values, Transfer-Encoding on HTTP/1.0 or
    together with Content-Length, a folded Host, Content-Length or Transfer-Encoding, and a missing Host on 1.1 are all refused."""
    cdef Head head
    cdef HeadLimits limits = HeadLimits(head_bytes, target_bytes, fields)
    cdef Status status = head_request(&head, view(data, len(data)), 0, &limits)
    if status == BAD:
        raise HeadError(head.fault, head.why.decode())
    if status == MORE:
        return None
    return facts_of(&head) | {
        "method": seen_bytes(head.method), "target": seen_bytes(head.target), "path": seen_bytes(head.path),
        "authority": seen_bytes(head.authority),
    }

def read_response(bytes data not None, *, uint32_t head_bytes=16384, uint16_t fields=101):
    """The facts of a response head, or None while it is incomplete. Raises HeadError, always with 502.

    A Content-Length beside Transfer-Encoding is overruled, marked as a field that must not travel on, and the connection
    counts as one to close (RFC 9112 6.3)."""
    cdef Head head
    cdef HeadLimits limits = HeadLimits(head_bytes, 0, fields)
    cdef Status status = head_response(&head, view(data, len(data)), 0, &limits)
    if status == BAD:
        raise HeadError(head.fault, head.why.decode())
    if status == MORE:
        return None
    return facts_of(&head) | {"status": head.status, "reason": seen_bytes(head.reason)}
