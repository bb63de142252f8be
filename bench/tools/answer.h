/* Reads HTTP/1.1 answers as cheaply as a client can: the head is looked at, the body only counted. */
#ifndef ANSWER_H
#define ANSWER_H

#include "link.h"

#define HEAD_MOST 4096

enum progress { AGAIN, READY, CLOSED, RESET, BAD_STATUS, BAD_FRAMING };

struct answer {
    int in_body;
    int last;                    /* the other side closes after it */
    unsigned head_n;             /* bytes of the head read so far */
    uint64_t left;               /* of the body; in TCP mode of the whole answer */
    char head[HEAD_MOST];
};

static inline void answer_begin(struct answer* a, uint64_t raw_bytes)
{
    a->in_body = raw_bytes > 0;
    a->last = 0;
    a->left = raw_bytes;
    a->head_n = 0;
}

/* A field's value, or NULL. The head is NUL terminated and starts with its status line. */
static inline const char* field_of(const char* head, const char* name)
{
    size_t n = strlen(name);
    for (const char* line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':') return line + n + 1;
    }
    return NULL;
}

static inline enum progress answer_head(struct answer* a)
{
    a->head[a->head_n] = 0;
    char* end = memmem(a->head, a->head_n, "\r\n\r\n", 4);
    if (!end) return a->head_n < HEAD_MOST - 1 ? AGAIN : BAD_FRAMING;
    unsigned body_n = a->head_n - (unsigned)(end + 4 - a->head);
    end[2] = 0;
    if (strncmp(a->head, "HTTP/1.1 ", 9) != 0) return BAD_FRAMING;
    if (strncmp(a->head + 9, "200", 3) != 0) return BAD_STATUS;
    const char* length = field_of(a->head, "content-length");
    if (!length) return BAD_FRAMING;
    a->left = strtoull(length, NULL, 10);
    if (body_n > a->left) return BAD_FRAMING;
    a->left -= body_n;
    a->in_body = 1;
    const char* then = field_of(a->head, "connection");
    a->last = then && strncasecmp(then + strspn(then, " "), "close", 5) == 0;
    return READY;
}

/* Whether anything of it has come. */
static inline int answer_has_begun(const struct answer* a, uint64_t raw_bytes)
{
    return raw_bytes > 0 ? a->left < raw_bytes : a->head_n > 0;
}

/* Reads until the answer is complete (READY), there is no more yet (AGAIN), or it went wrong. */
static inline enum progress answer_read(struct answer* a, const struct link* from, uint64_t* bytes)
{
    for (;;) {
        if (a->in_body && a->left == 0) return READY;
        ssize_t n = a->in_body ? link_recv(from, NULL, a->left) : link_recv(from, a->head + a->head_n, HEAD_MOST - 1 - a->head_n);
        if (n == 0) return CLOSED;
        if (n < 0) return errno == EAGAIN ? AGAIN : RESET;
        *bytes += (uint64_t)n;
        if (a->in_body) {
            a->left -= (uint64_t)n;
            continue;
        }
        a->head_n += (unsigned)n;
        enum progress p = answer_head(a);
        if (p != READY && p != AGAIN) return p;
    }
}

#endif
