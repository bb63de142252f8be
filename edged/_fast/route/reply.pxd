# What edged answers by itself: error pages and redirects, as small HTML pages or, where Accept asks for it, JSON
# (http-edge-behaviour.md 11, openshift-routes.md 6.4 and 6.5).

from libc.stdint cimport uint16_t, uint32_t
from edged._fast.base.view cimport View
from edged._fast.parse.head cimport Head

cdef enum:
    REPLY_CLOSE = 1              # say "connection: close"
    REPLY_HEAD = 2               # the request was HEAD: no body
    REPLY_JSON = 4
    REPLY_KEEP_ALIVE = 8         # HTTP/1.0 client that stays: say "connection: keep-alive"

cdef enum:
    REPLY_MOST = 4096            # room that is always enough for reply_error

cdef bint reply_wants_json(const Head* head) noexcept nogil           # does Accept prefer JSON to HTML?

# `detail`: which of several causes of this status ("no route", "no endpoint", ...), shown on the page; may be empty.
cdef size_t reply_error(char* out, size_t room, uint16_t status, View detail, uint32_t flags) noexcept nogil
cdef size_t reply_redirect(char* out, size_t room, View host, View target, uint32_t flags) noexcept nogil   # 302 to https
cdef size_t reply_monitor(char* out, size_t room, bint allowed, uint32_t flags) noexcept nogil              # 200, or 405: the wrong method
cdef View reply_continue() noexcept nogil                             # "HTTP/1.1 100 Continue\r\n\r\n"

# An operator's error file: a whole answer, sent as it is; borrowed for ever, n == 0 takes it away. To be called before the
# engine runs. One that is larger than the room of reply_error gives way to our page.
cdef void reply_install(uint16_t status, const char* at, size_t n) noexcept nogil
cdef bint reply_installed(uint16_t status) noexcept nogil
