/* What all targets share. A target includes the C that Cython makes of one room and calls its functions directly: no Python runs. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define must(truth) do { if (!(truth)) { fprintf(stderr, "%s:%d: must be so: %s\n", __FILE__, __LINE__, #truth); abort(); } } while (0)

typedef struct __pyx_t_5edged_5_fast_4base_4view_View View;

enum { BAD = -1, MORE = 0, DONE = 1 };

/* A copy in memory of exactly its size, so that the sanitizer sees one byte read too far. */
static char* laid(const uint8_t* data, size_t n) {
    char* copy = malloc(n);
    if (n) memcpy(copy, data, n);
    return copy;
}

/* Cuts and sizes that depend on nothing but the input: findings can be repeated. */
static uint64_t dice;
static void throw_dice(const uint8_t* data, size_t n) {
    dice = 0xcbf29ce484222325u ^ n;
    for (size_t i = 0; i < n; i++) dice = (dice ^ data[i]) * 0x100000001b3u;
}
static size_t below(size_t most) {
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return most ? (size_t)(dice >> 33) % most : 0;
}

static int within(View v, const char* at, size_t n) {
    return v.at == NULL ? v.n == 0 : v.at >= at && v.n <= n && (size_t)(v.at - at) <= n - v.n;
}
