# The TLS ClientHello (RFC 8446 section 4.1.2) before any handshake: which name, which protocols. Split over records and
# segments at will; GREASE, no SNI, an address as SNI and large key shares are all fine.

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from edged._fast.base.status cimport Status
from edged._fast.base.view cimport View

cdef enum:
    HELLO_MOST = 16384           # larger hellos are refused

cdef struct Hello:               # filled in place; the views borrow from the parsed bytes or from `scratch`
    View sni                     # n == 0: no name was offered (an address literal counts as none); in the case it came in
    View alpn                    # the list of protocols, still in wire form: (length byte, name) by turns, checked
    uint16_t version             # legacy_version of the hello
    uint8_t tls13                # supported_versions offers TLS 1.3
    const char* why              # with BAD: not_tls, sslv2, malformed, too_long

# `scratch` (HELLO_MOST bytes, may be NULL) is used only when the hello spans several records: the pieces are joined there.
# Without it such a hello is too_long. What follows the hello is not looked at.
cdef Status hello_parse(Hello* out, View data, char* scratch) noexcept nogil

# Is the protocol in the list of `alpn`?
cdef bint hello_offers(const Hello* hello, View protocol) noexcept nogil
