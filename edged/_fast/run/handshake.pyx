"""TLS handshakes. See handshake.pxd."""

from libc.stdlib cimport calloc, malloc
from libc.string cimport memcpy

from edged._fast.base.openssl cimport SSL_CTRL_SET_TLSEXT_HOSTNAME, SSL_ERROR_WANT_READ, X509_V_OK, openssl
from edged._fast.base.view cimport unlikely, view
from edged._fast.run.core cimport CHANNEL_CLIENT, Session, TLS_FAILED, TLS_OPEN, TlsLink
from edged._fast.run.keyring cimport Entry, NAME_MOST, keys_find, keys_trust
from edged._fast.run.records cimport records_counted
from edged._fast.run.tls cimport tls_attach, tls_flush
from edged._fast.talk.wants cimport PORT_BROKEN, PORT_READABLE

# --- beginning -------------------------------------------------------------------------------------------------------

cdef bint keep_ocsp(TlsLink* link, View response) noexcept nogil:
    """The certificate may be replaced before its handshake has its turn."""
    cdef char* copy
    if response.n == 0:
        return True
    copy = <char*>malloc(response.n)
    if copy == NULL:
        return False
    memcpy(copy, response.at, response.n)
    link.ocsp = view(copy, response.n)
    return True


cdef Refusal handshake_accept(Core* core, Channel* c, const Listener* listener, View name) noexcept nogil:
    cdef const Entry* entry = keys_find(core.keys, name) if core.keys != NULL else NULL
    if entry == NULL and name.n and listener.strict_sni:
        return NO_SUCH_NAME
    if core.keys == NULL or (entry == NULL and core.keys.default.shown == NULL):
        return NO_CERTIFICATE
    if entry == NULL:
        entry = &core.keys.default
    if unlikely(not tls_attach(core, c, listener.context)):
        return NO_MEMORY
    openssl.SSL_set_accept_state(c.tls.ssl)
    c.tls.alpn = entry.alpn
    if not keep_ocsp(c.tls, entry.shown.ocsp):
        return NO_MEMORY
    if openssl.SSL_use_cert_and_key(c.tls.ssl, entry.shown.x509, entry.shown.key, entry.shown.chain, 1) != 1:
        openssl.ERR_clear_error()
        return NO_CERTIFICATE
    handshake_queue(core, c)
    return ACCEPTED


cdef bint handshake_connect(Core* core, Channel* c, uint64_t trust, View server_name, bint check_name, bint send_name) noexcept nogil:
    cdef char name[NAME_MOST + 1]
    cdef void* context = keys_trust(core.keys, trust) if core.keys != NULL else NULL
    cdef Session* before
    if unlikely(context == NULL or not tls_attach(core, c, context)):
        return False
    openssl.SSL_set_connect_state(c.tls.ssl)
    if server_name.n and server_name.n <= NAME_MOST:
        memcpy(name, server_name.at, server_name.n)
        name[server_name.n] = 0
        if check_name and openssl.SSL_set1_host(c.tls.ssl, name) != 1:
            return False
        if send_name:
            openssl.SSL_ctrl(c.tls.ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, name)
    elif check_name:
        return False                             # a name that nobody can have
    if core.sessions != NULL:
        before = &core.sessions[c.slot]
        if before.session != NULL and before.address_hash == c.address_hash:
            openssl.SSL_set_session(c.tls.ssl, before.session)
    handshake_queue(core, c)
    return True


# --- going on --------------------------------------------------------------------------------------------------------

cdef void handshake_queue(Core* core, Channel* c) noexcept nogil:
    if c.tls.queued:
        return
    c.tls.queued = True
    c.tls.next = NULL
    if core.handshakes_last != NULL:
        core.handshakes_last.tls.next = c
    else:
        core.handshakes_first = c
    core.handshakes_last = c


cdef Channel* handshake_next(Core* core) noexcept nogil:
    cdef Channel* c = core.handshakes_first
    if c == NULL:
        return NULL
    core.handshakes_first = c.tls.next
    if core.handshakes_first == NULL:
        core.handshakes_last = NULL
    c.tls.queued = False
    return c


cdef void count(Core* core, Channel* c, bint done) noexcept nogil:
    cdef bint resumed = done and openssl.SSL_session_reused(c.tls.ssl)
    if c.kind == CHANNEL_CLIENT:
        core.s.tally.tls_handshakes += done
        core.s.tally.tls_resumed += resumed
        core.s.tally.tls_failed += not done
    else:
        core.s.tally.tls_endpoint_handshakes += done
        core.s.tally.tls_endpoint_resumed += resumed
        core.s.tally.tls_endpoint_failed += not done


cdef Handshake handshake_step(Core* core, Channel* c) noexcept nogil:
    cdef TlsLink* link = c.tls
    cdef int answer
    cdef bint waits
    core.speaking = c
    core.sealed_n = 0
    openssl.ERR_clear_error()
    answer = openssl.SSL_do_handshake(link.ssl)
    if answer == 1:
        link.sealed_before = records_counted(core.sealed, core.sealed_n)      # tickets; the handshake's own records went before
    waits = answer != 1 and openssl.SSL_get_error(link.ssl, answer) == SSL_ERROR_WANT_READ
    tls_flush(core, c)
    if waits and not c.port.flags & PORT_BROKEN:
        return HANDSHAKE_WAITS
    count(core, c, answer == 1)
    if answer != 1:
        link.state = TLS_FAILED
        return HANDSHAKE_FAILED
    link.state = TLS_OPEN
    c.port.flags |= PORT_READABLE                # what came with the last flight has not been looked at
    return HANDSHAKE_DONE


cdef const char* handshake_fault(Channel* c) noexcept nogil:
    cdef long result = openssl.SSL_get_verify_result(c.tls.ssl)
    if result == X509_V_OK:
        return NULL
    return openssl.X509_verify_cert_error_string(result)


cdef const char* handshake_error(Channel* c) noexcept nogil:
    cdef const char* why = openssl.ERR_reason_error_string(openssl.ERR_peek_error())
    if why == NULL:
        why = b"the connection was closed"
    return why


cdef void handshake_keep_session(Core* core, Channel* c) noexcept nogil:
    cdef Session* kept
    cdef void* session
    if c.tls.kept or c.tls.state != TLS_OPEN:
        return
    if core.sessions == NULL:
        core.sessions = <Session*>calloc(core.slots, sizeof(Session))
        if core.sessions == NULL:
            return
    session = openssl.SSL_get1_session(c.tls.ssl)
    if session == NULL:
        return
    if not openssl.SSL_SESSION_is_resumable(session):
        openssl.SSL_SESSION_free(session)
        return
    c.tls.kept = True
    kept = &core.sessions[c.slot]
    if kept.session != NULL:
        openssl.SSL_SESSION_free(kept.session)
    kept.session = session
    kept.address_hash = c.address_hash
