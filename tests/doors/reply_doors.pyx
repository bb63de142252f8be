"""Answers of our own through the door; the room ends at an unreadable page."""

from libc.stdint cimport uint16_t, uint32_t
from edged._fast.base.status cimport DONE
from edged._fast.base.view cimport View, view
from edged._fast.parse.head cimport Head, HeadLimits, head_request
from edged._fast.route.reply cimport (
    REPLY_CLOSE, REPLY_HEAD, REPLY_JSON, REPLY_KEEP_ALIVE, REPLY_MOST, reply_continue, reply_error, reply_install,
    reply_installed, reply_monitor, reply_redirect, reply_wants_json,
)
from tests.doors.cliff cimport Cliff

CLOSE, HEAD, JSON, KEEP_ALIVE, MOST = REPLY_CLOSE, REPLY_HEAD, REPLY_JSON, REPLY_KEEP_ALIVE, REPLY_MOST

cdef Cliff incoming = Cliff()
cdef Cliff outgoing = Cliff()
cdef list held = []

def error(uint16_t status, bytes detail=b"", uint32_t flags=0, size_t room=REPLY_MOST):
    """The answer; empty where the room was too small."""
    cdef char* out = <char*>outgoing.lay(bytes(room), False).at
    return out[:reply_error(out, room, status, incoming.lay(detail, False), flags)]

def redirect(bytes host not None, bytes target not None, uint32_t flags=0, size_t room=REPLY_MOST):
    cdef char* out = <char*>outgoing.lay(bytes(room), False).at
    return out[:reply_redirect(out, room, view(host, len(host)), incoming.lay(target, False), flags)]

def monitor(bint allowed=True, uint32_t flags=0, size_t room=REPLY_MOST):
    cdef char* out = <char*>outgoing.lay(bytes(room), False).at
    return out[:reply_monitor(out, room, allowed, flags)]

def wants_json(*accepts):
    """Does a request with these Accept fields?"""
    cdef Head head
    cdef HeadLimits limits = HeadLimits(1 << 16, 8192, 101)
    raw = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"Accept: " + accept + b"\r\n" for accept in accepts) + b"\r\n"
    if head_request(&head, incoming.lay(raw, False), 0, &limits) != DONE:
        raise ValueError("this is no head")
    return bool(reply_wants_json(&head))

def install(uint16_t status, bytes raw not None):
    """An empty file takes the one before away."""
    held.append(raw)
    reply_install(status, raw, len(raw))

def installed(uint16_t status):
    return bool(reply_installed(status))

def go_on():
    cdef View text = reply_continue()
    return text.at[:text.n]
