"""The chunked coding, byte by byte as it comes: size lines are taken at once, trailer sections only whole."""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from edged._fast.base.view cimport View, check, view
from edged._fast.parse.scan cimport is_blank, text_end, token_end

cdef enum State:                 # what the next byte of framing must be
    AT_SIZE                      # the first digit of a size
    IN_SIZE                      # another digit, or the end of the size
    AFTER_SIZE                   # blanks, ";" or CR
    IN_EXTENSION
    IN_QUOTES
    AFTER_BACKSLASH
    AT_SIZE_LF
    AT_DATA_CR                   # the line end behind the payload
    AT_DATA_LF
    IN_TRAILERS
    OVER
    BROKEN

cdef void chunked_start(Chunked* c) noexcept nogil:
    c.left = c.size = 0
    c.trailers = view(NULL, 0)
    c.why = NULL
    c.state = AT_SIZE
    c.line_bytes = 0

cdef inline uint32_t broken(Chunked* c, const char* why) noexcept nogil:
    c.why = why
    return BROKEN

cdef inline int hex_digit(char c) noexcept nogil:
    if c'0' <= c <= c'9':
        return c - c'0'
    if c'a' <= (c | 0x20) <= c'f':
        return (c | 0x20) - c'a' + 10
    return -1

cdef inline bint is_control(char c) noexcept nogil:
    return (<uint8_t>c < 0x20 and c != c'\t') or c == 0x7f

cdef inline uint32_t in_size(Chunked* c, char byte) noexcept nogil:
    cdef int digit = hex_digit(byte)
    if digit >= 0:
        if c.size >> 48:
            return broken(c, "a chunk size of more than 52 bits")
        c.size = c.size << 4 | <uint64_t>digit
        return IN_SIZE
    if c.state == AT_SIZE:
        return broken(c, "a chunk size is no number")
    return after_size(c, byte)

cdef inline uint32_t after_size(Chunked* c, char byte) noexcept nogil:
    if byte == c'\r':
        return AT_SIZE_LF
    if byte == c';':
        return IN_EXTENSION
    return AFTER_SIZE if is_blank(byte) else broken(c, "a chunk size is no number")

cdef inline uint32_t in_extension(Chunked* c, char byte) noexcept nogil:
    if byte == c'\r':
        return AT_SIZE_LF
    if byte == c'"':
        return IN_QUOTES
    if byte == c'\\' or is_control(byte):
        return broken(c, "a character that no chunk extension may hold")
    return IN_EXTENSION

cdef inline uint32_t in_quotes(Chunked* c, char byte) noexcept nogil:
    if is_control(byte):
        return broken(c, "a quoted chunk extension does not end")
    if c.state == AFTER_BACKSLASH:
        return IN_QUOTES
    if byte == c'\\':
        return AFTER_BACKSLASH
    return IN_EXTENSION if byte == c'"' else IN_QUOTES

cdef inline uint32_t next_state(Chunked* c, char byte) noexcept nogil:
    if c.state == AT_SIZE or c.state == IN_SIZE:
        return in_size(c, byte)
    elif c.state == AFTER_SIZE:
        return after_size(c, byte)
    elif c.state == IN_EXTENSION:
        return in_extension(c, byte)
    elif c.state == IN_QUOTES or c.state == AFTER_BACKSLASH:
        return in_quotes(c, byte)
    elif c.state == AT_DATA_CR:
        return AT_DATA_LF if byte == c'\r' else broken(c, "no line end behind a chunk")
    elif byte != c'\n':                                      # AT_SIZE_LF, AT_DATA_LF
        return broken(c, "a CR without its LF")
    return AT_SIZE if c.state == AT_DATA_LF else IN_TRAILERS

cdef int trailer_line(const char* p, const char* end) noexcept nogil:
    """Bytes of the trailer line at p; 0: it is incomplete; -1: it is none."""
    cdef const char* stop = token_end(p, end)
    if stop == end:
        return 0
    if stop == p or stop[0] != c':':
        return -1
    stop = text_end(stop + 1, end)
    if stop == end or (stop[0] == c'\r' and stop + 1 == end):
        return 0
    return <int>(stop + 2 - p) if stop[0] == c'\r' and stop[1] == c'\n' else -1

