"""Headers of syslog messages, made in C once for each batch."""

FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp", "audit", "alert", "cron2",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)
SEVERITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")

cdef extern from * nogil:
    """
    #include <stdint.h>
    #include <stdio.h>
    #include <time.h>

    static size_t edged_syslog_3164(char *out, size_t room, int priority, const char *host, const char *tag, int pid, int64_t us) {
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t when = (time_t)(us / 1000000);
        struct tm t;
        if (!localtime_r(&when, &t)) t = (struct tm){ .tm_mday = 1 };
        return (size_t)snprintf(out, room, "<%d>%.3s %2d %02d:%02d:%02d %s%s%s[%d]: ", priority, months + 3 * (t.tm_mon % 12), t.tm_mday,
                                t.tm_hour, t.tm_min, t.tm_sec, host, host[0] ? " " : "", tag, pid);
    }
    static size_t edged_syslog_5424(char *out, size_t room, int priority, const char *host, const char *tag, int pid, int64_t us) {
        time_t when = (time_t)(us / 1000000);
        struct tm t;
        if (!gmtime_r(&when, &t)) t = (struct tm){ .tm_mday = 1 };
        return (size_t)snprintf(out, room, "<%d>1 %04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s %s %d - - ", priority, (t.tm_year + 1900) % 10000,
                                t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec, (int)(us % 1000000 / 1000),
                                host[0] ? host : "-", tag, pid);
    }
    """
    size_t old_header "edged_syslog_3164"(char* out, size_t room, int priority, const char* host, const char* tag, int pid, int64_t us)
    size_t new_header "edged_syslog_5424"(char* out, size_t room, int priority, const char* host, const char* tag, int pid, int64_t us)

cdef size_t syslog_header(char* out, const Syslog* syslog, int64_t now_us) noexcept nogil:
    cdef size_t n
    if syslog.rfc5424:
        n = new_header(out, SYSLOG_HEADER_MOST, syslog.priority, syslog.host, syslog.tag, syslog.pid, now_us)
    else:
        n = old_header(out, SYSLOG_HEADER_MOST, syslog.priority, syslog.host, syslog.tag, syslog.pid, now_us)
    return min(n, <size_t>SYSLOG_HEADER_MOST - 1)

cdef int syslog_priority(str facility, str severity) except -1:
    if facility not in FACILITIES:
        raise ValueError(f"syslog knows no facility {facility!r}")
    if severity not in SEVERITIES:
        raise ValueError(f"syslog knows no severity {severity!r}")
    return FACILITIES.index(facility) * 8 + SEVERITIES.index(severity)
