/* A histogram of nanoseconds whose buckets grow with the value: 128 steps in each power of two, so under 1 % off. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <string.h>

#define STEP_BITS 7
#define STEPS (1u << STEP_BITS)
#define BUCKETS ((64u - STEP_BITS) * STEPS)

struct histogram {
    uint64_t total, most_ns;
    uint64_t count[BUCKETS];
};

static inline unsigned bucket_of(uint64_t ns)
{
    if (ns < STEPS) return (unsigned)ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns);
    return (power - STEP_BITS + 1u) * STEPS + (unsigned)((ns >> (power - STEP_BITS)) & (STEPS - 1u));
}

/* The largest value that falls into the bucket. */
static inline uint64_t bucket_ns(unsigned bucket)
{
    if (bucket < STEPS) return bucket;
    unsigned power = bucket / STEPS - 1u;
    return ((uint64_t)(STEPS + bucket % STEPS + 1u) << power) - 1u;
}

static inline void histogram_add(struct histogram* h, uint64_t ns)
{
    h->total++;
    if (ns > h->most_ns) h->most_ns = ns;
    h->count[bucket_of(ns)]++;
}

static inline uint64_t histogram_at(const struct histogram* h, double share)
{
    uint64_t rank = (uint64_t)(share * (double)h->total), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += h->count[i];
        if (seen > rank) return bucket_ns(i) < h->most_ns ? bucket_ns(i) : h->most_ns;
    }
    return h->most_ns;
}

static inline void histogram_clear(struct histogram* h)
{
    memset(h, 0, sizeof *h);
}

#endif
