/* Request and response heads: the target defines PARSE. */

#include "room.h"

typedef struct __pyx_t_5edged_5_fast_5parse_4head_Head Head;
typedef struct __pyx_t_5edged_5_fast_5parse_4head_HeadLimits Limits;
typedef struct __pyx_t_5edged_5_fast_5parse_4head_Field Field;

enum { LENGTH = 1, CHUNKED = 2, CLOSE = 4, KEEP_ALIVE = 8, UPGRADE = 16, WEBSOCKET = 1024, FOLDED = 2048 };
enum { FIELD_FOLDED = 2 };

static int ends(const uint8_t* data, size_t n) {
    size_t i = 0;
    while (i < n && (data[i] == '\n' || (data[i] == '\r' && i + 1 < n && data[i + 1] == '\n'))) i += data[i] == '\n' ? 1 : 2;
    for (; i + 1 < n; i++)
        if (data[i] == '\n' && (data[i + 1] == '\n' || (i + 2 < n && data[i + 1] == '\r' && data[i + 2] == '\n'))) return 1;
    return 0;
}

static int same(View a, const char* of_a, View b, const char* of_b) {
    if (a.at == NULL || b.at == NULL) return a.at == b.at;
    return a.n == b.n && a.at - of_a == b.at - of_b;
}

static void must_be_the_same(const Head* a, const char* of_a, const Head* b, const char* of_b) {
    must(a->size == b->size && a->flags == b->flags && a->length == b->length && a->status == b->status);
    must(a->n == b->n && a->verb == b->verb && a->minor == b->minor);
    must(same(a->method, of_a, b->method, of_b) && same(a->target, of_a, b->target, of_b) && same(a->path, of_a, b->path, of_b));
    must(same(a->authority, of_a, b->authority, of_b) && same(a->reason, of_a, b->reason, of_b));
    for (int i = 0; i < a->n; i++) {
        must(same(a->fields[i].name, of_a, b->fields[i].name, of_b) && same(a->fields[i].value, of_a, b->fields[i].value, of_b));
        must(a->fields[i].known == b->fields[i].known && a->fields[i].flags == b->fields[i].flags);
    }
}

static void must_hold(const Head* head, const char* at, const Limits* limits) {
    must(head->size > 0 && head->size <= limits->head_bytes && at[head->size - 1] == '\n');
    must(head->n <= limits->fields && head->minor <= 1);
    must(memchr(at, 0, head->size) == NULL);
    for (uint32_t i = 0; i < head->size; i++)
        must(at[i] != '\r' || (i + 1 < head->size && at[i + 1] == '\n'));
    must(within(head->method, at, head->size) && within(head->target, at, head->size) && within(head->path, at, head->size));
    must(within(head->authority, at, head->size) && within(head->reason, at, head->size));
    must(!(head->flags & LENGTH && head->flags & CHUNKED) && !(head->flags & CLOSE && head->flags & KEEP_ALIVE));
    must(!(head->flags & CHUNKED) || head->minor == 1);
    must(!(head->flags & WEBSOCKET) || head->flags & UPGRADE);
    must(head->length <= INT64_MAX);
    for (int i = 0; i < head->n; i++) {
        const Field* field = &head->fields[i];
        must(field->name.n && within(field->name, at, head->size) && within(field->value, at, head->size));
        must(field->name.at[field->name.n] == ':');
        must(field->flags & FIELD_FOLDED || memchr(field->value.at, '\n', field->value.n) == NULL);
    }
}

static int parse(Head* head, const char* at, size_t n, size_t seen, const Limits* limits) {
    View data = {at, n};
    memset(head, 0xa5, sizeof *head);
    int status = PARSE(head, data, seen, limits);
    must(status == BAD || status == MORE || status == DONE);
    if (status == BAD) must(head->why && head->fault >= 400 && head->fault < 600);
    return status;
}

static void try_limits(const uint8_t* data, size_t n, Limits limits) {
    static Head whole, part;
    char* at = laid(data, n);
    int status = parse(&whole, at, n, 0, &limits);
    if (status == DONE) must_hold(&whole, at, &limits);
    if (status == MORE) must(n < limits.head_bytes && !ends(data, n));

    /* A part of it says the same, or asks for more; and what was seen before changes nothing. */
    size_t cut = status == DONE && below(2) ? whole.size - below(3) % whole.size : below(n + 1);
    char* piece = laid(data, cut);
    int first = parse(&part, piece, cut, 0, &limits);
    if (status == DONE) {
        must(first == (cut >= whole.size ? DONE : MORE));
        if (first == DONE) must_be_the_same(&whole, at, &part, piece);
    }
    if (status == MORE) must(first == MORE);
    if (first == BAD) must(status == BAD);
    if (first == MORE) {
        int second = parse(&part, at, n, cut, &limits);
        if (status == DONE) { must(second == DONE); must_be_the_same(&whole, at, &part, at); }
        if (status == MORE) must(second == MORE);
        if (status == BAD) must(second == BAD || (n < limits.head_bytes && !ends(data, n)));
    }
    free(piece);
    free(at);
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n) {
    throw_dice(data, n);
    try_limits(data, n, (Limits){16384, 8192, 101});
    try_limits(data, n, (Limits){(uint32_t)(20 + below(200)), (uint32_t)below(40), (uint16_t)below(6)});
    return 0;
}
