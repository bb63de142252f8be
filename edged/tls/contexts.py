"""OpenSSL's contexts: what a listener speaks with clients, and what is spoken with endpoints of one trust.

A context holds rules, not certificates: those are chosen for each connection (edged/tls/store.py). No callback in Python is ever set on
one, as the engine must not wait for Python.
"""

import ctypes
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL, crypto

from edged.errors import EdgedError
from edged.model.listener import Listener
from edged.settings.tables import TlsTable
from edged.tls import openssl
from edged.tls.crl import BadCrl, authorities_of, points_of, read_crls
from edged.tls.profiles import VERSIONS, cipher_list
from edged.tls.system import NoAuthorities, system_authorities

__all__ = ["ContextError", "client_context", "first_crls", "server_context"]

_SET_GROUPS_LIST, _SET_DH_AUTO = 92, 118         # of SSL_CTX_ctrl
_DH_BY_KEY, _DH_1024 = 1, 2
_PRIORITIZE_CHACHA = 1 << 21                     # for clients that prefer it, as they compute AES slowly
_TICKETS_MOST_S = 7 * 24 * 3600                  # RFC 8446 section 4.6.1

_ALWAYS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION
_AUTH = {
    "none": SSL.VERIFY_NONE, "optional": SSL.VERIFY_PEER, "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


class ContextError(EdgedError):
    """A context cannot be made as the settings want it."""


def server_context(tls: TlsTable, listener: Listener, crls: Iterable[bytes] | None = None) -> SSL.Context:
    """For clients of a listener, whose certificates these lists (DER) must not revoke; each of their authorities needs one. None: nothing
    is revoked. Sessions of one context are resumed by others of the same rules alone. Raises ContextError."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    # Clients that leave without a goodbye are many; of an endpoint's answer it is told apart (RFC 9112 section 9.8).
    context.set_options(_ALWAYS | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_IGNORE_UNEXPECTED_EOF | _PRIORITIZE_CHACHA)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)           # tickets hold all that is needed, for every worker
    context.set_timeout(min(2 * tls.ticket_rotation_ms // 1000, _TICKETS_MOST_S))
    if not tls.session_tickets:
        context.set_options(SSL.OP_NO_TICKET)
    try:
        _set_versions(context, tls.min_version, tls.max_version)
        context.set_cipher_list(_with_level(cipher_list(tls.ciphers), _level(tls)).encode())
        if tls.ciphersuites:
            context.set_tls13_ciphersuites(tls.ciphersuites.encode())
    except SSL.Error as why:
        raise ContextError(f"[tls]: OpenSSL refuses versions, ciphers or ciphersuites: {_told(why)}") from None
    _control(context, _SET_DH_AUTO, _DH_1024 if tls.ciphers == "old" else _DH_BY_KEY)
    if tls.curves and not _control(context, _SET_GROUPS_LIST, 0, tls.curves.encode()):
        raise ContextError(f'[tls] curves: OpenSSL refuses "{tls.curves}"')
    context.set_session_id(_ask_for_certificates(context, listener, crls))
    return context


def first_crls(listener: Listener) -> tuple[bytes, ...] | None:
    """The lists for a listener as it starts, before any is fetched; None: nothing is revoked. Where authorities publish lists, nobody comes
    in without: () lets nobody in. Raises ContextError."""
    path = listener.client_crl or listener.client_ca
    if listener.client_auth == "none" or not path:
        return None
    try:
        data = _read(path)
        if listener.client_crl:
            return tuple(one.der for one in read_crls(data))
        return () if points_of(authorities_of(data)) else None
    except BadCrl as why:
        raise ContextError(f"{'client_crl' if listener.client_crl else 'client_ca'} {path}: {why}") from None


def client_context(authorities: Sequence[bytes], verify: bool, tls: TlsTable) -> SSL.Context:
    """For endpoints whose certificates lead to one of these authorities (DER); not `verify`: to whatever endpoint. What clients are
    asked for by [tls] does not bind endpoints; old versions are spoken with them, too, where clients may. Raises ContextError."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_options(_ALWAYS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)           # the engine keeps one for each endpoint
    _set_versions(context, min(tls.min_version, "TLSv1.2"), "")
    context.set_cipher_list(_with_level("DEFAULT", 0 if tls.min_version < "TLSv1.2" else None).encode())
    store = _store_of(context)
    try:
        for der in authorities:
            store.add_cert(crypto.X509.from_cryptography(x509.load_der_x509_certificate(der)))
    except (ValueError, crypto.Error) as why:
        raise ContextError(f"an authority for endpoints is no certificate: {why}") from None
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)         # that authority itself, whoever certified it
    context.set_verify(SSL.VERIFY_PEER if verify else SSL.VERIFY_NONE)
    return context


