"""Heads parsed and rewritten through the door; the room for the new head ends at an unreadable page."""

from libc.stdint cimport uint32_t
from libc.string cimport memcpy
from edged._fast.base.status cimport DONE
from edged._fast.base.view cimport View, view
from edged._fast.parse.head cimport Head, HeadLimits, head_request, head_response
from edged._fast.route.edit cimport (
    EDIT_CLOSE, EDIT_DECHUNK, EDIT_DROP_EXPECT, EDIT_KEEP_ALIVE, EDIT_NO_FRAMING, EDIT_SWITCH, EDIT_TO_CLOSE, EDIT_UPGRADE, Peer,
    Extra, edit_cookie, edit_request, edit_response,
)
from edged._fast.route.layout cimport Header, Row
from edged._fast.route.table cimport MappedTable, Recipe
from tests.doors.cliff cimport Cliff

TO_CLOSE, UPGRADE, DROP_EXPECT = EDIT_TO_CLOSE, EDIT_UPGRADE, EDIT_DROP_EXPECT
CLOSE, KEEP_ALIVE, SWITCH, NO_FRAMING, DECHUNK = EDIT_CLOSE, EDIT_KEEP_ALIVE, EDIT_SWITCH, EDIT_NO_FRAMING, EDIT_DECHUNK

cdef Cliff incoming = Cliff()
cdef Cliff outgoing = Cliff()

cdef const Recipe* first_recipe(MappedTable table) noexcept:
    cdef const Header* header = <const Header*>table.table.at
    return <const Recipe*>(table.table.at + (<const Row*>(table.table.at + header.rows)).recipe)

cdef int parse(Head* head, const unsigned char[:] data, bint response) except -1:
    cdef HeadLimits limits = HeadLimits(1 << 16, 8192, 101)
    cdef View laid = incoming.lay(data, False)
    if (head_response(head, laid, 0, &limits) if response else head_request(head, laid, 0, &limits)) != DONE:
        raise ValueError("this is no head")
    return 0

cdef Peer peer_of(bytes ip, int local_port, bint tls) except *:
    cdef Peer peer
    peer.ip_n = len(ip)
    memcpy(peer.ip, <const char*>ip, len(ip))
    peer.v6 = b":" in ip
    peer.port = 40000
    peer.local_port = local_port
    peer.tls = tls
    peer.told = peer.certificate = view(NULL, 0)
    return peer

cdef char* make_room(size_t room) except NULL:
    return <char*>outgoing.lay(bytes(room), False).at

def request(MappedTable table not None, data not None, *, bytes ip=b"192.0.2.1", int local_port=80, tls=False, uint32_t flags=0,
            size_t room=65536, bytes id_name=b"", bytes id=b"", bytes told=b"", bytes certificate=b""):
    """The head as it goes on by the table's first route; None where the room was too small."""
    cdef Head head
    cdef Peer peer = peer_of(ip, local_port, tls)
    cdef Extra extra = Extra(view(id_name, len(id_name)), view(id, len(id)))
    cdef char* out = make_room(room)
    peer.told = view(told, len(told))
    peer.certificate = view(certificate, len(certificate))
    parse(&head, data, False)
    cdef size_t n = edit_request(out, room, &head, &table.table, first_recipe(table), &peer, flags, &extra if id_name else NULL)
    return out[:n] if n else None

def response(MappedTable table not None, data not None, *, bytes cookie=b"", bytes certificate=b"", uint32_t flags=0, size_t room=65536):
    cdef Head head
    cdef char* out = make_room(room)
    parse(&head, data, True)
    cdef size_t n = edit_response(out, room, &head, &table.table, first_recipe(table), view(cookie, len(cookie)),
                                  view(certificate, len(certificate)), flags)
    return out[:n] if n else None

def cookie(data not None, bytes name not None):
    cdef Head head
    parse(&head, data, False)
    cdef View found = edit_cookie(&head, view(name, len(name)))
    return found.at[:found.n] if found.at != NULL else None

def request_many(MappedTable table not None, data not None, uint32_t times):
    """Only rewrites, `times` over; for the benchmarks."""
    cdef Head head
    cdef Peer peer = peer_of(b"192.0.2.1", 443, True)
    cdef char[8192] out
    cdef const Recipe* recipe = first_recipe(table)
    cdef uint32_t i
    cdef size_t n = 0
    parse(&head, data, False)
    with nogil:
        for i in range(times):
            n = edit_request(out, sizeof(out), &head, &table.table, recipe, &peer, 0, NULL)
    return n

def response_many(MappedTable table not None, data not None, bytes cookie not None, uint32_t times):
    cdef Head head
    cdef char[8192] out
    cdef const Recipe* recipe = first_recipe(table)
    cdef View value = view(cookie, len(cookie))
    cdef uint32_t i
    cdef size_t n = 0
    parse(&head, data, True)
    with nogil:
        for i in range(times):
            n = edit_response(out, sizeof(out), &head, &table.table, recipe, value, view(NULL, 0), 0)
    return n
