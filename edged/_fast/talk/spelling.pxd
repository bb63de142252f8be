# Names of header fields as old software wants them spelled (openshift-routes.md 9.2).

from libc.stdint cimport uint32_t
from edged._fast.base.view cimport View

cdef struct Spellings:           # an open table by the name in lower case; `mask` + 1 places, at least one of them free (n == 0)
    View* names
    uint32_t mask

# Names in the head at `at`, n bytes or 0, get the spelling of the table. Values stay.
cdef void spell_head(const Spellings* spellings, char* at, size_t n) noexcept nogil

cdef class SpellingBook:         # SpellingBook(names): the last spelling of a name counts
    cdef Spellings spellings
    cdef list names
