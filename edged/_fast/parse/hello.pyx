"""The ClientHello: records are joined to one message, the message is walked with strict bounds, two extensions are read."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset
from edged._fast.base.status cimport BAD, DONE, MORE, Status
from edged._fast.base.view cimport View, check, view, view_same
from edged._fast.parse.scan cimport is_digit

cdef enum:
    RECORD_FIXED = 5
    RECORD_MOST = 16384          # payload of a record (RFC 8446 5.1)
    MESSAGE_FIXED = 4            # type and length of a handshake message
    CLIENT_HELLO = 1
    HANDSHAKE = 22
    RANDOM_BYTES = 32
    SESSION_ID_MOST = 32
    NAME_MOST = 255

cdef enum:                       # extensions that are read
    EXT_SERVER_NAME = 0
    EXT_ALPN = 16
    EXT_SUPPORTED_VERSIONS = 43

cdef inline Status refuse(Hello* out, const char* why) noexcept nogil:
    out.why = why
    return BAD

cdef inline bint take(View* rest, View* part, size_t n) noexcept nogil:
    if rest.n < n:
        return False
    part[0] = view(rest.at, n)
    rest[0] = view(rest.at + n, rest.n - n)
    return True

cdef inline bint take_number(View* rest, uint32_t* number, uint32_t bytes_n) noexcept nogil:
    cdef View part
    cdef uint32_t i
    number[0] = 0
    if not take(rest, &part, bytes_n):
        return False
    for i in range(bytes_n):
        number[0] = number[0] << 8 | <uint8_t>part.at[i]
    return True

cdef inline bint take_vector(View* rest, View* part, uint32_t length_bytes) noexcept nogil:
    """A length of one or two bytes and what it announces (RFC 8446 3.4)."""
    cdef uint32_t n
    return take_number(rest, &n, length_bytes) and take(rest, part, n)


# ---- records

cdef inline Status judge_start(Hello* out, View data) noexcept nogil:
    """The first bytes of the first record, each as soon as it is there."""
    if <uint8_t>data.at[0] != HANDSHAKE:
        if not data.at[0] & 0x80:
            return refuse(out, "not_tls")
        if data.n < 3:
            return MORE
        if data.at[2] == CLIENT_HELLO:
            return refuse(out, "sslv2")
        return refuse(out, "not_tls")
    if data.n > 1 and data.at[1] != 3:
        return refuse(out, "not_tls")
    if data.n > RECORD_FIXED and data.at[RECORD_FIXED] != CLIENT_HELLO:
        return refuse(out, "malformed")
    return DONE

cdef Status next_record(Hello* out, View* rest, View* payload) noexcept nogil:
    """The payload of the record at `rest`, or as much of it as is there; MORE without even its fixed part."""
    cdef uint32_t n
    if rest.n and <uint8_t>rest.at[0] != HANDSHAKE:
        return refuse(out, "malformed")
    if rest.n > 1 and rest.at[1] != 3:
        return refuse(out, "malformed")
    if rest.n < RECORD_FIXED:
        return MORE
    n = <uint32_t>(<uint8_t>rest.at[3]) << 8 | <uint8_t>rest.at[4]
    if n == 0:
        return refuse(out, "malformed")
    if n > RECORD_MOST:
        return refuse(out, "too_long")
    if n > rest.n - RECORD_FIXED:
        n = <uint32_t>(rest.n - RECORD_FIXED)
    payload[0] = view(rest.at + RECORD_FIXED, n)
    rest[0] = view(payload.at + n, rest.n - RECORD_FIXED - n)
    return DONE

cdef Status measure(Hello* out, View data, uint32_t* length, uint32_t* first) noexcept nogil:
    """DONE once the whole message is there: its length with the four fixed bytes, and how much the first record holds."""
    cdef char fixed[MESSAGE_FIXED]
    cdef View payload
    cdef uint32_t got = 0, n
    cdef Status status
    length[0] = HELLO_MOST                                   # until the fixed bytes are there
    while got < length[0]:
        status = next_record(out, &data, &payload)
        if status != DONE:
            return status
        n = <uint32_t>payload.n
        if got < MESSAGE_FIXED:
            memcpy(fixed + got, payload.at, n if n < MESSAGE_FIXED - got else MESSAGE_FIXED - got)
            if got + n >= MESSAGE_FIXED:
                length[0] = MESSAGE_FIXED + (<uint32_t>(<uint8_t>fixed[1]) << 16 | <uint32_t>(<uint8_t>fixed[2]) << 8 | <uint8_t>fixed[3])
                if length[0] > HELLO_MOST: return refuse(out, "too_long")
        if got == 0:
            first[0] = n
        got += n
    return DONE

cdef void join(Hello* out, View data, char* scratch, uint32_t length) noexcept nogil:
    """Copies the message of a measured hello out of its records."""
    cdef View payload
    cdef uint32_t got = 0, n
    while got < length and next_record(out, &data, &payload) == DONE:
        n = <uint32_t>payload.n if payload.n < length - got else length - got
        memcpy(scratch + got, payload.at, n)
        got += n
    check(got == length)


# ---- extensions

cdef bint is_address_literal(View name) noexcept nogil:
    """IPv6 by its colons; IPv4 by having nothing but digits and dots, which no registered name has."""
    cdef bint numeric = True
    cdef size_t i
    for i in range(name.n):
        if name.at[i] == c':':
            return True
        numeric = numeric and (is_digit(name.at[i]) or name.at[i] == c'.')
    return numeric

cdef inline bint is_name(View name) noexcept nogil:
    """Visible ASCII, of a length that a host name can have."""
    cdef size_t i
    if name.n == 0 or name.n > NAME_MOST:
        return False
    for i in range(name.n):
        if not c'!' <= name.at[i] <= c'~':
            return False
    return True

cdef bint read_server_name(Hello* out, View body) noexcept nogil:
    """RFC 6066 section 3: at most one name of each type; only host names are known."""
    cdef View names, name
    cdef uint32_t type
    cdef bint found = False
    if not take_vector(&body, &names, 2) or body.n or names.n == 0:
        return False
    while names.n:
        if not take_number(&names, &type, 1) or not take_vector(&names, &name, 2):
            return False
        if type != 0:
            continue
        if found or not is_name(name):
            return False
        found = True
        if not is_address_literal(name):
            out.sni = name
    return True

cdef bint read_alpn(Hello* out, View body) noexcept nogil:
    """RFC 7301 section 3.1."""
    cdef View names, name
    if not take_vector(&body, &names, 2) or body.n or names.n == 0:
        return False
    out.alpn = names
    while names.n:
        if not take_vector(&names, &name, 1) or name.n == 0:
            return False
    return True

cdef bint read_versions(Hello* out, View body) noexcept nogil:
    cdef View versions
    cdef uint32_t version
    if not take_vector(&body, &versions, 1) or body.n or versions.n == 0:
        return False
    while versions.n:
        if not take_number(&versions, &version, 2):
            return False
        out.tls13 = out.tls13 or version == 0x0304
    return True

cdef bint read_extensions(Hello* out, View rest) noexcept nogil:
    """Of those that are read, none may come twice (RFC 8446 4.2)."""
    cdef View body = view(NULL, 0)
    cdef uint32_t type
    cdef bint named = False, alpn = False, versions = False, good = True
    while rest.n and good:
        if not take_number(&rest, &type, 2) or not take_vector(&rest, &body, 2):
            return False
        if type == EXT_SERVER_NAME:
            good = not named and read_server_name(out, body)
            named = True
        elif type == EXT_ALPN:
            good = not alpn and read_alpn(out, body)
            alpn = True
        elif type == EXT_SUPPORTED_VERSIONS:
            good = not versions and read_versions(out, body)
            versions = True
    return good

cdef bint read_message(Hello* out, View rest) noexcept nogil:
    """The ClientHello behind its four fixed bytes. Extensions may be missing altogether, nothing may follow them."""
    cdef View part, extensions
    cdef uint32_t version
    if not take_number(&rest, &version, 2) or version >> 8 != 3 or not take(&rest, &part, RANDOM_BYTES):
        return False
    out.version = <uint16_t>version
    if not take_vector(&rest, &part, 1) or part.n > SESSION_ID_MOST:
        return False
    if not take_vector(&rest, &part, 2) or part.n == 0 or part.n & 1:      # cipher suites
        return False
    if not take_vector(&rest, &part, 1) or part.n == 0:                    # compression methods
        return False
    if rest.n == 0:
        return True
    return take_vector(&rest, &extensions, 2) and rest.n == 0 and read_extensions(out, extensions)

cdef Status hello_parse(Hello* out, View data, char* scratch) noexcept nogil:
    cdef const char* message = data.at + RECORD_FIXED
    cdef uint32_t length, first = 0
    cdef Status status
    memset(out, 0, sizeof(Hello))
    if data.n == 0:
        return MORE
    status = judge_start(out, data)
    if status == DONE:
        status = measure(out, data, &length, &first)
    if status != DONE:
        return status
    if first < length:
        if scratch == NULL:
            return refuse(out, "too_long")
        join(out, data, scratch, length)
        message = scratch
    if read_message(out, view(message + MESSAGE_FIXED, length - MESSAGE_FIXED)):
        return DONE
    out.sni = out.alpn = view(NULL, 0)
    return refuse(out, "malformed")

cdef bint hello_offers(const Hello* hello, View protocol) noexcept nogil:
    cdef View rest = hello.alpn, name
    while rest.n and take_vector(&rest, &name, 1):
        if view_same(name, protocol):
            return True
    return False


# ---- for Python

class HelloError(ValueError):
    """The bytes are no ClientHello; the text says which way: not_tls, sslv2, malformed, too_long."""

def read_hello(bytes data not None):
    """(name or b"", list of protocols, TLS 1.3 offered) of a ClientHello, or None while it is incomplete. Raises HelloError."""
    cdef char scratch[HELLO_MOST]
    cdef Hello hello
    cdef View rest, name
    cdef Status status = hello_parse(&hello, view(data, len(data)), scratch)
    if status == BAD:
        raise HelloError(hello.why.decode())
    if status == MORE:
        return None
    protocols = []
    rest = hello.alpn
    while rest.n and take_vector(&rest, &name, 1):
        protocols.append(name.at[:name.n])
    return hello.sni.at[:hello.sni.n] if hello.sni.n else b"", protocols, bool(hello.tls13)
