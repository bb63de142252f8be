"""Records of TLS 1.3 by our own hand. See records.pxd."""

from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, strlen

from edged._fast.base.linux cimport EAGAIN, EINTR, edged_errno, edged_recv
from edged._fast.base.openssl cimport openssl
from edged._fast.base.view cimport likely, unlikely
from edged._fast.memory.buffer cimport buffer_drop, buffer_n, stock_close, stock_give, stock_open, stock_take
from edged._fast.run.core cimport Direction, TlsLink
from edged._fast.run.flags cimport flag_end
from edged._fast.run.keys cimport SUITES, keys_cipher, keys_nonce, keys_read, keys_set, keys_suite, keys_turn
from edged._fast.talk.wants cimport PORT_BROKEN, PORT_HUNG_UP, PORT_READABLE

cdef extern from "<string.h>" nogil:
    void explicit_bzero(void* at, size_t n)

cdef enum:
    HEAD = 5                     # of a record
    TAG = 16
    CONTENT_MOST = 16384
    LENGTH_MOST = 16640          # RFC 8446 section 5.2
    READ_OVER = 1024             # beyond the room for plain bytes: what records add to them
    OPENING_BYTES = 98304        # Core.opening: a record that is not complete yet, and one read
    SEALED_BYTES = 98304         # Core.sealed
    UPDATES_MOST = 32
    KEY_RECORDS_MOST = 16777216  # RFC 8446 section 5.5
    CTRL_GET_TAG = 16
    CTRL_SET_TAG = 17
    SECRET_CLIENT = 1
    SECRET_OURS = 2

cdef enum ContentType:
    CONTENT_ALERT = 21
    CONTENT_HANDSHAKE = 22
    CONTENT_DATA = 23

cdef enum Alert:
    ALERT_CLOSE_NOTIFY = 0
    ALERT_UNEXPECTED_MESSAGE = 10
    ALERT_BAD_RECORD_MAC = 20
    ALERT_RECORD_OVERFLOW = 22
    ALERT_DECODE_ERROR = 50
    ALERT_USER_CANCELED = 90
    LEVEL_WARNING = 1
    LEVEL_FATAL = 2

# --- secrets ---------------------------------------------------------------------------------------------------------

cdef void hear_secret(const void* ssl, const char* line) noexcept nogil:
    """What OpenSSL would write into a key log: it stays here."""
    cdef Core* core = <Core*>openssl.BIO_get_data(openssl.SSL_get_rbio(ssl))
    cdef TlsLink* link = core.speaking.tls
    cdef bint ours = memcmp(line, b"SERVER_TRAFFIC_SECRET_0 ", min(strlen(line), <size_t>24)) == 0
    if not ours and memcmp(line, b"CLIENT_TRAFFIC_SECRET_0 ", min(strlen(line), <size_t>24)) != 0:
        return
    if link.records == NULL:
        link.records = <Records*>stock_take(&core.records)
        if link.records == NULL:
            return
    if ours and keys_read(line + 24, link.records.sealing.secret):
        link.records.known |= SECRET_OURS
    elif not ours and keys_read(line + 24, link.records.opening.secret):
        link.records.known |= SECRET_CLIENT


cdef void records_listen(void* context) noexcept nogil:
    openssl.SSL_CTX_set_keylog_callback(context, hear_secret)


# --- taking over -----------------------------------------------------------------------------------------------------

cdef bint records_prepare(Core* core) noexcept nogil:
    cdef int i
    stock_open(&core.records, sizeof(Records))
    core.opening = <char*>malloc(OPENING_BYTES)
    for i in range(SUITES):
        core.aeads[i] = openssl.EVP_CIPHER_fetch(NULL, keys_cipher(i), NULL)
    openssl.ERR_clear_error()                    # a cipher may be missing, as in FIPS mode: then OpenSSL goes on
    return core.opening != NULL


cdef void records_close(Core* core) noexcept nogil:
    cdef int i
    for i in range(SUITES):
        if core.aeads[i] != NULL:
            openssl.EVP_CIPHER_free(core.aeads[i])
    free(core.opening)
    stock_close(&core.records)


cdef void records_free(Core* core, Records* r) noexcept nogil:
    if r.opening.cipher != NULL:
        openssl.EVP_CIPHER_CTX_free(r.opening.cipher)
    if r.sealing.cipher != NULL:
        openssl.EVP_CIPHER_CTX_free(r.sealing.cipher)
    if r.rest != NULL:
        explicit_bzero(r.rest, r.rest_at + r.rest_n)
    free(r.part)
    free(r.rest)
    explicit_bzero(r, sizeof(Records))
    stock_give(&core.records, r)


