"""HTTP/1 heads to facts, without a copy. A first pass finds the lines, a second one judges what the fields say together."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.status cimport BAD, DONE, MORE, Status
from edged._fast.base.view cimport View, check, likely, unlikely, view
from edged._fast.parse.authority cimport Authority, authority_read
from edged._fast.parse.facts cimport Facts, compare_authority, settle
from edged._fast.parse.firstline cimport request_line, status_line
from edged._fast.parse.framing cimport trimmed
from edged._fast.parse.known cimport known_name
from edged._fast.parse.scan cimport Stops, blanks_end, has_empty_line, is_blank, newlines_end, next_line, stops_start, token_end

cdef extern from *:
    int __builtin_clzll(unsigned long long) noexcept nogil


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


# ---- the fields

cdef inline Status read_field(Head* out, Field* field, const char* p, const char* stop, const char* end) noexcept nogil:
    """The line [p, stop). Its name cannot go beyond `stop`, where a control character stands."""
    cdef const char* colon = token_end(p, end)
    if unlikely(colon[0] != c':' or colon == p):
        return head_refuse(out, 400, "a blank before the colon" if colon > p and is_blank(colon[0]) else "no name of a field")
    field.name = view(p, colon - p)
    field.value = trimmed(blanks_end(colon + 1, stop), stop)
    field.known = known_name(p, colon - p)
    field.flags = 0
    return DONE

cdef Status fold(Head* out, uint32_t n, const char* p, const char* stop) noexcept nogil:
    """A line that goes on with the value before it; the line end between them stays in the view."""
    cdef Field* field
    if n == 0:
        return head_refuse(out, 400, "the first field begins with a blank")
    field = &out.fields[n - 1]
    field.value = trimmed(field.value.at if field.value.n else blanks_end(p, stop), stop)
    field.flags |= FIELD_FOLDED
    out.flags |= HEAD_FOLDED
    return DONE

cdef inline Status read_fields(Head* out, const char** at, const char* end, uint32_t limit) noexcept nogil:
    """Lines are found by their control characters, sixty-four bytes at a time: finding one does not wait for what the line
    before it holds, so that the processor works on several lines at once."""
    cdef uint32_t most = limit if limit < FIELDS_MOST else FIELDS_MOST
    cdef uint32_t n = 0
    cdef const char* p = at[0]
    cdef const char* stop = NULL
    cdef const char* after = NULL
    cdef Stops stops
    cdef Status status
    stops_start(&stops, p, end)
    while True:
        status = next_line(&stops, &stop, &after)
        if unlikely(status != DONE):
            return MORE if status == MORE else head_refuse(out, 400, "a control character in a field")
        if stop == p:
            break
        if unlikely(is_blank(p[0])):
            status = fold(out, n, p, stop)
        elif likely(n < most):
            status = read_field(out, &out.fields[n], p, stop, end)
            n += 1
        else:
            return head_refuse(out, 431, "too many fields")
        if unlikely(status != DONE):
            return status
        p = after
    out.n = <uint16_t>n
    at[0] = after
    return DONE


cdef inline Status judge_request(Head* out) noexcept nogil:
    cdef Facts facts
    cdef Authority host
    cdef Status status = settle(out, &facts)
    if unlikely(status != DONE):
        return status
    if unlikely(facts.hosts != 1):
        if facts.hosts: return head_refuse(out, 400, "more than one Host")
        if out.minor: return head_refuse(out, 400, "no Host")
    elif unlikely(not authority_read(&host, facts.host)):
        return head_refuse(out, 400, "a character or form that no Host may have")
    if unlikely(out.flags & HEAD_ABSOLUTE or out.verb == VERB_CONNECT):
        status = compare_authority(out, &host if facts.hosts else NULL)
        if status != DONE: return status
    if facts.hosts:
        out.authority = facts.host
    if out.flags & HEAD_CHUNKED and out.flags & HEAD_LENGTH:
        return head_refuse(out, 400, "Transfer-Encoding with Content-Length")
    if not out.minor and out.length and (out.verb == VERB_GET or out.verb == VERB_HEAD or out.verb == VERB_DELETE):
        return head_refuse(out, 413, "a body that this method has not on HTTP/1.0")
    if out.flags & HEAD_WEBSOCKET and facts.keys != 1:
        return head_refuse(out, 400, "no good Sec-WebSocket-Key")
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
        return head_refuse(out, 414, "the request line is too long") if status == MORE and whole else status
    status = read_fields(out, &p, end, limits.fields)
    if unlikely(status != DONE):
        return head_refuse(out, 431, "the head is too large") if status == MORE and whole else status
    out.size = <uint32_t>(p - data.at)
    if unlikely(out.verb == VERB_PRI):
        return DONE if out.n == 0 else head_refuse(out, 400, "PRI is for the preface of HTTP/2 only")
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
        return head_refuse(out, 502, "the head is too large")
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
