/* The backend of all measurements: answers fast enough never to be what is measured.
 *
 *   backend --http 0.0.0.0:9000 --http ... --tcp 0.0.0.0:9100 --hello ... --certificate file.pem --https ...
 *
 * HTTP: a path that ends in /1m is answered with 1 MiB, any other with 128 bytes. HTTPS: the same over TLS, with the certificate and
 * key of the file named before it. TCP: each message of ASK_BYTES begins with the length of its answer. Hello: as TCP, after one TLS
 * record that is not looked at. An address of 0.0.0.0 accepts on all of 127.0.0.0/8 but on the loopback device only.
 * Port 0 takes a free one. Prints the ports, in that order, once it listens; ends with its standard input. */
#include "link.h"

#include <getopt.h>

#define BIG (1u << 20)
#define SMALL 128
#define HEAD_MOST 8192
#define EVENTS 256
#define LISTENERS 64
#define RECORD_HEAD 5

enum kind { LISTEN_HTTP, LISTEN_TCP, LISTEN_HELLO, LISTEN_HTTPS, HTTP, TCP, HELLO, STDIN };

struct conn {
    enum kind kind;
    int closing;
    struct link link;
    unsigned in_n;               /* bytes read and not yet answered */
    const char* head;            /* of the answer being sent */
    size_t head_left;
    uint64_t body_left;
    char in[HEAD_MOST];
};

struct listener {
    enum kind kind;
    int fd;
};

static char body[BIG];
static char head_small[128], head_big[128];
static int epoll_fd;
static SSL_CTX* tls;

static void watch(int fd, uint32_t events, void* owner)
{
    struct epoll_event e = {.events = events, .data.ptr = owner};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0) die("epoll_ctl: %s", strerror(errno));
}

static void conn_end(struct conn* c)
{
    link_close(&c->link);
    free(c);
}

/* 1: all sent, 0: the socket is full, -1: broken. The body goes out as often as needed from one static buffer. */
static int send_pending(struct conn* c)
{
    while (c->head_left || c->body_left) {
        struct iovec out[2] = {{(void*)c->head, c->head_left}, {body, c->body_left < BIG ? c->body_left : BIG}};
        ssize_t n = link_send(&c->link, out, 2);
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        size_t of_head = (size_t)n < c->head_left ? (size_t)n : c->head_left;
        c->head += of_head;
        c->head_left -= of_head;
        c->body_left -= (uint64_t)n - of_head;
    }
    return 1;
}

/* Takes one request off the buffer; 0: incomplete, -1: not understood. */
static int take_http(struct conn* c)
{
    char* end = memmem(c->in, c->in_n, "\r\n\r\n", 4);
    if (!end) return c->in_n < HEAD_MOST ? 0 : -1;
    if (memcmp(c->in, "GET ", 4) != 0) return -1;
    char* target = c->in + 4;
    char* space = memchr(target, ' ', (size_t)(end - target));
    if (!space) return -1;
    int big = space - target >= 3 && memcmp(space - 3, "/1m", 3) == 0;
    end[2] = 0;
    c->closing = strcasestr(space, "\r\nconnection: close\r\n") != NULL;
    c->head = big ? head_big : head_small;
    c->head_left = strlen(c->head);
    c->body_left = big ? BIG : SMALL;
    unsigned used = (unsigned)(end + 4 - c->in);
    memmove(c->in, end + 4, c->in_n - used);
    c->in_n -= used;
    return 1;
}

static int take_tcp(struct conn* c)
{
    if (c->in_n < ASK_BYTES) return 0;
    memcpy(&c->body_left, c->in, sizeof c->body_left);
    memmove(c->in, c->in + ASK_BYTES, c->in_n - ASK_BYTES);
    c->in_n -= ASK_BYTES;
    return 1;
}

/* What the client says to begin TLS passes; what follows it is TCP. */
static int take_hello(struct conn* c)
{
    unsigned n = RECORD_HEAD;
    if (c->in_n < n) return 0;
    if (c->in[0] != 0x16) return -1;
    n += (unsigned)(unsigned char)c->in[3] << 8 | (unsigned char)c->in[4];
    if (c->in_n < n) return n < HEAD_MOST ? 0 : -1;
    memmove(c->in, c->in + n, c->in_n - n);
    c->in_n -= n;
    c->kind = TCP;
    return 1;
}

