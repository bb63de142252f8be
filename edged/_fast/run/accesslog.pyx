"""One exchange or connection as one line.

Lines never depend on what a client sends for their shape: blanks, quotes, line ends and bytes above ASCII are written as
HAProxy writes them (`#` and two hex digits), or in JSON as escapes, so that a line is always one line and its fields stay
where they are. Every part has a bound of its own, and what they leave is the target's.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport strlen

from edged._fast.base.view cimport View, likely, unlikely, view
from edged._fast.talk.ink cimport (
    LOCAL_LENGTH, SPELL_IN_CAPTURE, SPELL_IN_JSON, SPELL_IN_NAME, SPELL_IN_TARGET, UTC_LENGTH, Second, put, put_char, put_hashed, put_hex,
    put_letter, put_millis, put_number, put_signed, second_at, spelling,
)
from edged._fast.talk.notes cimport Plan, notes_capture

cdef enum:
    NAME_ROOM = 128              # what a name may take of the line, escapes included
    LONG_NAME_ROOM = 400
    METHOD_ROOM = 64
    CAPTURE_ROOM = 256           # one cookie
    CAPTURES_ROOM = 512          # all captured fields of one side, or in JSON all captures
    TARGET_MOST = 1023

cdef inline char* put_name(char* to, View text, size_t room) noexcept nogil:
    return put_hashed(to, text, SPELL_IN_NAME, room)

# ---- HAProxy's lines

cdef char* put_client(char* to, const LogLine* line) noexcept nogil:
    cdef Second* second = second_at(line.accept_us // 1000000)
    if line.client_ip.n:
        to = put_name(to, line.client_ip, NAME_ROOM)
    else:
        to = put(to, b"unix", 4)
    to = put_number(put_char(to, c":"), line.client_port)
    to = put(put(to, b" [", 2), second.local, LOCAL_LENGTH)
    to = put_millis(put_char(to, c"."), line.accept_us)
    to = put_name(put(to, b"] ", 2), line.frontend, NAME_ROOM)
    if line.tls:
        to = put_char(to, c"~")
    to = put_char(to, c" ")
    to = put_name(to, line.backend if line.backend.n else line.frontend, LONG_NAME_ROOM)
    to = put_char(to, c"/")
    if line.server.n:
        to = put_name(to, line.server, LONG_NAME_ROOM)
    else:
        to = put(to, b"<NOSRV>", 7)
    return put_char(to, c" ")

cdef char* put_counts(char* to, const LogLine* line) noexcept nogil:
    to = put_char(put_number(to, line.actconn), c"/")
    to = put_char(put_number(to, line.feconn), c"/")
    to = put_char(put_number(to, line.beconn), c"/")
    to = put_char(put_number(to, line.srvconn), c"/")
    if line.redispatched:
        to = put_char(to, c"+")
    to = put_char(put_number(to, line.retries), c" ")
    to = put_char(put_number(to, line.srv_queue), c"/")
    return put_number(to, line.backend_queue)

cdef char* put_tcp(char* to, const LogLine* line) noexcept nogil:
    to = put_client(to, line)
    to = put_char(put_signed(to, line.tw_ms), c"/")
    to = put_char(put_signed(to, line.tc_ms), c"/")
    to = put_char(put_signed(to, line.ta_ms), c" ")
    to = put_char(put_number(to, line.bytes_out), c" ")
    to = put_letter(put_letter(to, line.cause), line.state)
    return put_counts(put_char(to, c" "), line)

cdef char* put_cookies(char* to, const LogLine* line) noexcept nogil:
    cdef uint32_t first = line.plan.n_request + line.plan.n_response, i
    cdef View pair
    for i in range(2):
        pair = notes_capture(line.notes, line.plan, first + i)
        to = put_name(put_char(to, c" "), pair if pair.n else view(b"-", 1), CAPTURE_ROOM)
    return put_char(to, c" ")

cdef char* put_braces(char* to, const LogLine* line, uint32_t first, uint32_t n) noexcept nogil:
    """Captured fields; together they take at most CAPTURES_ROOM."""
    cdef char* end = to + CAPTURES_ROOM
    cdef uint32_t i
    if n == 0:
        return to
    to = put(to, b" {", 2)
    for i in range(n):
        if i and to < end:
            to = put_char(to, c"|")
        if to < end:
            to = put_hashed(to, notes_capture(line.notes, line.plan, first + i), SPELL_IN_CAPTURE, end - to)
    return put_char(to, c"}")

cdef char* put_http(char* to, const LogLine* line, char* end) noexcept nogil:
    cdef View target = line.target
    target.n = min(target.n, <size_t>TARGET_MOST)
    to = put_client(to, line)
    to = put_char(put_signed(to, line.tr_ms), c"/")
    to = put_char(put_signed(to, line.tw_ms), c"/")
    to = put_char(put_signed(to, line.tc_ms), c"/")
    to = put_char(put_signed(to, line.response_ms), c"/")
    to = put_char(put_signed(to, line.ta_ms), c" ")
    to = put_char(put_signed(to, line.status), c" ")
    to = put_number(to, line.bytes_out)
    if likely(line.plan == NULL or not line.plan.cookies):
        to = put(to, b" - - ", 5)
    else:
        to = put_cookies(to, line)
    to = put_letter(put_letter(to, line.cause), line.state)
    to = put_letter(put_letter(to, line.cookie_in), line.cookie_out)
    to = put_counts(put_char(to, c" "), line)
    if unlikely(line.plan != NULL):
        to = put_braces(to, line, 0, line.plan.n_request)
        to = put_braces(to, line, line.plan.n_request, line.plan.n_response)
    to = put(to, b' "', 2)
    if line.method.n == 0:
        return put(to, b'<BADREQ>"', 9)
    to = put_char(put_hashed(to, line.method, SPELL_IN_TARGET, METHOD_ROOM), c" ")
    to = put_hashed(to, target, SPELL_IN_TARGET, end - to - 16)
    to = put_number(put(to, b" HTTP/1.", 8), line.minor)
    return put_char(to, c'"')

# ---- JSON

cdef int utf8_length(const uint8_t* at, size_t n) noexcept nogil:
    """Bytes of the character that begins here, or 0 where no valid one does (RFC 3629)."""
    cdef uint8_t c = at[0]
    cdef int length = 2 if 0xC2 <= c <= 0xDF else 3 if 0xE0 <= c <= 0xEF else 4 if 0xF0 <= c <= 0xF4 else 0
    cdef int i
    if length == 0 or <size_t>length > n:
        return 0
    for i in range(1, length):
        if at[i] & 0xC0 != 0x80:
            return 0
    if (c == 0xE0 and at[1] < 0xA0) or (c == 0xED and at[1] > 0x9F) or (c == 0xF0 and at[1] < 0x90) or (c == 0xF4 and at[1] > 0x8F):
        return 0
    return length

cdef char* put_escaped(char* to, const uint8_t* at, size_t n, int* used) noexcept nogil:
    """The character at `at`, which cannot stand as it is; at most 6 bytes."""
    cdef uint8_t c = at[0]
    used[0] = 1
    if c == c'"' or c == c"\\":
        return put_char(put_char(to, c"\\"), c)
    if c < 128:
        return put_hex(put(to, b"\\u00", 4), c)
    used[0] = utf8_length(at, n)
    if used[0] == 2 and c == 0xC2 and at[1] < 0xA0:              # control characters above ASCII
        return put_hex(put(to, b"\\u00", 4), at[1])
    if used[0]:
        return put(to, <const char*>at, used[0])
    used[0] = 1
    return put(to, b"\\ufffd", 6)

cdef char* put_json_text(char* to, View text, size_t room) noexcept nogil:
    """`text` in quotes; what is between them is cut where `room` bytes are full."""
    cdef char* end
    cdef const uint8_t* at = <const uint8_t*>text.at
    cdef size_t i = 0
    cdef int used
    to = put_char(to, c'"')
    end = to + room
    while i < text.n:
        if not spelling[at[i]] & SPELL_IN_JSON:
            if to == end:
                break
            to[0] = at[i]
            to += 1
            i += 1
        else:
            if end - to < 6:
                break
            to = put_escaped(to, at + i, text.n - i, &used)
            i += used
    return put_char(to, c'"')

cdef inline char* put_key(char* to, const char* key, size_t n) noexcept nogil:
    return put(put(put(to, b',"', 2), key, n), b'":', 2)

cdef char* put_json_pair(char* to, const char* key, size_t n, View text, size_t room) noexcept nogil:
    to = put_key(to, key, n)
    return put_json_text(to, text, room) if text.n else put(to, b"null", 4)

cdef char* put_json_number(char* to, const char* key, size_t n, int64_t value) noexcept nogil:
    """Below zero: null, not reached."""
    to = put_key(to, key, n)
    return put_number(to, value) if value >= 0 else put(to, b"null", 4)

cdef char* put_json_timers(char* to, const LogLine* line) noexcept nogil:
    to = put(put_key(to, b"timers", 6), b'{"queue_ms":', 12)
    to = put_number(to, line.tw_ms) if line.tw_ms >= 0 else put(to, b"null", 4)
    to = put_json_number(to, b"connect_ms", 10, line.tc_ms)
    if not line.tcp:
        to = put_json_number(to, b"request_ms", 10, line.tr_ms)
        to = put_json_number(to, b"response_ms", 11, line.response_ms)
    return put_char(put_json_number(to, b"total_ms", 8, line.ta_ms), c"}")

cdef char* put_json_ends(char* to, const LogLine* line) noexcept nogil:
    cdef Second* second = second_at(line.accept_us // 1000000)
    to = put(put(to, b'{"time":"', 9), second.utc, UTC_LENGTH)
    to = put(put_millis(put_char(to, c"."), line.accept_us), b'Z"', 2)
    to = put(put_key(to, b"mode", 4), b'"tcp"' if line.tcp else b'"http"', 5 if line.tcp else 6)
    to = put_json_pair(to, b"client", 6, line.client_ip, NAME_ROOM)
    to = put_json_number(to, b"client_port", 11, line.client_port)
    to = put_json_pair(to, b"listener", 8, line.frontend, NAME_ROOM)
    to = put(put_key(to, b"tls", 3), b"true" if line.tls else b"false", 4 if line.tls else 5)
    if line.tls and line.tls_version != NULL and line.tls_cipher != NULL:
        to = put_json_pair(to, b"tls_version", 11, view(line.tls_version, strlen(line.tls_version)), NAME_ROOM)
        to = put_json_pair(to, b"tls_cipher", 10, view(line.tls_cipher, strlen(line.tls_cipher)), NAME_ROOM)
    to = put_json_pair(to, b"route", 5, line.route, LONG_NAME_ROOM)
    to = put_json_pair(to, b"backend", 7, line.backend, LONG_NAME_ROOM)
    return put_json_pair(to, b"endpoint", 8, line.server, LONG_NAME_ROOM)

cdef char* put_json_counts(char* to, const LogLine* line) noexcept nogil:
    to = put_json_number(to, b"retries", 7, line.retries)
    to = put(put_key(to, b"redispatched", 12), b"true" if line.redispatched else b"false", 4 if line.redispatched else 5)
    to = put_number(put(put_key(to, b"connections", 11), b'{"process":', 11), line.actconn)
    to = put_json_number(to, b"listener", 8, line.feconn)
    to = put_json_number(to, b"backend", 7, line.beconn)
    to = put_char(put_json_number(to, b"endpoint", 8, line.srvconn), c"}")
    to = put_number(put(put_key(to, b"queue", 5), b'{"endpoint":', 12), line.srv_queue)
    return put_char(put_json_number(to, b"backend", 7, line.backend_queue), c"}")

cdef char* put_json_capture(char* to, const LogLine* line, uint32_t number, const char* end) noexcept nogil:
    cdef View text = notes_capture(line.notes, line.plan, number)
    return put_json_text(to, text, end - to if end > to else 0) if text.at != NULL else put(to, b"null", 4)

cdef char* put_json_fields(char* to, const LogLine* line, uint32_t first, uint32_t n, const char* end) noexcept nogil:
    """Captured fields by the names that were asked for, as far as there is room."""
    cdef const Plan* plan = line.plan
    cdef uint32_t i
    to = put_char(to, c"{")
    for i in range(first, first + n):
        if end - to < <int64_t>plan.captures[i].name.n + 16:
            break
        if i > first:
            to = put_char(to, c",")
        to = put_char(put_json_text(to, plan.captures[i].name, plan.captures[i].name.n), c":")
        to = put_json_capture(to, line, i, end)
    return put_char(to, c"}")

cdef char* put_json_captures(char* to, const LogLine* line) noexcept nogil:
    cdef const Plan* plan = line.plan
    cdef uint32_t cookies = plan.n_request + plan.n_response
    cdef const char* end = to + CAPTURES_ROOM
    if plan.n_request:
        to = put_json_fields(put_key(to, b"request_headers", 15), line, 0, plan.n_request, end)
    if plan.n_response:
        to = put_json_fields(put_key(to, b"response_headers", 16), line, plan.n_request, plan.n_response, end)
    if plan.cookies:
        to = put_json_capture(put_key(to, b"cookie_sent", 11), line, cookies, end)
        to = put_json_capture(put_key(to, b"cookie_set", 10), line, cookies + 1, end)
    return to

cdef char* put_json(char* to, const LogLine* line, char* end) noexcept nogil:
    cdef View target = line.target
    target.n = min(target.n, <size_t>TARGET_MOST)
    to = put_json_ends(to, line)
    to = put_json_number(to, b"bytes_in", 8, line.bytes_in)
    to = put_json_number(to, b"bytes_out", 9, line.bytes_out)
    to = put_json_timers(to, line)
    to = put_char(put_key(to, b"termination", 11), c'"')
    to = put_letter(put_letter(to, line.cause), line.state)
    if not line.tcp:
        to = put_letter(put_letter(to, line.cookie_in), line.cookie_out)
    to = put_json_counts(put_char(to, c'"'), line)
    if not line.tcp:
        to = put_json_number(to, b"status", 6, line.status)
        to = put_json_pair(to, b"method", 6, line.method, METHOD_ROOM)
        to = put_json_pair(to, b"host", 4, line.host, LONG_NAME_ROOM)
        if line.method.n:
            to = put_char(put_number(put(put_key(to, b"version", 7), b'"1.', 3), line.minor), c'"')
        else:
            to = put(put_key(to, b"version", 7), b"null", 4)
        if unlikely(line.plan != NULL):
            to = put_json_captures(to, line)
        to = put_json_pair(to, b"target", 6, target, end - to - 16)
    return put_char(to, c"}")

cdef uint32_t accesslog_format(char* out, uint8_t format, const LogLine* line) noexcept nogil:
    cdef char* to
    if format == LOG_JSON:
        to = put_json(out, line, out + LOG_LINE_MOST)
    elif line.tcp:
        to = put_tcp(out, line)
    else:
        to = put_http(out, line, out + LOG_LINE_MOST)
    to[0] = c"\n"
    return <uint32_t>(to + 1 - out)
