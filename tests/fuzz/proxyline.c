/* A header is decided once for all, and what we write we read. */

#include "proxyline_room.c"
#include "room.h"

typedef struct __pyx_t_5edged_5_fast_5parse_9proxyline_ProxyLine ProxyLine;
typedef struct __pyx_t_5edged_5_fast_5parse_9proxyline_ProxyAddress Address;

static int parse(ProxyLine* line, const char* at, size_t n, uint32_t v2_most) {
    memset(line, 0xa5, sizeof *line);
    int status = __pyx_f_5edged_5_fast_5parse_9proxyline_proxyline_parse(line, (View){at, n}, v2_most);
    must(status == BAD || status == MORE || status == DONE);
    if (status == BAD) must(line->fault && line->source.family == 0 && line->target.family == 0);
    if (status == DONE) {
        must(line->fault == 0 && line->size >= 15 && line->size <= n);
        must(line->source.family == line->target.family);
        must(line->source.family == 0 || line->source.family == 4 || line->source.family == 6);
        must(within(line->authority, at, line->size) && within(line->alpn, at, line->size));
        must(within(line->unique_id, at, line->size) && within(line->ssl, at, line->size));
        must(line->authority.n <= 255 && line->unique_id.n <= 128 && (line->ssl.n == 0 || line->ssl.n >= 5));
        must(line->version == 1 ? line->size <= 107 && !memcmp(at + line->size - 2, "\r\n", 2) : line->size <= 16 + v2_most);
    }
    return status;
}

static int same(const Address* a, const Address* b) {
    return a->family == b->family && a->port == b->port && !memcmp(a->at, b->at, a->family == 4 ? 4 : a->family == 6 ? 16 : 0);
}

static void must_come_back(const ProxyLine* line, uint8_t version) {
    char out[4096];
    ProxyLine again;
    size_t n = __pyx_f_5edged_5_fast_5parse_9proxyline_proxyline_write(out, version, &line->source, &line->target);
    if (version == 2) {
        n = __pyx_f_5edged_5_fast_5parse_9proxyline_proxyline_add(out, n, 2, line->authority);
        must(n <= 536);
        n = __pyx_f_5edged_5_fast_5parse_9proxyline_proxyline_seal(out, n);
    }
    char* at = laid((uint8_t*)out, n);
    must(parse(&again, at, n, 4096) == DONE && again.size == n && again.version == version);
    if (line->source.family) {
        must(same(&line->source, &again.source) && same(&line->target, &again.target));
        if (version == 2) must(again.authority.n == line->authority.n);
    }
    free(at);
}

static void try_limit(const uint8_t* data, size_t n, uint32_t v2_most) {
    ProxyLine whole, part;
    char* at = laid(data, n);
    int status = parse(&whole, at, n, v2_most);
    size_t cut = below(2) && status == DONE ? whole.size - below(3) : below(n + 1);
    char* piece = laid(data, cut);
    int first = parse(&part, piece, cut, v2_most);
    if (status == DONE) must(first == (cut >= whole.size ? DONE : MORE));
    if (status == MORE) must(first == MORE);
    if (first == BAD) must(status == BAD);
    if (first == DONE) must(part.size == whole.size && same(&part.source, &whole.source) && same(&part.target, &whole.target));
    if (status == DONE) {
        must_come_back(&whole, 1);
        must_come_back(&whole, 2);
    }
    free(piece);
    free(at);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n) {
    throw_dice(data, n);
    try_limit(data, n, 4096);
    try_limit(data, n, (uint32_t)below(300));
    return 0;
}
