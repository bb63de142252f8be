"""Keys of TLS 1.3 out of its secrets. See keys.pxd."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, strcmp, strlen

from edged._fast.base.openssl cimport openssl
from edged._fast.run.core cimport SECRET_MOST

cdef extern from "<string.h>" nogil:
    void explicit_bzero(void* at, size_t n)

cdef struct Suite:
    const char* name
    const char* cipher
    uint32_t key_bytes
    uint32_t hash_bytes

cdef Suite[SUITES] suites
suites[0].name, suites[0].cipher, suites[0].key_bytes, suites[0].hash_bytes = b"TLS_AES_128_GCM_SHA256", b"AES-128-GCM", 16, 32
suites[1].name, suites[1].cipher, suites[1].key_bytes, suites[1].hash_bytes = b"TLS_AES_256_GCM_SHA384", b"AES-256-GCM", 32, 48
suites[2].name, suites[2].cipher, suites[2].key_bytes, suites[2].hash_bytes = b"TLS_CHACHA20_POLY1305_SHA256", b"ChaCha20-Poly1305", 32, 32


cdef int keys_suite(const char* name) noexcept nogil:
    cdef int i
    for i in range(SUITES):
        if strcmp(name, suites[i].name) == 0:
            return i
    return -1


cdef const char* keys_cipher(int suite) noexcept nogil:
    return suites[suite].cipher


cdef inline int nibble(char c) noexcept nogil:
    if c"0" <= c <= c"9":
        return c - c"0"
    if c"a" <= c <= c"f":
        return c - c"a" + 10
    return c - c"A" + 10 if c"A" <= c <= c"F" else -1


cdef bint keys_read(const char* text, uint8_t* out) noexcept nogil:
    """In hexadecimal, behind the random value of the client."""
    cdef uint32_t n = 0
    cdef int high, low
    while text[0] != c" " and text[0] != 0:
        text += 1
    if text[0] == 0:
        return False
    text += 1
    while text[0] != 0 and text[1] != 0 and n < SECRET_MOST:
        high = nibble(text[0])
        low = nibble(text[1])
        if high < 0 or low < 0:
            return False
        out[n] = <uint8_t>(high << 4 | low)
        n += 1
        text += 2
    return text[0] == 0 and (n == 32 or n == 48)


cdef bint expand(const Suite* suite, const uint8_t* secret, const char* label, uint8_t* out, uint32_t n) noexcept nogil:
    """HKDF-Expand-Label without a context (RFC 8446 section 7.1); n at most the hash's length, so that one block is enough."""
    cdef uint8_t info[32]
    cdef uint8_t block[64]
    cdef unsigned int got = 0
    cdef uint32_t label_n = <uint32_t>strlen(label)
    info[0] = 0
    info[1] = <uint8_t>n
    info[2] = <uint8_t>(6 + label_n)
    memcpy(info + 3, b"tls13 ", 6)
    memcpy(info + 9, label, label_n)
    info[9 + label_n] = 0
    info[10 + label_n] = 1
    if openssl.HMAC(openssl.EVP_sha384() if suite.hash_bytes == 48 else openssl.EVP_sha256(), secret, <int>suite.hash_bytes, info,
                    11 + label_n, block, &got) == NULL or got < n:
        return False
    memcpy(out, block, n)
    explicit_bzero(block, sizeof(block))
    return True


cdef bint keys_set(Core* core, const Records* r, Direction* d, bint seals) noexcept nogil:
    """The cipher of a direction gets the key of its secret."""
    cdef const Suite* suite = &suites[r.suite]
    cdef uint8_t key[32]
    cdef int done
    if d.cipher == NULL:
        d.cipher = openssl.EVP_CIPHER_CTX_new()
    if d.cipher == NULL or not expand(suite, d.secret, b"key", key, suite.key_bytes) or not expand(suite, d.secret, b"iv", d.iv, 12):
        return False
    done = (openssl.EVP_EncryptInit_ex if seals else openssl.EVP_DecryptInit_ex)(d.cipher, core.aeads[r.suite], NULL, key, NULL)
    explicit_bzero(key, sizeof(key))
    d.records = 0
    return done == 1


cdef bint keys_turn(Core* core, const Records* r, Direction* d, bint seals) noexcept nogil:
    """The next secret of a direction (RFC 8446 section 7.2)."""
    cdef uint8_t later[48]
    if not expand(&suites[r.suite], d.secret, b"traffic upd", later, suites[r.suite].hash_bytes):
        return False
    memcpy(d.secret, later, suites[r.suite].hash_bytes)
    explicit_bzero(later, sizeof(later))
    return keys_set(core, r, d, seals)
