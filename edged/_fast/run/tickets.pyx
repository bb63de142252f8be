"""Keys that seal and open session tickets, as RFC 5077 section 4 recommends. See tickets.pxd."""

from collections.abc import Sequence

from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy, memset

from edged._fast.base.atomic cimport add32, fence, load32, load64, take_pointer
from edged._fast.base.openssl cimport OSSL_PARAM_OCTET_STRING, OSSL_PARAM_UTF8_STRING, TLS1_3_VERSION, Param, openssl

cdef extern from "<string.h>" nogil:
    void explicit_bzero(void* at, size_t n)

cdef TicketKeys* in_use = NULL                   # swapped by Python under the GIL, read by engines at any time
cdef uint32_t readers = 0                        # engines that are looking at some list
cdef TicketKeys* replaced = NULL                 # lists that wait until nobody looks; Python's alone
cdef const void* cipher_of_tickets = NULL        # fetched once, for good


# --- Python ----------------------------------------------------------------------------------------------------------

def use_ticket_keys(keys: Sequence[tuple[bytes, bytes, bytes]]) -> None:
    """Open tickets with these keys from now on, and seal with the first: (name of 16, AES key of 32, HMAC key of 32 bytes) each; with
    none, no tickets are given. Keys that were used before are wiped. Raises ValueError. OpenSSL must have been loaded."""
    global replaced
    if len(keys) > TICKET_KEYS_MOST:
        raise ValueError(f"{len(keys)} keys are too many: {TICKET_KEYS_MOST} at most")
    cdef TicketKeys* made
    for name, aes, hmac in keys:
        if (len(name), len(aes), len(hmac)) != (TICKET_NAME, TICKET_SECRET, TICKET_SECRET):
            raise ValueError("a ticket key is a name of 16, an AES key of 32 and an HMAC key of 32 bytes")
    fetch_cipher()
    made = <TicketKeys*>calloc(1, sizeof(TicketKeys))
    if made == NULL:
        raise MemoryError
    for name, aes, hmac in keys:
        memcpy(made.keys[made.n].name, <const char*>name, TICKET_NAME)
        memcpy(made.keys[made.n].aes, <const char*>aes, TICKET_SECRET)
        memcpy(made.keys[made.n].hmac, <const char*>hmac, TICKET_SECRET)
        made.n += 1
    made.older = NULL
    old = <TicketKeys*>take_pointer(<void**>&in_use, made)
    if old != NULL:
        old.older = replaced
        replaced = old
    fence()
    if load32(&readers) == 0:                    # who comes from here on sees the new list
        wipe_replaced()


cdef int fetch_cipher() except -1:
    global cipher_of_tickets
    if cipher_of_tickets == NULL:
        if openssl.EVP_CIPHER_fetch == NULL:
            raise RuntimeError("OpenSSL was not loaded")
        cipher_of_tickets = openssl.EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL)
        if cipher_of_tickets == NULL:
            openssl.ERR_clear_error()
            raise RuntimeError("this OpenSSL has no AES-256-CBC")
    return 0


cdef void wipe_replaced() noexcept:
    global replaced
    cdef TicketKeys* old
    while replaced != NULL:
        old = replaced
        replaced = old.older
        explicit_bzero(old, sizeof(TicketKeys))
        free(old)


# --- engines ---------------------------------------------------------------------------------------------------------

cdef int ticket_callback(
    void* ssl, unsigned char* name, unsigned char* iv, void* cipher, void* mac, int encrypt
) noexcept nogil:
    cdef const TicketKeys* keys
    cdef int answer
    add32(&readers, 1)
    fence()                                      # counted before we look: `use_ticket_keys` fences between its swap and its count
    keys = <const TicketKeys*><uintptr_t>load64(<const uint64_t*>&in_use)
    if keys == NULL or keys.n == 0:
        answer = 0
    elif encrypt:
        answer = seal(&keys.keys[0], name, iv, cipher, mac)
    else:
        answer = unseal(keys, ssl, name, iv, cipher, mac)
    add32(&readers, <uint32_t>-1)
    return answer


cdef int seal(const TicketKey* key, unsigned char* name, unsigned char* iv, void* cipher, void* mac) noexcept nogil:
    if openssl.RAND_bytes(iv, 16) != 1 or openssl.EVP_EncryptInit_ex(cipher, cipher_of_tickets, NULL, key.aes, iv) != 1:
        return -1
    memcpy(name, key.name, TICKET_NAME)
    return 1 if set_mac(mac, key) else -1


cdef int unseal(
    const TicketKeys* keys, void* ssl, const unsigned char* name, const unsigned char* iv, void* cipher, void* mac
) noexcept nogil:
    cdef const TicketKey* key
    cdef uint32_t i
    for i in range(keys.n):
        key = &keys.keys[i]
        if memcmp(key.name, name, TICKET_NAME) != 0:
            continue
        if openssl.EVP_DecryptInit_ex(cipher, cipher_of_tickets, NULL, key.aes, iv) != 1 or not set_mac(mac, key):
            return -1
        # Clients of TLS 1.3 use a ticket once (RFC 8446 appendix C.4): without a new one they could come back but once.
        return 1 if i == 0 and openssl.SSL_version(ssl) < TLS1_3_VERSION else 2
    return 0


cdef bint set_mac(void* mac, const TicketKey* key) noexcept nogil:
    cdef Param params[3]
    memset(params, 0, sizeof(params))
    params[0].key, params[0].kind, params[0].at, params[0].n = "key", OSSL_PARAM_OCTET_STRING, <void*>key.hmac, TICKET_SECRET
    params[1].key, params[1].kind, params[1].at, params[1].n = "digest", OSSL_PARAM_UTF8_STRING, <void*><char*>"SHA256", 6
    return openssl.EVP_MAC_CTX_set_params(mac, params) == 1
