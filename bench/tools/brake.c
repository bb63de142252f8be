/* Takes a share of one core away from whoever runs there, evenly: in every period it spins for that share of it.
 *
 *   brake --core 1 --percent 60 [--period-us 770]
 *
 * A quota of a control group would do the same in pieces of many milliseconds: in each of them the proxy runs at full speed,
 * soon has nothing to do and waits for the load, and then the load is what is measured. Here the pieces are shorter than the
 * requests under way keep a proxy busy. A period that divides the kernel's tick would hide user time from its sampling.
 * Needs real-time priority; prints "ready" once it has it, and ends with its standard input. */
#include "common.h"

#include <getopt.h>
#include <poll.h>
#include <sched.h>

static void take_core(int core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET((size_t)core, &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) < 0) die("core %d: %s", core, strerror(errno));
    struct sched_param priority = {.sched_priority = 10};
    if (sched_setscheduler(0, SCHED_FIFO, &priority) < 0) die("no real-time priority: %s", strerror(errno));
}

static int over(void)
{
    struct pollfd input = {.fd = 0, .events = POLLIN};
    return poll(&input, 1, 0) != 0;
}

static void sleep_until(uint64_t at_ns)
{
    struct timespec at = {(time_t)(at_ns / NS_PER_S), (long)(at_ns % NS_PER_S)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

int main(int argc, char** argv)
{
    static const struct option options[] = {{"core", 1, 0, 'c'}, {"percent", 1, 0, 's'}, {"period-us", 1, 0, 'p'}, {0}};
    int core = -1;
    uint64_t percent = 0, period_ns = 770000;
    for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (o) {
        case 'c': core = atoi(optarg); break;
        case 's': percent = strtoull(optarg, NULL, 10); break;
        case 'p': period_ns = strtoull(optarg, NULL, 10) * 1000; break;
        default: return 2;
        }
    }
    if (core < 0 || percent < 1 || percent > 90 || period_ns < 10000) die("usage: brake --core N --percent 1..90 [--period-us 770]");
    take_core(core);
    puts("ready");
    fflush(stdout);
    uint64_t start_ns = now_ns();
    while (!over()) {
        uint64_t until_ns = now_ns() + period_ns * percent / 100;
        while (now_ns() < until_ns) {}
        start_ns += period_ns;
        if (start_ns < now_ns()) start_ns = now_ns() + period_ns * (100 - percent) / 100;
        sleep_until(start_ns);
    }
    return 0;
}