static int take(struct conn* c)
{
    switch (c->kind) {
    case HTTP: return take_http(c);
    case TCP: return take_tcp(c);
    default: return take_hello(c);
    }
}

/* Goes on as far as the socket allows; 0: this connection is over. */
static int conn_go(struct conn* c)
{
    for (;;) {
        int sent = send_pending(c);
        if (sent <= 0) return sent == 0;
        if (c->closing) return 0;
        int taken = take(c);
        if (taken < 0) return 0;
        if (taken > 0) continue;
        ssize_t n = link_recv(&c->link, c->in + c->in_n, HEAD_MOST - c->in_n);
        if (n == 0) return 0;
        if (n < 0) return errno == EAGAIN;
        c->in_n += (unsigned)n;
    }
}

static void accept_all(const struct listener* l)
{
    static const enum kind kinds[] = {[LISTEN_HTTP] = HTTP, [LISTEN_TCP] = TCP, [LISTEN_HELLO] = HELLO, [LISTEN_HTTPS] = HTTP};
    for (;;) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED) return;
            die("accept: %s", strerror(errno));
        }
        set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        struct conn* c = calloc(1, sizeof *c);
        if (!c) die("out of memory");
        c->kind = kinds[l->kind];
        c->link.fd = fd;
        if (l->kind == LISTEN_HTTPS) link_wrap(&c->link, tls, 1);
        watch(fd, EPOLLIN | EPOLLOUT | EPOLLET, c);
    }
}

static unsigned listener_open(struct listener* l, enum kind kind, const char* text)
{
    struct sockaddr_in at = address_of(text);
    socklen_t size = sizeof at;
    l->kind = kind;
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    set_option(l->fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (at.sin_addr.s_addr == INADDR_ANY && setsockopt(l->fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) < 0)
        die("cannot bind to the loopback device: %s", strerror(errno));
    if (bind(l->fd, (struct sockaddr*)&at, sizeof at) < 0 || listen(l->fd, 4096) < 0) die("%s: %s", text, strerror(errno));
    watch(l->fd, EPOLLIN, l);
    getsockname(l->fd, (struct sockaddr*)&at, &size);
    return ntohs(at.sin_port);
}

static void use_certificate(const char* path)
{
    tls = link_context(TLS_server_method());
    if (SSL_CTX_use_certificate_chain_file(tls, path) != 1 || SSL_CTX_use_PrivateKey_file(tls, path, SSL_FILETYPE_PEM) != 1)
        die("%s: no certificate with its key", path);
}

int main(int argc, char** argv)
{
    static const struct option options[] = {
        {"http", 1, 0, LISTEN_HTTP}, {"tcp", 1, 0, LISTEN_TCP}, {"hello", 1, 0, LISTEN_HELLO}, {"https", 1, 0, LISTEN_HTTPS},
        {"certificate", 1, 0, 'c'},  {0},
    };
    static struct listener listeners[LISTENERS];
    static struct listener input = {STDIN, 0};
    int n = 0;
    signal(SIGPIPE, SIG_IGN);
    allow_descriptors();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    memset(body, 'x', sizeof body);
    snprintf(head_small, sizeof head_small, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n", SMALL);
    snprintf(head_big, sizeof head_big, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %u\r\n\r\n", BIG);
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (o == '?') return 2;
        if (o == 'c') {
            use_certificate(optarg);
        } else {
            if (o == LISTEN_HTTPS && !tls) die("--https needs a --certificate before it");
            if (n == LISTENERS) die("more than %d listeners", LISTENERS);
            printf("%u ", listener_open(&listeners[n++], (enum kind)o, optarg));
        }
    }
    if (n == 0) die("usage: backend --http ADDRESS:PORT ... --tcp ADDRESS:PORT ...");
    watch(0, EPOLLIN, &input);
    putchar('\n');
    fflush(stdout);
    for (;;) {
        struct epoll_event events[EVENTS];
        int got = epoll_wait(epoll_fd, events, EVENTS, -1);
        if (got < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < got; i++) {
            switch (*(enum kind*)events[i].data.ptr) {      /* the first member of both structs */
            case STDIN: return 0;
            case LISTEN_HTTP: case LISTEN_TCP: case LISTEN_HELLO: case LISTEN_HTTPS: accept_all(events[i].data.ptr); break;
            case HTTP: case TCP: case HELLO:
                if (!conn_go(events[i].data.ptr)) conn_end(events[i].data.ptr);
            }
        }
    }
}
