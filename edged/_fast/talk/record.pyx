"""Captures of the request, and its id. See record.pxd."""

from libc.stdint cimport int32_t, uint16_t, uint32_t
from libc.string cimport memset

from edged._fast.base.view cimport unlikely
from edged._fast.talk.exchange cimport X_FIRST
from edged._fast.talk.format cimport Op, format_write
from edged._fast.talk.logline cimport LogLine
from edged._fast.talk.notes cimport ID_MOST, notes_make, notes_take


cdef void record_request(Shared* s, Exchange* x, const Head* head) noexcept nogil:
    cdef LogLine line
    x.notes = notes_make(s.plan)
    if x.notes == NULL:
        return
    x.notes.number = s.tally.requests
    notes_take(x.notes, s.plan, head, False)
    if s.plan.id_format == NULL:
        return
    memset(&line, 0, sizeof(line))
    line.client_address = &x.client.peer
    line.local_address = &x.client.local
    line.client_port = x.client.peer.port
    line.frontend_port = x.client.local.port if x.client.local.port else x.client.listener.port
    line.frontend = x.client.listener.name
    line.tls = x.client.tls
    line.tls_version = x.client.tls_version
    line.tls_cipher = x.client.tls_cipher
    line.sni = x.client.sni
    if unlikely(x.client.certificate != NULL):
        line.told = x.client.certificate.lines
    line.minor = head.minor
    line.method = head.method
    line.target = head.target
    line.accept_us = x.began_us
    line.handshake_ms = x.client.handshake_ms if x.flags & X_FIRST else 0
    line.idle_ms = x.idle_ms
    line.tr_ms = <int32_t>(x.head_ms - x.began_ms)
    line.tw_ms = line.tc_ms = line.response_ms = line.status = -1
    line.actconn = <uint32_t>s.tally.connections
    line.feconn = <uint32_t>x.client.listener.cell.current
    line.notes = x.notes
    line.plan = s.plan
    x.notes.id_n = <uint16_t>(format_write(x.notes.id, x.notes.id + ID_MOST, <const Op*>s.plan.id_format, s.plan.id_n, &line) - x.notes.id)
