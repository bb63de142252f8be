"""A memory file that grows while it is written, and at last is sealed."""

import os

from cpython.exc cimport PyErr_SetFromErrno
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.string cimport memcpy
from posix.mman cimport MAP_FAILED, MAP_PRIVATE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close

cdef extern from "<sys/mman.h>" nogil:
    int MAP_POPULATE, MFD_CLOEXEC, MFD_ALLOW_SEALING
    int memfd_create(const char* name, unsigned int flags)

cdef extern from "<fcntl.h>" nogil:
    int F_ADD_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE
    int fcntl(int fd, int what, ...)

cdef enum:
    IMAGE_MOST = 0xFFFFF000      # offsets are of 32 bits
    IMAGE_LEAST = 1 << 16

cdef inline size_t aligned(size_t n) noexcept nogil:
    return (n + 7) & ~<size_t>7

cdef class Image:
    """Of at least `room` bytes, the `first` of which are in use; all zero. Nothing of it is reached from Python."""

    def __cinit__(self, size_t first, size_t room):
        self.at = NULL
        self.n = first
        self.room = 0
        self.fd = memfd_create("edged-table", MFD_CLOEXEC | MFD_ALLOW_SEALING)
        if self.fd < 0:
            PyErr_SetFromErrno(OSError)
        self.grow(room if room > IMAGE_LEAST else IMAGE_LEAST)

    def __dealloc__(self):
        self.unmap()
        if self.fd >= 0:
            close(self.fd)

    cdef inline int want(self, size_t end) except -1:
        if end > self.room:
            self.grow(max(end, self.room + (self.room >> 1)))
        return 0

    cdef int grow(self, size_t room) except -1:
        if room > IMAGE_MOST:
            raise MemoryError("a table of more than 4 GiB")
        # Allocated ahead: memory that is not there shows as an error here, not as a SIGBUS at some later write.
        os.posix_fallocate(self.fd, 0, room)
        self.unmap()
        return self.map(room, PROT_READ | PROT_WRITE, MAP_SHARED)

    cdef void unmap(self) noexcept:
        if self.at != NULL:
            munmap(self.at, self.room)
            self.at = NULL

    cdef int map(self, size_t room, int protection, int sharing) except -1:
        cdef void* at = mmap(NULL, room, protection, sharing | MAP_POPULATE, self.fd, 0)
        if at == MAP_FAILED:
            PyErr_SetFromErrno(OSError)
        self.at = <char*>at
        self.room = room
        return 0

    cdef uint32_t take(self, size_t n) except 0:
        cdef size_t start = aligned(self.n)
        self.want(start + n)
        self.n = start + n
        return <uint32_t>start

    cdef Text text(self, str text) except *:
        cdef Py_ssize_t n, i
        cdef const char* utf8 = PyUnicode_AsUTF8AndSize(text, &n)
        for i in range(n):
            if <unsigned char>utf8[i] < 0x20 or utf8[i] == 0x7F:
                raise ValueError(f"{text!r} holds a control character")
        cdef Text placed
        self.want(self.n + n)
        memcpy(self.at + self.n, utf8, n)
        placed.at = <uint32_t>self.n
        placed.n = <uint32_t>n
        self.n += n
        return placed

    cdef int seal(self) except -1:
        cdef int fd = self.fd
        os.ftruncate(fd, self.n)
        self.unmap()             # F_SEAL_WRITE wants no shared mapping left
        if fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0:
            PyErr_SetFromErrno(OSError)
        # Private, because kernels before 6.7 refuse to share a sealed file, even for reading; the pages are the file's all the same.
        self.map(self.n, PROT_READ, MAP_PRIVATE)
        self.fd = -1
        return fd
