# The system calls and constants that the engine uses, as Linux spells them.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from posix.types cimport off_t

cdef extern from * nogil:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE 1
    #endif
    #include <errno.h>
    #include <fcntl.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <sched.h>
    #include <sys/epoll.h>
    #include <sys/eventfd.h>
    #include <sys/socket.h>
    #include <sys/syscall.h>
    #include <sys/uio.h>
    #include <sys/un.h>
    #include <time.h>
    #include <unistd.h>

    static inline int64_t edged_mono_us(void) {
        struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    }
    static inline int64_t edged_wall_us(void) {
        struct timespec t; clock_gettime(CLOCK_REALTIME, &t);
        return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    }
    #ifdef __SANITIZE_ADDRESS__              /* its library stands before the C library's functions and watches what they touch */
    #define edged_recv recv
    #define edged_sendmsg sendmsg
    static inline ssize_t edged_send(int fd, const void *at, size_t n, int flags) { return send(fd, at, n, flags | MSG_NOSIGNAL); }
    #else
    /* The C library's own send and recv are points where a thread may be cancelled, and pay for it at each call in a process
       with threads. Nobody cancels the engine: it asks the kernel directly. */
    static inline ssize_t edged_recv(int fd, void *at, size_t n, int flags) {
        return syscall(SYS_recvfrom, fd, at, n, flags, NULL, NULL);
    }
    static inline ssize_t edged_send(int fd, const void *at, size_t n, int flags) {
        return syscall(SYS_sendto, fd, at, n, flags | MSG_NOSIGNAL, NULL, 0);
    }
    static inline ssize_t edged_sendmsg(int fd, const struct msghdr *message, int flags) {
        return syscall(SYS_sendmsg, fd, message, flags);
    }
    #endif
    #ifndef SYS_pidfd_getfd                  /* newer than some C libraries; these numbers hold on every architecture */
    #define SYS_pidfd_getfd 438
    #endif
    #ifndef SYS_pidfd_open
    #define SYS_pidfd_open 434
    #endif
    #ifndef SYS_close_range
    #define SYS_close_range 436
    #endif
    static inline int edged_pidfd_open(void) { return (int)syscall(SYS_pidfd_open, getpid(), 0); }
    static inline int edged_pidfd_getfd(int process, int fd) { return (int)syscall(SYS_pidfd_getfd, process, fd, 0); }
    static inline int edged_close_range(unsigned int first, unsigned int last) { return (int)syscall(SYS_close_range, first, last, 0); }
    static inline int edged_part_files(void) { return unshare(CLONE_FILES); }
    static inline int edged_errno(void) { return errno; }

    /* an address as the kernel gives it */
    typedef union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
        struct sockaddr_storage room;
    } edged_address;

    /* family 4, 6 or 0 (unix socket, unknown); IPv4-mapped IPv6 is told as IPv4, as every rule wants it */
    static inline int edged_address_read(const edged_address *a, uint8_t *at, uint16_t *port) {
        if (a->any.sa_family == AF_INET) {
            memcpy(at, &a->v4.sin_addr, 4); *port = ntohs(a->v4.sin_port); return 4;
        }
        if (a->any.sa_family == AF_INET6) {
            *port = ntohs(a->v6.sin6_port);
            if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) { memcpy(at, a->v6.sin6_addr.s6_addr + 12, 4); return 4; }
            memcpy(at, &a->v6.sin6_addr, 16); return 6;
        }
        *port = 0; return 0;
    }
    static inline int edged_accept(int fd, edged_address *peer) {
        socklen_t n = sizeof *peer;
        return accept4(fd, &peer->any, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    static inline int edged_local(int fd, edged_address *local) {
        socklen_t n = sizeof *local;
        return getsockname(fd, &local->any, &n);
    }
    static inline int edged_connect_ip(int fd, const void *address, uint32_t n) { return connect(fd, (const struct sockaddr *)address, n); }
    static inline int edged_connect_unix(int fd, const char *path, size_t n) {
        struct sockaddr_un un; memset(&un, 0, sizeof un); un.sun_family = AF_UNIX;
        if (n >= sizeof un.sun_path) { errno = ENAMETOOLONG; return -1; }
        memcpy(un.sun_path, path, n);
        return connect(fd, (const struct sockaddr *)&un, sizeof un);
    }
    static inline int edged_socket(int family) {
        int kind = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
        if (family == 1) return socket(AF_UNIX, kind, 0);
        int fd = socket(family == 6 ? AF_INET6 : AF_INET, kind, 0), one = 1;
        if (fd >= 0) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        return fd;
    }
    static inline int edged_socket_error(int fd) {
        int error = 0; socklen_t n = sizeof error;
        return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) ? errno : error;
    }
    /* close with a reset instead of a FIN: nothing that was queued is sent */
    static inline void edged_reset(int fd) {
        struct linger hard = { 1, 0 };
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        close(fd);
    }
    static inline ssize_t edged_send2(int fd, const char *a, size_t an, const char *b, size_t bn, int more) {
        int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
        if (!bn) return edged_send(fd, a, an, flags);
        if (!an) return edged_send(fd, b, bn, flags);
        struct iovec parts[2] = { { (void *)a, an }, { (void *)b, bn } };
        struct msghdr message; memset(&message, 0, sizeof message);
        message.msg_iov = parts; message.msg_iovlen = 2;
        return edged_sendmsg(fd, &message, flags);
    }
    static inline ssize_t edged_splice(int from, int to, size_t n, int more) {
        return splice(from, NULL, to, NULL, n, SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0));
    }
    static inline int edged_watch(int ep, int op, int fd, uint32_t events, void *who) {
        struct epoll_event e; e.events = events; e.data.ptr = who;
        return epoll_ctl(ep, op, fd, &e);
    }
    """
    ctypedef union edged_address:
        pass
    ctypedef union epoll_data_t:
        void* ptr
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR, EPOLLET, EPOLL_CLOEXEC
    int EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CTL_DEL
    int EAGAIN, EINTR, EINPROGRESS, EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, ECONNREFUSED
    int SHUT_WR, O_NONBLOCK, O_CLOEXEC, EFD_NONBLOCK, EFD_CLOEXEC, MSG_DONTWAIT
    int F_SETPIPE_SZ

    int epoll_create1(int flags)
    int epoll_wait(int ep, epoll_event* events, int most, int timeout_ms)
    int eventfd(unsigned int start, int flags)
    ssize_t edged_send(int fd, const void* at, size_t n, int flags)
    ssize_t edged_recv(int fd, void* at, size_t n, int flags)
    ssize_t read(int fd, void* at, size_t n)
    ssize_t write(int fd, const void* at, size_t n)
    int shutdown(int fd, int how)
    int close(int fd)
    int pipe2(int* ends, int flags)
    int fcntl(int fd, int what, ...)

    int edged_pidfd_open()
    int edged_pidfd_getfd(int process, int fd)
    int edged_close_range(unsigned int first, unsigned int last)
    int edged_part_files()
    int64_t edged_mono_us()
    int64_t edged_wall_us()
    int edged_errno()
    int edged_address_read(const edged_address* a, uint8_t* at, uint16_t* port)
    int edged_accept(int fd, edged_address* peer)
    int edged_local(int fd, edged_address* local)
    int edged_connect_ip(int fd, const void* address, uint32_t n)
    int edged_connect_unix(int fd, const char* path, size_t n)
    int edged_socket(int family)
    int edged_socket_error(int fd)
    void edged_reset(int fd)
    ssize_t edged_send2(int fd, const char* a, size_t an, const char* b, size_t bn, int more)
    ssize_t edged_splice(int source, int to, size_t n, int more)
    int edged_watch(int ep, int op, int fd, uint32_t events, void* who)
