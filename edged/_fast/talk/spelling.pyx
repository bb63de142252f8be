"""Names of header fields respelled. See spelling.pxd."""

from libc.stdlib cimport calloc, free
from libc.string cimport memchr, memcpy

from edged._fast.base.view cimport View, view, view_is_nocase


cdef uint32_t hash_of(const char* at, size_t n) noexcept nogil:
    """Letters of both cases are one."""
    cdef uint32_t h = 2166136261
    cdef size_t i
    for i in range(n):
        h = (h ^ (<unsigned char>at[i] | 0x20)) * 16777619
    return h ^ h >> 15


cdef View* place_of(const Spellings* spellings, const char* at, size_t n) noexcept nogil:
    """Where this name stands, or the free place where it would."""
    cdef uint32_t i = hash_of(at, n) & spellings.mask
    cdef View* place = &spellings.names[i]
    while place.n and not (place.n == n and view_is_nocase(place[0], at, n)):
        i = (i + 1) & spellings.mask
        place = &spellings.names[i]
    return place


cdef void spell_head(const Spellings* spellings, char* at, size_t n) noexcept nogil:
    cdef char* end = at + n
    cdef char* feed
    cdef char* colon
    cdef View* place
    while at < end:
        feed = <char*>memchr(at, c"\n", end - at)
        if feed == NULL:
            return
        at = feed + 1                            # behind the first line, then from field to field
        if at == end or at[0] == c"\r" or at[0] == c"\n":
            return                               # what follows is no head any more
        colon = <char*>memchr(at, c":", end - at)
        if colon == NULL:
            return
        place = place_of(spellings, at, colon - at)
        if place.n:
            memcpy(at, place.at, place.n)


cdef class SpellingBook:
    def __cinit__(self, names):
        cdef View* place
        cdef bytes name
        cdef uint32_t places = 4
        while places < 2 * len(names) + 1:
            places *= 2
        self.names = []
        self.spellings.names = <View*>calloc(places, sizeof(View))
        if self.spellings.names == NULL:
            raise MemoryError
        self.spellings.mask = places - 1
        for text in names:
            name = text.encode()
            self.names.append(name)
            place = place_of(&self.spellings, name, len(name))
            place[0] = view(name, len(name))

    def __dealloc__(self):
        free(self.spellings.names)
