# The PROXY protocol, versions 1 and 2, both ways (high-availability.md part D).

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from edged._fast.base.status cimport Status
from edged._fast.base.view cimport View

cdef enum:
    PROXY_LINE_MOST = 536        # what proxyline_write may need: a v2 header with addresses, AUTHORITY and CRC32C

cdef enum ProxyFault:            # high-availability.md D.5
    PROXY_OK = 0
    PROXY_NOT_PROXY
    PROXY_BAD_VERSION
    PROXY_BAD_COMMAND
    PROXY_BAD_FAMILY
    PROXY_BAD_HEADER
    PROXY_BAD_TLV
    PROXY_BAD_CRC
    PROXY_TOO_LONG

cdef struct ProxyAddress:
    uint8_t family               # 0: none known, 4 or 6
    uint8_t at[16]               # network order; IPv4 in the first four
    uint16_t port                # host order

cdef struct ProxyLine:
    ProxyAddress source          # family 0: LOCAL, UNKNOWN or unspecified: use the real addresses
    ProxyAddress target
    View authority               # TLVs; n == 0: absent
    View alpn
    View unique_id
    View ssl
    uint32_t size                # bytes of the header; what follows belongs to the next layer
    uint8_t version              # 1 or 2
    uint8_t local                # v2 LOCAL
    uint8_t fault                # with BAD: a ProxyFault

cdef Status proxyline_parse(ProxyLine* out, View data, uint32_t v2_most) noexcept nogil

# Writes the header of `version` (1 or 2) for a connection; families are mixed as D.4 says; answers its length.
cdef size_t proxyline_write(char* out, uint8_t version, const ProxyAddress* source, const ProxyAddress* target) noexcept nogil

cdef const char* proxyline_reason(uint8_t fault) noexcept nogil      # the reason label of D.5
