# What is shown to clients, as OpenSSL holds it. Each pointer has one owner here; who takes part in a handshake counts itself.

cdef class Authority:            # a certificate of the chain; shared by all chains that it is in
    cdef object __weakref__
    cdef void* x509

cdef class Chain:                # what follows the leaf; shared by all leaves of one issuer
    cdef object __weakref__
    cdef void* stack             # STACK_OF(X509)
    cdef readonly tuple authorities      # they own what is in the stack

cdef class Material:             # a leaf, its key and its chain
    cdef void* x509
    cdef void* key
    cdef readonly Chain chain    # None: there is none