cdef ChunkEvent read_trailers(Chunked* c, View data, size_t* used, uint32_t most) noexcept nogil:
    """Each line is checked once, when it is complete; line_bytes says how far that went."""
    cdef const char* end = data.at + (data.n if data.n < most else most)
    cdef const char* p = data.at + c.line_bytes
    cdef int n
    while p < end:
        if p[0] == c'\r':
            if p + 1 == end:
                break
            if p[1] != c'\n':
                c.state = broken(c, "a CR without its LF")
                return CHUNK_BAD
            c.state = OVER
            c.trailers = view(data.at, p - data.at)
            used[0] += <size_t>(p + 2 - data.at)
            return CHUNK_END
        n = trailer_line(p, end)
        if n < 0:
            c.state = broken(c, "a malformed trailer")
            return CHUNK_BAD
        if n == 0:
            break
        p += n
        c.line_bytes += <uint32_t>n
    if data.n < most:
        return CHUNK_MORE
    c.state = broken(c, "the trailers are too large")
    return CHUNK_BAD

cdef ChunkEvent chunked_next(Chunked* c, View data, size_t* used, uint32_t trailer_most) noexcept nogil:
    cdef const char* p = data.at
    cdef const char* end = data.at + data.n
    check(c.left == 0)
    used[0] = 0
    c.trailers = view(NULL, 0)
    while p < end and c.state < IN_TRAILERS:
        c.state = next_state(c, p[0])
        p += 1
        c.line_bytes = 0 if c.state == AT_SIZE else c.line_bytes + 1
        if c.line_bytes > CHUNK_LINE_MOST:
            c.state = broken(c, "a chunk size line is too long")
        elif c.state == IN_TRAILERS:
            c.line_bytes = 0
            if c.size:
                c.left = c.size
                c.size = 0
                c.state = AT_DATA_CR
                used[0] = <size_t>(p - data.at)
                return CHUNK_DATA
    used[0] = <size_t>(p - data.at)
    if c.state == BROKEN:
        return CHUNK_BAD
    if c.state == OVER:
        return CHUNK_END
    if c.state != IN_TRAILERS:
        return CHUNK_MORE
    return read_trailers(c, view(p, end - p), used, trailer_most)

cdef size_t chunked_size_line(char* out, uint64_t n) noexcept nogil:
    cdef int digits = 1
    cdef int i, digit
    while digits < 16 and n >> 4 * digits:
        digits += 1
    for i in range(digits):
        digit = <int>(n >> 4 * (digits - 1 - i) & 15)
        out[i] = <char>(c'0' + digit if digit < 10 else c'a' + digit - 10)
    out[digits] = c'\r'
    out[digits + 1] = c'\n'
    return <size_t>(digits + 2)


class ChunkError(ValueError):
    """A body breaks the chunked coding."""

def read_chunked(bytes data not None, *, uint32_t trailer_most=16384):
    """(payload, trailer lines, bytes used) of a whole chunked body, or None while it is incomplete. Raises ChunkError."""
    cdef Chunked c
    cdef View rest = view(data, len(data))
    cdef ChunkEvent event = CHUNK_DATA
    cdef size_t used
    payload = []
    chunked_start(&c)
    while event == CHUNK_DATA:
        event = chunked_next(&c, rest, &used, trailer_most)
        if event == CHUNK_BAD:
            raise ChunkError(c.why.decode())
        rest = view(rest.at + used, rest.n - used)
        if event == CHUNK_DATA:
            if rest.n < c.left:
                return None
            payload.append(rest.at[:c.left])
            rest = view(rest.at + c.left, rest.n - c.left)
            c.left = 0
    if event == CHUNK_MORE:
        return None
    return b"".join(payload), c.trailers.at[:c.trailers.n] if c.trailers.n else b"", len(data) - rest.n
