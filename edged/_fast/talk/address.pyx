"""Addresses as text. See address.pxd."""

from libc.stdint cimport uint16_t, uint32_t

from edged._fast.base.view cimport unlikely, view


cdef inline uint8_t put_decimal(char* out, uint32_t value) noexcept nogil:
    cdef uint8_t n = 0
    if value >= 100:
        out[n] = <char>(48 + value // 100)
        n += 1
    if value >= 10:
        out[n] = <char>(48 + value // 10 % 10)
        n += 1
    out[n] = <char>(48 + value % 10)
    return n + 1


cdef inline uint8_t put_hex(char* out, uint16_t value) noexcept nogil:
    cdef uint8_t n = 0
    cdef int shift = 12, digit
    while shift > 0 and value >> shift == 0:
        shift -= 4
    while shift >= 0:
        digit = value >> shift & 15
        out[n] = <char>(digit + (48 if digit < 10 else 87))
        n += 1
        shift -= 4
    return n


cdef uint8_t v4_text(char* out, const uint8_t* at) noexcept nogil:
    cdef uint8_t n = 0
    cdef int i
    for i in range(4):
        if i:
            out[n] = c"."
            n += 1
        n += put_decimal(out + n, at[i])
    return n


cdef uint8_t v6_text(char* out, const uint8_t* at) noexcept nogil:
    cdef uint16_t word[8]
    cdef int i, run_at = -1, run = 1, k
    cdef uint8_t n = 0
    for i in range(8):
        word[i] = <uint16_t>(at[2 * i] << 8 | at[2 * i + 1])
    for i in range(8):                           # the longest run of two or more zero words
        k = i
        while k < 8 and word[k] == 0:
            k += 1
        if k - i > run:
            run_at = i
            run = k - i
    i = 0
    while i < 8:
        if i == 6 and run_at == 0 and run == 5 and word[5] == 0xffff:
            out[n] = c":"
            return n + 1 + v4_text(out + n + 1, at + 12)         # an IPv4 address in IPv6's form: RFC 5952 section 5
        if i == run_at:
            out[n] = c":"
            out[n + 1] = c":"
            n += 2
            i += run
            continue
        if i > 0 and (run_at < 0 or i != run_at + run):
            out[n] = c":"
            n += 1
        n += put_hex(out + n, word[i])
        i += 1
    return n


cdef uint8_t ip_text(char* out, uint8_t family, const uint8_t* at) noexcept nogil:
    if family == 6:
        return v6_text(out, at)
    return v4_text(out, at) if family == 4 else 0


cdef void address_text(Peer* out, const Client* client) noexcept nogil:
    out.ip_n = ip_text(out.ip, client.peer.family, client.peer.at)
    out.v6 = client.peer.family == 6
    out.port = client.peer.port
    out.local_port = client.local.port if client.local.port else client.listener.port
    out.tls = client.tls
    out.told = out.certificate = view(NULL, 0)
    if unlikely(client.certificate != NULL):
        out.told = client.certificate.lines
        out.certificate = client.certificate.der
