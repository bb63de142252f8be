/* The load of all measurements: one thread, epoll, HTTP/1.1 or TCP.
 *
 *   --tls         over TLS, the host as SNI; with --each-new every request pays a full handshake, or with --resume a resumed one
 *   --hello       TCP messages that follow a ClientHello with the host as SNI, as a proxy that passes TLS through sees them
 *
 *   closed loop   each connection asks again as soon as it was answered
 *   open loop     --rate R: requests fall due at a fixed rate whatever the answers do, and their latency counts from when they
 *                 were due, so that a stall is seen by all the requests it would have hit; with --each-new it is connections that
 *                 fall due, at most --connections of them at once
 *   hold          --hold: one request on each connection, or with --silent not even a handshake, then all stay open and idle until
 *                 the standard input ends
 *
 *   --again       a request for which a kept connection was closed, and nothing else, is asked once more on a new one, as HTTP permits
 *                 (RFC 9112, 9.3.1); it counts as stale then, not as an error
 *   --until-end   the measured window lasts until the standard input ends
 *
 * Prints "go" when the warm-up is over and one line of JSON at the end. */
#include "answer.h"
#include "tally.h"
#include "trust.h"

#include <getopt.h>
#include <sys/prctl.h>

#define EVENTS 256
#define ASK_MOST 512
#define TIMEOUT_NS (10 * NS_PER_S)
#define A_DAY_S 86400.0

enum state { RESTING, CONNECTING, SHAKING, ASKING_LATER, WAITING, ENDING };

struct conn {
    struct link link;
    enum state state;
    uint64_t began_ns;           /* when its request was sent, or was due */
    unsigned turn;               /* which host it asks next */
    int kept;                    /* it was answered before */
    int again;                   /* it takes a stale one's place, and asks the same as soon as it can */
    struct conn* next_free;
    SSL_SESSION* session;        /* newest ticket; kept over connections */
    struct answer answer;
};

static struct {
    struct sockaddr_in to;
    int connections, hosts, host_step, tcp, each_new, hold, silent, tls, resume, hello, again, until_end;
    double seconds, warm_s, rate;
    uint64_t tcp_bytes;
    const char* host;            /* a format with one number when there are several */
    const char* path;
} plan = {.connections = 1, .hosts = 1, .host_step = 1, .seconds = 4, .warm_s = 0.5, .host = "bench.test", .path = "/"};

static int epoll_fd;
static struct conn* conns;
static struct conn* free_conns;
static struct { char text[ASK_MOST]; size_t n; }* asks;
static uint64_t due_ns, gap_ns;  /* open loop: when the next request falls due */
static int held, input_ended;
static SSL_CTX* tls;
static char server_name[128];
static struct { unsigned char bytes[2048]; size_t n; } hello;

static void conn_open(struct conn* c);

/* Until the next connection falls due. */
static void conn_rest(struct conn* c)
{
    c->state = RESTING;
    c->next_free = free_conns;
    free_conns = c;
}

/* Its connection is closed. */
static void conn_next(struct conn* c)
{
    if (plan.each_new && plan.rate > 0) conn_rest(c);
    else conn_open(c);
}

static void conn_reopen(struct conn* c)
{
    link_close(&c->link);
    seen.reopened++;
    conn_next(c);
}

/* It was closed while it waits for an answer: a fault, unless the two have merely crossed. */
static void conn_dropped(struct conn* c, enum fault f)
{
    if (answer_has_begun(&c->answer, plan.tcp ? plan.tcp_bytes : 0)) {
        fault(F_TRUNCATED);
    } else if (plan.again && c->kept) {
        seen.stale++;
        c->again = 1;
    } else {
        fault(f);
    }
    conn_reopen(c);
}

static void conn_ask(struct conn* c, uint64_t began_ns)
{
    c->began_ns = began_ns;
    c->state = WAITING;
    answer_begin(&c->answer, plan.tcp ? plan.tcp_bytes : 0);
    unsigned i = c->turn++ % (unsigned)plan.hosts;
    struct iovec ask = {asks[i].text, asks[i].n};
    ssize_t n = link_send(&c->link, &ask, 1);
    if (n == (ssize_t)asks[i].n) return;
    conn_dropped(c, n < 0 ? F_RESET : F_CLOSED);
}

/* What a connection does when it has nothing to do. */
static void conn_idle(struct conn* c)
{
    if (plan.rate > 0) {
        c->state = ASKING_LATER;
        c->next_free = free_conns;
        free_conns = c;
    } else {
        conn_ask(c, now_ns());
    }
}

