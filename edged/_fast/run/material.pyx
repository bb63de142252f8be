"""What is shown to clients, as OpenSSL holds it. See material.pxd. OpenSSL must have been loaded."""

from collections.abc import Sequence

from libc.stdint cimport int64_t, uint8_t, uintptr_t

from edged._fast.base.openssl cimport openssl
from edged._fast.run.keyring import Served

cdef int64_t alive = 0


def material_alive() -> int:
    """How many leaves there are in this process, in use or on their way out."""
    return alive


cdef class Authority:
    """A certificate of a chain, from its DER. Raises ValueError."""

    def __cinit__(self, bytes der not None):
        self.x509 = read_certificate(der)

    def __dealloc__(self):
        if self.x509 != NULL:
            openssl.X509_free(self.x509)


cdef class Chain:
    """What follows a leaf, in the order in which it is sent."""

    def __cinit__(self, authorities: Sequence[Authority]):
        cdef Authority one
        self.authorities = tuple(authorities)
        self.stack = openssl.OPENSSL_sk_new_null()
        if self.stack == NULL:
            raise MemoryError
        for one in self.authorities:
            if openssl.OPENSSL_sk_push(self.stack, one.x509) == 0:
                raise MemoryError

    def __dealloc__(self):
        if self.stack != NULL:
            openssl.OPENSSL_sk_free(self.stack)


cdef class Material:
    """A leaf and its key (PKCS#8), both in DER, and what follows the leaf. Raises ValueError if they are broken or do not match."""

    def __cinit__(self, bytes der not None, bytes key not None, Chain chain):
        global alive
        alive += 1
        self.chain = chain
        self.x509 = read_certificate(der)
        self.key = read_key(key)
        if openssl.X509_check_private_key(self.x509, self.key) != 1:
            openssl.ERR_clear_error()
            raise ValueError("the key is not that of the certificate")

    def __dealloc__(self):
        global alive
        alive -= 1
        if self.x509 != NULL:
            openssl.X509_free(self.x509)
        if self.key != NULL:
            openssl.EVP_PKEY_free(self.key)

    def served(self, bytes ocsp not None) -> Served:
        """For a keyring; an OCSP answer to staple, or b""."""
        stack = 0 if self.chain is None else <uintptr_t>self.chain.stack
        return Served(<uintptr_t>self.x509, <uintptr_t>self.key, stack, ocsp, self)


cdef void* read_certificate(bytes der) except NULL:
    cdef const uint8_t* at = <const uint8_t*><const char*>der
    cdef const uint8_t* end = at + len(der)
    cdef void* read
    if openssl.d2i_X509 == NULL:
        raise RuntimeError("OpenSSL was not loaded")
    openssl.ERR_clear_error()                    # what is there now concerns others
    read = openssl.d2i_X509(NULL, &at, len(der))
    if read == NULL or at != end:
        if read != NULL:
            openssl.X509_free(read)
        raise ValueError(f"this is no certificate: {reason()}")
    return read


cdef void* read_key(bytes der) except NULL:
    cdef const uint8_t* at = <const uint8_t*><const char*>der
    cdef const uint8_t* end = at + len(der)
    cdef void* read = openssl.d2i_AutoPrivateKey(NULL, &at, len(der))
    if read == NULL or at != end:
        if read != NULL:
            openssl.EVP_PKEY_free(read)
        raise ValueError(f"this is no private key: {reason()}")
    openssl.ERR_clear_error()                    # of the forms that it tried before
    return read


cdef str reason():
    """What OpenSSL complains of first; the rest is forgotten."""
    cdef unsigned long error = openssl.ERR_peek_error()
    cdef const char* text
    if error == 0:
        return "something follows it"
    text = openssl.ERR_reason_error_string(error)
    openssl.ERR_clear_error()
    return "unknown" if text == NULL else text.decode("ascii", "replace")
