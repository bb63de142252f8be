"""The engine's own table of descriptors. See descriptors.pxd."""

from edged._fast.base.linux cimport close, edged_part_files, edged_pidfd_getfd, edged_pidfd_open, edged_close_range, fcntl
from edged._fast.base.passing cimport F_DUPFD_CLOEXEC


cdef void close_between(int first, int last) noexcept nogil:
    if first <= last:
        edged_close_range(first, last)


cdef bint can_bring(int fd) noexcept nogil:
    cdef int process = edged_pidfd_open(), brought
    if process < 0:
        return False
    brought = edged_pidfd_getfd(process, fd)
    close(process)
    return brought >= 0 and edged_close_range(brought, brought) == 0


cdef void descriptors_part(Descriptors* own, const int* keep, int n) noexcept nogil:
    cdef int next_fd = 3, i, lowest
    own.process = -1
    if not can_bring(keep[0]) or edged_part_files() != 0:
        return
    while True:                                  # from one that is kept to the next
        lowest = -1
        for i in range(n):
            if keep[i] >= next_fd and (lowest < 0 or keep[i] < lowest):
                lowest = keep[i]
        if lowest < 0:
            break
        close_between(next_fd, lowest - 1)
        next_fd = lowest + 1
    close_between(next_fd, 0x7fffffff)
    own.process = edged_pidfd_open()


cdef int descriptors_bring(const Descriptors* own, int fd) noexcept nogil:
    return fd if own.process < 0 else edged_pidfd_getfd(own.process, fd)


cdef int descriptors_copy(const Descriptors* own, int fd) noexcept nogil:
    return fcntl(fd, F_DUPFD_CLOEXEC, 3) if own.process < 0 else edged_pidfd_getfd(own.process, fd)


cdef void descriptors_close(const Descriptors* own, int fd) noexcept nogil:
    if own.process >= 0:
        close(fd)