static void conn_open(struct conn* c)
{
    for (;;) {
        c->link.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->link.fd < 0) die("socket: %s", strerror(errno));
        set_option(c->link.fd, IPPROTO_TCP, TCP_NODELAY, 1);
        c->state = CONNECTING;
        c->kept = 0;
        if (!c->again) c->began_ns = now_ns();
        if (connect(c->link.fd, (struct sockaddr*)&plan.to, sizeof plan.to) == 0 || errno == EINPROGRESS) break;
        fault(errno == ECONNREFUSED ? F_REFUSED : F_CONNECT);
        close(c->link.fd);
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->link.fd, &e) < 0) die("epoll_ctl: %s", strerror(errno));
}

static void conn_answered(struct conn* c)
{
    uint64_t now = now_ns();
    seen.answers++;
    histogram_add(&seen.latency, now - c->began_ns);
    c->kept = 1;
    if (plan.hold) {
        c->state = ASKING_LATER;
        held++;
    } else if (!plan.each_new && !c->answer.last) {
        conn_idle(c);
    } else if (plan.tcp) {
        conn_reopen(c);
    } else {
        c->state = ENDING;       /* the other side was asked to close, or has said that it will */
    }
}

static void conn_broken(struct conn* c, enum progress p)
{
    if (p == CLOSED || p == RESET) {
        conn_dropped(c, p == CLOSED ? F_CLOSED : F_RESET);
        return;
    }
    fault(p == BAD_STATUS ? F_STATUS : F_FRAMING);
    conn_reopen(c);
}

/* An idle connection was closed by the other side: no error in HTTP/1.1, so it is opened again. */
static void conn_lost(struct conn* c)
{
    for (struct conn** at = &free_conns; *at; at = &(*at)->next_free) {
        if (*at != c) continue;
        *at = c->next_free;
        break;
    }
    held -= plan.hold;
    conn_reopen(c);
}

/* What still comes, as TLS's last words, passes unread. */
static int is_over(int fd)
{
    ssize_t n;
    while ((n = recv(fd, NULL, RECORD_MOST, MSG_TRUNC | MSG_DONTWAIT)) > 0) {}
    return n == 0 || errno != EAGAIN;
}

static void conn_ready(struct conn* c)
{
    int at_once = plan.each_new || c->again;
    c->again = 0;
    if (at_once) conn_ask(c, c->began_ns);
    else conn_idle(c);
}

static void conn_shake(struct conn* c)
{
    int n = SSL_do_handshake(c->link.ssl);
    if (n != 1) {
        if (link_answer(&c->link, n) < 0 && errno == EAGAIN) return;
        fault(F_HANDSHAKE);
        conn_reopen(c);
        return;
    }
    int resumed = SSL_session_reused(c->link.ssl);
    seen.handshakes++;
    seen.resumed += (uint64_t)resumed;
    if (c->session && !resumed) fault(F_RESUMPTION);
    conn_ready(c);
}

/* The socket is connected: what is said before the first request. */
static void conn_greet(struct conn* c)
{
    if (plan.silent) {
        c->state = ASKING_LATER;
        held++;
        return;
    }
    if (plan.tls) {
        link_wrap(&c->link, tls, 0);
        SSL_set_tlsext_host_name(c->link.ssl, server_name);
        SSL_set_app_data(c->link.ssl, c);
        if (c->session) SSL_set_session(c->link.ssl, c->session);
        c->state = SHAKING;
        conn_shake(c);
        return;
    }
    if (plan.hello && send(c->link.fd, hello.bytes, hello.n, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)hello.n) {
        fault(F_RESET);
        conn_reopen(c);
        return;
    }
    conn_ready(c);
}

static void conn_event(struct conn* c, uint32_t events)
{
    if (c->state == CONNECTING) {
        if (events & (EPOLLERR | EPOLLHUP)) {
            int why = 0;
            socklen_t size = sizeof why;
            getsockopt(c->link.fd, SOL_SOCKET, SO_ERROR, &why, &size);
            fault(why == ECONNREFUSED ? F_REFUSED : F_CONNECT);
            conn_reopen(c);
            return;
        }
        if (events & EPOLLOUT) conn_greet(c);
        if (c->state == CONNECTING) return;
    }
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
    if (c->state == SHAKING) conn_shake(c);
    if (c->state == WAITING) {
        enum progress p = answer_read(&c->answer, &c->link, &seen.bytes);
        if (p == READY) conn_answered(c);
        else if (p != AGAIN) conn_broken(c, p);
    }
    if (c->state == ENDING && is_over(c->link.fd)) {
        link_close(&c->link);
        conn_next(c);
    } else if (c->state == ASKING_LATER && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))) {
        conn_lost(c);
    }
}

