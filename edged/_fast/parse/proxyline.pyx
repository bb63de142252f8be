"""The PROXY protocol: who the client of the proxy before us is, and telling the endpoint behind us who ours is."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy, memset
from edged._fast.base.status cimport BAD, DONE, MORE, Status
from edged._fast.base.view cimport View, check, view
from edged._fast.parse.scan cimport is_digit

cdef extern from *:
    """
    #include <stdint.h>
    #include <stddef.h>
    static const char edged_proxy_signature[12] = "\\r\\n\\r\\n\\0\\r\\nQUIT\\n";
    /* CRC-32C (Castagnoli), reflected, four bits a step. */
    static uint32_t edged_crc32c(uint32_t crc, const char* p, size_t n) {
        static const uint32_t of[16] = {
            0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
            0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
        };
        while (n--) {
            crc ^= (uint8_t)*p++;
            crc = of[crc & 15] ^ crc >> 4;
            crc = of[crc & 15] ^ crc >> 4;
        }
        return crc;
    }
    """
    const char* SIGNATURE "edged_proxy_signature"
    uint32_t crc32c "edged_crc32c"(uint32_t crc, const char* p, size_t n) noexcept nogil

cdef extern from "arpa/inet.h" nogil:
    int AF_INET, AF_INET6
    int inet_pton(int, const char*, void*) noexcept
    const char* inet_ntop(int, const void*, char*, unsigned int) noexcept

cdef enum:
    V1_MOST = 107                # with CRLF
    V2_FIXED = 16
    AUTHORITY_MOST = 255
    UNIQUE_ID_MOST = 128
    SSL_FIXED = 5
    TEXT_MOST = 46               # of an address, with its NUL

cdef inline Status refuse(ProxyLine* out, uint8_t fault) noexcept nogil:
    out.fault = fault
    return BAD

cdef inline uint32_t big16(const char* p) noexcept nogil:
    return <uint32_t>(<uint8_t>p[0]) << 8 | <uint8_t>p[1]

cdef inline uint32_t big32(const char* p) noexcept nogil:
    return big16(p) << 16 | big16(p + 2)

cdef inline void put16(char* p, uint32_t value) noexcept nogil:
    p[0] = <char>(value >> 8)
    p[1] = <char>value

cdef inline void put32(char* p, uint32_t value) noexcept nogil:
    put16(p, value >> 16)
    put16(p + 2, value)


# ---- version 1

cdef inline Status literal(const char** at, const char* end, const char* word, size_t n) noexcept nogil:
    """DONE behind the word, MORE if the data end inside of it."""
    cdef size_t there = <size_t>(end - at[0])
    if memcmp(at[0], word, n if there >= n else there) != 0:
        return BAD
    if there < n:
        return MORE
    at[0] += n
    return DONE

cdef inline bint is_address_char(char c, uint8_t family) noexcept nogil:
    return is_digit(c) or c == c'.' or (family == 6 and (c == c':' or c'a' <= (c | 0x20) <= c'f'))

cdef Status v1_address(const char** at, const char* end, ProxyAddress* out, uint8_t family) noexcept nogil:
    """An address and the space behind it."""
    cdef char text[TEXT_MOST]
    cdef size_t n = 0
    cdef const char* p = at[0]
    while p < end and p[0] != c' ':
        if n == TEXT_MOST - 1 or not is_address_char(p[0], family):
            return BAD
        text[n] = p[0]
        n += 1
        p += 1
    if p == end:
        return MORE
    text[n] = 0
    if inet_pton(AF_INET if family == 4 else AF_INET6, text, out.at) != 1:
        return BAD
    out.family = family
    at[0] = p + 1
    return DONE

cdef Status v1_port(const char** at, const char* end, ProxyAddress* out) noexcept nogil:
    """A port; what stands behind it is for the caller to check."""
    cdef const char* p = at[0]
    cdef uint32_t port = 0
    while p < end and is_digit(p[0]):
        port = port * 10 + <uint32_t>(p[0] - c'0')
        if port > 65535 or (p > at[0] and at[0][0] == c'0'):
            return BAD
        p += 1
    if p == end:
        return MORE
    if p == at[0]:
        return BAD
    out.port = <uint16_t>port
    at[0] = p
    return DONE

cdef Status v1_unknown(const char** at, const char* end) noexcept nogil:
    """Whatever UNKNOWN is followed by, up to the line end."""
    cdef const char* p = at[0]
    if p < end and p[0] != c' ' and p[0] != c'\r':
        return BAD
    while p < end and p[0] != c'\r':
        if p[0] == c'\n':
            return BAD
        p += 1
    at[0] = p
    return literal(at, end, "\r\n", 2)

cdef Status v1_addresses(ProxyLine* out, const char** at, const char* end, uint8_t family) noexcept nogil:
    cdef Status status = v1_address(at, end, &out.source, family)
    if status == DONE: status = v1_address(at, end, &out.target, family)
    if status == DONE: status = v1_port(at, end, &out.source)
    if status == DONE: status = literal(at, end, " ", 1)
    if status == DONE: status = v1_port(at, end, &out.target)
    return literal(at, end, "\r\n", 2) if status == DONE else status

cdef Status v1_line(ProxyLine* out, const char** at, const char* end) noexcept nogil:
    cdef Status status = literal(at, end, "PROXY ", 6)
    cdef uint8_t family
    if status != DONE:
        return status
    if at[0] < end and at[0][0] == c'U':
        status = literal(at, end, "UNKNOWN", 7)
        return v1_unknown(at, end) if status == DONE else status
    status = literal(at, end, "TCP", 3)
    if status != DONE or at[0] == end:
        return status if status == BAD else MORE
    family = <uint8_t>(at[0][0] - c'0')
    if family != 4 and family != 6:
        return BAD
    at[0] += 1
    status = literal(at, end, " ", 1)
    return v1_addresses(out, at, end, family) if status == DONE else status

cdef Status parse_v1(ProxyLine* out, View data) noexcept nogil:
    cdef const char* p = data.at
    cdef size_t n = data.n if data.n < V1_MOST else V1_MOST
    cdef Status status = v1_line(out, &p, data.at + n)
    out.version = 1
    if status == DONE:
        out.size = <uint32_t>(p - data.at)
        return DONE
    out.source.family = out.target.family = 0
    if status == MORE:
        return refuse(out, PROXY_TOO_LONG) if data.n >= V1_MOST else MORE
    return refuse(out, PROXY_BAD_HEADER if n >= 6 and memcmp(data.at, "PROXY", 5) == 0 else PROXY_NOT_PROXY)


# ---- version 2

cdef inline Status next_tlv(View* rest, uint8_t* type, View* value) noexcept nogil:
    """DONE: a TLV was taken; MORE: there is none left; BAD: the rest does not hold together."""
    cdef size_t n
    if rest.n == 0:
        return MORE
    if rest.n < 3:
        return BAD
    n = big16(rest.at + 1)
    if n > rest.n - 3:
        return BAD
    type[0] = <uint8_t>rest.at[0]
    value[0] = view(rest.at + 3, n)
    rest[0] = view(rest.at + 3 + n, rest.n - 3 - n)
    return DONE

cdef bint ssl_holds_together(View value) noexcept nogil:
    cdef View rest, part
    cdef uint8_t type
    cdef Status status = DONE
    if value.n < SSL_FIXED:
        return False
    rest = view(value.at + SSL_FIXED, value.n - SSL_FIXED)
    while status == DONE:
        status = next_tlv(&rest, &type, &part)
    return status == MORE

cdef inline void keep_first(View* kept, View value) noexcept nogil:
    if kept.at == NULL:
        kept[0] = value

cdef bint crc_matches(View header, const char* sum_at) noexcept nogil:
    """Over the whole header, with the four bytes of the sum as zeros."""
    cdef uint32_t crc = crc32c(~<uint32_t>0, header.at, sum_at - header.at)
    crc = crc32c(crc, "\0\0\0\0", 4)
    crc = crc32c(crc, sum_at + 4, header.at + header.n - sum_at - 4)
    return ~crc == big32(sum_at)

cdef Status read_tlvs(ProxyLine* out, View header, View rest) noexcept nogil:
    cdef const char* crc_at = NULL
    cdef View value
    cdef uint8_t type
    cdef Status status = next_tlv(&rest, &type, &value)
    while status == DONE:
        if type == TLV_CRC32C:
            if value.n != 4 or crc_at != NULL: return refuse(out, PROXY_BAD_TLV)
            crc_at = value.at
        elif type == TLV_AUTHORITY:
            if value.n > AUTHORITY_MOST: return refuse(out, PROXY_BAD_TLV)
            keep_first(&out.authority, value)
        elif type == TLV_UNIQUE_ID:
            if value.n > UNIQUE_ID_MOST: return refuse(out, PROXY_BAD_TLV)
            keep_first(&out.unique_id, value)
        elif type == TLV_SSL:
            if not ssl_holds_together(value): return refuse(out, PROXY_BAD_TLV)
            keep_first(&out.ssl, value)
        elif type == TLV_ALPN:
            keep_first(&out.alpn, value)
        status = next_tlv(&rest, &type, &value)
    if status == BAD:
        return refuse(out, PROXY_BAD_TLV)
    if crc_at != NULL and not crc_matches(header, crc_at):
        return refuse(out, PROXY_BAD_CRC)
    return DONE

cdef inline uint32_t block_bytes(uint8_t family) noexcept nogil:
    """Of the addresses. 0: unspecified, with a family but no transport or the other way round too."""
    if family & 15 == 0 or family >> 4 == 0:
        return 0
    return 12 if family >> 4 == 1 else 36 if family >> 4 == 2 else 216

cdef inline void read_addresses(ProxyLine* out, const char* p, uint8_t family) noexcept nogil:
    """Only of TCP: datagrams and paths leave the real addresses in force."""
    cdef uint32_t n = 4 if family == 0x11 else 16
    if family != 0x11 and family != 0x21:
        return
    out.source.family = out.target.family = 4 if family == 0x11 else 6
    memcpy(out.source.at, p, n)
    memcpy(out.target.at, p + n, n)
    out.source.port = <uint16_t>big16(p + 2 * n)
    out.target.port = <uint16_t>big16(p + 2 * n + 2)

cdef Status v2_fixed(ProxyLine* out, View data, uint32_t most) noexcept nogil:
    """The first sixteen bytes, each judged as soon as it is there. With DONE, `size` is set."""
    cdef uint8_t family
    cdef uint32_t length
    if data.n > 12:
        if <uint8_t>data.at[12] >> 4 != 2: return refuse(out, PROXY_BAD_VERSION)
        if data.at[12] & 15 > 1: return refuse(out, PROXY_BAD_COMMAND)
        out.local = data.at[12] & 15 == 0
    family = <uint8_t>data.at[13] if data.n > 13 else 0
    if not out.local and (family >> 4 > 3 or family & 15 > 2):
        return refuse(out, PROXY_BAD_FAMILY)
    if data.n < V2_FIXED:
        return MORE
    length = big16(data.at + 14)
    if length > most:
        return refuse(out, PROXY_TOO_LONG)
    if not out.local and length < block_bytes(family):
        return refuse(out, PROXY_BAD_HEADER)
    out.size = V2_FIXED + length
    return DONE

cdef Status parse_v2(ProxyLine* out, View data, uint32_t most) noexcept nogil:
    cdef Status status
    cdef uint8_t family
    cdef uint32_t block
    out.version = 2
    status = v2_fixed(out, data, most)
    if status != DONE:
        return status
    if data.n < out.size:
        return MORE
    family = <uint8_t>data.at[13]
    block = block_bytes(family)
    if out.local or block == 0:
        return DONE
    status = read_tlvs(out, view(data.at, out.size), view(data.at + V2_FIXED + block, out.size - V2_FIXED - block))
    if status == DONE:
        read_addresses(out, data.at + V2_FIXED, family)
    return status

cdef Status proxyline_parse(ProxyLine* out, View data, uint32_t v2_most) noexcept nogil:
    memset(out, 0, sizeof(ProxyLine))
    if data.n == 0:
        return MORE
    if data.at[0] == c'P':
        return parse_v1(out, data)
    if memcmp(data.at, SIGNATURE, data.n if data.n < 12 else 12) != 0:
        return refuse(out, PROXY_NOT_PROXY)
    return parse_v2(out, data, v2_most)


# ---- sending

cdef inline ProxyAddress as_v6(const ProxyAddress* address) noexcept nogil:
    """::ffff:a.b.c.d for an IPv4 address."""
    cdef ProxyAddress out = address[0]
    if address.family == 4:
        memset(out.at, 0, 10)
        memset(out.at + 10, 0xff, 2)
        memcpy(out.at + 12, address.at, 4)
        out.family = 6
    return out

cdef inline char* put_text(char* p, const char* text) noexcept nogil:
    while text[0]:
        p[0] = text[0]
        p += 1
        text += 1
    return p

cdef inline char* put_address(char* p, const ProxyAddress* address) noexcept nogil:
    cdef char text[TEXT_MOST]
    inet_ntop(AF_INET if address.family == 4 else AF_INET6, address.at, text, TEXT_MOST)
    return put_text(put_text(p, text), " ")

cdef inline char* put_port(char* p, uint16_t port) noexcept nogil:
    cdef uint32_t unit = 10000
    while unit > 1 and port < unit:
        unit //= 10
    while unit:
        p[0] = <char>(c'0' + port // unit % 10)
        p += 1
        unit //= 10
    return p

cdef size_t write_v1(char* out, const ProxyAddress* source, const ProxyAddress* target) noexcept nogil:
    cdef char* p = put_text(out, "PROXY TCP4 " if source.family == 4 else "PROXY TCP6 ")
    p = put_address(p, source)
    p = put_address(p, target)
    p = put_text(put_port(p, source.port), " ")
    return <size_t>(put_text(put_port(p, target.port), "\r\n") - out)

cdef size_t write_v2(char* out, const ProxyAddress* source, const ProxyAddress* target) noexcept nogil:
    cdef uint32_t n = 4 if source.family == 4 else 16
    memcpy(out, SIGNATURE, 12)
    out[12] = 0x21
    out[13] = 0x11 if source.family == 4 else 0x21
    put16(out + 14, 2 * n + 4)
    memcpy(out + 16, source.at, n)
    memcpy(out + 16 + n, target.at, n)
    put16(out + 16 + 2 * n, source.port)
    put16(out + 18 + 2 * n, target.port)
    return 20 + 2 * n

cdef size_t write_unknown(char* out, uint8_t version) noexcept nogil:
    if version == 1:
        return <size_t>(put_text(out, "PROXY UNKNOWN\r\n") - out)
    memcpy(out, SIGNATURE, 12)
    memcpy(out + 12, "\x20\x00\x00\x00", 4)
    return V2_FIXED

cdef size_t proxyline_write(char* out, uint8_t version, const ProxyAddress* source, const ProxyAddress* target) noexcept nogil:
    cdef ProxyAddress a, b
    check(version == 1 or version == 2)
    if source.family == 0 or target.family == 0:
        return write_unknown(out, version)
    a, b = source[0], target[0]
    if a.family != b.family:
        a, b = as_v6(source), as_v6(target)
    return write_v1(out, &a, &b) if version == 1 else write_v2(out, &a, &b)

cdef size_t proxyline_add(char* header, size_t n, uint8_t type, View value) noexcept nogil:
    check(n >= V2_FIXED and n + 3 + value.n <= V2_FIXED + 65535)
    header[n] = <char>type
    put16(header + n + 1, <uint32_t>value.n)
    if value.n:
        memcpy(header + n + 3, value.at, value.n)
    n += 3 + value.n
    put16(header + 14, <uint32_t>(n - V2_FIXED))
    return n

cdef size_t proxyline_seal(char* header, size_t n) noexcept nogil:
    n = proxyline_add(header, n, TLV_CRC32C, view("\0\0\0\0", 4))
    put32(header + n - 4, ~crc32c(~<uint32_t>0, header, n))
    return n

cdef const char* proxyline_reason(uint8_t fault) noexcept nogil:
    if fault == PROXY_NOT_PROXY: return "not_proxy"
    elif fault == PROXY_BAD_VERSION: return "bad_version"
    elif fault == PROXY_BAD_COMMAND: return "bad_command"
    elif fault == PROXY_BAD_FAMILY: return "bad_family"
    elif fault == PROXY_BAD_HEADER: return "bad_header"
    elif fault == PROXY_BAD_TLV: return "bad_tlv"
    elif fault == PROXY_BAD_CRC: return "bad_crc"
    elif fault == PROXY_TOO_LONG: return "too_long"
    return "ok"


# ---- for Python

class ProxyError(ValueError):
    """The bytes are no PROXY header; the text is the reason label of high-availability.md D.5."""

cdef object address_of(const ProxyAddress* address):
    cdef char text[TEXT_MOST]
    if address.family == 0:
        return None
    inet_ntop(AF_INET if address.family == 4 else AF_INET6, address.at, text, TEXT_MOST)
    return (<bytes>text).decode(), address.port

cdef object seen_bytes(View v):
    return v.at[:v.n] if v.n else b""

def read_proxyline(bytes data not None, *, uint32_t v2_most=PROXY_V2_MOST):
    """What a PROXY header says, or None while it is incomplete. Raises ProxyError."""
    cdef ProxyLine line
    cdef Status status = proxyline_parse(&line, view(data, len(data)), v2_most)
    if status == BAD:
        raise ProxyError(proxyline_reason(line.fault).decode())
    if status == MORE:
        return None
    return {
        "version": line.version, "local": bool(line.local), "size": line.size,
        "source": address_of(&line.source), "target": address_of(&line.target),
        "authority": seen_bytes(line.authority), "alpn": seen_bytes(line.alpn),
        "unique_id": seen_bytes(line.unique_id), "ssl": seen_bytes(line.ssl),
    }
