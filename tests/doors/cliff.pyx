"""Bytes laid against unreadable pages: a parser that reads one byte too far dies there."""

from libc.string cimport memcpy
from edged._fast.base.view cimport View, view

cdef extern from "sys/mman.h" nogil:
    int PROT_NONE, PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_ANONYMOUS
    void* MAP_FAILED
    void* mmap(void*, size_t, int, int, int, long)
    int mprotect(void*, size_t, int)
    int munmap(void*, size_t)

cdef enum:
    PAGE = 4096


cdef class Cliff:
    def __cinit__(self, size_t room=1 << 18):
        cdef void* at = mmap(NULL, room + 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if at == MAP_FAILED:
            raise MemoryError("mmap")
        self.floor = <char*>at
        self.room = room
        if mprotect(self.floor, PAGE, PROT_NONE) or mprotect(self.floor + PAGE + room, PAGE, PROT_NONE):
            raise MemoryError("mprotect")

    def __dealloc__(self):
        if self.floor != NULL:
            munmap(self.floor, self.room + 2 * PAGE)

    cdef View lay(self, const unsigned char[:] data, bint at_start) except *:
        """A copy of `data` whose end (or start) touches the unreadable page. Valid until the next call."""
        cdef size_t n = data.shape[0]
        cdef char* at = self.floor + PAGE + (0 if at_start else self.room - n)
        if n > self.room:
            raise ValueError("too many bytes for this cliff")
        if n:
            memcpy(at, &data[0], n)
        return view(at, n)