cdef uint32_t records_counted(const char* at, uint32_t n) noexcept nogil:
    cdef uint32_t found = 0, i = 0
    while i + HEAD <= n:
        found += <uint8_t>at[i] == CONTENT_DATA
        i += HEAD + (<uint32_t><uint8_t>at[i + 3] << 8 | <uint8_t>at[i + 4])
    return found


cdef bint choose_suite(Core* core, Records* r, const char* name) noexcept nogil:
    cdef int suite = keys_suite(name)
    if suite >= 0:
        r.suite = <uint8_t>suite
    return suite >= 0 and core.aeads[suite] != NULL


cdef bint records_take_over(Core* core, Channel* c) noexcept nogil:
    cdef TlsLink* link = c.tls
    cdef Records* r = link.records
    cdef uint32_t n = buffer_n(&link.sealed_in)
    if r == NULL:
        return False
    # Where buffers are large, more may have come than fits into Core.opening.
    if r.known == (SECRET_CLIENT | SECRET_OURS) and n <= OPENING_BYTES and choose_suite(
            core, r, openssl.SSL_CIPHER_get_name(openssl.SSL_get_current_cipher(link.ssl))):
        if n:
            r.part = <char*>malloc(n)
        if (n == 0 or r.part != NULL) and keys_set(core, r, &r.opening, False) and keys_set(core, r, &r.sealing, True):
            r.sealing.records = link.sealed_before
            if n:
                memcpy(r.part, link.sealed_in.at + link.sealed_in.head, n)
                r.part_n = n
            buffer_drop(&link.sealed_in, &core.s.blocks)
            return True
    records_free(core, r)
    link.records = NULL
    return False


# --- sealing ---------------------------------------------------------------------------------------------------------

cdef bint seal_one(Core* core, Records* r, uint8_t kind, const char* at, uint32_t n) noexcept nogil:
    """One record of at most CONTENT_MOST bytes, behind those in Core.sealed, where there is room for it."""
    cdef Direction* d = &r.sealing
    cdef unsigned char* out = <unsigned char*>core.sealed + core.sealed_n
    cdef uint32_t length = n + 1 + TAG
    cdef uint8_t nonce[12]
    cdef int got, last, end
    out[0] = CONTENT_DATA
    out[1] = 3
    out[2] = 3
    out[3] = <unsigned char>(length >> 8)
    out[4] = <unsigned char>(length & 0xff)
    keys_nonce(d, nonce)
    if openssl.EVP_EncryptInit_ex(d.cipher, NULL, NULL, NULL, nonce) != 1 or openssl.EVP_EncryptUpdate(d.cipher, NULL, &got, out, HEAD) != 1:
        return False
    if openssl.EVP_EncryptUpdate(d.cipher, out + HEAD, &got, <const unsigned char*>at, <int>n) != 1:
        return False
    if openssl.EVP_EncryptUpdate(d.cipher, out + HEAD + got, &last, &kind, 1) != 1:
        return False
    if openssl.EVP_EncryptFinal_ex(d.cipher, out + HEAD + got + last, &end) != 1 or <uint32_t>(got + last + end) != n + 1:
        return False
    if openssl.EVP_CIPHER_CTX_ctrl(d.cipher, CTRL_GET_TAG, TAG, out + HEAD + n + 1) != 1:
        return False
    d.records += 1
    core.sealed_n += HEAD + length
    return True


cdef bint renew_ours(Core* core, Records* r) noexcept nogil:
    """KeyUpdate: what follows is sealed with the next key."""
    return seal_one(core, r, CONTENT_HANDSHAKE, b"\x18\x00\x00\x01\x00", 5) and keys_turn(core, r, &r.sealing, True)


cdef ssize_t records_seal(Core* core, Channel* c, const char* at, uint32_t n) noexcept nogil:
    cdef Records* r = c.tls.records
    cdef uint32_t done = 0, piece
    while done < n:
        if SEALED_BYTES - core.sealed_n < CONTENT_MOST + 256:
            break
        piece = min(n - done, <uint32_t>CONTENT_MOST)
        if unlikely(r.sealing.records >= KEY_RECORDS_MOST and not renew_ours(core, r)) or unlikely(
                not seal_one(core, r, CONTENT_DATA, at + done, piece)):
            openssl.ERR_clear_error()
            c.port.flags |= PORT_BROKEN
            return -1
        done += piece
    return done


