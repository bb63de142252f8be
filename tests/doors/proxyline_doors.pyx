"""PROXY headers through the door: read against unreadable pages, and written."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset
from edged._fast.base.status cimport BAD, MORE, Status
from edged._fast.base.view cimport View, view
from edged._fast.parse.proxyline cimport (
    PROXY_LINE_MOST, ProxyAddress, ProxyLine, proxyline_add, proxyline_parse, proxyline_reason, proxyline_seal, proxyline_write,
)
from tests.doors.cliff cimport Cliff

cdef Cliff cliff = Cliff()

cdef ProxyAddress packed(object address):
    """From (packed bytes, port) or None."""
    cdef ProxyAddress out
    cdef bytes raw
    memset(&out, 0, sizeof(out))
    if address is not None:
        raw, out.port = address
        out.family = 4 if len(raw) == 4 else 6
        memcpy(out.at, <const char*>raw, len(raw))
    return out

cdef object unpacked(const ProxyAddress* address):
    if address.family == 0:
        return None
    return (<const char*>address.at)[:4 if address.family == 4 else 16], address.port

cdef bytes shown(View v, View data):
    if v.n == 0:
        return b""
    if v.at < data.at or v.at + v.n > data.at + data.n:
        raise IndexError("a view outside of the data")
    return v.at[:v.n]

def parse(const unsigned char[:] data not None, *, v2_most=4096, at_start=False):
    """Facts, None for MORE, or the reason of BAD."""
    cdef ProxyLine line
    cdef View laid = cliff.lay(data, at_start)
    cdef Status status = proxyline_parse(&line, laid, v2_most)
    if status == BAD:
        if line.source.family or line.target.family:
            raise ValueError("a refused header left addresses")
        return proxyline_reason(line.fault).decode()
    if status == MORE:
        return None
    return {
        "version": line.version, "local": bool(line.local), "size": line.size,
        "source": unpacked(&line.source), "target": unpacked(&line.target),
        "authority": shown(line.authority, laid), "alpn": shown(line.alpn, laid),
        "unique_id": shown(line.unique_id, laid), "ssl": shown(line.ssl, laid),
    }

def write(int version, object source, object target, *, tlvs=(), seal=False):
    """A header; addresses as (packed bytes, port) or None, TLVs as (type, value)."""
    cdef char out[4096]
    cdef ProxyAddress a = packed(source), b = packed(target)
    cdef size_t n = proxyline_write(out, version, &a, &b)
    cdef bytes value
    for type, value in tlvs:
        n = proxyline_add(out, n, type, view(value, len(value)))
    if seal:
        n = proxyline_seal(out, n)
    return out[:n]

def line_most():
    return PROXY_LINE_MOST

def parse_line(bytes data not None, unsigned long times=1):
    """Only parses, `times` over; answers the last status. For the benchmarks."""
    cdef ProxyLine line
    cdef View all_of = view(data, len(data))
    cdef Status status = MORE
    cdef unsigned long i
    with nogil:
        for i in range(times):
            status = proxyline_parse(&line, all_of, 4096)
    return <int>status

def write_line(int version, object source, object target, unsigned long times=1):
    cdef char out[PROXY_LINE_MOST]
    cdef ProxyAddress a = packed(source), b = packed(target)
    cdef size_t n = 0
    cdef unsigned long i
    with nogil:
        for i in range(times):
            n = proxyline_write(out, version, &a, &b)
    return n
