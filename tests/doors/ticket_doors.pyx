"""The callback of tickets alone, on a context that no engine uses."""

from libc.stdint cimport uintptr_t

from edged._fast.base.openssl cimport openssl
from edged._fast.run.tickets cimport ticket_callback


def give_tickets(context: int) -> None:
    openssl.SSL_CTX_set_tlsext_ticket_key_evp_cb(<void*><uintptr_t>context, ticket_callback)
