"""Lines of the operator's own, captures and spellings through the door. The room for a line ends at an unreadable page."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from edged._fast.base.status cimport DONE
from edged._fast.base.view cimport View, view
from edged._fast.parse.head cimport Head, HeadLimits, head_request, head_response
from edged._fast.parse.proxyline cimport ProxyAddress
from edged._fast.run.accesslog cimport LOG_HTTP, LOG_JSON, LOG_LINE_MOST, accesslog_format
from edged._fast.talk.format cimport Format, Notebook, format_write
from edged._fast.talk.logline cimport LogLine
from edged._fast.talk.notes cimport Notes, notes_make, notes_take
from edged._fast.talk.spelling cimport SpellingBook, spell_head
from tests.doors.cliff cimport Cliff

cdef Cliff outgoing = Cliff()

cdef void set_address(ProxyAddress* out, str text):
    import ipaddress
    packed = ipaddress.ip_address(text).packed
    out.family = 4 if len(packed) == 4 else 6
    memcpy(out.at, <const char*><bytes>packed, len(packed))

cdef class Story:
    """One exchange: its heads are noted, and then it is written down."""
    cdef LogLine line
    cdef Notes* notes
    cdef ProxyAddress client
    cdef ProxyAddress local
    cdef ProxyAddress server
    cdef Notebook notebook
    cdef list held

    def __init__(self, Notebook notebook=None, *, bytes request=b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n", bytes response=None, str client="192.0.2.1",
                 str local="198.51.100.7", server="10.0.0.1", **facts):
        cdef Head head
        cdef HeadLimits limits = HeadLimits(1 << 16, 8192, 101)
        memset(&self.line, 0, sizeof(LogLine))
        self.notebook = notebook
        self.held = [request, response]
        set_address(&self.client, client)
        set_address(&self.local, local)
        self.line.client_address, self.line.local_address = &self.client, &self.local
        self.line.client_ip = self.keep(client)
        self.line.client_port, self.line.frontend_port, self.line.status, self.line.minor = 33430, 8080, 200, 1
        self.line.frontend, self.line.backend, self.line.server = self.keep("public"), self.keep("be:x"), self.keep("s1")
        self.line.cause, self.line.state, self.line.cookie_in, self.line.cookie_out = c"-", c"-", c"V", c"N"
        self.line.accept_us = 1333450345123456
        if server:
            set_address(&self.server, server)
            self.server.port = 80
            self.line.server_address = &self.server
        self.set_numbers(facts)
        if notebook is not None:
            self.notes = notes_make(&notebook.plan)
            self.line.notes, self.line.plan = self.notes, &notebook.plan
            self.notes.number = 3
        if head_request(&head, view(request, len(request)), 0, &limits) == DONE:
            self.line.method, self.line.target = head.method, head.target
            if notebook is not None:
                notes_take(self.notes, &notebook.plan, &head, False)
        if response is not None and head_response(&head, view(response, len(response)), 0, &limits) == DONE:
            notes_take(self.notes, &notebook.plan, &head, True)

    cdef View keep(self, str text):
        raw = text.encode()
        self.held.append(raw)
        return view(raw, len(raw))

    cdef set_numbers(self, dict facts):
        for name, value in facts.items():
            if name == "timers":
                self.line.idle_ms, self.line.tr_ms, self.line.tw_ms, self.line.tc_ms, self.line.response_ms, self.line.ta_ms = value
            elif name == "counts":
                self.line.actconn, self.line.feconn, self.line.beconn, self.line.srvconn, self.line.srv_queue, self.line.backend_queue = value
            elif name == "bytes": self.line.bytes_out, self.line.bytes_in = value
            elif name == "status": self.line.status = value
            elif name == "tls": self.line.tls = value
            elif name == "spoken": self.line.tls_version, self.line.tls_cipher = self.keep(value[0]).at, self.keep(value[1]).at
            elif name == "sni": self.line.sni = self.keep(value).at
            elif name == "told":
                self.held.append(value)
                self.line.told = view(<bytes>value, len(value))
            elif name == "handshake_ms": self.line.handshake_ms = value
            elif name == "retries": self.line.retries, self.line.redispatched = value
            elif name == "lines": self.line.lines = value
            else: raise KeyError(name)

    def __dealloc__(self):
        free(self.notes)

    def own(self, pieces, size_t room=4095):
        """By a format of these pieces."""
        cdef Format made = Format(pieces)
        cdef char* out = <char*>outgoing.lay(bytes(room), False).at
        cdef char* end = format_write(out, out + room, made.ops, made.n, &self.line)
        return out[:end - out].decode("latin-1")

    def stock(self, json=False):
        """By a format of ours."""
        cdef char* out = <char*>outgoing.lay(bytes(LOG_LINE_MOST), False).at
        return out[:accesslog_format(out, LOG_JSON if json else LOG_HTTP, &self.line)].decode("latin-1")

def spelled(names, bytes head not None):
    cdef SpellingBook book = SpellingBook(names)
    cdef char* at = <char*>outgoing.lay(head, False).at
    spell_head(&book.spellings, at, len(head))
    return at[:len(head)]
