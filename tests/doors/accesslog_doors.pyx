"""A line from facts given as keywords."""

from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memset

from edged._fast.base.view cimport View, view
from edged._fast.run.accesslog cimport LOG_HTTP, LOG_JSON, LOG_LINE_MOST, LogLine, accesslog_format

cdef extern from "<time.h>" nogil:
    struct timespec:
        int64_t tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* out)
    void tzset()

LINE_MOST = LOG_LINE_MOST
cdef int CLOCK_MONOTONIC = 1

def new_zone():
    """After os.environ["TZ"] has changed."""
    tzset()

cdef class Line:
    cdef LogLine line
    cdef dict held

    def __init__(self, **facts):
        memset(&self.line, 0, sizeof(LogLine))
        self.held = {}
        for name, value in facts.items():
            self.set_fact(name, value)

    cdef View keep(self, name, value):
        cdef bytes text = value if isinstance(value, bytes) else value.encode()
        self.held[name] = text
        return view(text, len(text))

    def set_fact(self, str name, value):
        cdef LogLine* l = &self.line
        if name == "client_ip": l.client_ip = self.keep(name, value)
        elif name == "frontend": l.frontend = self.keep(name, value)
        elif name == "backend": l.backend = self.keep(name, value)
        elif name == "server": l.server = self.keep(name, value)
        elif name == "method": l.method = self.keep(name, value)
        elif name == "target": l.target = self.keep(name, value)
        elif name == "host": l.host = self.keep(name, value)
        elif name == "route": l.route = self.keep(name, value)
        elif name == "termination":
            letters = [ord(c) for c in value] + [0] * 4
            l.cause, l.state, l.cookie_in, l.cookie_out = letters[:4]
        elif name == "timers": l.tr_ms, l.tw_ms, l.tc_ms, l.response_ms, l.ta_ms = value
        elif name == "counts": l.actconn, l.feconn, l.beconn, l.srvconn, l.srv_queue, l.backend_queue = value
        elif name == "tcp": l.tcp = value
        elif name == "tls": l.tls = value
        elif name == "minor": l.minor = value
        elif name == "redispatched": l.redispatched = value
        elif name == "status": l.status = value
        elif name == "client_port": l.client_port = value
        elif name == "retries": l.retries = value
        elif name == "accept_us": l.accept_us = value
        elif name == "bytes_out": l.bytes_out = value
        elif name == "bytes_in": l.bytes_in = value
        else:
            raise KeyError(name)

    def format(self, json=False):
        cdef char out[LOG_LINE_MOST + 64]
        memset(out, 0x7e, sizeof(out))
        cdef uint32_t n = accesslog_format(out, LOG_JSON if json else LOG_HTTP, &self.line)
        assert n <= LOG_LINE_MOST
        assert out[LOG_LINE_MOST:LOG_LINE_MOST + 64] == b"~" * 64, "written behind the end"
        return out[:n]

    def nanoseconds(self, int count, json=False):
        """What one line takes, on average."""
        cdef char out[LOG_LINE_MOST]
        cdef timespec begun, ended
        cdef int i, format = LOG_JSON if json else LOG_HTTP
        with nogil:
            clock_gettime(CLOCK_MONOTONIC, &begun)
            for i in range(count):
                accesslog_format(out, format, &self.line)
            clock_gettime(CLOCK_MONOTONIC, &ended)
        return ((ended.tv_sec - begun.tv_sec) * 1e9 + ended.tv_nsec - begun.tv_nsec) / count
