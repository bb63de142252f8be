"""Hellos through the door: laid against unreadable pages, with and without room to join their pieces."""

from edged._fast.base.status cimport BAD, MORE, Status
from edged._fast.base.view cimport View, view
from edged._fast.parse.hello cimport HELLO_MOST, Hello, hello_offers, hello_parse
from tests.doors.cliff cimport Cliff

cdef Cliff cliff = Cliff()
cdef Cliff joined = Cliff(HELLO_MOST)

cdef object shown(View v, View data, View scratch):
    if v.n == 0:
        return b""
    if not (data.at <= v.at and v.at + v.n <= data.at + data.n) and not (scratch.at <= v.at and v.at + v.n <= scratch.at + scratch.n):
        raise IndexError("a view outside of the data and the scratch")
    return v.at[:v.n]

def hello(const unsigned char[:] data not None, *, at_start=False, scratch=True):
    """Facts, None for MORE, or why it is BAD. The scratch memory, too, ends where nothing can be written."""
    cdef Hello out
    cdef View laid = cliff.lay(data, at_start)
    cdef View room = joined.lay(bytes(HELLO_MOST), False)
    cdef Status status = hello_parse(&out, laid, <char*>room.at if scratch else NULL)
    if status == BAD:
        return out.why.decode()
    if status == MORE:
        return None
    return {"sni": shown(out.sni, laid, room), "alpn": shown(out.alpn, laid, room), "version": out.version, "tls13": bool(out.tls13)}

def offers(const unsigned char[:] data not None, bytes protocol not None):
    cdef Hello out
    cdef View laid = cliff.lay(data, False)
    cdef char scratch[HELLO_MOST]
    hello_parse(&out, laid, scratch)
    return bool(hello_offers(&out, view(protocol, len(protocol))))

def parse_hello(bytes data not None, unsigned long times=1):
    """Only parses, `times` over; answers the last status. For the benchmarks."""
    cdef Hello out
    cdef char scratch[HELLO_MOST]
    cdef View all_of = view(data, len(data))
    cdef Status status = MORE
    cdef unsigned long i
    with nogil:
        for i in range(times):
            status = hello_parse(&out, all_of, scratch)
    return <int>status
