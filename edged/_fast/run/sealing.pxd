# Bodies that go out as TLS: read in large pieces and sealed at once, many records for one system call.

from edged._fast.run.core cimport Channel, Core
from edged._fast.run.relay cimport RelayMove

cdef RelayMove sealing_move(Core* core, Channel* source, Channel* to) noexcept nogil
