# The books: what an exchange leaves behind in the cells, and its access line.

from edged._fast.memory.ring cimport Ring
from edged._fast.run.core cimport Core
from edged._fast.talk.exchange cimport Exchange

cdef void account(Core* core, Ring ring, Exchange* x) noexcept nogil          # after WANT_END, before exchange_close
