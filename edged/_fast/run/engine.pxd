# The loop: one thread without the GIL, from accept to close.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from edged._fast.memory.arena cimport Arena
from edged._fast.memory.ring cimport Ring
from edged._fast.run.core cimport Core
from edged._fast.run.descriptors cimport Descriptors
from edged._fast.route.table cimport Table
from edged._fast.talk.format cimport Format, Notebook
from edged._fast.talk.spelling cimport SpellingBook

cdef enum:
    ORDERS = 256

cdef enum OrderKind:             # from the Python thread to the engine
    ORDER_LISTEN = 1
    ORDER_UNLISTEN = 2
    ORDER_TABLE = 3
    ORDER_DRAIN = 4
    ORDER_STOP = 5
    ORDER_KEYRING = 6
    ORDER_CONTEXT = 7
    ORDER_GIVE = 8
    ORDER_TAKE = 9
    ORDER_CUT = 10

cdef struct Order:
    uint8_t kind
    int fd                       # or the number of a listener, or what is cut
    void* what

cdef struct Retired:             # a table that is not in force any more but still held
    Table* table
    Retired* next

cdef class Engine:
    cdef Core core
    cdef readonly Arena arena
    cdef readonly Ring ring
    cdef readonly uint32_t stripe
    cdef readonly int bell       # eventfd for the Python thread
    cdef int wake                # eventfd for the engine
    cdef Descriptors own         # the thread's of the loop
    cdef Order orders[256]       # one writer (Python, under the GIL), one reader
    cdef uint64_t ordered
    cdef uint64_t obeyed
    cdef Retired* retired        # the engine's list; those nobody holds move to `gone`
    cdef Retired* gone           # swapped out by Python
    cdef Format format           # held: the core borrows from these
    cdef Notebook notebook
    cdef SpellingBook spellings
    cdef dict tables             # address -> MappedTable, for as long as the engine may look at it
    cdef list subjects           # filters of listeners
    cdef list keyrings           # that the engine may look at; the newest is the last
    cdef dict listening          # fd -> address of its Listener
    cdef uint64_t in_force       # version
    cdef int64_t detach_ms       # look again for long exchanges that hold old tables
    cdef uint8_t told_idle
    cdef bint running
    cdef bint stopping
    cdef int order(self, uint8_t kind, int fd, void* what) except -1
    cdef void loop(self) noexcept nogil
    cdef void part(self) noexcept nogil
    cdef void obey(self) noexcept nogil
    cdef void obey_one(self, Order* order) noexcept nogil
    cdef void swap_table(self, Table* table) noexcept nogil
    cdef void let_tables_go(self) noexcept nogil
    cdef void end_turn(self) noexcept nogil
    cdef void close_all(self) noexcept nogil
