# Idle channels to endpoints, kept for other exchanges (http-edge-behaviour.md 5).

from libc.stdint cimport uint32_t, uint64_t
from edged._fast.run.core cimport Channel, Core

cdef void pool_put(Core* core, Channel* c) noexcept nogil                    # clean and idle; may close an older one instead
cdef Channel* pool_take(Core* core, uint32_t slot, uint64_t address_hash) noexcept nogil     # NULL: none
cdef void pool_discard(Core* core, Channel* c) noexcept nogil                # close one that is parked
cdef Channel* pool_oldest(Core* core) noexcept nogil                         # some parked channel, when descriptors run short; not removed
cdef bint pool_purge(Core* core) noexcept nogil                              # pool-purge-delay: close half of what was not needed; True: go on next turn
