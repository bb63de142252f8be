/* What loadgen and backend share: time, ends, addresses, descriptors. */
#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull

/* One message of the TCP service: ASK_BYTES long, beginning with the length of the wanted answer (host byte order). */
#define ASK_BYTES 64

static inline void die(const char* format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(2);
}

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static inline double cpu_s(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) + (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

/* "127.0.0.1:80", IPv4 only: what is measured is the proxy, not the address family. */
static inline struct sockaddr_in address_of(const char* text)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    char host[64];
    const char* colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof host) die("not an address with a port: %s", text);
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = 0;
    if (inet_pton(AF_INET, host, &at.sin_addr) != 1) die("not an IPv4 address: %s", text);
    at.sin_port = htons((uint16_t)atoi(colon + 1));
    return at;
}

static inline void allow_descriptors(void)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static inline void set_option(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) < 0) die("setsockopt: %s", strerror(errno));
}

#endif
