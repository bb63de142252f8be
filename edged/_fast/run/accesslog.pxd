# Access lines, formatted in C from plain facts: HAProxy's HTTP and TCP formats (http-edge-behaviour.md 10), and JSON.

from libc.stdint cimport uint8_t, uint32_t
from edged._fast.talk.logline cimport LogLine

cdef enum LogFormat:
    LOG_OFF = 0
    LOG_HTTP = 1                 # HAProxy's "option httplog" line
    LOG_JSON = 2

cdef enum:
    LOG_LINE_MOST = 4096         # a line is never longer; the request target is cut at 1023 characters

# One line with "\n" at its end; answers its length (at most LOG_LINE_MOST).
cdef uint32_t accesslog_format(char* out, uint8_t format, const LogLine* line) noexcept nogil
