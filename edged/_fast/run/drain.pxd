# The end of an engine's service: nobody new is taken, idle clients go, and what runs has its time.

from edged._fast.memory.ring cimport Ring
from edged._fast.run.core cimport Core

cdef enum:                       # Core.cutting
    CUT_EXCHANGES = 1            # and clients that have none
    CUT_TUNNELS = 2              # connections of mode tcp, passthrough routes, and those that were upgraded

cdef void drain_begin(Core* core, Ring ring) noexcept nogil
cdef void drain_cut(Core* core, int what) noexcept nogil             # their time is over: from now on none of them lasts
cdef void drain_turn(Core* core, Ring ring) noexcept nogil           # at the end of each turn of a drain