/* Open loop: sends what has fallen due. What finds no free connection waits, and its wait counts. */
static void send_due(void)
{
    uint64_t now = now_ns();
    while (due_ns <= now && free_conns) {
        struct conn* c = free_conns;
        free_conns = c->next_free;
        if (c->state == RESTING) {
            conn_open(c);
            c->began_ns = due_ns;
        } else {
            conn_ask(c, due_ns);
        }
        due_ns += gap_ns;
    }
}

static void end_slow(uint64_t now)
{
    for (int i = 0; i < plan.connections; i++) {
        struct conn* c = &conns[i];
        if (c->state == RESTING || c->state == ASKING_LATER || now - c->began_ns < TIMEOUT_NS) continue;
        fault(F_TIMEOUT);
        conn_reopen(c);
    }
}

static uint64_t wait_until(uint64_t end_ns)
{
    uint64_t now = now_ns(), until = plan.rate > 0 && free_conns && due_ns < end_ns ? due_ns : end_ns;
    uint64_t wait = until > now ? until - now : 0;
    if (wait > NS_PER_S) wait = NS_PER_S;
    struct timespec t = {(time_t)(wait / NS_PER_S), (long)(wait % NS_PER_S)};
    struct epoll_event events[EVENTS];
    int n = epoll_pwait2(epoll_fd, events, EVENTS, &t, NULL);
    if (n < 0 && errno != EINTR) die("epoll_pwait2: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        if (events[i].data.ptr) conn_event(events[i].data.ptr, events[i].events);
        else input_ended = 1;
    }
    return now_ns();
}

static void run_for(double seconds)
{
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * 1e9), look_ns = now_ns() + NS_PER_S, now;
    do {
        if (plan.rate > 0) send_due();
        now = wait_until(end_ns);
        if (now > look_ns) {
            end_slow(now);
            look_ns = now + NS_PER_S;
        }
    } while (now < end_ns && !input_ended);
}

/* What is still unanswered at the end has waited this long at least. */
static void count_late(uint64_t now)
{
    for (int i = 0; i < plan.connections; i++)
        if (conns[i].state == WAITING) histogram_add(&seen.latency, now - conns[i].began_ns);
    for (; due_ns < now; due_ns += gap_ns) histogram_add(&seen.latency, now - due_ns);
}

static void prepare_asks(void)
{
    asks = calloc((size_t)plan.hosts, sizeof *asks);
    if (!asks) die("out of memory");
    for (int i = 0; i < plan.hosts; i++) {
        char host[128];
        snprintf(host, sizeof host, plan.host, i * plan.host_step);
        int n = snprintf(asks[i].text, ASK_MOST, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: loadgen\r\nAccept: */*\r\n%s\r\n", plan.path, host,
                         plan.each_new ? "Connection: close\r\n" : "");
        if (n >= ASK_MOST) die("host and path are too long");
        asks[i].n = (size_t)n;
        if (!plan.tcp) continue;
        memset(asks[i].text, 0, ASK_BYTES);
        memcpy(asks[i].text, &plan.tcp_bytes, sizeof plan.tcp_bytes);
        asks[i].n = ASK_BYTES;
    }
}

static int keep_session(SSL* ssl, SSL_SESSION* session)
{
    struct conn* c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->session);
    c->session = session;
    return 1;
}

/* The bytes of a ClientHello, taken from where a connection would write them. */
static void prepare_hello(void)
{
    SSL* ssl = SSL_new(tls);
    BIO* written = BIO_new(BIO_s_mem());
    if (!ssl || !written) die("out of memory for TLS");
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), written);
    SSL_set_tlsext_host_name(ssl, server_name);
    SSL_connect(ssl);
    int n = BIO_read(written, hello.bytes, sizeof hello.bytes);
    if (n <= 0 || (size_t)n == sizeof hello.bytes) die("no ClientHello");
    hello.n = (size_t)n;
    SSL_free(ssl);
    ERR_clear_error();
}

static void prepare_tls(void)
{
    static const unsigned char http[] = "\x08http/1.1";
    tls = link_context(TLS_client_method());
    trust_anybody(tls);
    SSL_CTX_set_alpn_protos(tls, http, sizeof http - 1);
    if (plan.resume) {
        SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(tls, keep_session);
    }
    snprintf(server_name, sizeof server_name, plan.host, 0);
    if (plan.hello) prepare_hello();
}

static void hold(void)
{
    char byte;
    uint64_t give_up_ns = now_ns() + 60 * NS_PER_S;
    for (int i = 0; i < plan.connections; i++) {
        conn_open(&conns[i]);
        while (i + 1 - held > 64 || (i + 1 == plan.connections && held < plan.connections))
            if (wait_until(now_ns() + NS_PER_S / 10) > give_up_ns) die("only %d of %d connections were answered", held, plan.connections);
    }
    puts("go");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    wait_until(now_ns());
}

static void watch_input(void)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, 0, &e) < 0) die("epoll_ctl: %s", strerror(errno));
}

