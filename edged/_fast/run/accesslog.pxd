# Access lines, formatted in C from plain facts: HAProxy's HTTP and TCP formats (http-edge-behaviour.md 10), and JSON.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.view cimport View

cdef enum LogFormat:
    LOG_OFF = 0
    LOG_HTTP = 1                 # HAProxy's "option httplog" line
    LOG_JSON = 2

cdef enum:
    LOG_LINE_MOST = 4096         # a line is never longer; the request target is cut at 1023 characters

cdef struct LogLine:
    uint8_t tcp                  # HAProxy's TCP format instead of HTTP
    uint8_t tls                  # frontend is written with "~"
    uint8_t minor
    uint8_t redispatched         # "+" before the retry count
    char cause                   # the four termination letters
    char state
    char cookie_in
    char cookie_out
    int32_t status               # -1: none was sent
    uint16_t client_port
    uint16_t frontend_port
    uint16_t retries
    View client_ip               # text
    View frontend                # name of the listener
    View backend                 # n == 0: the frontend's name is shown
    View server                  # n == 0: <NOSRV>
    View method                  # n == 0: <BADREQ>
    View target
    View host                    # JSON only
    View route                   # JSON only
    int64_t accept_us            # wall clock, microseconds since the epoch
    int32_t tr_ms                # TR: receiving the request; -1: not reached (likewise the others)
    int32_t tw_ms
    int32_t tc_ms
    int32_t response_ms          # Tr
    int32_t ta_ms                # Ta; tcp: Tt
    uint64_t bytes_out           # sent to the client
    uint64_t bytes_in            # JSON only
    uint32_t actconn
    uint32_t feconn
    uint32_t beconn
    uint32_t srvconn
    uint32_t srv_queue
    uint32_t backend_queue

# One line with "\n" at its end; answers its length (at most LOG_LINE_MOST).
cdef uint32_t accesslog_format(char* out, uint8_t format, const LogLine* line) noexcept nogil
