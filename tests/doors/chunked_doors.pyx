"""The chunked coding through the door: a decoder that is given pieces, each laid against an unreadable page."""

from libc.stdint cimport uint64_t
from edged._fast.base.view cimport View, view
from edged._fast.parse.chunked cimport (
    CHUNK_BAD, CHUNK_DATA, CHUNK_END, CHUNK_MORE, ChunkEvent, Chunked, chunked_next, chunked_size_line, chunked_start,
)
from tests.doors.cliff cimport Cliff

cdef Cliff cliff = Cliff()


cdef class Decoder:
    """Keeps what the decoder left in the buffer, as the engine does. `payload`, `trailers` and `over` grow with each feed."""

    cdef Chunked state
    cdef bytes kept
    cdef readonly bytes payload
    cdef readonly bytes trailers
    cdef readonly bint over
    cdef readonly object why
    cdef object trailer_most

    def __cinit__(self, trailer_most=16384):
        chunked_start(&self.state)
        self.kept = self.payload = b""
        self.trailers = b""
        self.trailer_most = trailer_most

    def feed(self, bytes data not None):
        """Answers how many bytes of the buffer stay in it."""
        cdef View rest = cliff.lay(self.kept + data, False)
        cdef ChunkEvent event = CHUNK_DATA
        cdef size_t used, n
        while event == CHUNK_DATA:
            n = self.state.left if self.state.left < rest.n else rest.n
            self.payload += rest.at[:n]
            rest = view(rest.at + n, rest.n - n)
            self.state.left -= n
            if self.state.left:
                break
            event = chunked_next(&self.state, rest, &used, self.trailer_most)
            if used > rest.n:
                raise IndexError("used more than there was")
            rest = view(rest.at + used, rest.n - used)
        self.kept = rest.at[:rest.n]
        if event == CHUNK_BAD:
            self.why = self.state.why.decode()
        if event == CHUNK_END and not self.over:
            self.over = True
            self.trailers = self.state.trailers.at[:self.state.trailers.n] if self.state.trailers.n else b""
        return len(self.kept)

def size_line(uint64_t n):
    cdef char out[18]
    return out[:chunked_size_line(out, n)]

def decode(bytes data not None, unsigned long times=1):
    """Only decodes, `times` over; answers the payload bytes seen in all. For the benchmarks."""
    cdef Chunked c
    cdef View rest
    cdef ChunkEvent event
    cdef size_t used
    cdef uint64_t payload = 0
    cdef unsigned long i
    cdef const char* at = data
    cdef size_t n = len(data)
    with nogil:
        for i in range(times):
            rest = view(at, n)
            chunked_start(&c)
            event = chunked_next(&c, rest, &used, 16384)
            while event == CHUNK_DATA:
                rest = view(rest.at + used + c.left, rest.n - used - c.left)
                payload += c.left
                c.left = 0
                event = chunked_next(&c, rest, &used, 16384)
    return payload
