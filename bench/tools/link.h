/* A connection of the load or of the backend: a socket, or TLS over it by the machine's OpenSSL, with the calls of a socket. */
#ifndef LINK_H
#define LINK_H

#include "common.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/uio.h>

#define RECORD_MOST 16384

struct link {
    int fd;
    SSL* ssl;                    /* NULL: plain */
};

/* What an SSL_ call answered, as a socket says it: n > 0; 0: the other side has ended; -1 with errno, EAGAIN for later. */
static inline ssize_t link_answer(const struct link* l, int n)
{
    if (n > 0) return n;
    switch (SSL_get_error(l->ssl, n)) {
    case SSL_ERROR_WANT_READ: case SSL_ERROR_WANT_WRITE: errno = EAGAIN; return -1;
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL: return -1;
    default: ERR_clear_error(); errno = EPROTO; return -1;
    }
}

/* `to` may be NULL: the bytes are only counted. */
static inline ssize_t link_recv(const struct link* l, char* to, size_t n)
{
    static char unread[RECORD_MOST];
    if (!l->ssl) return recv(l->fd, to, n, (to ? 0 : MSG_TRUNC) | MSG_DONTWAIT);
    if (!to && n > sizeof unread) n = sizeof unread;
    return link_answer(l, SSL_read(l->ssl, to ? to : unread, (int)n));
}

/* In TLS one record, so what goes together is put together; what was answered with EAGAIN must be sent again as it was. */
static inline ssize_t link_send(const struct link* l, const struct iovec* parts, int count)
{
    static char record[RECORD_MOST];
    struct msghdr plain = {.msg_iov = (struct iovec*)parts, .msg_iovlen = (size_t)count};
    size_t n = 0;
    if (!l->ssl) return sendmsg(l->fd, &plain, MSG_NOSIGNAL | MSG_DONTWAIT);
    for (int i = 0; i < count && n < sizeof record; i++) {
        size_t part = parts[i].iov_len < sizeof record - n ? parts[i].iov_len : sizeof record - n;
        memcpy(record + n, parts[i].iov_base, part);
        n += part;
    }
    return link_answer(l, SSL_write(l->ssl, record, (int)n));
}

/* Begins TLS on a connected socket; SSL_do_handshake is the next thing to call. */
static inline void link_wrap(struct link* l, SSL_CTX* context, int accepting)
{
    l->ssl = SSL_new(context);
    if (!l->ssl || !SSL_set_fd(l->ssl, l->fd)) die("out of memory for TLS");
    if (accepting) SSL_set_accept_state(l->ssl);
    else SSL_set_connect_state(l->ssl);
}

/* Without a word to the other side; the session stays good for the next connection. */
static inline void link_close(struct link* l)
{
    if (l->ssl) {
        SSL_set_shutdown(l->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(l->ssl);
        l->ssl = NULL;
    }
    close(l->fd);
}

/* What both sides have in common: TLS 1.3, one cipher and one group, so that all who are compared do the same sums. */
static inline SSL_CTX* link_context(const SSL_METHOD* method)
{
    SSL_CTX* context = SSL_CTX_new(method);
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) || !SSL_CTX_set1_groups_list(context, "X25519") ||
        !SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256"))
        die("this OpenSSL has no TLS 1.3");
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    return context;
}

#endif
