# Descriptors that go over a unix socket with a message, and what they are.

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    PASSED_MOST = 8              # descriptors with one message

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <string.h>
    #include <sys/ioctl.h>
    #include <sys/socket.h>
    #include <sys/stat.h>
    #include <unistd.h>

    #define EDGED_PASSED_MOST 8

    /* one message; it goes as a whole or not at all */
    static inline ssize_t edged_pass_send(int wire, const void *at, size_t n, const int *fds, int n_fds) {
        union { struct cmsghdr head; char room[CMSG_SPACE(EDGED_PASSED_MOST * sizeof(int))]; } rights;
        struct iovec part = { (void *)at, n };
        struct msghdr message; memset(&message, 0, sizeof message);
        message.msg_iov = &part; message.msg_iovlen = 1;
        if (n_fds) {
            memset(&rights, 0, sizeof rights);
            message.msg_control = &rights;
            message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
            rights.head.cmsg_level = SOL_SOCKET;
            rights.head.cmsg_type = SCM_RIGHTS;
            rights.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
            memcpy(CMSG_DATA(&rights.head), fds, n_fds * sizeof(int));
        }
        return sendmsg(wire, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }

    /* one message; those of its descriptors for which there was room in our table. EMSGSIZE: it was longer than `most` */
    static inline ssize_t edged_pass_recv(int wire, void *at, size_t most, int *fds, int *n_fds) {
        union { struct cmsghdr head; char room[CMSG_SPACE(EDGED_PASSED_MOST * sizeof(int))]; } rights;
        struct iovec part = { at, most };
        struct msghdr message; memset(&message, 0, sizeof message);
        message.msg_iov = &part; message.msg_iovlen = 1;
        message.msg_control = &rights; message.msg_controllen = sizeof rights;
        *n_fds = 0;
        ssize_t n = recvmsg(wire, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0) return n;
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
            *n_fds = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(fds, CMSG_DATA(head), *n_fds * sizeof(int));
        }
        if (!(message.msg_flags & MSG_TRUNC)) return n;
        while (*n_fds) close(fds[--*n_fds]);
        errno = EMSGSIZE;
        return -1;
    }
    static inline void edged_wire_room(int wire, int bytes) {
        setsockopt(wire, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
    static inline int edged_is_idle_file(int fd, int access) {            /* it never blocks, and may be used so */
        int flags = fcntl(fd, F_GETFL);
        return flags >= 0 && flags & O_NONBLOCK && (flags & O_ACCMODE) == access;
    }
    static inline int edged_is_stream(int fd) {
        int kind = 0, listens = 1; socklen_t n = sizeof kind, m = sizeof listens;
        return edged_is_idle_file(fd, O_RDWR) && !getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &n) && kind == SOCK_STREAM
            && !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &m) && !listens;
    }
    static inline int edged_is_pipe(int out, int in, uint32_t holds) {    /* its two ends, and so many bytes in it */
        struct stat a, b; int n = 0;
        return edged_is_idle_file(out, O_RDONLY) && edged_is_idle_file(in, O_WRONLY) && !fstat(out, &a) && !fstat(in, &b)
            && S_ISFIFO(a.st_mode) && a.st_dev == b.st_dev && a.st_ino == b.st_ino && !ioctl(out, FIONREAD, &n) && (uint32_t)n == holds;
    }
    static inline int edged_file_id(int fd, uint64_t *id) {
        struct stat s;
        if (fstat(fd, &s)) return -1;
        id[0] = s.st_dev; id[1] = s.st_ino;
        return 0;
    }
    """
    int EMSGSIZE, ETOOMANYREFS, SHUT_RDWR, F_DUPFD_CLOEXEC

    ssize_t edged_pass_send(int wire, const void* at, size_t n, const int* fds, int n_fds)
    ssize_t edged_pass_recv(int wire, void* at, size_t most, int* fds, int* n_fds)
    void edged_wire_room(int wire, int bytes)
    bint edged_is_stream(int fd)
    bint edged_is_pipe(int out, int into, uint32_t holds)
    int edged_file_id(int fd, uint64_t* id)
