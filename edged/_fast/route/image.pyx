"""Memory that grows while it is written, and is then copied to a sealed file."""

import os

from cpython.exc cimport PyErr_SetFromErrno
from cpython.memoryview cimport PyMemoryView_FromMemory
from cpython.buffer cimport PyBUF_READ
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.string cimport memcpy, memset
from posix.mman cimport MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap, munmap

cdef extern from "<sys/mman.h>" nogil:
    int MREMAP_MAYMOVE
    void* mremap(void* at, size_t n, size_t wanted, int flags)

cdef extern from "<fcntl.h>" nogil:
    int F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE
    int fcntl(int fd, int what, ...)

cdef enum:
    IMAGE_MOST = 0xFFFFF000      # offsets are of 32 bits
    IMAGE_LEAST = 1 << 16

cdef class Image:
    """Of at least `room` bytes, none of them in use yet. Nothing of it is reached from Python."""

    def __cinit__(self, size_t room):
        self.at = NULL
        self.n = 0
        self.room = room if room > IMAGE_LEAST else IMAGE_LEAST
        cdef void* at = mmap(NULL, self.room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if at == MAP_FAILED:
            raise MemoryError
        self.at = <char*>at

    def __dealloc__(self):
        if self.at != NULL:
            munmap(self.at, self.room)

    cdef int want(self, size_t end) except -1:
        cdef size_t room
        cdef void* at
        if end <= self.room:
            return 0
        if end > IMAGE_MOST:
            raise MemoryError("a table of more than 4 GiB")
        room = min(max(end, self.room + (self.room >> 2)), <size_t>IMAGE_MOST)
        at = mremap(self.at, self.room, room, MREMAP_MAYMOVE)
        if at == MAP_FAILED:
            raise MemoryError
        self.at = <char*>at
        self.room = room
        return 0

    cdef uint32_t take(self, size_t n) except? 0:
        cdef size_t start = (self.n + 7) & ~<size_t>7
        self.want(start + n)
        memset(self.at + self.n, 0, start + n - self.n)
        self.n = start + n
        return <uint32_t>start

    cdef Text text(self, str text) except *:
        cdef Py_ssize_t n, i
        cdef const char* utf8 = PyUnicode_AsUTF8AndSize(text, &n)
        cdef Text placed
        for i in range(n):
            if <unsigned char>utf8[i] < 0x20 or utf8[i] == 0x7F:
                raise ValueError(f"{text!r} holds a control character")
        self.want(self.n + n)
        memcpy(self.at + self.n, utf8, n)
        placed.at = <uint32_t>self.n
        placed.n = <uint32_t>n
        self.n += n
        return placed

    cdef object sealed(self):
        fd = os.memfd_create("edged-table", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            left = PyMemoryView_FromMemory(self.at, self.n, PyBUF_READ)
            while left:
                left = left[os.write(fd, left):]
            if fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0:
                PyErr_SetFromErrno(OSError)
        except OSError:
            os.close(fd)
            raise
        return fd