cdef void alert(Core* core, Channel* c, uint8_t level, uint8_t description) noexcept nogil:
    cdef char text[2]
    text[0] = <char>level
    text[1] = <char>description
    if SEALED_BYTES - core.sealed_n >= 64:
        seal_one(core, c.tls.records, CONTENT_ALERT, text, 2)


cdef void records_bye(Core* core, Channel* c) noexcept nogil:
    alert(core, c, LEVEL_WARNING, ALERT_CLOSE_NOTIFY)


# --- opening ---------------------------------------------------------------------------------------------------------

cdef inline uint32_t length_of(const char* record) noexcept nogil:
    return <uint32_t><uint8_t>record[3] << 8 | <uint8_t>record[4]


cdef inline bint is_complete(const char* at, uint32_t n) noexcept nogil:
    return n >= HEAD and n - HEAD >= length_of(at)


cdef ssize_t load(Core* core, Channel* c, uint32_t room) noexcept nogil:
    """What is known of the next records, in Core.opening: a whole one, unless the kernel has no more; -1: the connection is broken."""
    cdef Records* r = c.tls.records
    cdef TlsLink* link = c.tls
    cdef uint32_t n = r.part_n, most
    cdef ssize_t got
    if n:
        memcpy(core.opening, r.part, n)
        free(r.part)
        r.part = NULL
        r.part_n = 0
    while link.readable and not link.ended and not is_complete(core.opening, n) and not fault_of(core.opening, n):
        most = min(<uint32_t>OPENING_BYTES - n, room + READ_OVER)
        got = edged_recv(c.fd, core.opening + n, most, 0)
        if likely(got > 0):
            n += <uint32_t>got
            if <uint32_t>got < most and not c.port.flags & PORT_HUNG_UP:
                link.readable = False            # edge-triggered: the next bytes bring an event of their own
        elif got == 0:
            link.ended = True
        elif edged_errno() == EAGAIN:
            link.readable = False
        elif edged_errno() != EINTR:
            c.port.flags |= PORT_BROKEN
            return -1
    return n


cdef bint keep_part(Channel* c, const char* at, uint32_t n) noexcept nogil:
    cdef Records* r = c.tls.records
    if n == 0:
        return True
    r.part = <char*>malloc(n)
    if r.part == NULL:
        return False
    memcpy(r.part, at, n)
    r.part_n = n
    return True


cdef bint keep_rest(Records* r, const char* at, uint32_t n) noexcept nogil:
    r.rest = <char*>malloc(n)
    if r.rest == NULL:
        return False
    memcpy(r.rest, at, n)
    r.rest_at = 0
    r.rest_n = n
    return True


cdef ssize_t take_rest(Records* r, char* to, uint32_t room) noexcept nogil:
    cdef uint32_t n = min(r.rest_n, room)
    memcpy(to, r.rest + r.rest_at, n)
    r.rest_at += n
    r.rest_n -= n
    if r.rest_n == 0:
        explicit_bzero(r.rest, r.rest_at)
        free(r.rest)
        r.rest = NULL
    return n


cdef int open_one(Direction* d, char* record, uint32_t length, char* out) noexcept nogil:
    """Bytes of content with its type behind them; -1: it is not what was sealed. `out` may be the record's own payload."""
    cdef uint8_t nonce[12]
    cdef int got, end
    keys_nonce(d, nonce)
    if openssl.EVP_DecryptInit_ex(d.cipher, NULL, NULL, NULL, nonce) != 1:
        return -1
    if openssl.EVP_DecryptUpdate(d.cipher, NULL, &got, <unsigned char*>record, HEAD) != 1:
        return -1
    if openssl.EVP_CIPHER_CTX_ctrl(d.cipher, CTRL_SET_TAG, TAG, record + HEAD + length - TAG) != 1:
        return -1
    if openssl.EVP_DecryptUpdate(d.cipher, <unsigned char*>out, &got, <unsigned char*>record + HEAD, <int>(length - TAG)) != 1:
        return -1
    if openssl.EVP_DecryptFinal_ex(d.cipher, <unsigned char*>out + got, &end) != 1:
        return -1
    d.records += 1
    while got and out[got - 1] == 0:             # padding
        got -= 1
    return got


