"""What is told of the certificate that an SSL's peer showed."""

from libc.stdint cimport uintptr_t
from edged._fast.run.peercert cimport Subjects, peercert_free, peercert_read
from edged._fast.talk.wants cimport ClientCertificate

def read(uintptr_t ssl, Subjects subjects=None):
    """(lines, DER, whether it is refused) by the address of an SSL."""
    cdef ClientCertificate* got
    with nogil:
        got = peercert_read(<void*>ssl, &subjects.filter if subjects is not None else NULL)
    if got == NULL:
        raise MemoryError
    try:
        return got.lines.at[:got.lines.n], got.der.at[:got.der.n] if got.der.n else b"", bool(got.refused)
    finally:
        peercert_free(got)
