# The header of a syslog message (RFC 3164 section 4.1, RFC 5424 section 6).

from libc.stdint cimport int64_t, uint8_t

cdef enum:
    SYSLOG_HEADER_MOST = 512

cdef struct Syslog:
    uint8_t rfc5424              # 0: RFC 3164
    uint8_t priority             # facility * 8 + severity
    char host[256]               # NUL terminated; empty: none is written (RFC 5424: "-")
    char tag[49]                 # NUL terminated
    int pid

# What stands before a line sent at that time (wall clock, microseconds since the epoch); answers its length.
cdef size_t syslog_header(char* out, const Syslog* syslog, int64_t now_us) noexcept nogil
cdef int syslog_priority(str facility, str severity) except -1       # ValueError for words that syslog does not know
