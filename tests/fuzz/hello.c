/* A hello must say the same however records divide it. */

#include "hello_room.c"
#include "room.h"

typedef struct __pyx_t_5edged_5_fast_5parse_5hello_Hello Hello;

enum { MOST = 16384 };

static int parse(Hello* hello, const char* at, size_t n, char* scratch) {
    memset(hello, 0xa5, sizeof *hello);
    int status = __pyx_f_5edged_5_fast_5parse_5hello_hello_parse(hello, (View){at, n}, scratch);
    must(status == BAD || status == MORE || status == DONE);
    if (status == BAD) must(hello->why);
    if (status == DONE) {
        must(within(hello->sni, at, n) || (scratch && within(hello->sni, scratch, MOST)));
        must(within(hello->alpn, at, n) || (scratch && within(hello->alpn, scratch, MOST)));
        must(hello->sni.n <= 255 && hello->version >> 8 == 3);
        must(!memchr(hello->sni.at ? hello->sni.at : "", 0, hello->sni.n));
        __pyx_f_5edged_5_fast_5parse_5hello_hello_offers(hello, (View){"h2", 2});
    }
    return status;
}

static int same(View a, View b) { return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0); }

static void must_be_the_same(const Hello* a, const Hello* b) {
    must(same(a->sni, b->sni) && same(a->alpn, b->alpn) && a->version == b->version && a->tls13 == b->tls13);
}

/* The payload of the first record, in records of other sizes. */
static void divide(const Hello* whole, const uint8_t* data, size_t n, char* scratch) {
    Hello other;
    size_t left = n - 5, size = 1 + below(below(2) ? 5 : 600), written = 0;
    uint8_t* divided = malloc(left * 6 + 5);
    for (const uint8_t* from = data + 5; left;) {
        size_t take = size < left ? size : left;
        memcpy(divided + written, (uint8_t[]){22, 3, 1, (uint8_t)(take >> 8), (uint8_t)take}, 5);
        memcpy(divided + written + 5, from, take);
        written += 5 + take;
        from += take;
        left -= take;
    }
    char* at = laid(divided, written);
    must(parse(&other, at, written, scratch) == DONE);
    must_be_the_same(whole, &other);
    free(at);
    free(divided);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n) {
    Hello whole, part;
    throw_dice(data, n);
    char* at = laid(data, n);
    char* scratch = malloc(MOST);
    char* scratch_of_part = malloc(MOST);
    int status = parse(&whole, at, n, scratch);
    int without = parse(&part, at, n, NULL);
    must(without == status || (status == DONE && without == BAD && !strcmp(part.why, "too_long")) || (status == BAD && without == BAD));
    if (without == DONE) must_be_the_same(&whole, &part);

    size_t cut = below(n + 1);
    char* piece = laid(data, cut);
    int first = parse(&part, piece, cut, scratch_of_part);
    if (first == BAD) must(status == BAD);
    if (first == DONE) { must(status == DONE); must_be_the_same(&whole, &part); }
    if (status == MORE) must(first == MORE);
    if (without == DONE && n > 5 && 5 + ((size_t)data[3] << 8 | data[4]) == n) divide(&whole, data, n, scratch_of_part);
    free(piece);
    free(scratch_of_part);
    free(scratch);
    free(at);
    return 0;
}
