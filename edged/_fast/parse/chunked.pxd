# The chunked coding (RFC 9112 section 7.1), strict: CRLF only, at most 13 significant hex digits, extensions checked and dropped.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.view cimport View

cdef enum:
    CHUNK_LINE_MOST = 1024       # bytes of a size line with its extensions

cdef enum ChunkEvent:
    CHUNK_BAD = -1               # Chunked.why says what
    CHUNK_MORE = 0               # `used` bytes are taken; more are needed
    CHUNK_DATA = 1               # a chunk begins: Chunked.left payload bytes follow `used`; the caller takes them and lowers `left`
    CHUNK_END = 2                # the body is over; Chunked.trailers shows the trailer lines (in `data`), each with its CRLF

cdef struct Chunked:
    uint64_t left                # payload of the current chunk that the caller has not taken yet
    uint64_t size                # of a size line that is still incomplete
    View trailers                # with CHUNK_END; empty: none
    const char* why
    uint32_t state
    uint32_t line_bytes          # of the size line so far, for the limit; of the trailer section, how far it was searched

cdef void chunked_start(Chunked* c) noexcept nogil

# Reads framing at data.at while left == 0 (calling it with left > 0 is a mistake of the caller). `used`: bytes of framing to drop.
# Trailer sections are only taken whole: with MORE they stay in the buffer (so they must fit in one: `trailer_most` bytes).
# After CHUNK_END, further calls answer CHUNK_END and use nothing.
cdef ChunkEvent chunked_next(Chunked* c, View data, size_t* used, uint32_t trailer_most) noexcept nogil

# Writes "<hex>\r\n" for a chunk of n > 0 bytes; room for 18 bytes is needed. Answers the length.
cdef size_t chunked_size_line(char* out, uint64_t n) noexcept nogil
