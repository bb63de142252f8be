"""Heads through the door: laid against unreadable pages, with `seen`, and in a loop without Python for the benchmarks."""

from libc.stdint cimport uint16_t, uint32_t
from edged._fast.base.status cimport DONE, MORE, Status
from edged._fast.base.view cimport View, view
from edged._fast.parse.head cimport Field, Head, HeadLimits, head_request, head_response, head_value
from tests.doors.cliff cimport Cliff

cdef Cliff cliff = Cliff()

cdef object offset(View data, View part):
    """(start, bytes) of a part that must lie in the data; None for no part."""
    if part.at == NULL:
        return None
    if part.at < data.at or part.at + part.n > data.at + data.n:
        raise IndexError("a view outside of the data")
    return part.at - data.at, part.at[:part.n]

cdef object facts(Status status, const Head* head, View data):
    cdef const Field* field
    cdef uint32_t i
    if status == MORE:
        return None
    if status != DONE:
        return {"fault": head.fault, "why": head.why.decode()}
    fields = []
    for i in range(head.n):
        field = &head.fields[i]
        fields.append((offset(data, field.name), offset(data, field.value), field.known, field.flags))
    return {
        "method": offset(data, head.method), "target": offset(data, head.target), "path": offset(data, head.path),
        "authority": offset(data, head.authority), "reason": offset(data, head.reason), "length": head.length, "flags": head.flags,
        "size": head.size, "status": head.status, "verb": head.verb, "minor": head.minor, "fields": fields,
    }

def request(const unsigned char[:] data not None, size_t seen=0, *, head_bytes=16384, target_bytes=8192, fields=101, at_start=False):
    """All facts with their offsets; None for MORE; {"fault", "why"} for BAD."""
    cdef Head head
    cdef HeadLimits limits = HeadLimits(head_bytes, target_bytes, fields)
    cdef View laid = cliff.lay(data, at_start)
    return facts(head_request(&head, laid, seen, &limits), &head, laid)

def response(const unsigned char[:] data not None, size_t seen=0, *, head_bytes=16384, fields=101, at_start=False):
    cdef Head head
    cdef HeadLimits limits = HeadLimits(head_bytes, 0, fields)
    cdef View laid = cliff.lay(data, at_start)
    return facts(head_response(&head, laid, seen, &limits), &head, laid)

def first_value(const unsigned char[:] data not None, uint16_t known):
    """head_value of a request."""
    cdef Head head
    cdef HeadLimits limits = HeadLimits(16384, 8192, 101)
    cdef View laid = cliff.lay(data, False)
    if head_request(&head, laid, 0, &limits) != DONE:
        raise ValueError("no head")
    return offset(laid, head_value(&head, known))

def drip_request(const unsigned char[:] data not None):
    """Feeds byte by byte, as a slow client does; answers the facts and how many bytes it took."""
    cdef Head head
    cdef HeadLimits limits = HeadLimits(1 << 20, 8192, 101)
    cdef View laid = cliff.lay(data, False)
    cdef Status status = MORE
    cdef size_t n = 0
    while status == MORE and n < laid.n:
        n += 1
        status = head_request(&head, view(laid.at, n), n - 1, &limits)
    return facts(status, &head, laid), n

def parse_request(bytes data not None, unsigned long times=1):
    """Only parses, `times` over; answers the last status. For the benchmarks."""
    cdef Head head
    cdef HeadLimits limits = HeadLimits(16384, 8192, 101)
    cdef View all_of = view(data, len(data))
    cdef Status status = MORE
    cdef unsigned long i
    with nogil:
        for i in range(times):
            status = head_request(&head, all_of, 0, &limits)
    return <int>status

def parse_response(bytes data not None, unsigned long times=1):
    cdef Head head
    cdef HeadLimits limits = HeadLimits(16384, 0, 101)
    cdef View all_of = view(data, len(data))
    cdef Status status = MORE
    cdef unsigned long i
    with nogil:
        for i in range(times):
            status = head_response(&head, all_of, 0, &limits)
    return <int>status
