/* A body fed whole and in pieces must come to the same payload, trailers and end. */

#include "chunked_room.c"
#include "room.h"

typedef struct __pyx_t_5edged_5_fast_5parse_7chunked_Chunked Chunked;

enum { CHUNK_BAD = -1, CHUNK_MORE = 0, CHUNK_DATA = 1, CHUNK_END = 2 };

typedef struct { int event; size_t at; uint64_t payload, trailers, left; } Outcome;

static uint64_t mix(uint64_t sum, const char* at, size_t n) {
    for (size_t i = 0; i < n; i++) sum = (sum ^ (uint8_t)at[i]) * 0x100000001b3u;
    return sum;
}

/* Reads what it can of data[out->at:n], as an engine would whose buffer begins at out->at. */
static void go_on(Chunked* c, Outcome* out, const uint8_t* data, size_t n, uint32_t trailer_most) {
    int event = CHUNK_DATA;
    while (event == CHUNK_DATA) {
        size_t used, rest = n - out->at, take = c->left < rest ? c->left : rest;
        out->payload = mix(out->payload, (const char*)data + out->at, take);
        out->at += take;
        rest -= take;
        c->left -= take;
        if (c->left) break;
        char* at = laid(data + out->at, rest);
        event = __pyx_f_5edged_5_fast_5parse_7chunked_chunked_next(c, (View){at, rest}, &used, trailer_most);
        must(used <= rest && (event == CHUNK_DATA) == (c->left > 0));
        must(within(c->trailers, at, rest) && (event == CHUNK_END || c->trailers.n == 0));
        if (event == CHUNK_BAD) must(c->why);
        if (event == CHUNK_END) {
            if (c->trailers.n) must(c->trailers.n + 2 <= trailer_most && !memcmp(c->trailers.at + c->trailers.n - 2, "\r\n", 2));
            out->trailers = mix(1, c->trailers.at, c->trailers.n);
        }
        out->at += used;
        free(at);
    }
    out->event = event;
    out->left = c->left;
}

static void try_limit(const uint8_t* data, size_t n, uint32_t trailer_most) {
    Chunked c;
    Outcome whole = {0}, pieces = {0};
    memset(&c, 0xa5, sizeof c);
    __pyx_f_5edged_5_fast_5parse_7chunked_chunked_start(&c);
    go_on(&c, &whole, data, n, trailer_most);
    __pyx_f_5edged_5_fast_5parse_7chunked_chunked_start(&c);
    for (size_t there = 0; there < n && pieces.event != CHUNK_BAD && pieces.event != CHUNK_END;) {
        size_t step = 1 + below(below(4) ? 3 : n);
        there = step < n - there ? there + step : n;
        go_on(&c, &pieces, data, there, trailer_most);
    }
    if (n == 0) return;
    must(pieces.event == whole.event && pieces.payload == whole.payload);
    if (whole.event != CHUNK_BAD) must(pieces.at == whole.at && pieces.trailers == whole.trailers && pieces.left == whole.left);
    if (whole.event == CHUNK_BAD || whole.event == CHUNK_END) {
        size_t used;
        must((int)__pyx_f_5edged_5_fast_5parse_7chunked_chunked_next(&c, (View){"0\r\n\r\n", 5}, &used, trailer_most) == whole.event);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t n) {
    uint64_t number = 0;
    char line[18];
    throw_dice(data, n);
    try_limit(data, n, 16384);
    try_limit(data, n, (uint32_t)below(40));
    if (n >= 8) memcpy(&number, data, 8);
    if (number) {
        size_t written = __pyx_f_5edged_5_fast_5parse_7chunked_chunked_size_line(line, number);
        must(strtoull(line, NULL, 16) == number && written >= 3 && line[written - 1] == '\n' && line[0] != '0');
    }
    return 0;
}
