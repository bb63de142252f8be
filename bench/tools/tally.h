/* What a load has seen, and the line of JSON that tells it. */
#ifndef TALLY_H
#define TALLY_H
#include "common.h"
#include "histogram.h"

#define RETRY_MOST 1000000

enum fault { F_REFUSED, F_CONNECT, F_CLOSED, F_RESET, F_TRUNCATED, F_STATUS, F_FRAMING, F_TIMEOUT, F_HANDSHAKE, F_RESUMPTION, FAULTS };
static const char* const fault_names[FAULTS] = {
    "refused", "connect", "closed", "reset", "truncated", "status", "framing", "timeout", "handshake", "resumption",
};

static struct {
    uint64_t answers, bytes, reopened, stale, handshakes, resumed, faults[FAULTS];
    struct histogram latency;
} seen;

static void fault(enum fault f)
{
    seen.faults[f]++;
    if (seen.faults[f] > RETRY_MOST) die("too many errors: %s", fault_names[f]);
}

static void report(double seconds, double used_cpu_s, int held)
{
    printf("{\"seconds\": %.6f, \"answers\": %lu, \"bytes\": %lu, \"reopened\": %lu, \"held\": %d, \"cpu_s\": %.6f", seconds, seen.answers,
           seen.bytes, seen.reopened, held, used_cpu_s);
    printf(", \"stale\": %lu, \"handshakes\": %lu, \"resumed\": %lu", seen.stale, seen.handshakes, seen.resumed);
    printf(", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, \"errors\": {",
           (double)histogram_at(&seen.latency, 0.5) / 1e3, (double)histogram_at(&seen.latency, 0.99) / 1e3,
           (double)histogram_at(&seen.latency, 0.999) / 1e3, (double)seen.latency.most_ns / 1e3);
    for (int i = 0; i < FAULTS; i++) printf("%s\"%s\": %lu", i ? ", " : "", fault_names[i], seen.faults[i]);
    puts("}}");
    fflush(stdout);
}

#endif