cdef bint fail(Core* core, Channel* c, uint8_t why) noexcept nogil:
    """False, after the client was told; `why` 0: it is not."""
    openssl.ERR_clear_error()
    if why:
        alert(core, c, LEVEL_FATAL, why)
    c.port.flags = (c.port.flags | PORT_BROKEN) & ~<uint32_t>PORT_READABLE
    return False


cdef bint obey_alert(Core* core, Channel* c, const char* text, uint32_t n) noexcept nogil:
    """False: nothing more will come."""
    if n != 2:
        return fail(core, c, ALERT_DECODE_ERROR)
    if text[1] == ALERT_USER_CANCELED:
        return True
    if text[1] != ALERT_CLOSE_NOTIFY:
        return fail(core, c, 0)
    flag_end(c)
    return False


cdef bint obey_update(Core* core, Channel* c, const char* text, uint32_t n) noexcept nogil:
    """KeyUpdate is all that clients may say of keys now (RFC 8446 section 4.6.3); it fills its record, as the key changes behind it."""
    cdef Records* r = c.tls.records
    if n != 5 or memcmp(text, b"\x18\x00\x00\x01", 4) != 0:
        return fail(core, c, ALERT_UNEXPECTED_MESSAGE)
    r.updates += 1
    if <uint8_t>text[4] > 1 or r.updates > UPDATES_MOST or not keys_turn(core, r, &r.opening, False):
        return fail(core, c, ALERT_UNEXPECTED_MESSAGE)
    if text[4] == 1 and not (SEALED_BYTES - core.sealed_n >= 64 and renew_ours(core, r)):
        return fail(core, c, 0)
    return True


cdef bint obey(Core* core, Channel* c, const char* text, uint32_t n, uint8_t kind) noexcept nogil:
    if kind == CONTENT_ALERT:
        return obey_alert(core, c, text, n)
    if kind == CONTENT_HANDSHAKE:
        return obey_update(core, c, text, n)
    return fail(core, c, ALERT_UNEXPECTED_MESSAGE)


cdef uint8_t fault_of(const char* record, uint32_t n) noexcept nogil:
    """The alert that a record's head deserves; 0: none."""
    if n and record[0] != CONTENT_DATA:
        return ALERT_UNEXPECTED_MESSAGE
    if n < HEAD:
        return 0
    if length_of(record) > LENGTH_MOST:
        return ALERT_RECORD_OVERFLOW
    return ALERT_BAD_RECORD_MAC if length_of(record) < TAG + 1 else 0


cdef ssize_t records_open(Core* core, Channel* c, char* to, uint32_t room) noexcept nogil:
    cdef Records* r = c.tls.records
    cdef char* record
    cdef char* out
    cdef uint32_t n, at = 0, done = 0, length, content
    cdef uint8_t fault
    cdef int got
    cdef ssize_t loaded
    cdef bint going = True
    if r.rest != NULL:
        return take_rest(r, to, room)
    loaded = load(core, c, room)
    if loaded < 0:
        return -1
    n = <uint32_t>loaded
    while going:
        record = core.opening + at
        fault = fault_of(record, n - at)
        if unlikely(fault):
            going = fail(core, c, fault)
            break
        if not is_complete(record, n - at):
            break
        length = length_of(record)
        if done and room - done < length - TAG:
            break                                # its turn comes when there is room
        out = to + done if room - done >= length - TAG else record + HEAD
        got = open_one(&r.opening, record, length, out)
        at += HEAD + length
        if unlikely(got <= 0):
            going = fail(core, c, ALERT_BAD_RECORD_MAC if got < 0 else ALERT_UNEXPECTED_MESSAGE)
            break
        content = <uint32_t>got - 1
        if unlikely(content > CONTENT_MOST):
            going = fail(core, c, ALERT_RECORD_OVERFLOW)
        elif unlikely(<uint8_t>out[content] != CONTENT_DATA):
            going = obey(core, c, out, content, <uint8_t>out[content])
        elif out != to + done:                   # only with nothing before it
            r.updates = 0
            done = min(content, room)
            memcpy(to, out, done)
            if content > done and not keep_rest(r, out + done, content - done):
                going = fail(core, c, 0)
            break
        else:
            r.updates = 0
            done += content
    if going and not keep_part(c, core.opening + at, n - at):
        going = fail(core, c, 0)
    if going and not is_complete(core.opening + at, n - at) and r.rest == NULL:
        if c.tls.ended:
            flag_end(c)
        elif not c.tls.readable:
            c.port.flags &= ~<uint32_t>PORT_READABLE
    return -1 if done == 0 and c.port.flags & PORT_BROKEN else done
