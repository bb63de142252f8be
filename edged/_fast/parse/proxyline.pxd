# The PROXY protocol, versions 1 and 2, both ways (high-availability.md part D).

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from edged._fast.base.status cimport Status
from edged._fast.base.view cimport View

cdef enum:
    PROXY_LINE_MOST = 536        # what proxyline_write may need: a v2 header with addresses, AUTHORITY and CRC32C
    PROXY_V2_MOST = 4096         # the default for `v2_most`

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

cdef enum ProxyTlv:              # types of D.3.1 that we read or write
    TLV_ALPN = 0x01
    TLV_AUTHORITY = 0x02
    TLV_CRC32C = 0x03
    TLV_NOOP = 0x04
    TLV_UNIQUE_ID = 0x05
    TLV_SSL = 0x20

cdef struct ProxyAddress:
    uint8_t family               # 0: none known, 4 or 6
    uint8_t at[16]               # network order; IPv4 in the first four
    uint16_t port                # host order

cdef struct ProxyLine:
    ProxyAddress source          # family 0: LOCAL, UNKNOWN or unspecified: use the real addresses
    ProxyAddress target
    View authority               # TLVs; n == 0: absent; their bytes are the sender's and unchecked
    View alpn
    View unique_id
    View ssl                     # client, verify and sub-TLVs as D.3.1 says, checked for their form
    uint32_t size                # bytes of the header; what follows belongs to the next layer
    uint8_t version              # 1 or 2
    uint8_t local                # v2 LOCAL
    uint8_t fault                # with BAD: a ProxyFault

# `v2_most`: the largest `length` of a v2 header that is accepted. BAD comes with the first byte that cannot be right.
cdef Status proxyline_parse(ProxyLine* out, View data, uint32_t v2_most) noexcept nogil

# Writes the header of `version` (1 or 2) for a connection; families are mixed as D.4 says; answers its length. With a family 0
# it is UNKNOWN (v1) or LOCAL (v2): that is also what health checks send.
cdef size_t proxyline_write(char* out, uint8_t version, const ProxyAddress* source, const ProxyAddress* target) noexcept nogil

# Append to a v2 header of n bytes and answer the new length: one TLV (value.n + 3 bytes more); the CRC32C over all (7 more), last.
cdef size_t proxyline_add(char* header, size_t n, uint8_t type, View value) noexcept nogil
cdef size_t proxyline_seal(char* header, size_t n) noexcept nogil

cdef const char* proxyline_reason(uint8_t fault) noexcept nogil      # the reason label of D.5
