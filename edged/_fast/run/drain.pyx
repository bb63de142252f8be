"""The end of an engine's service. See drain.pxd."""

from edged._fast.base.view cimport likely
from edged._fast.run.core cimport CHANNEL_CLIENT, Channel
from edged._fast.run.gate cimport gates_watch
from edged._fast.run.serve cimport serve_client, serve_close
from edged._fast.talk.exchange cimport PHASE_TUNNEL, X_TCP
from edged._fast.talk.h1 cimport FRONT_IDLE, Front
from edged._fast.talk.wants cimport PORT_AWAY

cdef enum:
    LOOK_MS = 1000               # for what has become one of those whose time is over; the loop takes a turn as often at least


cdef Channel* client_from(Channel* c) noexcept nogil:
    """The first client's channel of the list from here on. Whatever one client takes along when it goes, it is no other client."""
    while c != NULL and c.kind != CHANNEL_CLIENT:
        c = c.next
    return c


cdef void drain_begin(Core* core, Ring ring) noexcept nogil:
    cdef Channel* c = client_from(core.all)
    cdef Channel* after
    cdef Front* f
    if core.s.draining:
        return
    core.s.draining = True
    core.s.drained_ms = core.s.now_ms
    gates_watch(core, False)
    while c != NULL:
        after = client_from(c.next)
        f = <Front*>c.owner
        if f.state == FRONT_IDLE and f.client.requests:
            serve_client(core, ring, f)          # it gets another deadline
        c = after


cdef void drain_cut(Core* core, int what) noexcept nogil:
    core.cutting |= what
    core.cut_ms = core.s.now_ms


cdef bint is_over(const Core* core, const Front* f) noexcept nogil:
    if f.port.flags & PORT_AWAY:
        return False                             # another engine has it; or else it is here again when that is known
    if f.exchange != NULL and (f.exchange.flags & X_TCP or f.exchange.phase == PHASE_TUNNEL):
        return core.cutting & CUT_TUNNELS != 0
    return core.cutting & CUT_EXCHANGES != 0


cdef void drain_turn(Core* core, Ring ring) noexcept nogil:
    cdef Channel* c
    cdef Channel* after
    cdef Front* f
    if likely(core.cutting == 0 or core.s.now_ms < core.cut_ms):
        return
    core.cut_ms = core.s.now_ms + LOOK_MS
    c = client_from(core.all)
    while c != NULL:
        after = client_from(c.next)
        f = <Front*>c.owner
        if is_over(core, f):
            core.cut_off += f.exchange != NULL
            serve_close(core, ring, f)
        c = after