def _set_versions(context: SSL.Context, oldest: str, newest: str) -> None:
    context.set_min_proto_version(VERSIONS[oldest])
    context.set_max_proto_version(VERSIONS[newest] if newest else 0)


def _level(tls: TlsTable) -> int | None:
    """OpenSSL's security level, where the operator's wish cannot be had with the usual one: signatures of TLS 1.0 and 1.1 are made with
    SHA-1, and the profile "old" stands for groups of 1024 bits."""
    if tls.min_version < "TLSv1.2":
        return 0
    return 1 if tls.ciphers == "old" else None


def _with_level(ciphers: str, level: int | None) -> str:
    return ciphers if level is None or "@SECLEVEL" in ciphers else f"{ciphers}:@SECLEVEL={level}"


def _ask_for_certificates(context: SSL.Context, listener: Listener, crls: Iterable[bytes] | None) -> bytes:
    """Set what the listener asks of its clients' certificates; answers 32 bytes that stand for these rules and no others."""
    context.set_verify(_AUTH[listener.client_auth] | SSL.VERIFY_CLIENT_ONCE)
    rules = sha256(f"{listener.client_auth}\0{listener.client_filter}\0".encode())
    if listener.client_auth == "none":
        return rules.digest()
    store = _store_of(context)
    if listener.client_ca:
        pem = _read(listener.client_ca)
        rules.update(sha256(pem).digest())
        for one in _authorities(listener.client_ca, pem):
            store.add_cert(crypto.X509.from_cryptography(one))
            context.add_client_ca(one)
        if crls is None:                         # else each authority up to the root is judged by a list of the one above it
            store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    else:
        _trust_the_system(context)
    if crls is not None:
        rules.update(b"lists")
        for der in crls:
            rules.update(sha256(der).digest())
            store.add_crl(x509.load_der_x509_crl(der))
        store.set_flags(crypto.X509StoreFlags.CRL_CHECK | crypto.X509StoreFlags.CRL_CHECK_ALL)
    return rules.digest()


def _trust_the_system(context: SSL.Context) -> None:
    try:
        file, folder = system_authorities()
        context.load_verify_locations(file or None, folder or None)
    except NoAuthorities as why:
        raise ContextError(f"client_ca is empty, and whom the system trusts is not known: {why}") from None
    except SSL.Error as why:
        raise ContextError(f"client_ca is empty, and {file} cannot be used: {_told(why) or 'there is no certificate in it'}") from None


def _authorities(path: str, pem: bytes) -> list[x509.Certificate]:
    try:
        return authorities_of(pem)
    except BadCrl as why:
        raise ContextError(f"client_ca {path}: {why}") from None


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as why:
        raise ContextError(f"{path}: {why.strerror}") from None


def _store_of(context: SSL.Context) -> crypto.X509Store:
    store = context.get_cert_store()
    assert store is not None                     # every context has one
    return store


def _told(why: SSL.Error) -> str:
    """The reasons in OpenSSL's queue."""
    return ", ".join(entry[2] for entry in why.args[0]) if why.args and isinstance(why.args[0], list) else str(why)


def _control(context: SSL.Context, command: int, number: int, text: bytes | None = None) -> int:
    return _ssl_ctx_ctrl()(openssl.context_address(context), command, number, text)


@cache
def _ssl_ctx_ctrl() -> Callable[[int, int, int, bytes | None], int]:
    """For what pyOpenSSL does not offer."""
    kind = ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p)
    return kind(openssl.find(["SSL_CTX_ctrl"])["SSL_CTX_ctrl"])
