# What is told to endpoints of a client's certificate (openshift-routes.md 7.8), read once after the handshake. All texts are those
# that HAProxy takes from the certificate; how they are written into lines is told in peercert.pyx.

from edged._fast.talk.wants cimport ClientCertificate

cdef extern from "<regex.h>" nogil:
    ctypedef struct regex_t:
        pass

cdef struct Filter:              # made and owned by a Subjects
    regex_t expression

# Once for each connection of a listener that asks for certificates, when its handshake is done; also where the client gave none.
# `filter` may be NULL. NULL: there is no memory, and the connection must not go on. What is answered borrows nothing of `ssl`.
cdef ClientCertificate* peercert_read(void* ssl, const Filter* filter) noexcept nogil
cdef void peercert_free(ClientCertificate* certificate) noexcept nogil           # NULL is let through

cdef class Subjects:             # Subjects(expression): which subjects a listener takes; raises ValueError
    cdef Filter filter
    cdef bint made