static void measure(void)
{
    gap_ns = plan.rate > 0 ? (uint64_t)(1e9 / plan.rate) : 0;
    due_ns = now_ns();
    for (int i = 0; i < plan.connections; i++) {
        conns[i].turn = (unsigned)i;
        conn_next(&conns[i]);
    }
    run_for(plan.warm_s);
    memset(&seen, 0, sizeof seen);
    double cpu = cpu_s();
    uint64_t began_ns = now_ns();
    puts("go");
    fflush(stdout);
    if (plan.until_end) watch_input();
    run_for(plan.until_end ? A_DAY_S : plan.seconds);
    uint64_t now = now_ns();
    double seconds = (double)(now - began_ns) / 1e9, used = cpu_s() - cpu;
    if (plan.rate > 0) count_late(now);
    report(seconds, used, held);
}

int main(int argc, char** argv)
{
    static const struct option options[] = {
        {"connect", 1, 0, 'a'}, {"connections", 1, 0, 'c'}, {"seconds", 1, 0, 's'}, {"warm", 1, 0, 'w'},   {"rate", 1, 0, 'r'},
        {"host", 1, 0, 'h'},    {"hosts", 1, 0, 'n'},       {"host-step", 1, 0, 'k'}, {"path", 1, 0, 'p'}, {"tcp", 1, 0, 't'},
        {"each-new", 0, 0, 'e'}, {"hold", 0, 0, 'i'},       {"tls", 0, 0, 'T'},       {"resume", 0, 0, 'R'}, {"hello", 0, 0, 'H'},
        {"silent", 0, 0, 'S'},   {"again", 0, 0, 'A'},      {"until-end", 0, 0, 'U'}, {0},
    };
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'a': plan.to = address_of(optarg); break;
        case 'c': plan.connections = atoi(optarg); break;
        case 's': plan.seconds = atof(optarg); break;
        case 'w': plan.warm_s = atof(optarg); break;
        case 'r': plan.rate = atof(optarg); break;
        case 'h': plan.host = optarg; break;
        case 'n': plan.hosts = atoi(optarg); break;
        case 'k': plan.host_step = atoi(optarg); break;
        case 'p': plan.path = optarg; break;
        case 't': plan.tcp = 1; plan.tcp_bytes = strtoull(optarg, NULL, 10); break;
        case 'e': plan.each_new = 1; break;
        case 'i': plan.hold = 1; break;
        case 'S': plan.silent = 1; break;
        case 'T': plan.tls = 1; break;
        case 'R': plan.tls = plan.resume = 1; break;
        case 'H': plan.hello = 1; break;
        case 'A': plan.again = 1; break;
        case 'U': plan.until_end = 1; break;
        default: return 2;
        }
    }
    if (!plan.to.sin_port || plan.connections < 1 || plan.hosts < 1) die("usage: loadgen --connect ADDRESS:PORT --connections N ...");
    if (plan.tcp && plan.tcp_bytes == 0) die("--tcp takes the length of the answer, at least 1");
    if (plan.hello && !plan.tcp) die("--hello goes with --tcp");
    if (plan.silent && !plan.hold) die("--silent goes with --hold");
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    allow_descriptors();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc((size_t)plan.connections, sizeof *conns);
    if (!conns) die("out of memory");
    prepare_asks();
    if (plan.tls || plan.hello) prepare_tls();
    if (plan.hold) {
        hold();
        report(0, cpu_s(), held);
    } else {
        measure();
    }
    return 0;
}
