# HTTP/1 heads to facts: request line or status line, fields, and what they say about framing (RFC 9112; strict, see
# http-edge-behaviour.md 1-3 and 18). Nothing is copied: every view borrows from the bytes that were parsed.
#
# Where RFC 9112 leaves a choice, requests are refused: without Host on 1.1; with control characters but HTAB in a value; with
# Transfer-Encoding on 1.0 or beside Content-Length; with a folded Host, Content-Length or Transfer-Encoding. Of responses only a
# length beside chunked is forgiven: it is overruled, and the connection must close.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from edged._fast.base.status cimport BAD, Status
from edged._fast.base.view cimport View

cdef enum:
    FIELDS_MOST = 128            # fields a Head has room for; the limit in force may be lower

cdef enum Verb:                  # methods that a proxy must tell apart
    VERB_OTHER = 0
    VERB_GET
    VERB_HEAD
    VERB_POST
    VERB_PUT
    VERB_DELETE
    VERB_OPTIONS
    VERB_CONNECT
    VERB_TRACE
    VERB_PATCH
    VERB_PRI                     # the first line of an HTTP/2 preface

cdef enum Known:                 # fields that some rule looks for; all others are KNOWN_NONE
    KNOWN_NONE = 0
    KNOWN_HOST
    KNOWN_CONNECTION
    KNOWN_CONTENT_LENGTH
    KNOWN_TRANSFER_ENCODING
    KNOWN_UPGRADE
    KNOWN_EXPECT
    KNOWN_KEEP_ALIVE
    KNOWN_PROXY_CONNECTION
    KNOWN_TE
    KNOWN_TRAILER
    KNOWN_PROXY
    KNOWN_COOKIE
    KNOWN_SET_COOKIE
    KNOWN_CACHE_CONTROL
    KNOWN_FORWARDED
    KNOWN_X_FORWARDED_FOR
    KNOWN_X_FORWARDED_HOST
    KNOWN_X_FORWARDED_PORT
    KNOWN_X_FORWARDED_PROTO
    KNOWN_X_FORWARDED_PROTO_VERSION
    KNOWN_HTTP2_SETTINGS
    KNOWN_ACCEPT
    KNOWN_STRICT_TRANSPORT_SECURITY
    KNOWN_WWW_AUTHENTICATE
    KNOWN_SEC_WEBSOCKET_KEY
    KNOWN_X_SSL                  # any of the X-SSL* fields of openshift-routes.md 7.8, also with underscores for hyphens
    KNOWN_X_FORWARDED_ALIAS      # X-Forwarded-For, -Host, -Port or -Proto with an underscore for some hyphen

cdef enum:                       # Head.flags
    HEAD_LENGTH = 1              # Content-Length is valid and stands in `length`
    HEAD_CHUNKED = 2             # Transfer-Encoding: chunked
    HEAD_CLOSE = 4               # Connection: close
    HEAD_KEEP_ALIVE = 8          # Connection: keep-alive
    HEAD_UPGRADE = 16            # Connection: upgrade together with an Upgrade field other than h2c
    HEAD_EXPECT_CONTINUE = 32    # Expect: 100-continue on HTTP/1.1
    HEAD_ABSOLUTE = 64           # the target has absolute-form: `path` may be empty
    HEAD_TRAILERS_OK = 128       # TE: trailers
    HEAD_CONNECTION_NAMES = 256  # Connection names further fields, marked FIELD_HOP
    HEAD_PRIVATE_AUTH = 512      # WWW-Authenticate: NTLM or Negotiate: the connection belongs to this client
    HEAD_WEBSOCKET = 1024        # Upgrade: websocket
    HEAD_FOLDED = 2048           # some value was folded: send it on with the line ends as blanks
    HEAD_ASTERISK = 4096         # the target is *

cdef enum:                       # Field.flags
    FIELD_HOP = 1                # must not travel on: named by Connection and neither Host nor framing; an equal repeat of
                                 # Content-Length; a response's Content-Length that Transfer-Encoding overrules
    FIELD_FOLDED = 2             # line ends stand in the value, each before a blank; never in Host or framing

cdef struct Field:
    View name
    View value                   # without the blanks around it; of Content-Length: one number without leading zeros
    uint8_t known                # a Known
    uint8_t flags

cdef struct HeadLimits:
    uint32_t head_bytes          # the whole head with its blank line; 400 was HAProxy's answer, ours is 431 (502 for responses)
    uint32_t target_bytes        # 414
    uint16_t fields              # 431; at most FIELDS_MOST

cdef struct Head:
    View method
    View target                  # as received
    View path                    # from the first "/" up to, not including, "?"; empty for * and for absolute-form without path
    View authority               # the host that is asked for: the Host field's value (absolute-form: must be equal to it); n == 0: none
    View reason                  # responses
    uint64_t length              # with HEAD_LENGTH
    uint32_t flags
    uint32_t size                # bytes of the head, leading empty lines and the blank line included; set with DONE
    uint16_t status              # responses
    uint16_t n                   # fields in use
    uint16_t fault               # with BAD: the status to answer (requests: 400 413 414 422 431 501 505; responses: 502)
    uint8_t verb                 # a Verb
    uint8_t minor                # HTTP/1.minor; 2 and more are read as 1
    const char* why              # with BAD: a short text for logs
    Field fields[FIELDS_MOST]

# Both are told how much of `data` an earlier call has already seen without an end (`seen`; 0 at first), so that a head
# that drips in is not scanned from its start at each byte. MORE: call again with more bytes; nothing else of `out` counts then.
# With BAD, what was read before the fault stands in `out`, for logs. They never read behind data.n.
cdef Status head_request(Head* out, View data, size_t seen, const HeadLimits* limits) noexcept nogil
cdef Status head_response(Head* out, View data, size_t seen, const HeadLimits* limits) noexcept nogil

# Writes the fault and answers BAD.
cdef inline Status head_refuse(Head* out, uint16_t fault, const char* why) noexcept nogil:
    out.fault = fault
    out.why = why
    return BAD

# Value of the first field of that kind, or an empty view with at == NULL.
cdef View head_value(const Head* head, uint8_t known) noexcept nogil
