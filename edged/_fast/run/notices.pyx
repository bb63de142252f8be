"""What the engine wants said in the operator's log. See notices.pxd."""

from libc.stdio cimport snprintf

from edged._fast.base.atomic cimport load64, store64

cdef enum:
    SPAN_MS = 1000
    SPAN_MOST = 4                # lines in this time; an endpoint that fails does so for every request
    NAME_MOST = 120


cdef char* room_for(Notices* notices, int64_t now_ms) noexcept nogil:
    """Where the next one is to be written; NULL: there were too many lately."""
    if now_ms - notices.span_ms >= SPAN_MS:
        notices.span_ms = now_ms
        notices.span_first = notices.written
    if notices.written - notices.span_first >= SPAN_MOST or notices.written - load64(&notices.taken) >= NOTICES:
        notices.unsaid += 1
        return NULL
    return notices.text[notices.written % NOTICES]


cdef bint written(Notices* notices, char* text, int n) noexcept nogil:
    if notices.unsaid and 0 < n < NOTICE_MOST:
        snprintf(text + n, <size_t>(NOTICE_MOST - n), b" (and %llu times more)", <unsigned long long>notices.unsaid)
    notices.unsaid = 0
    store64(&notices.written, notices.written + 1)
    return True


cdef bint notice_endpoint(Notices* notices, int64_t now_ms, View backend, View endpoint, const char* why) noexcept nogil:
    cdef char* text = room_for(notices, now_ms)
    if text == NULL:
        return False
    return written(notices, text, snprintf(
        text, NOTICE_MOST, b"endpoint %.*s of %.*s: no TLS: %s", <int>min(endpoint.n, <size_t>NAME_MOST), endpoint.at,
        <int>min(backend.n, <size_t>NAME_MOST), backend.at, why))


cdef bint notice_tunnels(Notices* notices, int64_t now_ms, int64_t n, const char* why) noexcept nogil:
    cdef char* text = room_for(notices, now_ms)
    if text == NULL:
        return False
    return written(notices, text, snprintf(text, NOTICE_MOST, b"tunnels stay with the generation that has them, %lld now: %s", <long long>n, why))


cdef list notices_take(Notices* notices):
    cdef uint64_t until = load64(&notices.written)
    cdef list lines = []
    while notices.taken != until:
        lines.append((<bytes>notices.text[notices.taken % NOTICES]).decode("utf-8", "backslashreplace"))
        store64(&notices.taken, notices.taken + 1)
    return lines
