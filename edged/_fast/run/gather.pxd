# First all is read, then all is sent. Reading, and what we make of it, fits into the processor's caches; the way of a packet out
# does not, and pushes us out of them. So while events are taken, what could be sent at once is gathered and goes out in a row.

from edged._fast.memory.buffer cimport buffer_n
from edged._fast.run.core cimport GATHERED_MOST, Channel, Core
from edged._fast.talk.exchange cimport Exchange
from edged._fast.talk.wants cimport PORT_CONNECTING, PORT_WRITABLE, Port

cdef inline bint gather_fits(const Port* port) noexcept nogil:
    """It has bytes in hand, and its peer takes them."""
    if port.flags & (PORT_WRITABLE | PORT_CONNECTING) != PORT_WRITABLE:
        return False
    return buffer_n(&port.tx) > 0 or (port.raw_left > 0 and buffer_n(&port.raw_from.rx) > 0)

cdef inline bint gather(Core* core, Exchange* x) noexcept nogil:
    """True: x has been gathered, and goes on before this turn ends."""
    if not core.gathers or core.n_gathered == GATHERED_MOST:
        return False
    if not gather_fits(x.front) and (x.back == NULL or not gather_fits(x.back)):
        return False
    core.gathered[core.n_gathered] = <Channel*>x.front
    core.n_gathered += 1
    return True
